"""The geometry of static graphs.

Nodes stand in columns by their longest way from a beginning, moved towards what they lead to, so that every arrow goes
to the right and few are long; within a column they stand near the nodes that they come from. That is Sugiyama's method
without its last refinements, enough for the few dozen nodes that a reader can follow.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from dwcp_jupyter.rendering.blocks import Graph, Node
from dwcp_jupyter.rendering.charts import PALETTE
from dwcp_jupyter.rendering.formats import clip, visible
from dwcp_jupyter.rendering.text import display_width

__all__ = ["Arrow", "Box", "GraphPicture", "columns_of", "graph_picture"]

_CHARACTER = 7.2
_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 40.0, 70.0, 14.0, 8.0
_LONGEST = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A drawn node."""

    id: str
    x: float
    y: float
    width: float
    height: float
    text: str
    full: str
    kind: str
    color: str
    is_marked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A drawn edge: the ids of its ends, its path, and the tip of its head."""

    source: str
    target: str
    d: str
    x: float
    y: float
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphPicture:
    """A drawn `Graph`, in pixels."""

    title: str
    width: float
    height: float
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
    summary: str


def columns_of(graph: Graph) -> list[list[Node]]:
    """Return the nodes by columns, each below the others of its column."""
    before, after = _neighbours(graph)
    column_of = _columns(graph, before, after)
    ordered: list[list[Node]] = []
    places: dict[str, float] = {}
    for number in sorted(set(column_of.values())):
        nodes = [node for node in graph.nodes if column_of[node.id] == number]
        if ordered:
            nodes.sort(key=lambda node: _middle([places[source] for source in before[node.id] if source in places]))
        places.update({node.id: place - len(nodes) / 2 for place, node in enumerate(nodes)})
        ordered.append(nodes)
    return ordered


def _neighbours(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = defaultdict(list)
    after: dict[str, list[str]] = defaultdict(list)
    for source, target, _ in graph.edges:
        if source != target:
            before[target].append(source)
            after[source].append(target)
    return before, after


def _columns(graph: Graph, before: dict[str, list[str]], after: dict[str, list[str]]) -> dict[str, int]:
    """Return the number of each node's column."""
    found: dict[str, int] = {}

    def depth(node: str, path: tuple[str, ...]) -> int:
        if node in path:  # a cycle: it begins here
            return -1
        if node not in found:
            found[node] = max((depth(source, (*path, node)) for source in before[node]), default=-1) + 1
        return found[node]

    for node in graph.nodes:
        depth(node.id, ())
    for node_id in sorted(found, key=lambda node_id: -found[node_id]):  # a beginning stands beside what it is for
        nearest = min((found[target] for target in after[node_id]), default=0) - 1
        found[node_id] = max(found[node_id], nearest)
    return found


def graph_picture(graph: Graph) -> GraphPicture:
    """Return where everything of a graph stands."""
    columns = columns_of(graph)
    kinds = list(dict.fromkeys(node.kind for node in graph.nodes))
    colors = {kind: PALETTE[place % len(PALETTE)] for place, kind in enumerate(kinds)}
    tallest = max((len(column) for column in columns), default=0)
    height = tallest * (_HEIGHT + _GAP_Y) + 2 * _MARGIN
    boxes: dict[str, Box] = {}
    x = _MARGIN
    for column in columns:
        width = max(_width(node) for node in column)
        y = (height - len(column) * (_HEIGHT + _GAP_Y) + _GAP_Y) / 2
        for node in column:
            text = visible(clip(node.label.removeprefix(f"{node.kind} "), _LONGEST))
            boxes[node.id] = Box(
                id=node.id,
                x=x,
                y=y,
                width=width,
                height=_HEIGHT,
                text=text,
                full=visible(node.label),
                kind=visible(node.kind),
                color=colors[node.kind],
                is_marked=node.is_marked,
            )
            y += _HEIGHT + _GAP_Y
        x += width + _GAP_X
    arrows = tuple(_arrow(boxes[source], boxes[target], role) for source, target, role in graph.edges)
    return GraphPicture(
        title=graph.title,
        width=max(x - _GAP_X, 0) + _MARGIN,
        height=height,
        boxes=tuple(boxes.values()),
        arrows=arrows,
        summary=f"{len(graph.nodes)} nodes, {len(graph.edges)} arrows",
    )


def _arrow(source: Box, target: Box, role: str) -> Arrow:
    x1, y1 = source.x + source.width, source.y + source.height / 2
    x2, y2 = target.x, target.y + target.height / 2
    bend = max((x2 - x1) / 2, 20.0)
    d = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2 - 6:.1f} {y2:.1f}"
    return Arrow(source=source.id, target=target.id, d=d, x=x2, y=y2, role=visible(role))


def _width(node: Node) -> float:
    return max(display_width(clip(node.label, _LONGEST)), display_width(node.kind), 6) * _CHARACTER + 20


def _middle(places: list[float]) -> float:
    return sum(places) / len(places) if places else 0.0
