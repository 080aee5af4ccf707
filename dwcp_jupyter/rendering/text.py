"""Views for terminals.

Columns are aligned by what a terminal shows, not by what `len` counts: East Asian wide characters take two cells,
combining ones none. Charts become block characters. The text depends on nothing but the view, so it can be compared.
"""

from __future__ import annotations

import math
import textwrap
import unicodedata
from collections.abc import Sequence
from functools import singledispatch

from dwcp_jupyter.rendering.blocks import Align, Bars, Block, Column, Facts, Graph, Level, Lines, Note, Table
from dwcp_jupyter.rendering.formats import Format, clip, format_value, is_number, visible
from dwcp_jupyter.rendering.view import View

__all__ = ["column_align", "display_width", "render"]

_WIDTH = 100
_CELL_WIDTH = 48
_BAR_CELLS = 24
_NOTE_LIMIT = 2000
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_PREFIX = {Level.INFO: "Note", Level.SUCCESS: "OK", Level.WARNING: "Warning", Level.CRITICAL: "Critical"}


def render(view: View) -> str:
    """Return the view as plain text without a trailing line break."""
    title = clip(format_value(view.title, Format.TEXT), _WIDTH)
    parts = [f"{title}\n{'─' * max(display_width(title), 3)}"]
    if view.subtitle:
        parts[0] += f"\n{clip(format_value(view.subtitle, Format.TEXT), 2 * _WIDTH)}"
    return "\n\n".join(parts + [_block(block) for block in view.blocks])


def display_width(text: str) -> int:
    r"""Return how many terminal cells `text` takes.

    Examples
    --------
    >>> display_width("abc"), display_width("日本"), display_width("e\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _fit(text: str, width: int) -> str:
    """Return `text` cut to `width` cells."""
    if display_width(text) <= width:
        return text
    taken, used = 0, 0
    for character in text:
        used += _cells(character)
        if used > width - 1:
            break
        taken += 1
    return text[:taken].rstrip() + "…"


def _pad(text: str, width: int, align: Align) -> str:
    room = width - display_width(text)
    left = {Align.LEFT: 0, Align.CENTER: room // 2, Align.RIGHT: room}[align]
    return " " * left + text + " " * (room - left)


@singledispatch
def _block(block: Block) -> str:
    raise TypeError(f"{type(block).__name__} is no block. Blocks are Facts, Table, Note, Bars, Lines and Graph.")


@_block.register
def _facts(block: Facts) -> str:
    if not block.pairs:
        return ""
    rows = [(_fit(format_value(name, Format.TEXT), _CELL_WIDTH), format_value(value)) for name, value in block.pairs]
    width = max(display_width(name) for name, _ in rows)
    lines = [
        textwrap.wrap(clip(value, _NOTE_LIMIT), _WIDTH - width, break_on_hyphens=False) or [""] for _, value in rows
    ]
    return "\n".join(
        f"{_pad(name if not index else '', width, Align.LEFT)}  {line}".rstrip()
        for (name, _), wrapped in zip(rows, lines, strict=True)
        for index, line in enumerate(wrapped)
    )


@_block.register
def _note(block: Note) -> str:
    lines = [
        line
        for paragraph in clip(block.text, _NOTE_LIMIT).splitlines()
        for line in textwrap.wrap(visible(paragraph), _WIDTH, break_on_hyphens=False) or [""]
    ]
    prefix = f"{_PREFIX[Level(block.level)]}: "
    return prefix + ("\n" + " " * len(prefix)).join(lines or [""])


def column_align(column: Column, values: Sequence[object]) -> Align:
    """Return where a column's text stands: as it says, else numbers right and the rest left."""
    if column.align is not None:
        return Align(column.align)
    present = [value for value in values if value is not None]
    return Align.RIGHT if present and all(map(is_number, present)) else Align.LEFT


@_block.register
def _table(block: Table) -> str:
    title = [format_value(block.title, Format.TEXT)] if block.title else []
    if not block.rows:
        return "\n".join([*title, _fit(format_value(block.empty, Format.TEXT), _WIDTH)])
    columns = []
    for index, column in enumerate(block.columns):
        values = [row[index] for row in block.shown]
        limit = _WIDTH if index == len(block.columns) - 1 else _CELL_WIDTH
        texts = [
            _fit(text, limit)
            for text in (
                format_value(column.name, Format.TEXT),
                *(format_value(value, Format(column.format)) for value in values),
            )
        ]
        width, align = max(map(display_width, texts)), column_align(column, values)
        columns.append([_pad(texts[0], width, align), "─" * width, *(_pad(text, width, align) for text in texts[1:])])
    lines = title + ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    if block.hidden:
        lines.append(f"… and {block.hidden:,} more")
    return "\n".join(lines)


def _is_missing(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


@_block.register
def _bars(block: Bars) -> str:
    peak = max(
        (abs(v) for values in block.series.values() for v in values if v is not None and math.isfinite(v)), default=0
    )
    is_single = len(block.series) == 1
    rows = []
    for index, category in enumerate(block.categories[: block.limit]):
        for place, (name, values) in enumerate(block.series.items()):
            bar, value = _bar(values[index], peak), format_value(values[index], block.format)
            rows.append(("" if place else category, *([] if is_single else [name]), bar, value))
    names = [block.y_label or " ", *([] if is_single else ["series"]), block.x_label]
    table = _table(Table([*names, Column("value", align=Align.RIGHT)], rows, limit=len(rows)))
    more = len(block.categories) - block.limit
    return f"{format_value(block.title, Format.TEXT)}\n{table}" + (f"\n… and {more:,} more" if more > 0 else "")


def _bar(value: float | None, peak: float) -> str:
    if value is None or _is_missing(value) or not peak:
        return ""
    eighths = round(abs(value) / peak * _BAR_CELLS * 8)
    return ("-" if value < 0 else "") + "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


@_block.register
def _lines(block: Lines) -> str:
    title = format_value(block.title, Format.TEXT)
    is_told = block.y_label in (title, title.partition(" (")[0])
    head = f"{title if is_told else f'{title}: {block.y_label}'} by {block.x_label}"
    if not block.x:
        return f"{head}\nNo data."
    rows = [
        (name, _spark(values), min(finite, default=None), max(finite, default=None), finite[-1] if finite else None)
        for name, values in block.series.items()
        for finite in [[v for v in values if v is not None and math.isfinite(v)]]
    ]
    y = block.y_format
    columns = (
        Column("series"),
        Column(f"{format_value(block.x[0], block.x_format)} … {format_value(block.x[-1], block.x_format)}"),
        Column("least", format=y),
        Column("most", format=y),
        Column("last", format=y),
    )
    return f"{head}\n{_table(Table(columns, rows))}"


def _spark(values: Sequence[float | None]) -> str:
    if len(values) > _BAR_CELLS:
        step = len(values) / _BAR_CELLS
        values = [values[int(index * step)] for index in range(_BAR_CELLS)]
    finite = [v for v in values if v is not None and math.isfinite(v)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(_SPARKS) - 1) / (high - low) if high > low else 0.0
    return "".join(" " if v is None or not math.isfinite(v) else _SPARKS[round((v - low) * scale)] for v in values)


@_block.register
def _graph(block: Graph) -> str:
    labels = {
        node.id: node.label if node.label.startswith(f"{node.kind} ") else f"{node.kind} {node.label}".strip()
        for node in block.nodes
    }
    shown = {node: clip(visible(label), _CELL_WIDTH) for node, label in labels.items()}
    lines = [
        f"{shown[source]} → {shown[target]}" + (f"  ({visible(role)})" if role else "")
        for source, target, role in block.edges
    ]
    return "\n".join([*([clip(visible(block.title), _WIDTH)] if block.title else []), *(lines or ["No arrows."])])
