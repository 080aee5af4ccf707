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
from dwcp_jupyter.flavors import Signature

__all__ = ["Bump", "SemanticVersion", "bump_for"]

_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_PATTERN = re.compile(
    r"v?(?P<major>0|[1-9][0-9]*)\.(?P<minor>0|[1-9][0-9]*)\.(?P<patch>0|[1-9][0-9]*)"
    rf"(?:-(?P<prerelease>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_LONGEST = 128


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

    A call that worked before and would fail now is major: an input that went, changed its type, became required, or was
    added as required; an output that changed. Anything else that differs is minor, nothing is a patch.
    """
    if before == after or before is None or after is None:
        return Bump.PATCH if before == after else Bump.MINOR
    if before.outputs and before.outputs != after.outputs:
        return Bump.MAJOR
    old = {column.name: column for column in before.inputs}
    new = {column.name: column for column in after.inputs}
    if any(name not in new or new[name].type != column.type for name, column in old.items()):
        return Bump.MAJOR
    tightened = any(old[name].nullable and not new[name].nullable for name in old)
    required = any(not column.nullable for name, column in new.items() if name not in old)
    return Bump.MAJOR if tightened or required else Bump.MINOR
