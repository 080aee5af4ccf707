"""Semantic versions: reading, ordering, and the next one.

``v1.0.0`` and ``1.0.0`` are one version. The order is that of https://semver.org (2.0.0, section 11), kept in the
database as hexadecimal text, which every database sorts alike whatever its locale.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from dwcp_jupyter.exceptions import InvalidVersionError
from dwcp_jupyter.flavors import Column, Signature

__all__ = ["Bump", "SemanticVersion", "bump_for"]

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_PATTERN = re.compile(
    r"v?(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    rf"(?:-(?P<prerelease>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_LONGEST = 128
_NUMBER = re.compile(r"(?P<kind>u?int|float)(?P<bits>8|16|32|64)")
_LARGEST_FLOAT = 2**1024


class Bump(StrEnum):
    """Which part of the highest version grows."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"
    AUTO = "auto"
    """Derived from what changed in the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticVersion:
    """One version; `str` gives its one spelling, without ``v``."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the version that `text` spells.

        Raises
        ------
        InvalidVersionError
            If it is none.

        Examples
        --------
        >>> str(SemanticVersion.parse("v1.2.0-rc.1+linux"))
        '1.2.0-rc.1+linux'
        """
        match = _PATTERN.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
        if match is None:
            shown = text if len(str(text)) <= 40 else f"{str(text)[:40]}…"
            raise InvalidVersionError(
                f"'{shown}' is no semantic version. Write MAJOR.MINOR.PATCH, {_nearest(str(text))}"
            )
        parts = match.groupdict()
        return cls(
            major=int(parts["major"]),
            minor=int(parts["minor"]),
            patch=int(parts["patch"]),
            prerelease=parts["prerelease"] or "",
            build=parts["build"] or "",
        )

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        return text + (f"-{self.prerelease}" if self.prerelease else "") + (f"+{self.build}" if self.build else "")

    def next(self, part: Bump) -> SemanticVersion:
        """Return the release that follows by `part`.

        Examples
        --------
        >>> str(SemanticVersion.parse("1.2.3-rc.1").next(Bump.MINOR))
        '1.3.0'
        """
        if part is Bump.MAJOR:
            return SemanticVersion(major=self.major + 1, minor=0, patch=0)
        if part is Bump.MINOR:
            return SemanticVersion(major=self.major, minor=self.minor + 1, patch=0)
        return SemanticVersion(major=self.major, minor=self.minor, patch=self.patch + (0 if self.prerelease else 1))

    @property
    def sort_key(self) -> str:
        """Hexadecimal text that sorts as the versions do; ties of build metadata by their text."""
        numbers = "".join(_sortable(number) for number in (self.major, self.minor, self.patch))
        rest = "".join(_identifier(part) for part in self.prerelease.split(".")) if self.prerelease else "~"
        return f"{numbers}{rest}\x01{self.build}".encode().hex()


def _sortable(number: int) -> str:
    digits = str(number)
    return f"{len(digits):03d}{digits}"


def _identifier(part: str) -> str:
    return (f"0{_sortable(int(part))}" if part.isdigit() else f"1{part}") + " "


def _nearest(text: str) -> str:
    numbers = re.findall(r"[0-9]{1,9}", text[:_LONGEST])[:3]
    example = ".".join(str(int(number)) for number in (*numbers, "0", "0")[:3]) if numbers else "1.0.0"
    return f"for example {example[:_LONGEST]}."


def bump_for(before: Signature | None, after: Signature | None) -> Bump:
    """Return which part of the version a change of signature asks for.

    A call that worked before and would fail now is major: an input that went, changed its type or shape, holds fewer
    numbers, became required, or was added as required; an output that changed. Anything else that differs is minor,
    nothing is a patch.
    """
    if before == after or before is None or after is None:
        return Bump.PATCH if before == after else Bump.MINOR
    if before.outputs and before.outputs != after.outputs:
        return Bump.MAJOR
    old = {column.name: column for column in before.inputs}
    new = {column.name: column for column in after.inputs}
    if any(name not in new or _takes_less(column, new[name]) for name, column in old.items()):
        return Bump.MAJOR
    required = any(not column.nullable for name, column in new.items() if name not in old)
    return Bump.MAJOR if required else Bump.MINOR


def _takes_less(old: Column, new: Column) -> bool:
    """Return whether a value that fitted the old column may not fit the new one."""
    if new.type != old.type or (old.nullable and not new.nullable) or len(new.shape) != len(old.shape):
        return True
    if any(length not in {-1, before} for before, length in zip(old.shape, new.shape, strict=True)):
        return True
    before, after = _limits(old.dtype), _limits(new.dtype)
    if before is None or after is None:  # of texts, times and objects only the elements of arrays are held to it
        return bool(old.shape) and new.dtype not in {old.dtype, "object"}
    return after[0] > before[0] or after[1] < before[1]


def _limits(dtype: str) -> tuple[int, int] | None:
    """Return the least and the largest number of a NumPy type; None for other types.

    All floats count as one: of another width they are rounded, not refused.
    """
    match = _NUMBER.fullmatch(dtype)
    if match is None:
        return (0, 1) if dtype == "bool" else None
    kind, bits = match["kind"], int(match["bits"])
    if kind == "float":
        return -_LARGEST_FLOAT, _LARGEST_FLOAT
    return (0, 2**bits - 1) if kind == "uint" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
