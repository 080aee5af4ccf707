"""A lineage as OpenLineage run events, for the tools that collect them.

What is made at once is one event: all versions that came of a run are its outputs, and a version without a run is a run
of its own. OpenLineage names runs by UUIDs; a run that was named otherwise gets the UUID that follows from its name,
the same each time. See https://openlineage.io/docs/spec.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from dwcp_jupyter._version import __version__
from dwcp_jupyter.registry.lineage_nodes import LineageEdge, LineageNode, NodeKind

__all__ = ["run_events"]

_HOME = "https://pypi.org/project/dwcp-jupyter"
_PRODUCER = f"{_HOME}/{__version__}"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET = "https://openlineage.io/spec/facets"
_NAMESPACE = "dwcp"
_RUNS = uuid.uuid5(uuid.NAMESPACE_URL, f"{_HOME}/runs")
_INPUTS = {NodeKind.DATA, NodeKind.VERSION, NodeKind.DELETED}


def run_events(nodes: Sequence[LineageNode], edges: Sequence[LineageEdge]) -> list[dict[str, Any]]:
    """Return one event for each run that made versions of the graph, in the order of their first versions."""
    before: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        before[edge.target].append(edge.source)
    by_id = {node.id: node for node in nodes}
    made: dict[str, list[LineageNode]] = defaultdict(list)
    for node in nodes:
        if node.kind is NodeKind.VERSION:
            runs = [source for source in before[node.id] if by_id[source].kind is NodeKind.RUN]
            made[runs[0] if runs else node.id].append(node)
    return [
        _event(by_id[maker], outputs, [by_id[source] for source in _sources(maker, outputs, before)])
        for maker, outputs in made.items()
    ]


def _sources(maker: str, outputs: Sequence[LineageNode], before: dict[str, list[str]]) -> list[str]:
    """Return the ids of what outputs were made of, once each; they themselves are made, though one may be another's."""
    found = [source for target in (*(output.id for output in outputs), maker) for source in before[target]]
    own = {output.id for output in outputs}
    return [source for source in dict.fromkeys(found) if source not in own]


def _event(maker: LineageNode, outputs: Sequence[LineageNode], sources: Sequence[LineageNode]) -> dict[str, Any]:
    names = dict.fromkeys(output.label.partition("@")[0] for output in outputs)
    return {
        "eventType": "COMPLETE",
        "eventTime": max(output.facts["created_at"] for output in outputs),
        "producer": _PRODUCER,
        "schemaURL": _SCHEMA,
        "run": {"runId": _uuid(maker), "facets": {}},
        "job": {"namespace": _NAMESPACE, "name": f"train.{'+'.join(names)}", "facets": {}},
        "inputs": [_dataset(node) for node in sources if node.kind in _INPUTS],
        "outputs": [_dataset(output) for output in outputs],
    }


def _uuid(maker: LineageNode) -> str:
    name = str(maker.facts["run_id"] if maker.kind is NodeKind.RUN else maker.facts["id"])
    try:
        return str(uuid.UUID(name))
    except ValueError:
        return str(uuid.uuid5(_RUNS, name))


def _dataset(node: LineageNode) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if node.facts.get("sha256"):
        facets["version"] = {
            "_producer": _PRODUCER,
            "_schemaURL": f"{_FACET}/1-0-1/DatasetVersionDatasetFacet.json",
            "datasetVersion": str(node.facts["sha256"]),
        }
    return {"namespace": _NAMESPACE, "name": node.label, "facets": facets}
