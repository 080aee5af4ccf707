"""The text in which a function was written: of a file, or of a cell of a notebook.

A function knows its file and its first line, and `linecache` knows the text of both kinds, so that the newest run of a
cell counts. The text is parsed, never guessed by indentation, and compiled again: what it gives must be the code that
runs, or a file was changed after it was imported. Lines that begin inside of a string are never moved.
"""

from __future__ import annotations
import __future__

import ast
import linecache
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.python.proof import is_same_code

__all__ = ["ANNOTATIONS", "Definition", "Source", "first_line", "is_future", "of_function", "read_text"]

ANNOTATIONS = __future__.annotations.compiler_flag
"""Flag of code whose annotations are texts (PEP 563), which nothing evaluates."""
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A definition, as it stands in its file.

    Attributes
    ----------
    lines : tuple of str
        From the first decorator to the end.
    node : ast node
        The same, parsed.
    is_future : bool
        Whether its annotations are texts.
    """

    lines: tuple[str, ...]
    node: Definition
    is_future: bool

    @classmethod
    def cut(cls, text: str, node: Definition, *, is_future: bool) -> Source:
        """Return the definition at `node` in the text of a file."""
        lines = text.split("\n")[first_line(node) - 1 : node.end_lineno]
        return cls(lines=tuple(lines), node=node, is_future=is_future)

    @property
    def decorators(self) -> int:
        """How many decorators stand above it."""
        return len(self.node.decorator_list)

    def text(self, *, decorated: bool, indent: str = "") -> str:
        """Return it moved to `indent`, with its decorators or without."""
        start = 0 if decorated else self.node.lineno - first_line(self.node)
        fixed = _inside_strings(self.node)
        lines = [
            line if number in fixed else _moved(line, self.node.col_offset, indent)
            for number, line in enumerate(self.lines)
        ]
        return "\n".join(lines[start:])


def of_function(function: FunctionType) -> Source:
    """Return the source of a function.

    Raises
    ------
    FlavorError
        If it has no name, or its text is not to be found, or is not what runs.
    """
    code = function.__code__
    if code.co_name == "<lambda>":
        raise FlavorError("a lambda has no text of its own that could be kept. Give it a name: def NAME(…): return …")
    text = read_text(code.co_filename, function.__globals__)
    if not text:
        raise FlavorError(
            f"its text is not to be found ('{code.co_filename}'). Define it in a file, or in a cell of the notebook "
            "without %%time or the like."
        )
    for node in _definitions(text):
        is_there = node.name == code.co_name and first_line(node) == code.co_firstlineno
        if is_there and any(is_same_code(code, found) for found in _compiled(text, code)):
            return Source.cut(text, node, is_future=is_future(function))
    raise FlavorError(
        f"its text in '{code.co_filename}' is not what runs: the file was changed, or its code by a tool, when it had "
        "been read already. Run the cell, or import the module, again."
    )


def is_future(function: FunctionType) -> bool:
    """Return whether a function's annotations are texts."""
    return bool(function.__code__.co_flags & ANNOTATIONS)


def read_text(file: str, namespace: Mapping[str, Any]) -> str:
    """Return the text of a file or a cell, empty where there is none."""
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, dict(namespace)))


def first_line(node: Definition) -> int:
    """Return where a definition begins, its decorators included."""
    return min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _definitions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a file that is being edited
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def _compiled(text: str, code: CodeType) -> Iterator[CodeType]:
    """Return what a text compiles to where `code` stands in it."""
    flags = (code.co_flags & ANNOTATIONS) | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    waiting = [compile(text, code.co_filename, "exec", flags=flags, dont_inherit=True)]
    while waiting:
        found = waiting.pop()
        waiting.extend(const for const in found.co_consts if isinstance(const, CodeType))
        if (found.co_name, found.co_firstlineno) == (code.co_name, code.co_firstlineno):
            yield found


def _inside_strings(node: Definition) -> set[int]:
    """Return which lines of a definition, counted from 0, begin inside of a string."""
    first = first_line(node)
    found: set[int] = set()
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr) or (isinstance(part, ast.Constant) and isinstance(part.value, (str, bytes))):
            found.update(range(part.lineno + 1 - first, (part.end_lineno or part.lineno) + 1 - first))
    return found


def _moved(line: str, by: int, indent: str) -> str:
    blank = len(line) - len(line.lstrip())
    rest = line[min(by, blank) :]
    return indent + rest if rest.strip() else ""
