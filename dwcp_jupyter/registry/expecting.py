"""What is known of a row, and whether a row is so.

A column is known as a whole, by the sum of its text, or in part: events are not made to carry what is large, and those
of earlier releases carry less. What is not known is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from dwcp_jupyter import hashing
from dwcp_jupyter.store import schema

__all__ = ["NoTags", "Part", "Rows", "Sum", "agrees", "means_the_same", "shortened"]

Rows = dict[tuple[str, ...], dict[str, Any]]
"""Rows by their keys: what is known of each column."""


@dataclass(frozen=True, slots=True)
class Sum:
    """The SHA-256 of a text."""

    sha256: str

    def agrees(self, text: Any) -> bool:
        """Return whether it is that of `text`."""
        return isinstance(text, str) and hashing.sha256_bytes(text.encode()) == self.sha256

    def __repr__(self) -> str:
        return f"a text with the sum {self.sha256[:12]}…"


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what a JSON text says, and its SHA-256 where that is known."""

    known: Mapping[str, Any]
    sha256: str | None = None

    def agrees(self, text: Any) -> bool:
        """Return whether `text` says it and has the sum."""
        return (self.sha256 is None or Sum(self.sha256).agrees(text)) and _holds(self.known, _loaded(text))

    def __repr__(self) -> str:
        return f"a text that says {self.known!r}" if self.sha256 is None else repr(Sum(self.sha256))


@dataclass(frozen=True, slots=True)
class NoTags:
    """An empty list, which is nothing in a row that is older than its column."""

    def agrees(self, text: Any) -> bool:
        """Return whether `text` has no tags."""
        return text in (None, "[]")

    def __repr__(self) -> str:
        return "'[]'"


def agrees(known: Any, found: Any) -> bool:
    """Return whether a column's value is what is known of it."""
    return known.agrees(found) if isinstance(known, (NoTags, Part, Sum)) else bool(known == found)


def means_the_same(one: Any, other: Any) -> bool:
    """Return whether two values of a column are equal, as texts or as the JSON that these hold."""
    return bool(one == other) or (isinstance(one, str) and isinstance(other, str) and _is_same_json(one, other))


def shortened(value: Any) -> str:
    """Return a value of a column, or what is known of it, as a message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _is_same_json(one: str, other: str) -> bool:
    found = _loaded(one)
    return found is not None and bool(found == _loaded(other))


def _loaded(text: Any) -> Any:
    """Return what a JSON text holds; None for what is none."""
    try:
        return schema.load(text)
    except (msgspec.DecodeError, TypeError):
        return None


def _holds(known: Any, found: Any) -> bool:
    if isinstance(known, Mapping):
        return isinstance(found, Mapping) and all(_holds(value, found.get(key)) for key, value in known.items())
    if isinstance(known, list):  # rows, which come in any order
        return isinstance(found, list) and sorted(map(schema.dump, known)) == sorted(map(schema.dump, found))
    return bool(known == found)
