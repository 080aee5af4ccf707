"""Which names a piece of Python needs from outside: read off its compiled code, where Python itself looks them up.

What runs while the text is read (bases, decorators, defaults, bodies of classes) must be there before it; what stands
inside of functions only before they are called.
"""

from __future__ import annotations

import ast
import dis
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from dwcp_jupyter.flavors.python.sources import ANNOTATIONS

__all__ = ["Reads", "annotated_names", "changed_cells", "dotted_names", "imported_modules", "reads_of"]

_INLINE = ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
_SPECIAL = frozenset(
    {"__annotations__", "__builtins__", "__class__", "__classdict__", "__conditional_annotations__", "__debug__"}
    | {"__doc__", "__firstlineno__", "__module__", "__name__", "__qualname__", "__static_attributes__"}
)
"""Names that Python itself provides in every module or class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reads:
    """Names that a text takes from its module, in the order in which they are met.

    Attributes
    ----------
    now, later : tuple of str
        Read while the text runs; read when its functions are called.
    changed : tuple of str
        Global variables that its functions assign.
    """

    now: tuple[str, ...]
    later: tuple[str, ...]
    changed: tuple[str, ...]


def reads_of(text: str, *, is_future: bool = False, running: str = "") -> Reads:
    """Return what a text reads.

    Parameters
    ----------
    is_future : bool
        Whether its annotations are texts, which nothing evaluates.
    running : str
        Name of a function that is called at once, so that its own statements count as running now.
    """
    flags = ANNOTATIONS if is_future else 0
    found = _Found(running)
    found.visit(compile(text, "<kept>", "exec", flags=flags, dont_inherit=True), is_running=True)
    now = dict.fromkeys(name for name in found.now if name not in _SPECIAL)
    later = dict.fromkeys(name for name in found.later if name not in _SPECIAL | found.assigned)
    return Reads(now=tuple(now), later=tuple(later), changed=tuple(dict.fromkeys(found.changed)))


class _Found:
    def __init__(self, running: str) -> None:
        self._running = running
        self.now: list[str] = []
        self.later: list[str] = []
        self.changed: list[str] = []
        self.assigned: set[str] = set()

    def visit(self, code: CodeType, *, is_running: bool) -> None:
        stored: set[str] = set()
        for instruction in dis.get_instructions(code):
            kind, name = instruction.opname, instruction.argval
            if kind in {"STORE_GLOBAL", "DELETE_GLOBAL"}:
                self.changed.append(name)
            elif kind == "STORE_NAME":
                stored.add(name)
            elif (kind == "LOAD_NAME" or "GLOBAL" in kind) and name not in stored:
                (self.now if is_running else self.later).append(name)
        if code.co_name == "<module>":
            self.assigned = stored
        for const in code.co_consts:
            if isinstance(const, CodeType):
                self.visit(const, is_running=is_running and self._runs_at_once(const))

    def _runs_at_once(self, code: CodeType) -> bool:
        is_body_of_class = not code.co_flags & inspect.CO_OPTIMIZED
        return is_body_of_class or code.co_name in (*_INLINE, self._running)


def changed_cells(code: CodeType) -> tuple[str, ...]:
    """Return which variables of the function around it a function assigns (``nonlocal``)."""
    outer = set(code.co_freevars)
    return tuple(dict.fromkeys(_stored_cells(code, outer)))


def _stored_cells(code: CodeType, outer: set[str]) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in {"STORE_DEREF", "DELETE_DEREF"} and instruction.argval in outer:
            yield instruction.argval
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _stored_cells(const, outer & set(const.co_freevars))


def annotated_names(node: ast.AST) -> set[str]:
    """Return the names in the annotations of a definition."""
    notes: list[ast.AST] = []
    for part in ast.walk(node):
        notes.extend(found for name in ("annotation", "returns") if (found := getattr(part, name, None)) is not None)
    return {part.id for note in notes for part in ast.walk(note) if isinstance(part, ast.Name)}


def dotted_names(node: ast.AST) -> set[str]:
    """Return what is reached by dots, such as ``scipy.stats.norm``."""
    return {name for part in ast.walk(node) if isinstance(part, ast.Attribute) and (name := _dotted(part))}


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    before = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{before}.{node.attr}" if before and isinstance(node, ast.Attribute) else ""


def imported_modules(node: ast.AST) -> Iterator[str]:
    """Return the modules that statements in a text import, relative ones with their dots."""
    for part in ast.walk(node):
        if isinstance(part, ast.Import):
            yield from (alias.name for alias in part.names)
        elif isinstance(part, ast.ImportFrom):
            yield "." * part.level + (part.module or "")
