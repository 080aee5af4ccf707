"""The geometry of static charts.

A chart block becomes rectangles, paths and labels in pixels; a template writes them as SVG. Colours are taken from the
Okabe-Ito palette, distinguishable to colour-blind readers (https://jfly.uni-koeln.de/color/), those of it that stand
out on white and on black alike; dashes tell lines apart without colour. Text takes the colour of the page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dwcp_jupyter.rendering.blocks import Bars, Lines
from dwcp_jupyter.rendering.formats import Format, clip, format_value
from dwcp_jupyter.rendering.text import display_width

__all__ = [
    "PALETTE",
    "BarChart",
    "Frame",
    "Label",
    "Legend",
    "LineChart",
    "Path",
    "Rect",
    "bar_chart",
    "line_chart",
    "ticks",
]

PALETTE = ("#1f83c4", "#d55e00", "#009e73", "#cc79a7", "#8a8a8a", "#a6761d")
"""Series colours in order; each has a contrast of at least 3 to white and to #111."""
_DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4")
_CHARACTER = 6.2
_WIDTH = 440.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rect:
    """A bar."""

    x: float
    y: float
    width: float
    height: float
    color: str
    label: str
    label_x: float
    label_anchor: str
    tooltip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """A line, and the area under it where it is a histogram's."""

    d: str
    area: str
    color: str
    dash: str
    dots: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Text at a place; the place of an axis tick also carries its grid line."""

    x: float
    y: float
    text: str
    full: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Legend:
    """One entry of the legend."""

    x: float
    text: str
    color: str
    dash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The plot area inside the picture, in pixels."""

    width: float
    height: float
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BarChart:
    """A drawn `Bars`."""

    frame: Frame
    title: str
    x_label: str
    y_label: str
    summary: str
    x_ticks: tuple[Label, ...]
    categories: tuple[Label, ...]
    rects: tuple[Rect, ...]
    zero: float
    legend: tuple[Legend, ...]
    hidden: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """A drawn `Lines`."""

    frame: Frame
    title: str
    x_label: str
    y_label: str
    summary: str
    x_ticks: tuple[Label, ...]
    y_ticks: tuple[Label, ...]
    paths: tuple[Path, ...]
    legend: tuple[Legend, ...]


_FEWEST_FLOATS = 64
"""A range with fewer floats in it cannot be divided evenly: it is drawn as one value."""


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return round positions from at most `low` to at least `high`, about `count` of them.

    Examples
    --------
    >>> ticks(0, 9.3)
    [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    """
    if not high - low > _FEWEST_FLOATS * math.ulp(max(abs(low), abs(high))):
        high = low + (abs(low) or 1.0)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(index * step, 12 - math.floor(math.log10(step))) for index in range(first, last + 1)]


def _finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _shown(text: str, limit: int) -> str:
    return clip(format_value(text, Format.TEXT), limit)


def _legend(names: Sequence[str], left: float) -> tuple[Legend, ...]:
    entries, x = [], left
    for index, name in enumerate(names):
        text = _shown(name, 24)
        entries.append(Legend(x=x, text=text, color=PALETTE[index % len(PALETTE)], dash=_DASHES[index % len(_DASHES)]))
        x += 36 + _CHARACTER * display_width(text)
    return tuple(entries)


def bar_chart(block: Bars) -> BarChart:
    """Return the geometry of `block`: horizontal bars, so that long category names can be read."""
    names = block.categories[: block.limit]
    drawn = {name: values[: block.limit] for name, values in block.series.items()}
    finite = [value for values in drawn.values() for value in _finite(values)]
    scale_ticks = ticks(min(0.0, *finite) if finite else 0.0, max(0.0, *finite) if finite else 1.0)
    labels = [_shown(name, 26) for name in names]
    left = 12 + (18 if block.y_label else 0) + _CHARACTER * max(map(display_width, labels), default=4)
    thickness = 14.0 if len(drawn) == 1 else 10.0
    group = thickness * max(1, len(drawn)) + 8
    top, right = 34.0 if len(drawn) > 1 else 12.0, _WIDTH - 48
    frame = Frame(
        width=_WIDTH,
        left=left,
        right=right,
        top=top,
        bottom=top + group * len(names),
        height=top + group * len(names) + 44,
    )
    low, high = scale_ticks[0], scale_ticks[-1]

    def place(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    rects = [
        _rect(
            (place(0.0), place(value)),
            y=top + group * row + 4 + thickness * index,
            height=thickness - 1,
            color=PALETTE[index % len(PALETTE)],
            label=format_value(value, block.format),
            subject=f"{_shown(names[row], 200)} · {_shown(series, 200)}",
        )
        for row in range(len(names))
        for index, (series, values) in enumerate(drawn.items())
        for value in values[row : row + 1]
        if value is not None and math.isfinite(value)
    ]
    return BarChart(
        frame=frame,
        title=_shown(block.title, 120),
        x_label=_shown(block.x_label, 60),
        y_label=_shown(block.y_label, 60),
        summary=f"{len(names)} bars of {', '.join(_shown(name, 40) for name in drawn)}",
        x_ticks=tuple(
            Label(x=place(tick), y=frame.bottom, text=format_value(tick, block.format)) for tick in scale_ticks
        ),
        categories=tuple(
            Label(x=left - 6, y=top + group * (row + 0.5), text=label, full=_shown(names[row], 200))
            for row, label in enumerate(labels)
        ),
        rects=tuple(rects),
        zero=place(0.0),
        legend=_legend(list(drawn), left) if len(drawn) > 1 else (),
        hidden=len(block.categories) - len(names),
    )


def _rect(ends: tuple[float, float], *, y: float, height: float, color: str, label: str, subject: str) -> Rect:
    """Return the bar from its first end, at zero, to its second, with its label beyond that."""
    zero, end = ends
    return Rect(
        x=min(ends),
        y=y,
        width=max(abs(end - zero), 0.75),
        height=height,
        color=color,
        label=label,
        label_x=end + 4 if end >= zero else end - 4,
        label_anchor="start" if end >= zero else "end",
        tooltip=f"{subject}: {label}",
    )


def line_chart(block: Lines) -> LineChart:
    """Return the geometry of `block`."""
    xs = [_position(x) for x in block.x]
    finite = [value for values in block.series.values() for value in _finite(values)]
    is_from_zero = block.is_step or (finite and 0 <= min(finite) < 0.5 * max(finite))
    y_places = ticks(0.0 if is_from_zero or not finite else min(finite), max(finite, default=1.0), count=4)
    y_texts = [format_value(tick, block.y_format) for tick in y_places]
    left = 30 + _CHARACTER * max(map(len, y_texts))
    frame = Frame(
        width=_WIDTH,
        height=250.0,
        left=left,
        right=_WIDTH - 20,
        top=34.0 if len(block.series) > 1 else 14.0,
        bottom=204.0,
    )
    x_low, x_high = (min(xs), max(xs)) if xs else (0.0, 1.0)
    span = (x_high - x_low) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        height = (y - y_places[0]) / (y_places[-1] - y_places[0])
        return (
            frame.left + (x - x_low) / span * (frame.right - frame.left),
            frame.bottom - height * (frame.bottom - frame.top),
        )

    paths = []
    for index, values in enumerate(block.series.values()):
        runs = _step_runs(xs, values) if block.is_step else _runs(xs, values)
        pixels = [[place(x, y) for x, y in run] for run in runs]
        paths.append(
            Path(
                d=" ".join(_path(run) for run in pixels if len(run) > 1),
                area=" ".join(_area(run, frame.bottom) for run in pixels) if block.is_step else "",
                color=PALETTE[index % len(PALETTE)],
                dash=_DASHES[index % len(_DASHES)],
                dots=tuple(run[0] for run in pixels if len(run) == 1)
                if len(xs) > 30 or block.is_step
                else tuple(point for run in pixels for point in run),
            )
        )
    return LineChart(
        frame=frame,
        title=_shown(block.title, 120),
        x_label=_shown(block.x_label, 60),
        y_label=_shown(block.y_label, 60),
        summary=f"lines of {', '.join(_shown(name, 40) for name in block.series)}",
        x_ticks=tuple(
            Label(x=place(x, y_places[0])[0], y=frame.bottom, text=text) for x, text in _x_ticks(block, x_low, x_high)
        ),
        y_ticks=tuple(
            Label(x=frame.left, y=place(x_low, tick)[1], text=text)
            for tick, text in zip(y_places, y_texts, strict=True)
        ),
        paths=tuple(paths),
        legend=_legend(list(block.series), left) if len(block.series) > 1 else (),
    )


def _position(x: float | datetime) -> float:
    if isinstance(x, datetime):
        return (x if x.tzinfo else x.replace(tzinfo=UTC)).timestamp()
    return float(x)


def _x_ticks(block: Lines, low: float, high: float) -> list[tuple[float, str]]:
    if not block.x:
        return []
    if isinstance(block.x[0], datetime):
        return _time_ticks(low, high)
    if not high > low:
        return [(low, format_value(low, block.x_format))]
    margin = (high - low) * 1e-9
    return [(x, format_value(x, block.x_format)) for x in ticks(low, high) if low - margin <= x <= high + margin]


_TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86_400 * days for days in (1, 2, 7, 14, 30, 90, 365, 730, 3650)),
)


def _time_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return four or so round times between two moments, in seconds since 1970, with their text in UTC."""
    span = high - low
    step = next((step for step in _TIME_STEPS_S if span / step <= 5), _TIME_STEPS_S[-1])
    places = [float(index * step) for index in range(math.ceil(low / step), math.floor(high / step) + 1)] or [low]
    pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%m-%d" if step < 90 * 86_400 else "%Y-%m"
    return [(place, datetime.fromtimestamp(place, tz=UTC).strftime(pattern)) for place in places]


def _runs(xs: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Return the stretches of points between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, value in zip(xs, values, strict=True):
        if value is None or not math.isfinite(value):
            runs.append([])
        else:
            runs[-1].append((x, value))
    return [run for run in runs if run]


def _step_runs(edges: Sequence[float], values: Sequence[float | None]) -> list[list[tuple[float, float]]]:
    """Return a histogram's outline, from zero up, along the tops and down to zero."""
    points = [(edges[0], 0.0)] if edges else []
    for left, right, value in zip(edges[:-1], edges[1:], values, strict=True):
        height = 0.0 if value is None or not math.isfinite(value) else value
        points += [(left, height), (right, height)]
    return [[*points, (edges[-1], 0.0)]] if points else []


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(points: Sequence[tuple[float, float]], bottom: float) -> str:
    return f"{_path(points)} L{points[-1][0]:.1f},{bottom:.1f} L{points[0][0]:.1f},{bottom:.1f} Z"
