"""Constants as the Python expressions that give them back, exactly: every bit of a float, every type of a number.

Containers of constants are constants. What stands in one and is none (a model, a function) is referred to by a name.
"""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import math
import re
import types
import zoneinfo
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from dwcp_jupyter.exceptions import FlavorError

__all__ = ["Literals"]

_WIDTH = 100
_BY_REPR = (type(None), bool, str, bytes, range, slice, types.EllipsisType, types.NotImplementedType)
_CONTAINERS = (tuple, list, set, frozenset, dict)
_SCALARS = (
    *(np.bool_, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64),
    *(np.float16, np.float32, np.float64, np.str_),
)
_WRITTEN = (
    *(int, float, complex, decimal.Decimal, fractions.Fraction, re.Pattern, zoneinfo.ZoneInfo),
    *(dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone),
)


class Literals:
    """Writes constants.

    Parameters
    ----------
    module : callable
        Returns the name under which a module is imported.
    place : callable
        Returns a name for an object that is no constant; gets a hint for the name, and the object.
    """

    def __init__(self, module: Callable[[str], str], place: Callable[[str, Any], str]) -> None:
        self._module = module
        self._place = place
        self._writers: dict[type, Callable[[Any], str]] = {
            int: _integer,
            float: _float,
            complex: lambda value: f"complex({_float(value.real)}, {_float(value.imag)})",
            decimal.Decimal: lambda value: f"{module('decimal')}.Decimal({str(value)!r})",
            fractions.Fraction: lambda value: f"{module('fractions')}.Fraction({value.numerator}, {value.denominator})",
            re.Pattern: lambda value: f"{module('re')}.compile({value.pattern!r}, {value.flags})",
            zoneinfo.ZoneInfo: lambda value: f"{module('zoneinfo')}.ZoneInfo({value.key!r})",
            dt.timezone: lambda value: self._of_datetime(value, value.__getinitargs__()),
            dt.date: lambda value: self._of_datetime(value, (value.year, value.month, value.day)),
            dt.timedelta: lambda value: self._of_datetime(value, (value.days, value.seconds, value.microseconds)),
            dt.datetime: self._datetime,
            dt.time: self._time,
        }

    @staticmethod
    def knows(value: Any) -> bool:
        """Return whether `value` is a constant or a container."""
        return type(value) in {*_BY_REPR, *_CONTAINERS, *_SCALARS, *_WRITTEN}

    def expression(self, value: Any, hint: str) -> str:
        """Return the expression that gives `value`.

        Raises
        ------
        FlavorError
            If a container holds itself, or something that cannot be kept.
        """
        return self._expression(value, hint, frozenset())

    def _expression(self, value: Any, hint: str, around: frozenset[int]) -> str:
        kind = type(value)
        if kind in _BY_REPR:
            return repr(value)
        if kind in self._writers:
            return self._writers[kind](value)
        if kind in _SCALARS:
            return f"{self._module('numpy')}.{_scalar_name(kind)}({self._expression(value.item(), hint, around)})"
        if kind not in _CONTAINERS:
            return self._place(hint, value)
        if id(value) in around:
            raise FlavorError(f"'{hint}' is a {kind.__name__} that holds itself. Build it inside of the function.")
        return self._container(value, hint, around | {id(value)})

    def _container(self, value: Any, hint: str, around: frozenset[int]) -> str:
        def item(inner: Any, key: Any) -> str:
            return self._expression(inner, f"{hint}_{key}", around)

        if isinstance(value, dict):
            pairs = (f"{item(key, 'key')}: {item(inner, key)}" for key, inner in value.items())
            return _joined("{", pairs, "}")
        items = [item(inner, place) for place, inner in enumerate(value)]
        if isinstance(value, tuple):
            return f"({items[0]},)" if len(items) == 1 else _joined("(", items, ")")
        if isinstance(value, list):
            return _joined("[", items, "]")
        whole = _joined("{", sorted(items), "}") if items else ""  # a set has no order: the text must have one
        return whole if isinstance(value, set) and items else f"{type(value).__name__}({whole})"

    def _of_datetime(self, value: Any, arguments: Iterable[Any], **named: Any) -> str:
        given = [self.expression(argument, "") for argument in arguments]
        given += [f"{name}={self.expression(argument, name)}" for name, argument in named.items() if argument]
        return f"{self._module('datetime')}.{type(value).__name__}({', '.join(given)})"

    def _datetime(self, value: dt.datetime) -> str:
        parts = (value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond)
        return self._of_datetime(value, parts, tzinfo=value.tzinfo, fold=value.fold)

    def _time(self, value: dt.time) -> str:
        parts = (value.hour, value.minute, value.second, value.microsecond)
        return self._of_datetime(value, parts, tzinfo=value.tzinfo, fold=value.fold)


def _scalar_name(kind: type) -> str:
    return "bool_" if kind is np.bool_ else kind.__name__


def _integer(value: int) -> str:
    is_short = value.bit_length() < 10_000  # Python refuses to write longer ones in decimal
    return repr(value) if is_short else f"int('{value:x}', 16)"


def _float(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{value}')"


def _joined(opening: str, items: Iterable[str], closing: str) -> str:
    found = [*items]
    line = f"{opening}{', '.join(found)}{closing}"
    if len(line) <= _WIDTH and "\n" not in line:
        return line
    inner = "".join(f"\n{item},".replace("\n", "\n    ") for item in found)
    return f"{opening}{inner}\n{closing}"
