"""Where a version comes from, and what came of it, as a value: to look at, to ask, to write down.

The graph goes both ways: data, code, run and parent versions before it; versions made from it and endpoints that serve
it after it. `lineage_graph` reads it from the metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwcp_jupyter.registry import openlineage
from dwcp_jupyter.registry.lineage_nodes import LineageEdge, LineageNode, NodeKind
from dwcp_jupyter.rendering import Displayed, Graph, Node, Note, Table, View

__all__ = ["Lineage", "LineageEdge", "LineageNode", "NodeKind"]

_MOST_DRAWN = 150
"""A reader follows a few dozen nodes; of more than these only the table is shown."""


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
            [Node(node.id, node.label, str(node.kind), is_marked=node.id == self._own_id) for node in self.nodes],
            [(edge.source, edge.target, edge.role) for edge in self.edges],
        )

    @property
    def _own_id(self) -> str:
        """The node of the version; another one of that name may be among those deleted."""
        return next(node.id for node in self.nodes if node.kind is NodeKind.VERSION and node.label == self.version)

    def upstream(self, node_id: str | None = None) -> tuple[LineageNode, ...]:
        """Return all that a node, by default the version, comes from."""
        return self._reach(node_id, "target", "source")

    def downstream(self, node_id: str | None = None) -> tuple[LineageNode, ...]:
        """Return all that came of a node, by default the version."""
        return self._reach(node_id, "source", "target")

    def _reach(self, node_id: str | None, here: str, there: str) -> tuple[LineageNode, ...]:
        found: set[str] = set()
        waiting = [node_id or self._own_id]
        while waiting:
            current = waiting.pop()
            for edge in self.edges:
                if getattr(edge, here) == current and getattr(edge, there) not in found:
                    found.add(getattr(edge, there))
                    waiting.append(getattr(edge, there))
        return tuple(node for node in self.nodes if node.id in found)

    def to_openlineage(self) -> list[dict[str, Any]]:
        """Return the graph as OpenLineage run events, one for each run that made versions of it.

        What they were made of are the inputs, the versions are the outputs; see `openlineage`.
        """
        return openlineage.run_events(self.nodes, self.edges)

    def write_openlineage(self, path: str | os.PathLike[str]) -> Path:
        """Return the path to which the events were written, one JSON line each; an earlier file is replaced."""
        target = Path(path)
        lines = [json.dumps(event, ensure_ascii=False, sort_keys=True) for event in self.to_openlineage()]
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return target

    def _view(self) -> View:
        upstream = {node.id for node in self.upstream()}
        graph = self.graph() or Note(f"{len(self.nodes):,} things are too many to draw.", "info")
        facts = [
            (
                str(node.kind),
                node.label,
                "" if node.id == self._own_id else "before" if node.id in upstream else "after",
                _told(node.facts),
            )
            for node in self.nodes
        ]
        return View(f"Lineage of {self.version}", [graph, Table(("Kind", "Name", "Where", "Facts"), facts)])


def _told(facts: Mapping[str, Any]) -> str:
    """Return what is known of a node in one line; sums by their beginning, times by the minute."""
    said = []
    for key, value in facts.items():
        if key in ("id", "run_id") or not value:
            continue
        text = str(value)
        if key == "sha256":
            text = f"{text[:12]}…"
        elif key in ("created_at", "deleted_at", "ended_at", "since"):
            text = f"{text[:16].replace('T', ' ')} UTC"
        said.append(f"{key.replace('_at', '').replace('_', ' ')} {text}")
    return ", ".join(said)
