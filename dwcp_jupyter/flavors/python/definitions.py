"""One function or class as a piece of a module, whatever it was defined inside of.

At the top level it stands there as it was written. A function that was defined inside of another one, or under another
name, gets a small function around it, whose arguments are what it took from outside: so its code stays the same, and
two of one kind can stand side by side. What decorators made is written with them where they left a trace
(`functools.wraps`); a function that they only looked at is written without.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.python import classes as python_classes
from dwcp_jupyter.flavors.python import reads as python_reads
from dwcp_jupyter.flavors.python import sources as python_sources
from dwcp_jupyter.flavors.python.reads import Reads
from dwcp_jupyter.flavors.python.sources import Source

__all__ = ["Definition", "define"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A function or class, before the names that it reads are looked at.

    Attributes
    ----------
    text : str
        The definition alone, or the function around it.
    maker : str
        Name of the function around it; empty where there is none.
    cells : mapping
        What it took from the function around it, by name.
    namespace : mapping
        Where the names that it reads are to be found.
    """

    source: Source
    text: str
    reads: Reads
    maker: str
    cells: Mapping[str, Any]
    namespace: Mapping[str, Any]


def define(name: str, value: Any, namespace: Mapping[str, Any]) -> Definition:
    """Return the definition of a function or class.

    Parameters
    ----------
    name : str
        Under which it is to be defined.
    namespace : mapping
        Of whoever uses it: for classes that do not know their own.

    Raises
    ------
    FlavorError
        If its source is not to be found, or it keeps a state between calls; as the end of a sentence.
    """
    if isinstance(value, type):
        namespace = _namespace_of(value, namespace)
        source, is_decorated, is_inner = python_classes.of_class(value, namespace), True, False
        cells: dict[str, Any] = {}
    else:
        function, is_decorated = _written(value)
        namespace, source = function.__globals__, python_sources.of_function(function)
        cells = _cells(function, value)
        is_inner = bool(function.__code__.co_freevars)
    is_plain = not is_inner and source.node.name == name
    maker = "" if is_plain else f"_make_{name.lstrip('_')}"
    text = source.text(decorated=is_decorated, indent="" if is_plain else "    ")
    if maker:
        text = f"def {maker}({', '.join(cells)}):\n{text}\n    return {source.node.name}"
    reads = python_reads.reads_of(text, is_future=source.is_future, running=maker)
    if reads.changed:
        raise FlavorError(
            f"it assigns the global variable '{reads.changed[0]}', so its answers would depend on the calls before. "
            "Return what is computed, and keep it in local variables."
        )
    return Definition(source=source, text=text, reads=reads, maker=maker, cells=cells, namespace=namespace)


def _written(value: Any) -> tuple[FunctionType, bool]:
    """Return the function to be written for `value`, and whether with its decorators."""
    inner, count = value, 0
    while hasattr(inner, "__wrapped__"):
        inner, count = inner.__wrapped__, count + 1
    if count and isinstance(inner, FunctionType) and python_sources.of_function(inner).decorators == count:
        return inner, True  # each decorator left one trace
    if isinstance(value, FunctionType):
        return value, False
    raise FlavorError(
        f"it is a {type(value).__name__} around a function. Write the wrapper as a decorator (@…) above the def."
    )


def _cells(function: FunctionType, value: Any) -> dict[str, Any]:
    """Return what a function took from the one around it, without itself."""
    changed = python_reads.changed_cells(function.__code__)
    if changed:
        raise FlavorError(
            f"it assigns '{changed[0]}' of the function around it, so its answers would depend on the calls before. "
            "Return what is computed, and keep it in local variables."
        )
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        if name == "__class__":
            raise FlavorError("it is a method that uses its class. Use the class itself, or write a function.")
        try:
            content = cell.cell_contents
        except ValueError:
            raise FlavorError(f"'{name}' of the function around it has no value yet. Assign it first.") from None
        if not (name == function.__code__.co_name and (content is function or content is value)):
            found[name] = content
    return found


def _namespace_of(cls: type, namespace: Mapping[str, Any]) -> Mapping[str, Any]:
    for method in python_classes.methods(cls):
        return method.__globals__
    module = sys.modules.get(cls.__module__)
    is_there = getattr(module, cls.__name__, None) is cls
    return vars(module) if module is not None and is_there else namespace
