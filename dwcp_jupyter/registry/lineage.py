"""Where a version comes from, and what came of it.

The graph goes both ways: data, code, run and parent versions before it; versions made from it and endpoints that serve
it after it. Everything is read from what was recorded when it happened; nothing has to be declared.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from dwcp_jupyter import clock
from dwcp_jupyter._version import __version__
from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Displayed, Graph, Node, Note, Table, View
from dwcp_jupyter.store import schema

__all__ = ["Lineage", "LineageEdge", "LineageNode", "NodeKind", "lineage_of"]

_PRODUCER = f"https://pypi.org/project/dwcp-jupyter/{__version__}"
_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACET = "https://openlineage.io/spec/facets"
_NAMESPACE = "dwcp"
_MOST_DRAWN = 150
"""A reader follows a few dozen nodes; of more than these only the table is shown."""


class NodeKind(StrEnum):
    """What a node of the graph is."""

    DATA = "data"
    CODE = "code"
    RUN = "run"
    VERSION = "version"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageNode:
    """One thing of the graph.

    Attributes
    ----------
    id : str
        ``kind:…``, unique in the graph.
    label : str
        What it is called.
    facts : mapping
        What is known of it.
    """

    id: str
    kind: NodeKind
    label: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageEdge:
    """From what was there before to what came of it."""

    source: str
    target: str
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage(Displayed):
    """The graph around one version.

    Attributes
    ----------
    version : str
        Its reference.
    nodes, edges : tuple
        Before it and after it; without cycles.
    is_cut : bool
        Whether there are older or younger versions than those asked for.
    """

    version: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]
    is_cut: bool = False

    def graph(self) -> Graph | None:
        """Return it for drawing; None where it is too large for that."""
        if len(self.nodes) > _MOST_DRAWN:
            return None
        return Graph(
            "",
            [
                Node(node.id, node.label, str(node.kind), is_marked=node.label == self.version and _is_version(node))
                for node in self.nodes
            ],
            [(edge.source, edge.target, edge.role) for edge in self.edges],
        )

    def upstream(self, node_id: str | None = None) -> tuple[LineageNode, ...]:
        """Return all that a node, by default the version, comes from."""
        return self._reach(node_id, "target", "source")

    def downstream(self, node_id: str | None = None) -> tuple[LineageNode, ...]:
        """Return all that came of a node, by default the version."""
        return self._reach(node_id, "source", "target")

    def _reach(self, node_id: str | None, here: str, there: str) -> tuple[LineageNode, ...]:
        start = node_id or next(node.id for node in self.nodes if node.label == self.version)
        found: set[str] = set()
        waiting = [start]
        while waiting:
            current = waiting.pop()
            for edge in self.edges:
                if getattr(edge, here) == current and getattr(edge, there) not in found:
                    found.add(getattr(edge, there))
                    waiting.append(getattr(edge, there))
        return tuple(node for node in self.nodes if node.id in found)

    def to_openlineage(self) -> list[dict[str, Any]]:
        """Return the graph as OpenLineage run events, one for the making of each version in it.

        What a version was made of are the inputs, the version is the output; see https://openlineage.io/docs/spec.
        """
        return [self._run_event(node) for node in self.nodes if node.kind is NodeKind.VERSION]

    def write_openlineage(self, path: str | os.PathLike[str]) -> Path:
        """Return the path to which the events were written, one JSON line each; an earlier file is replaced."""
        target = Path(path)
        lines = [json.dumps(event, ensure_ascii=False, sort_keys=True) for event in self.to_openlineage()]
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return target

    def _run_event(self, version: LineageNode) -> dict[str, Any]:
        by_id = {node.id: node for node in self.nodes}
        before = [by_id[edge.source] for edge in self.edges if edge.target == version.id]
        run_ids = [node.facts["run_id"] for node in before if node.kind is NodeKind.RUN]
        for run in [node for node in before if node.kind is NodeKind.RUN]:
            before += [by_id[edge.source] for edge in self.edges if edge.target == run.id]
        run_id = run_ids[0] if run_ids else version.facts["id"]
        return {
            "eventType": "COMPLETE",
            "eventTime": version.facts["created_at"],
            "producer": _PRODUCER,
            "schemaURL": _SCHEMA,
            "run": {"runId": str(uuid.UUID(run_id)), "facets": {}},
            "job": {"namespace": _NAMESPACE, "name": f"train.{version.label.partition('@')[0]}", "facets": {}},
            "inputs": [_dataset(node) for node in before if node.kind in (NodeKind.DATA, NodeKind.VERSION)],
            "outputs": [_dataset(version)],
        }

    def _view(self) -> View:
        upstream = {node.id for node in self.upstream()}
        graph = self.graph() or Note(f"{len(self.nodes):,} things are too many to draw.", "info")
        facts = [
            (
                str(node.kind),
                node.label,
                "" if node.label == self.version else "before" if node.id in upstream else "after",
                _told(node.facts),
            )
            for node in self.nodes
        ]
        return View(f"Lineage of {self.version}", [graph, Table(("Kind", "Name", "Where", "Facts"), facts)])


def lineage_of(connection: Connection, version: ModelVersion, *, generations: int | None = None) -> Lineage:
    """Return the graph around a version, with so many generations of versions before and after it."""
    table = schema.versions
    found: dict[str, ModelVersion] = {version.id: version}
    parents, older = {version.parent_id} - {None}, 0
    while parents and older != generations:  # what it comes from
        former = _versions(connection, table.c.id.in_(parents))
        found.update({v.id: v for v in former})
        parents, older = {v.parent_id for v in former} - {None, *found}, older + 1
    children, younger = _children(connection, [version.id], found), 0
    while children and younger != generations:  # what came of it
        found.update({child.id: child for child in children})
        children, younger = _children(connection, [child.id for child in children], found), younger + 1
    nodes: dict[str, LineageNode] = {}
    edges: list[LineageEdge] = []
    for each in sorted(found.values(), key=lambda v: (v.created_at is None, v.created_at, v.reference)):
        _add_version(connection, each, nodes, edges, known=found)
    return Lineage(
        version=version.reference,
        nodes=tuple(nodes.values()),
        edges=tuple(dict.fromkeys(edges)),
        is_cut=bool(parents or children),
    )


def _add_version(
    connection: Connection,
    version: ModelVersion,
    nodes: dict[str, LineageNode],
    edges: list[LineageEdge],
    *,
    known: Mapping[str, ModelVersion],
) -> None:
    node = f"version:{version.id}"

    def add(kind: NodeKind, key: str, label: str, role: str, target: str = node, **facts: Any) -> str:
        found = LineageNode(id=f"{kind}:{key}", kind=kind, label=label, facts=facts)
        nodes.setdefault(found.id, found)
        edges.append(LineageEdge(source=found.id, target=target, role=role))
        return found.id

    made_from = node
    if version.run_id:
        made_from = f"run:{version.run_id}"
        row = connection.execute(select(schema.runs).where(schema.runs.c.id == version.run_id)).first()
        facts = {} if row is None else {"status": row.status, "ended_at": row.ended_at}
        add(NodeKind.RUN, version.run_id, "run " + version.run_id[:8], "made", run_id=version.run_id, **facts)
    data = version.custom_metadata.get("training_data_sha256")
    if data or version.training_dataset:
        label = version.training_dataset or str(data)[:12]
        add(NodeKind.DATA, str(data or label), label, "trained on", target=made_from, sha256=data)
    if version.code_sha256:
        add(
            NodeKind.CODE,
            version.code_sha256,
            f"code {version.code_sha256[:8]}",
            "written as",
            target=made_from,
            sha256=version.code_sha256,
            git_commit=version.git_commit,
        )
    nodes[node] = LineageNode(
        id=node,
        kind=NodeKind.VERSION,
        label=version.reference,
        facts={
            "id": version.id,
            "stage": str(version.stage),
            "sha256": version.sha256,
            "created_at": None if version.created_at is None else clock.to_text(version.created_at),
            "created_by": version.created_by,
        },
    )
    if version.parent_id in known:
        edges.append(LineageEdge(source=f"version:{version.parent_id}", target=node, role="parent"))
    for endpoint in connection.execute(select(schema.endpoints).where(schema.endpoints.c.version_id == version.id)):
        key = f"{NodeKind.ENDPOINT}:{endpoint.id}"
        nodes[key] = LineageNode(
            id=key,
            kind=NodeKind.ENDPOINT,
            label=endpoint.name,
            facts={"status": endpoint.status, "since": endpoint.updated_at},
        )
        edges.append(LineageEdge(source=node, target=key, role="serves"))


def _children(connection: Connection, parents: list[str], known: Mapping[str, ModelVersion]) -> list[ModelVersion]:
    found = _versions(connection, schema.versions.c.parent_id.in_(parents))
    return [version for version in found if version.id not in known]


def _versions(connection: Connection, condition: Any) -> list[ModelVersion]:
    return [rows.to_version(row) for row in connection.execute(rows.VERSIONS.where(condition))]


def _told(facts: Mapping[str, Any]) -> str:
    """Return what is known of a node in one line; sums by their beginning, times by the minute."""
    said = []
    for key, value in facts.items():
        if key in ("id", "run_id") or not value:
            continue
        text = str(value)
        if key == "sha256":
            text = f"{text[:12]}…"
        elif key in ("created_at", "ended_at", "since"):
            text = f"{text[:16].replace('T', ' ')} UTC"
        said.append(f"{key.replace('_at', '').replace('_', ' ')} {text}")
    return ", ".join(said)


def _is_version(node: LineageNode) -> bool:
    return node.kind is NodeKind.VERSION


def _dataset(node: LineageNode) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if node.facts.get("sha256"):
        facets["version"] = {
            "_producer": _PRODUCER,
            "_schemaURL": f"{_FACET}/1-0-1/DatasetVersionDatasetFacet.json",
            "datasetVersion": str(node.facts["sha256"]),
        }
    return {"namespace": _NAMESPACE, "name": node.label, "facets": facets}
