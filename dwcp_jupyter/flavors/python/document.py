"""All that a function needs, found by the names it reads, and those that these read.

Each name becomes an import of an installed package, a constant, a definition by its source, a fitted model or a table.
What is none of these cannot travel, and the error names it.
"""

from __future__ import annotations

import builtins
import enum
import functools
import importlib
import itertools
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.python import imports as python_imports
from dwcp_jupyter.flavors.python import reads as python_reads
from dwcp_jupyter.flavors.python.definitions import Definition, define
from dwcp_jupyter.flavors.python.entries import Entry, Kind, kept_apart, refusal
from dwcp_jupyter.flavors.python.literals import Literals

__all__ = ["Document"]

_LARGEST_CONSTANT = 1 << 20
_MISSING = object()
_OF_THIS_PLACE = frozenset({"__file__", "__loader__", "__package__", "__path__", "__spec__"})
_REPLACED = frozenset({"input", "open", "print"})
"""Builtins that notebooks exchange for their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _User:
    """Who reads a name: a definition, and where its names are to be found."""

    name: str
    namespace: Mapping[str, Any]


class Document:
    """A function with all that it needs.

    Attributes
    ----------
    function : str
        Its name.
    entries : dict
        What each name stands for, in the order in which they were met.
    modules : set of str
        Modules that must be installed.
    submodules : set of str
        Those among them that are imported for what lies below a module.
    is_future : bool
        Whether annotations stay texts.

    Raises
    ------
    FlavorError
        If a name stands for something that cannot be kept; it names it, and what to do.
    """

    def __init__(self, function: Any) -> None:
        self.function: str = function.__name__
        self.entries: dict[str, Entry] = {}
        self.modules: set[str] = set()
        self.submodules: set[str] = set()
        self.is_future = False
        self._bind(self.function, function, _User(name="", namespace={}))

    def kept_apart(self, kind: Kind) -> dict[str, Any]:
        """Return the models, or the tables, by name."""
        return {name: entry.value for name, entry in self.entries.items() if entry.kind is kind}

    def _bind(self, name: str, value: Any, user: _User) -> None:
        known = self.entries.get(name)
        if known is None:
            self.entries[name] = self._entry(name, value, user)
        elif known.value is not value and not self._is_same_constant(name, known, value, user):
            raise FlavorError(
                f"The name '{name}', which '{user.name}' uses, stands for {value!r:.60} there and for "
                f"{known.value!r:.60} elsewhere: in another module, or in a function around. Rename one of them."
            )

    def _is_same_constant(self, name: str, known: Entry, value: Any, user: _User) -> bool:
        is_constant = known.kind is Kind.CONSTANT and _is_constant(value)
        return is_constant and self._constant(name, value, user).text == known.text

    def _entry(self, name: str, value: Any, user: _User) -> Entry:
        if _is_constant(value):
            return self._constant(name, value, user)
        statement = python_imports.statement_for(name, value)
        if statement is not None:
            self.modules.add(statement.split()[1])
            return Entry(value=value, kind=Kind.IMPORT, text=statement)
        for other, entry in self.entries.items():
            if entry.value is value:
                return Entry(value=value, kind=Kind.CONSTANT, text=f"{name} = {other}", now=(other,))
        if isinstance(value, (FunctionType, type)) or isinstance(getattr(value, "__wrapped__", None), FunctionType):
            return self._defined(name, value, user)
        return kept_apart(name, value, user.name)

    def _constant(self, name: str, value: Any, user: _User) -> Entry:
        text = self._expression(name, value, user)
        if len(text) > _LARGEST_CONSTANT:
            why = f"it is a constant of {len(text):,} characters. Make it a NumPy array or a data frame."
            raise refusal(name, user.name, why)
        return Entry(value=value, kind=Kind.CONSTANT, text=f"{name} = {text}", now=python_reads.reads_of(text).now)

    def _expression(self, name: str, value: Any, user: _User) -> str:
        """Return how a value is written inside of another text: a constant as it is, all else by a name."""
        if isinstance(value, enum.Enum):
            kind = self._place(type(value).__name__, type(value), user=user)
            is_named = value.name in type(value).__members__
            return f"{kind}.{value.name}" if is_named else f"{kind}({self._expression(name, value.value, user)})"
        place = functools.partial(self._place, user=user)
        return Literals(module=self._import, place=place).expression(value, name)

    def _import(self, module: str) -> str:
        """Return the name of a module that constants are written with."""
        self._bind(f"_{module}", importlib.import_module(module), _User(name="", namespace={}))
        return f"_{module}"

    def _place(self, hint: str, value: Any, *, user: _User) -> str:
        """Return the name of an object that stands inside of another, bound now if it is not yet."""
        if isinstance(value, enum.Enum):
            return self._expression(hint, value, user)
        for name, entry in self.entries.items():
            if entry.value is value and entry.kind is not Kind.CONSTANT:
                return name
        name = self._free_name(re.sub(r"\W", "_", hint), user)
        self._bind(name, value, user)
        return name

    def _free_name(self, hint: str, user: _User) -> str:
        """Return a name that nothing has yet, and that is no other thing where `user` reads its names."""
        taken = {*self.entries, *user.namespace, *dir(builtins), *keyword.kwlist}
        names = itertools.chain([hint], (f"_{hint}_{number}" for number in itertools.count(1)))
        return next(name for name in names if name.isidentifier() and name not in taken)

    def _defined(self, name: str, value: Any, user: _User) -> Entry:
        try:
            definition = define(name, value, user.namespace)
        except FlavorError as exc:
            raise refusal(name, user.name, exc) from exc
        self.entries[name] = Entry(value=value, kind=Kind.DEFINITION)  # its own body may lead back to it
        self.is_future = self.is_future or definition.source.is_future
        reader = _User(name=name, namespace=definition.namespace)
        given = [f"{var}={self._expression(var, content, reader)}" for var, content in definition.cells.items()]
        self._follow(definition, reader)
        if not definition.maker:
            text, now = definition.text, definition.reads.now
        else:
            call = f"{definition.maker}({', '.join(given)})"
            text = f"{definition.text}\n\n\n{name} = {call}"
            now = (*definition.reads.now, *(n for n in python_reads.reads_of(call).now if n != definition.maker))
        return Entry(value=value, kind=Kind.DEFINITION, text=text, now=now, later=definition.reads.later)

    def _follow(self, definition: Definition, reader: _User) -> None:
        """Bind all that a definition reads."""
        node = definition.source.node
        for name in (*definition.reads.now, *definition.reads.later):
            if name not in {reader.name, definition.maker}:
                self._read(name, reader)
        for name in python_reads.annotated_names(node) if definition.source.is_future else ():
            noted = reader.namespace.get(name)
            if name not in self.entries and python_imports.statement_for(name, noted) is not None:
                self._bind(name, noted, reader)  # nothing evaluates it; whoever reads the text wants to know
        for path in python_reads.dotted_names(node):
            first, *rest = path.split(".")
            module = definition.cells.get(first, reader.namespace.get(first))
            if isinstance(module, ModuleType):
                self.submodules.update(python_imports.submodules(module, rest))
        for module in python_reads.imported_modules(node):
            self._check_import(module, reader)

    def _read(self, name: str, reader: _User) -> None:
        if name in _OF_THIS_PLACE:
            why = "it says where this file lies. Pass what is needed of it as a constant."
            raise refusal(name, reader.name, why)
        value = reader.namespace.get(name, getattr(builtins, name, _MISSING))
        if value is _MISSING:
            why = "it is not defined. Define or import it first, or run the cell that does."
            raise refusal(name, reader.name, why)
        if not _is_builtin(name, value):
            self._bind(name, value, reader)

    def _check_import(self, module: str, reader: _User) -> None:
        """Refuse a statement that imports what only this place has."""
        is_own = module.startswith(".") or (python_imports.is_there(module) and not python_imports.is_installed(module))
        if is_own:
            raise refusal(
                module,
                reader.name,
                "it is a file of yours and no installed package. Import its functions by name outside of the function "
                "(from MODULE import FUNCTION), so that their source is kept.",
            )
        self.modules.add(module)


def _is_constant(value: Any) -> bool:
    return Literals.knows(value) or isinstance(value, enum.Enum)


def _is_builtin(name: str, value: Any) -> bool:
    """Return whether a name is Python's own everywhere: a notebook adds some, and exchanges others."""
    home = str(getattr(value, "__module__", None) or type(value).__module__).partition(".")[0]
    if name in _REPLACED and home in {"IPython", "ipykernel"}:
        return True
    return hasattr(builtins, name) and home in {"builtins", "io", "_io", "_sitebuiltins"}
