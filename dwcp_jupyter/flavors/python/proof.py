"""Whether what a text defines is what runs now.

Source and code drift apart: a default was computed from a variable that has another value by now, an attribute was set
on a function later, a decorator counted calls. So what was kept is loaded once and compared with what it was made of,
code by code and value by value, before anybody relies on it.
"""

from __future__ import annotations

import bisect
import datetime as dt
import decimal
import dis
import enum
import fractions
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from types import CellType, CodeType, FunctionType
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["Proof", "is_same_code"]

_OF_CODE = (
    *("co_names", "co_varnames", "co_freevars", "co_cellvars"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
)
_HOW = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "PRECALL", "PUSH_NULL"})
_SAME_STEPS = {"LOAD_METHOD": "LOAD_ATTR"}
_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})
_PLAIN = (
    *(str, bytes, bool, int, float, complex, range, slice, Set, np.generic, np.ndarray, pd.DataFrame, pd.Series),
    *(dt.date, dt.time, dt.timedelta, dt.tzinfo, decimal.Decimal, fractions.Fraction, re.Pattern, enum.Enum),
)


def is_same_code(one: CodeType, other: CodeType) -> bool:
    """Return whether two pieces of code do the same, wherever they stand."""
    if any(getattr(one, name) != getattr(other, name) for name in _OF_CODE) or _steps(one) != _steps(other):
        return False
    if len(one.co_consts) != len(other.co_consts):
        return False
    return all(_is_same_constant(a, b) for a, b in zip(one.co_consts, other.co_consts, strict=True))


def _steps(code: CodeType) -> list[tuple[str, Any]]:
    """Return what is done, without how: a call of ``np.log`` is compiled otherwise beside ``import numpy as np``."""
    found = [step for step in dis.get_instructions(code) if step.opname not in _HOW]
    offsets = [step.offset for step in found]
    steps = []
    for step in found:
        value = step.arg if step.opcode in dis.hasconst else step.argval
        if step.opcode in _JUMPS:
            value = bisect.bisect_left(offsets, step.argval)
        steps.append((_SAME_STEPS.get(step.opname, step.opname), value))
    return steps


def _is_same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return is_same_code(one, other)
    is_comparable = isinstance(one, (Set, int))  # else 0.0 would be -0.0, and NaN another than itself
    return type(one) is type(other) and (one == other if is_comparable else repr(one) == repr(other))


class Proof:
    """The comparison of live objects with those that came back.

    Parameters
    ----------
    kept : iterable of (live, kept)
        Models and tables, which lie in files of their own: where one is met, it must be this one.
    """

    def __init__(self, kept: Iterable[tuple[Any, Any]] = ()) -> None:
        self._kept = list(kept)
        self._seen: set[tuple[int, int]] = set()

    def differences(self, live: Any, kept: Any, what: str = "it") -> Iterator[str]:
        """Return what is not the same in `kept`, as sentences without a full stop.

        Of objects of foreign types only the types are compared.
        """
        if live is kept or (id(live), id(kept)) in self._seen:
            return
        self._seen.add((id(live), id(kept)))
        if type(live).__qualname__ != type(kept).__qualname__:
            yield f"{what} is of type '{type(live).__qualname__}' and becomes '{type(kept).__qualname__}'"
        elif any(kept is other for _, other in self._kept):
            if not any(live is one and kept is other for one, other in self._kept):
                yield f"{what} is another {type(live).__qualname__} than the one of that name now"
        elif isinstance(live, _PLAIN):
            if not _is_same_value(live, kept):
                yield f"{what} is {live!r:.60} and becomes {kept!r:.60}"
        else:
            yield from self._inside(live, kept, what)

    def _inside(self, live: Any, kept: Any, what: str) -> Iterator[str]:
        if isinstance(live, FunctionType):
            yield from self._functions(live, kept)
        elif isinstance(live, type):
            yield from self._classes(live, kept)
        elif isinstance(live, (Mapping, list, tuple)):
            yield from self._containers(live, kept, what)
        else:
            for name in ("fget", "fset", "__wrapped__"):
                if isinstance(getattr(live, name, None), FunctionType):
                    yield from self.differences(getattr(live, name), getattr(kept, name, None), what)

    def _containers(self, live: Any, kept: Any, what: str) -> Iterator[str]:
        keys, kept_keys = _keys(live), _keys(kept)
        if keys != kept_keys:
            yield f"{what} holds {live!r:.60} and becomes {kept!r:.60}"
            return
        for key in keys:
            yield from self.differences(live[key], kept[key], f"{what}[{key!r}]")

    def _functions(self, live: FunctionType, kept: FunctionType) -> Iterator[str]:
        if not is_same_code(live.__code__, kept.__code__):
            yield f"the code of '{live.__qualname__}' becomes another"
            return
        defaults = _defaults(kept)
        for name, value in _defaults(live).items():
            what = f"the default of '{name}' in '{live.__qualname__}'"
            if name not in defaults:
                yield f"{what} is not in its text"
            elif self._is_foreign(value, defaults[name]):
                yield f"{what} is or holds an object that would be made anew ({value!r:.60})"
            else:
                yield from self.differences(value, defaults[name], what)
        cells = zip(live.__code__.co_freevars, live.__closure__ or (), kept.__closure__ or (), strict=True)
        for name, cell, other in cells:
            yield from self.differences(_content(cell), _content(other), f"'{name}', which '{live.__qualname__}' uses,")
        for name in vars(live).keys() - vars(kept).keys() - {"__wrapped__"}:
            yield f"the attribute '{name}' of '{live.__qualname__}' is not in its text"

    def _classes(self, live: type, kept: type) -> Iterator[str]:
        for name, value in vars(live).items():
            is_special = name.startswith("__") and name.endswith("__")
            if name == "_abc_impl" or (is_special and not isinstance(value, FunctionType)):
                continue
            if name not in vars(kept):
                yield f"'{name}' of the class '{live.__qualname__}' is not in its text"
            else:
                yield from self.differences(value, vars(kept)[name], f"'{name}' of the class '{live.__qualname__}'")

    def _is_foreign(self, live: Any, kept: Any) -> bool:
        """Return whether nothing tells that two objects are alike."""
        if live is kept or any(kept is other for _, other in self._kept):
            return False
        if isinstance(live, (Mapping, list, tuple)):
            is_alike = type(live) is type(kept) and _keys(live) == _keys(kept)
            return is_alike and any(self._is_foreign(live[key], kept[key]) for key in _keys(live))
        return not isinstance(live, (*_PLAIN, FunctionType, type))


def _is_same_value(live: Any, kept: Any) -> bool:
    if isinstance(live, (pd.DataFrame, pd.Series)):
        return bool(live.equals(kept))
    if isinstance(live, np.ndarray):
        return bool(live.dtype == kept.dtype and live.shape == kept.shape and live.tobytes() == kept.tobytes())
    if isinstance(live, enum.Enum):
        return bool(live.name == kept.name)
    if isinstance(live, (float, complex, decimal.Decimal, np.generic)):
        return repr(live) == repr(kept)  # which tells 0.0 from -0.0, and knows NaN again
    return bool(live == kept)


def _defaults(function: FunctionType) -> dict[str, Any]:
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    given = function.__defaults__ or ()
    return dict(zip(names[len(names) - len(given) :], given, strict=True)) | (function.__kwdefaults__ or {})


def _keys(container: Any) -> list[Any]:
    return list(container) if isinstance(container, Mapping) else [*range(len(container))]


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return None
