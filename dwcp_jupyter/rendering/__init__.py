"""How results look: text for terminals and static HTML for notebooks.

A result says *what* it shows, as a `View` of a few kinds of block; this package decides how. So every result reads
alike, in a terminal, in JupyterLab, on GitHub and in a file made by nbconvert, and no domain writes HTML. Live widgets
live elsewhere: what is here has no script and asks nothing of the network.

Key idea: subclass `Displayed`, give ``_view() -> View``. Drawing libraries are loaded when something is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.rendering.blocks import (
        Align,
        Bars,
        Block,
        Column,
        Facts,
        Graph,
        Level,
        Lines,
        Mark,
        Node,
        Note,
        Table,
    )
    from dwcp_jupyter.rendering.formats import Format
    from dwcp_jupyter.rendering.listed import Listed
    from dwcp_jupyter.rendering.view import Displayed, View

__all__ = [
    "Align",
    "Bars",
    "Block",
    "Column",
    "Displayed",
    "Facts",
    "Format",
    "Graph",
    "Level",
    "Lines",
    "Listed",
    "Mark",
    "Node",
    "Note",
    "Table",
    "View",
]

_HOME = {
    "Align": "blocks",
    "Bars": "blocks",
    "Block": "blocks",
    "Column": "blocks",
    "Displayed": "view",
    "Facts": "blocks",
    "Format": "formats",
    "Graph": "blocks",
    "Level": "blocks",
    "Lines": "blocks",
    "Listed": "listed",
    "Mark": "blocks",
    "Node": "blocks",
    "Note": "blocks",
    "Table": "blocks",
    "View": "view",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
