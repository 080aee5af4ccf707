"""Descriptions of models as their files hold them: JSON of any depth, gone through without recursion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["mappings_in"]


def mappings_in(said: Any) -> Iterator[dict[str, Any]]:
    """Return every object of a description, the outer ones first."""
    waiting = [said]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
