"""The text of the module: what a reviewer reads before they trust it."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.python.document import Document
from dwcp_jupyter.flavors.python.entries import Entry, Kind

__all__ = ["write_module"]


def write_module(document: Document) -> str:
    """Return the module's text: its function, and before it all that it needs.

    Raises
    ------
    FlavorError
        If definitions need each other before they are there.
    """
    blocks = ["\n".join(_head(document))]
    if document.is_future:
        blocks.append("from __future__ import annotations")
    imports = "\n".join(_imports(document))
    if imports:
        blocks.append(imports)
    ordered = [document.entries[name] for name in _in_order(document)]
    constants = [entry for entry in ordered if entry.kind is Kind.CONSTANT and not _is_late(entry, document)]
    if constants:
        blocks.append("\n".join(entry.text for entry in constants))
    rest = [entry.text for entry in ordered if entry.kind is Kind.DEFINITION or _is_late(entry, document)]
    return "\n\n".join(blocks) + "".join(f"\n\n\n{text}" for text in rest) + "\n"


def _head(document: Document) -> Iterator[str]:
    yield f"# The function '{document.function}' of a notebook or a script, with all that it needs."
    for name, model in document.kept_apart(Kind.MODEL).items():
        native = model.native if isinstance(model, LoadedModel) else model
        yield f"# {name}: the {type(native).__name__} in parts/{name}/"
    for name, table in document.kept_apart(Kind.TABLE).items():
        kind = "array" if isinstance(table, np.ndarray) else type(table).__name__
        yield f"# {name}: the {kind} of shape {table.shape} in tables/{name}"


def _imports(document: Document) -> Iterator[str]:
    named = [entry.text for entry in document.entries.values() if entry.kind is Kind.IMPORT]
    plain = {f"import {module}" for module in document.submodules}
    yield from sorted({*plain, *(text for text in named if text.startswith("import ") and " as " not in text)})
    yield from sorted({text for text in named if text.startswith("import ") and " as " in text})
    yield from sorted({text for text in named if text.startswith("from ")})


def _is_late(entry: Entry, document: Document) -> bool:
    """Return whether a constant needs what is defined in the text."""
    needed = (document.entries[name].kind for name in entry.now if name in document.entries)
    return entry.kind is Kind.CONSTANT and not {Kind.DEFINITION, Kind.CONSTANT}.isdisjoint(needed)


def _in_order(document: Document) -> list[str]:
    """Return the names so that each comes after those that it needs while it runs, and else after those it reads."""
    entries = document.entries
    rank = {name: place for place, name in enumerate(_deepest_first(document))}
    needs = {name: {n for n in entry.now if n in entries and n != name} for name, entry in entries.items()}
    ready = [(rank[name], name) for name in entries if not needs[name]]
    heapq.heapify(ready)
    ordered: list[str] = []
    while ready:
        _, done = heapq.heappop(ready)
        ordered.append(done)
        for name, missing in needs.items():
            if done in missing:
                missing.discard(done)
                if not missing:
                    heapq.heappush(ready, (rank[name], name))
    left = [name for name in entries if name not in set(ordered)]
    if left:
        raise FlavorError(
            f"{', '.join(map(repr, left))} need each other before they are defined. Define one without the other first."
        )
    return ordered


def _deepest_first(document: Document) -> list[str]:
    found: list[str] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if name in seen or name not in document.entries:
            return
        seen.add(name)
        entry = document.entries[name]
        for needed in (*entry.now, *entry.later):
            visit(needed)
        found.append(name)

    visit(document.function)
    for name in document.entries:  # what only annotations mention
        visit(name)
    return found
