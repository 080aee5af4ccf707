"""A result that is a sequence of values.

It is no subclass of `tuple` or `list`: IPython prints those in its own way, whatever they say of themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar, overload

from dwcp_jupyter.rendering.view import Displayed

__all__ = ["Listed"]

T = TypeVar("T")


class Listed(Sequence[T], Displayed):
    """Values in order, which show themselves as a table; equal to any sequence of equal values."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._values = tuple(values)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[T]: ...
    def __getitem__(self, place: int | slice) -> T | Sequence[T]:
        return self._values[place]

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and tuple(other) == self._values

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._values))}]"
