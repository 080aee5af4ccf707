"""What a view consists of.

Blocks are values without any drawing: facts, a table, a note, bars, lines, a
graph. They hold raw numbers and raw user text;
formatting and escaping happen when they are drawn. Six kinds are enough for every result, and keep them alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dwcp_jupyter.rendering.formats import Format

__all__ = ["Align", "Bars", "Block", "Column", "Facts", "Graph", "Level", "Lines", "Mark", "Node", "Note", "Table"]


class Level(StrEnum):
    """How much a note or a mark matters; always written out too, never shown by colour alone."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    CRITICAL = "critical"


class Align(StrEnum):
    """Where the text of a column stands."""

    LEFT = "left"
    CENTER = "center"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Mark:
    """A cell or fact with a coloured dot before its text, for states and severities."""

    text: str
    level: Level | str = Level.INFO

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", Level(self.level))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one under the other.

    Parameters
    ----------
    pairs : mapping or iterable of (str, object)
        In the order shown. A value is formatted by its type; give text to format it yourself.
    """

    pairs: tuple[tuple[str, Any], ...]

    def __init__(self, pairs: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        items = pairs.items() if isinstance(pairs, Mapping) else pairs
        object.__setattr__(self, "pairs", tuple((str(name), value) for name, value in items))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a `Table`; numbers stand at the right unless `align` says otherwise."""

    name: str
    _: KW_ONLY
    format: Format | str = Format.AUTO
    align: Align | str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "format", Format(self.format))
        if self.align is not None:
            object.__setattr__(self, "align", Align(self.align))


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns.

    Parameters
    ----------
    columns : sequence of Column or str
    rows : iterable of sequences
        One value per column each. Raw values: the column formats them.
    title : str, optional
    limit : int
        Rows shown; the rest is told as "… and N more".
    total : int, optional
        All rows there are, where `rows` holds only the first of them.
    empty : str
        Shown in place of a table without rows.
    is_foldable : bool
        In HTML the rows beyond `limit` are there too, folded.

    Raises
    ------
    ValueError
        If a row has another number of values than there are columns.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    title: str | None
    limit: int
    total: int | None
    empty: str
    is_foldable: bool

    def __init__(
        self,
        columns: Iterable[Column | str],
        rows: Iterable[Iterable[Any]],
        *,
        title: str | None = None,
        limit: int = 50,
        total: int | None = None,
        empty: str = "No rows.",
        is_foldable: bool = False,
    ) -> None:
        named = tuple(column if isinstance(column, Column) else Column(str(column)) for column in columns)
        values = tuple(tuple(row) for row in rows)
        for index, row in enumerate(values):
            if len(row) != len(named):
                raise ValueError(f"Row {index} has {len(row)} values for {len(named)} columns. Give one each.")
        _fill(self, columns=named, rows=values, title=title, limit=limit, total=total, empty=empty)
        _fill(self, is_foldable=is_foldable)

    @property
    def shown(self) -> tuple[tuple[Any, ...], ...]:
        """The rows that are drawn."""
        return self.rows[: self.limit]

    @property
    def hidden(self) -> int:
        """How many rows are not drawn."""
        return max(len(self.rows), self.total or 0) - len(self.shown)


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence to the reader. Lines of `text` are kept."""

    text: str
    level: Level | str = Level.INFO

    def __post_init__(self) -> None:
        object.__setattr__(self, "level", Level(self.level))


def _fill(block: object, **values: object) -> None:
    """Set the fields of a frozen block while it is made."""
    for name, value in values.items():
        object.__setattr__(block, name, value)


def _series(values: Mapping[str, Iterable[float | None]]) -> dict[str, tuple[float | None, ...]]:
    return {
        str(name): tuple(None if number is None else float(number) for number in numbers)
        for name, numbers in values.items()
    }


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars, one group per category and one bar per series in it.

    Parameters
    ----------
    title : str
    categories : sequence of str
    series : mapping of str to sequence of float
        Name to one value per category; None or NaN leaves the bar out. Four series at most read well.
    x_label : str
        What the values are, with their unit, e.g. ``"share of rows (%)"``.
    y_label : str, optional
        What the categories are.
    format : Format
        Of the values.

    Raises
    ------
    ValueError
        If a series has another length than `categories`.
    """

    title: str
    categories: tuple[str, ...]
    series: Mapping[str, tuple[float | None, ...]]
    x_label: str
    y_label: str
    format: Format
    limit: int

    def __init__(
        self,
        title: str,
        categories: Iterable[object],
        series: Mapping[str, Iterable[float | None]],
        *,
        x_label: str,
        y_label: str = "",
        format: Format | str = Format.NUMBER,  # noqa: A002 -- the field's own name
        limit: int = 20,
    ) -> None:
        names, drawn = tuple(map(str, categories)), _series(series)
        for name, values in drawn.items():
            if len(values) != len(names):
                raise ValueError(f"Series '{name}' has {len(values)} values for {len(names)} categories.")
        _fill(self, title=title, categories=names, series=drawn, x_label=x_label, y_label=y_label)
        _fill(self, format=Format(format), limit=limit)


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines over one axis of numbers or times.

    Parameters
    ----------
    title : str
    x : sequence of float or datetime
        Ascending positions.
    series : mapping of str to sequence of float
        Name to one value per position; None or NaN makes a gap.
    x_label, y_label : str
        With their units.
    is_step : bool
        Draw a histogram's outline: `x` holds the edges, one more than each series has values.

    Raises
    ------
    ValueError
        If a series' length does not fit `x`.
    """

    title: str
    x: tuple[float | datetime, ...]
    series: Mapping[str, tuple[float | None, ...]]
    x_label: str
    y_label: str
    x_format: Format
    y_format: Format
    is_step: bool

    def __init__(
        self,
        title: str,
        x: Iterable[float | datetime],
        series: Mapping[str, Iterable[float | None]],
        *,
        x_label: str,
        y_label: str,
        x_format: Format | str = Format.NUMBER,
        y_format: Format | str = Format.NUMBER,
        is_step: bool = False,
    ) -> None:
        places, drawn = tuple(x), _series(series)
        expected = len(places) - (is_step and len(places) > 0)
        for name, values in drawn.items():
            if len(values) != expected:
                raise ValueError(f"Series '{name}' has {len(values)} values; {len(places)} positions need {expected}.")
        _fill(self, title=title, x=places, series=drawn, x_label=x_label, y_label=y_label)
        _fill(self, x_format=Format(x_format), y_format=Format(y_format), is_step=is_step)


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a `Graph`: its name, and above it in small what kind of thing it is."""

    id: str
    label: str
    kind: str = ""
    _: KW_ONLY
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes and arrows, drawn from left to right.

    Parameters
    ----------
    title : str
    nodes : iterable of Node
    edges : iterable of (str, str, str)
        From a node's id to another's, and what the arrow means. Cycles are allowed but not drawn well.

    Raises
    ------
    ValueError
        If an arrow names a node that is not there.
    """

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, str], ...]

    def __init__(self, title: str, nodes: Iterable[Node], edges: Iterable[tuple[str, str, str]]) -> None:
        drawn, arrows = tuple(nodes), tuple(edges)
        known = {node.id for node in drawn}
        for source, target, _ in arrows:
            if not {source, target} <= known:
                raise ValueError(f"The arrow from '{source}' to '{target}' names a node that is not there.")
        _fill(self, title=title, nodes=drawn, edges=arrows)


Block = Facts | Table | Note | Bars | Lines | Graph
