"""The checks of a policy: one recorded number against a limit, or a document that must be there.

A check is data. It is read by one regular expression and compared by Python; nothing in it is ever executed, and what
was not recorded fails.
"""

from __future__ import annotations

import math
import operator
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dwcp_jupyter.exceptions import did_you_mean

__all__ = ["Check", "CheckResult", "FailedCheck", "read_comparison"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CHECK = re.compile(r"\s*(?P<path>[\w\-]+(?:\.[\w\-]+)+)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<limit>\S+)\s*")
_DOCUMENT = re.compile(r"(?P<path>documents\.[\w\-]+) exists")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCheck:
    """A check that a version did not pass.

    Attributes
    ----------
    check : str
        As it was written.
    found : str
        The recorded value, or that there is none.
    """

    check: str
    found: str

    def __str__(self) -> str:
        return f"{self.check}: {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition: a number against a limit, or a document that must be there.

    Attributes
    ----------
    path : str
        ``kind.name``, such as ``metrics.test_accuracy`` or ``documents.model_card``.
    sign : str
        A comparison; ``exists`` for a document.
    limit : float or None
    """

    path: str
    sign: str
    limit: float | None = None

    def __str__(self) -> str:
        return f"{self.path} {self.sign}" + ("" if self.limit is None else f" {repr(self.limit).removesuffix('.0')}")

    @property
    def kind(self) -> str:
        """The kind of evidence that it looks at."""
        return self.path.partition(".")[0]

    def failure(self, evidence: Mapping[str, Mapping[str, Any]]) -> FailedCheck | None:
        """Return why the evidence does not pass, or None; evidence is by kind and name."""
        name, recorded = self.path.partition(".")[2], evidence.get(self.kind, {})
        found = self._missing_document(name, recorded) if self.limit is None else self._missed_limit(name, recorded)
        return None if found is None else FailedCheck(check=str(self), found=found)

    def _missing_document(self, name: str, recorded: Mapping[str, Any]) -> str | None:
        if name not in recorded:
            return f"no {name} is recorded"
        return None if _is_said(recorded[name]) else f"recorded as {recorded[name]!r}, which names no document"

    def _missed_limit(self, name: str, recorded: Mapping[str, Any]) -> str | None:
        if name not in recorded:
            near = did_you_mean(name, recorded)
            return f"not recorded.{near}" if near else "not recorded"
        value = recorded[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"recorded as {repr(value)[:60]}, which is no number"
        assert self.limit is not None
        if _OPERATORS[self.sign](value, self.limit):  # Python compares an integer of any size exactly
            return None
        return f"it is {_shown(value)}"

    def result(self, evidence: Mapping[str, Mapping[str, Any]]) -> CheckResult:
        """Return what becomes of it, passed or not."""
        failure = self.failure(evidence)
        if failure is not None:
            return CheckResult(check=self, is_passed=False, found=failure.found)
        value = evidence[self.kind][self.path.partition(".")[2]]
        found = "recorded" if self.limit is None else f"it is {_shown(value)}"
        return CheckResult(check=self, is_passed=True, found=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What became of a check.

    Attributes
    ----------
    found : str
        The recorded value, or that there is none.
    """

    check: Check
    is_passed: bool
    found: str


def read_comparison(text: str) -> Check | None:
    """Return the check that a text says, or None where it says none.

    Raises
    ------
    ValueError
        If it compares with what is no limit.
    """
    document = _DOCUMENT.fullmatch(text)
    if document is not None:
        return Check(path=document["path"], sign="exists")
    match = _CHECK.fullmatch(text)
    if match is None:
        return None
    try:
        limit = float(match["limit"])
    except ValueError:
        raise ValueError(f"{match['limit']!r} in {text!r} is no number") from None
    if not math.isfinite(limit):
        raise ValueError(f"{text!r} compares with {limit}, which is no limit")
    return Check(path=match["path"], sign=match["sign"], limit=limit)


def _is_said(value: Any) -> bool:
    """Return whether a value tells which document there is: an empty one, or one for none, does not."""
    if isinstance(value, str):
        return bool(value.strip())
    return bool(value) and value == value  # noqa: PLR0124 - not a number


def _shown(value: float) -> str:
    if abs(value) > sys.float_info.max:  # kept by an earlier release: no float holds it, and Python prints no such text
        return f"{'above ' if value > 0 else 'below -'}{sys.float_info.max:g}"
    return f"{value:g}"
