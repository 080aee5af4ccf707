"""Views as static HTML.

Jinja2 templates, with every value escaped, write a fragment whose styles are inline and whose tables also carry their
alignment as attributes: where styles are stripped (GitHub) it still reads as plain tables. Right-to-left text is
isolated in its own cell, so it cannot reorder its neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from dwcp_jupyter.rendering.blocks import Bars, Facts, Graph, Level, Lines, Mark, Note, Table
from dwcp_jupyter.rendering.charts import bar_chart, line_chart
from dwcp_jupyter.rendering.formats import Format, clip, format_value, visible
from dwcp_jupyter.rendering.graphs import graph_picture
from dwcp_jupyter.rendering.text import column_align
from dwcp_jupyter.rendering.view import View

__all__ = ["COLORS", "render"]

_CELL_LIMIT = 300
_SHORT = 32
_NOTE_LIMIT = 2000

COLORS = {Level.INFO: "#1f83c4", Level.SUCCESS: "#2e8b57", Level.WARNING: "#b7791f", Level.CRITICAL: "#d9453b"}
"""Colours of levels; each has a contrast of at least 3 to white and to #111."""
_WORDS = {Level.INFO: "Note", Level.SUCCESS: "OK", Level.WARNING: "Warning", Level.CRITICAL: "Critical"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """A formatted value."""

    text: str
    title: str = ""
    color: str = ""

    @property
    def is_short(self) -> bool:
        """Whether it is to stay on one line."""
        return len(self.text) <= _SHORT


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def render(view: View) -> str:
    """Return the view as an HTML fragment."""
    blocks = [_drawn(block) for block in view.blocks]
    return (
        _environment()
        .get_template("view.html.j2")
        .render(title=_cell(view.title), subtitle=_cell(view.subtitle) if view.subtitle else None, blocks=blocks)
        .strip()
    )


def _drawn(block: Any) -> Markup:
    name, values = _prepare(block)
    return Markup(_environment().get_template(f"{name}.html.j2").render(**values).strip())  # noqa: S704 -- escaped there


def _prepare(block: Any) -> tuple[str, dict[str, Any]]:
    match block:
        case Facts():
            return "facts", {"pairs": [(_cell(name), _cell(value)) for name, value in block.pairs]}
        case Table():
            return "table", _table(block)
        case Note():
            level = Level(block.level)
            lines = [visible(line) for line in clip(block.text, _NOTE_LIMIT).splitlines()]
            return "note", {"word": _WORDS[level], "color": COLORS[level], "lines": lines}
        case Bars():
            return "bars", {"chart": bar_chart(block)}
        case Lines():
            return "lines", {"chart": line_chart(block)}
        case Graph():
            return "graph", {"picture": graph_picture(block)}
    raise TypeError(f"{type(block).__name__} is no block. Blocks are Facts, Table, Note, Bars, Lines and Graph.")


def _table(block: Table) -> dict[str, Any]:
    folded = block.rows[block.limit :] if block.is_foldable else ()
    aligns = [
        str(column_align(column, [row[index] for row in block.shown])) for index, column in enumerate(block.columns)
    ]

    def drawn(rows: Iterable[tuple[Any, ...]]) -> list[list[tuple[_Cell, str]]]:
        return [
            [
                (_cell(value, Format(column.format)), align)
                for value, column, align in zip(row, block.columns, aligns, strict=True)
            ]
            for row in rows
        ]

    return {
        "title": _cell(block.title) if block.title else None,
        "header": [
            (_cell(column.name, Format.TEXT), align) for column, align in zip(block.columns, aligns, strict=True)
        ],
        "rows": drawn(block.shown),
        "folded": drawn(folded),
        "hidden": f"{block.hidden:,}" if block.hidden else "",
        "empty": _cell(block.empty),
    }


def _cell(value: object, kind: Format = Format.AUTO) -> _Cell:
    full = format_value(value, kind)
    text = clip(full, _CELL_LIMIT)
    return _Cell(
        text=text,
        title=clip(full, 2 * _NOTE_LIMIT) if text != full else "",
        color=COLORS[Level(value.level)] if isinstance(value, Mark) else "",
    )
