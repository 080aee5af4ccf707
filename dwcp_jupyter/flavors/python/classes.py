"""The text in which a class was written.

A class does not know its lines. Its methods do; a class without methods is looked for by its name: in its module's
file, or in the cells of the notebook, the newest first, where the values it holds tell its definitions apart.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.python import sources as python_sources
from dwcp_jupyter.flavors.python.sources import Source

__all__ = ["methods", "of_class"]


def of_class(cls: type, namespace: Mapping[str, Any]) -> Source:
    """Return the source of a class; `namespace` holds the names of its module.

    Raises
    ------
    FlavorError
        If it was defined inside of another definition, or its text is not to be found.
    """
    if "." in cls.__qualname__:
        raise FlavorError("it was defined inside of another definition. Define the class at the top level.")
    is_future = _is_future(cls)
    for text, line in _candidates(cls, namespace):
        for node in _classes(text, cls.__name__):
            if _holds(node, line) if line else _fits(node, cls):
                return Source.cut(text, node, is_future=is_future)
    raise FlavorError("its text is not to be found. Define the class in a cell of the notebook or in a file.")


def methods(cls: type) -> dict[FunctionType, str]:
    """Return the functions that were written inside of a class, those behind properties too, with their file's text."""
    found = {}
    for value in vars(cls).values():
        for name in ("__func__", "fget", "func", "__wrapped__"):
            value = getattr(value, name, value)  # noqa: PLW2901 - each peels one layer
        is_own = isinstance(value, FunctionType) and value.__module__ == cls.__module__
        if is_own and value.__qualname__.startswith(f"{cls.__qualname__}."):
            text = python_sources.read_text(value.__code__.co_filename, value.__globals__)
            if text:  # a dataclass has others, which were not written
                found[value] = text
    return found


def _candidates(cls: type, namespace: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Return texts in which a class could be, the likeliest first, with a line inside of it, or 0."""
    written = methods(cls)
    for method, text in written.items():
        yield text, method.__code__.co_firstlineno
    if written:
        return
    if namespace.get("__file__"):
        yield python_sources.read_text(str(namespace["__file__"]), namespace), 0
    for entry in reversed([*linecache.cache.values()]):
        if len(entry) > 1 and entry[1] is None:  # it has no time of change: a cell
            yield "".join(entry[2]), 0


def _classes(text: str, name: str) -> Iterator[ast.ClassDef]:
    try:
        body = ast.parse(text).body
    except SyntaxError:  # a file that is being edited
        return
    for node in reversed(body):
        if isinstance(node, ast.ClassDef) and node.name == name:
            yield node


def _holds(node: ast.ClassDef, line: int) -> bool:
    return python_sources.first_line(node) <= line <= (node.end_lineno or 0)


def _fits(node: ast.ClassDef, cls: type) -> bool:
    """Return whether a class could have come of this text: the same names, and the same values where they are plain."""
    known = {**vars(cls).get("__annotations__", {}), **vars(cls)}
    said: dict[str, ast.expr | None] = {}
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        said |= {target.id: value for target in targets if isinstance(target, ast.Name)}
    names = {name for name in known if not name.startswith("_")}
    return names <= {*said, *_ADDED} and all(name in known and _agrees(said[name], known[name]) for name in said)


_ADDED = {"name", "value"}


def _agrees(node: ast.expr | None, found: Any) -> bool:
    if node is None or hasattr(found, "__get__"):  # a slot's descriptor stands where the value was
        return True
    try:
        value = ast.literal_eval(node)
    except ValueError:  # no literal
        return True
    plain = getattr(found, "value", found)  # a member of an enumeration holds it
    return type(plain) is type(value) and bool(plain == value)


def _is_future(cls: type) -> bool:
    flags = [python_sources.is_future(method) for method in methods(cls)]
    said = vars(cls).get("__annotations__", {}).values()
    return any(flags) if flags else bool(said) and all(isinstance(kind, str) for kind in said)
