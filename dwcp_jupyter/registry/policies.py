"""What a stage asks of a version: reviewers, and checks of recorded evidence.

A policy is YAML or a mapping::

    reviewers: 2
    roles:
      ml-lead: [ana, bo]
      risk: [cleo]
    require: [risk]
    expires_after_days: 14
    assurance: authenticated
    checks:
      - metrics.test_accuracy >= 0.95
      - bias.demographic_parity_difference <= 0.05
      - documents: [model_card]
      - alerts.critical == 0

A check compares one recorded number with a limit; nothing in it is ever executed. What was not recorded fails.
"""

from __future__ import annotations

import math
import operator
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from dwcp_jupyter.events import Assurance
from dwcp_jupyter.exceptions import PolicyError, did_you_mean
from dwcp_jupyter.rendering import Displayed, Facts, Table, View

__all__ = ["Check", "CheckResult", "FailedCheck", "StagePolicy", "person_key"]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_CHECK = re.compile(r"\s*(?P<path>[\w\-]+(?:\.[\w\-]+)+)\s*(?P<sign>>=|<=|==|!=|>|<)\s*(?P<limit>\S+)\s*")


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
        name = self.path.partition(".")[2]
        recorded = evidence.get(self.kind, {})
        if self.limit is None:
            return None if name in recorded else FailedCheck(check=str(self), found=f"no {name} is recorded")
        if name not in recorded:
            near = did_you_mean(name, recorded)
            return FailedCheck(check=str(self), found=f"not recorded.{near}" if near else "not recorded")
        value = recorded[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return FailedCheck(check=str(self), found=f"recorded as {value!r}, which is no number")
        if _OPERATORS[self.sign](float(value), self.limit):
            return None
        return FailedCheck(check=str(self), found=f"it is {value:g}")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePolicy(Displayed):
    """What it takes to enter a stage.

    Attributes
    ----------
    reviewers : int
        How many people must approve. The one who asks never counts.
    roles : mapping of str to tuple of str
        Names of the people in each role; empty where everybody may review.
    require : tuple of str
        Roles of which at least one member must approve each.
    expires_after_days : float
        How long a request, and an approval that was not used yet, is good for.
    assurance : Assurance
        How sure it must be who decided.
    checks : tuple of Check
    """

    reviewers: int = 0
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    require: tuple[str, ...] = ()
    expires_after_days: float = 14.0
    assurance: Assurance = Assurance.ASSERTED
    checks: tuple[Check, ...] = ()

    @property
    def expires_after(self) -> timedelta:
        """How long a request is good for."""
        return timedelta(days=self.expires_after_days)

    @classmethod
    def parse(cls, said: str | Mapping[str, Any] | Self) -> Self:
        """Return the policy that YAML text or a mapping says.

        Raises
        ------
        PolicyError
            It names every fault.
        """
        if isinstance(said, cls):
            return said
        if isinstance(said, str):
            import yaml

            try:
                said = yaml.safe_load(said)
            except yaml.YAMLError as exc:
                raise PolicyError(f"The policy is no YAML: {exc}") from exc
        if not isinstance(said, Mapping):
            raise PolicyError(f"A policy is a mapping of fields, not {said!r}. Write, for example: reviewers: 2")
        return cls(**_checked(said))

    def failures(self, evidence: Mapping[str, Mapping[str, Any]]) -> tuple[FailedCheck, ...]:
        """Return every check that the evidence does not pass."""
        found = (check.failure(evidence) for check in self.checks)
        return tuple(failure for failure in found if failure is not None)

    def results(self, evidence: Mapping[str, Mapping[str, Any]]) -> tuple[CheckResult, ...]:
        """Return what became of every check, passed or not."""
        return tuple(_result(check, evidence) for check in self.checks)

    def roles_of(self, person: str) -> frozenset[str]:
        """Return the roles that a person has."""
        return frozenset(role for role, people in self.roles.items() if person_key(person) in map(person_key, people))

    def missing(self, approvers: Sequence[str]) -> str | None:
        """Return what the approvals of these people still lack, or None where they are enough."""
        absent = [role for role in self.require if not any(role in self.roles_of(person) for person in approvers)]
        lacking = self.reviewers - len(approvers)
        said = []
        if lacking > 0:
            said.append(f"{lacking} more approval{'s' if lacking > 1 else ''}")
        if absent:
            said.append(f"an approval by {' and by '.join(absent)}")
        return " and ".join(said) or None

    def to_json(self) -> dict[str, Any]:
        """Return it as the database keeps it; `parse` reads it."""
        return {
            "reviewers": self.reviewers,
            "roles": {role: list(people) for role, people in self.roles.items()},
            "require": list(self.require),
            "expires_after_days": self.expires_after_days,
            "assurance": str(self.assurance),
            "checks": [str(check) for check in self.checks],
        }

    def _view(self) -> View:
        roles = "; ".join(f"{role}: {', '.join(people)}" for role, people in self.roles.items())
        facts = {
            "Reviewers": self.reviewers,
            "Roles": roles or "anybody but who asks",
            "At least one of each": ", ".join(self.require) or None,
            "Good for": f"{self.expires_after_days:g} days",
            "Identity": str(self.assurance),
        }
        blocks: list[Any] = [Facts({name: value for name, value in facts.items() if value is not None})]
        if self.checks:
            blocks.append(Table(("Check",), [(str(check),) for check in self.checks]))
        return View("Stage policy", blocks)


def _result(check: Check, evidence: Mapping[str, Mapping[str, Any]]) -> CheckResult:
    failure = check.failure(evidence)
    if failure is not None:
        return CheckResult(check=check, is_passed=False, found=failure.found)
    value = evidence[check.kind][check.path.partition(".")[2]]
    return CheckResult(check=check, is_passed=True, found="recorded" if check.limit is None else f"it is {value:g}")


def _checked(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields as the class takes them; raises for all faults at once."""
    known = [entry.name for entry in fields(StagePolicy)]
    faults: list[str] = []
    values: dict[str, Any] = {}
    for name, value in said.items():
        if name not in known:
            faults.append(f"no field '{name}'.{did_you_mean(str(name), known)} Fields: {', '.join(known)}.")
            continue
        try:
            values[name] = _READERS[name](value)
        except (ValueError, TypeError) as exc:
            faults.append(f"{name}: {exc}")
    unknown = [role for role in values.get("require", ()) if role not in values.get("roles", {})]
    faults += [f"require: nobody has the role '{role}'. Name its people under roles." for role in unknown]
    if faults:
        raise PolicyError("The policy cannot be kept: " + "; ".join(faults))
    return values


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100:
        raise ValueError(f"{value!r} is no number of people from 0 to 100")
    return value


def _days(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= 3650:
        raise ValueError(f"{value!r} is no number of days up to 3650")
    return float(value)


def _names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(n, str) and n for n in value):
        raise ValueError(f"{value!r} is no list of names")
    return tuple(dict.fromkeys(value))


def _roles(value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r} is no mapping of roles to names")
    return {str(role): _names(people) for role, people in value.items()}


def _assurance(value: Any) -> Assurance:
    try:
        return Assurance(str(value))
    except ValueError:
        raise ValueError(f"{value!r} is none of: {', '.join(Assurance)}") from None


def _checks(value: Any) -> tuple[Check, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{value!r} is no list of checks")
    return tuple(check for item in value for check in _read_check(item))


def _read_check(item: Any) -> list[Check]:
    if isinstance(item, Mapping) and list(item) == ["documents"]:
        return [Check(path=f"documents.{name}", sign="exists") for name in _names(item["documents"])]
    text = str(item)
    if text.endswith(" exists") and re.fullmatch(r"documents\.[\w\-]+", text.removesuffix(" exists")):
        return [Check(path=text.removesuffix(" exists"), sign="exists")]
    match = _CHECK.fullmatch(text) if isinstance(item, str) else None
    if match is None:
        raise ValueError(f"{item!r} is no check. Write 'metrics.test_accuracy >= 0.95' or 'documents: [model_card]'")
    try:
        limit = float(match["limit"])
    except ValueError:
        raise ValueError(f"{match['limit']!r} in {item!r} is no number") from None
    if not math.isfinite(limit):
        raise ValueError(f"{item!r} compares with {limit}, which is no limit")
    return [Check(path=match["path"], sign=match["sign"], limit=limit)]


_READERS: dict[str, Callable[[Any], Any]] = {
    "reviewers": _count,
    "roles": _roles,
    "require": _names,
    "expires_after_days": _days,
    "assurance": _assurance,
    "checks": _checks,
}


def person_key(name: str) -> str:
    """Return the form in which names of people are compared: ``Ana`` and `` ana`` are one reviewer."""
    return unicodedata.normalize("NFKC", name).strip().casefold()
