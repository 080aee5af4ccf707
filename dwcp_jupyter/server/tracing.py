"""Where versions come from, what happened to them, and how two compare, through the server."""

from __future__ import annotations

from typing import Any

from dwcp_jupyter import clock
from dwcp_jupyter.registry import Comparison
from dwcp_jupyter.rendering.graphs import GraphPicture, graph_picture
from dwcp_jupyter.server import bodies
from dwcp_jupyter.server.changing import registry_of, version_reference
from dwcp_jupyter.server.questions import Question

__all__ = ["compare", "comparisons", "history", "lineage"]

_MOST = 500


def history(question: Question) -> dict[str, Any]:
    """Return a page of the changes of a model's stages and aliases, the newest first."""
    limit = question.integer("limit", default=50, low=1, high=_MOST)
    offset = question.integer("offset", default=0, low=0)
    wanted = question.arguments.get("version")
    found = [item for item in registry_of(question).history(question.name) if wanted in (None, item.version)]
    found.reverse()
    return {
        "changes": [
            {"time": clock.to_text(item.time), "version": item.version, "change": item.change, "actor": item.actor}
            for item in found[offset : offset + limit]
        ],
        "total": len(found),
    }


def lineage(question: Question) -> dict[str, Any]:
    """Return the graph around a version, and where to draw what."""
    generations = question.integer("generations", default=10, low=1, high=100)
    found = registry_of(question).get_model_lineage(version_reference(question), generations=generations)
    graph = found.graph()
    return {
        "version": found.version,
        "nodes": [
            {"id": node.id, "kind": str(node.kind), "label": node.label, "facts": dict(node.facts)}
            for node in found.nodes
        ],
        "edges": [{"source": edge.source, "target": edge.target, "role": edge.role} for edge in found.edges],
        "is_cut": found.is_cut,
        "picture": None if graph is None else _picture(graph_picture(graph)),
    }


def _picture(drawn: GraphPicture) -> dict[str, Any]:
    return {
        "width": drawn.width,
        "height": drawn.height,
        "boxes": [
            {"id": box.id, "x": box.x, "y": box.y, "width": box.width, "height": box.height, "text": box.text}
            for box in drawn.boxes
        ],
        "arrows": [
            {"source": arrow.source, "target": arrow.target, "d": arrow.d, "x": arrow.x, "y": arrow.y}
            for arrow in drawn.arrows
        ],
    }


def compare(question: Question) -> dict[str, Any]:
    """Return two versions side by side; it is kept in the history of comparisons."""
    said = question.content(bodies.Comparing)
    return _comparison(registry_of(question).compare_models(said.a, said.b, primary_metric=said.primary_metric))


def comparisons(question: Question) -> dict[str, Any]:
    """Return a page of the comparisons that were made, the newest first."""
    limit = question.integer("limit", default=50, low=1, high=_MOST)
    offset = question.integer("offset", default=0, low=0)
    found = list(registry_of(question).list_comparisons(question.arguments.get("model")))
    return {"comparisons": [_comparison(item) for item in found[offset : offset + limit]], "total": len(found)}


def _comparison(item: Comparison) -> dict[str, Any]:
    return {
        "a": item.a,
        "b": item.b,
        "metrics": [
            {
                "name": metric.name,
                "a": metric.a,
                "b": metric.b,
                "difference": metric.difference,
                "higher_is_better": metric.higher_is_better,
                "better": metric.better,
            }
            for metric in item.metrics
        ],
        "winner": item.winner,
        "reason": item.reason,
        "primary_metric": item.primary_metric,
        "time": None if item.time is None else clock.to_text(item.time),
        "actor": item.actor,
    }
