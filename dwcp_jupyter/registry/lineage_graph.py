"""The lineage of a version, read from what was recorded when it happened; nothing has to be declared.

What a version was made of stands in `_origins`. Feature views are not among it, since nothing records them yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Column, Connection, Row, select

from dwcp_jupyter import clock
from dwcp_jupyter.registry.ancestry import Ancestry, Deleted, ancestry_of, chunked
from dwcp_jupyter.registry.lineage import Lineage
from dwcp_jupyter.registry.lineage_nodes import LineageEdge, LineageNode, NodeKind
from dwcp_jupyter.registry.origins import TrainingData, training_data
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema

__all__ = ["lineage_of"]


def lineage_of(connection: Connection, version: ModelVersion, *, generations: int | None = None) -> Lineage:
    """Return the graph around a version, with so many generations of versions before and after it."""
    around = ancestry_of(connection, version, generations=generations)
    trained_on = training_data(connection, around.versions.values())
    graph = _Graph(connection, around, trained_on)
    deleted = [item.version for item in around.deleted.values()]
    every = (*around.versions.values(), *deleted)
    for each in sorted(every, key=lambda v: (v.created_at is None, v.created_at, v.reference)):
        graph.add(each)
    return Lineage(
        version=version.reference,
        nodes=tuple(graph.nodes.values()),
        edges=tuple(dict.fromkeys(graph.edges)),
        is_cut=around.is_cut,
    )


class _Graph:
    """Nodes and edges, growing version by version."""

    def __init__(self, connection: Connection, around: Ancestry, trained_on: Mapping[str, TrainingData]) -> None:
        self.nodes: dict[str, LineageNode] = {}
        self.edges: list[LineageEdge] = []
        self._around = around
        self._trained_on = trained_on
        self._runs = {row.id: row for row in _rows(connection, schema.runs.c.id, _run_ids(around))}
        self._endpoints: dict[str, list[Any]] = defaultdict(list)
        for row in _rows(connection, schema.endpoints.c.version_id, around.versions):
            self._endpoints[row.version_id].append(row)

    def add(self, version: ModelVersion) -> None:
        """Add a version with what it was made of and what serves it; a deleted one alone."""
        deleted, own = self._around.deleted.get(version.id), self._id_of(version.id)
        if deleted is None:
            self._join_origins(version, own)
            self.nodes[own] = _version_node(version, own)
            self._join_endpoints(version, own)
        else:
            self.nodes[own] = _deleted_node(deleted, own)
        if version.parent_id is not None and version.parent_id in self._around:
            self.edges.append(LineageEdge(source=self._id_of(version.parent_id), target=own, role="parent"))

    def _id_of(self, version_id: str) -> str:
        kind = NodeKind.DELETED if version_id in self._around.deleted else NodeKind.VERSION
        return f"{kind}:{version_id}"

    def _join_origins(self, version: ModelVersion, own: str) -> None:
        """Add what a version was made of: by its run, where there was one."""
        made_from = own
        if version.run_id:
            run = self._run(version.run_id)
            made_from = run.id
            self._join(run, own, role="made")
        for node, role in _origins(version, self._trained_on.get(version.id)):
            self._join(node, made_from, role=role)

    def _join(self, node: LineageNode, target: str, *, role: str) -> None:
        self.nodes.setdefault(node.id, node)
        self.edges.append(LineageEdge(source=node.id, target=target, role=role))

    def _run(self, run_id: str) -> LineageNode:
        row = self._runs.get(run_id)
        facts = {} if row is None else {"status": row.status, "ended_at": row.ended_at}
        return LineageNode(
            id=f"{NodeKind.RUN}:{run_id}",
            kind=NodeKind.RUN,
            label="run " + run_id[:8],
            facts={"run_id": run_id, **facts},
        )

    def _join_endpoints(self, version: ModelVersion, own: str) -> None:
        for endpoint in self._endpoints.get(version.id, []):
            key = f"{NodeKind.ENDPOINT}:{endpoint.id}"
            facts = {"status": endpoint.status, "since": endpoint.updated_at}
            self.nodes[key] = LineageNode(id=key, kind=NodeKind.ENDPOINT, label=endpoint.name, facts=facts)
            self.edges.append(LineageEdge(source=own, target=key, role="serves"))


def _run_ids(around: Ancestry) -> set[str]:
    return {version.run_id for version in around.versions.values() if version.run_id}


def _rows(connection: Connection, column: Column[Any], wanted: Iterable[str]) -> Iterator[Row[Any]]:
    """Yield the rows of a table whose `column` has one of the wanted values."""
    for part in chunked(wanted):
        yield from connection.execute(select(column.table).where(column.in_(part)))


def _origins(version: ModelVersion, data: TrainingData | None) -> Iterator[tuple[LineageNode, str]]:
    """Yield what a version or its run was made of, each with its part in it."""
    if data is not None or version.training_dataset:
        sha256 = None if data is None else data.sha256
        label = version.training_dataset or f"data {str(sha256)[:8]}"
        facts = {"sha256": sha256, "rows": None if data is None else data.rows}
        key = f"{NodeKind.DATA}:{sha256 or label}"
        yield LineageNode(id=key, kind=NodeKind.DATA, label=label, facts=facts), "trained on"
    if version.code_sha256:
        facts = {"sha256": version.code_sha256, "git_commit": version.git_commit}
        label = f"code {version.code_sha256[:8]}"
        key = f"{NodeKind.CODE}:{version.code_sha256}"
        yield LineageNode(id=key, kind=NodeKind.CODE, label=label, facts=facts), "written as"


def _version_node(version: ModelVersion, own: str) -> LineageNode:
    facts = {
        "id": version.id,
        "stage": str(version.stage),
        "sha256": version.sha256,
        "created_at": None if version.created_at is None else clock.to_text(version.created_at),
        "created_by": version.created_by,
    }
    return LineageNode(id=own, kind=NodeKind.VERSION, label=version.reference, facts=facts)


def _deleted_node(deleted: Deleted, own: str) -> LineageNode:
    facts = {
        "id": deleted.version.id,
        "sha256": deleted.version.sha256,
        "deleted_at": deleted.deleted_at,
        "deleted_by": deleted.deleted_by,
    }
    return LineageNode(id=own, kind=NodeKind.DELETED, label=deleted.version.reference, facts=facts)
