"""What a lineage consists of: things, and the arrows between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["LineageEdge", "LineageNode", "NodeKind"]


class NodeKind(StrEnum):
    """What a node of the graph is."""

    DATA = "data"
    CODE = "code"
    RUN = "run"
    VERSION = "version"
    DELETED = "deleted"
    """A version that was deleted, of which one came that is still there."""
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
