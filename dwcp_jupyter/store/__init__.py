"""The three stores of a workspace: metadata (SQL), artifacts (blobs) and frames (Parquet).

`open` finds the workspace and gives `Stores`; each domain takes them, so that all of them write to one place and one
event chain. Nothing is created before the first write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.store.artifacts import Artifact, ArtifactStore
    from dwcp_jupyter.store.collecting import GRACE, Collected, collect
    from dwcp_jupyter.store.combining import Operation, Write
    from dwcp_jupyter.store.frames import FrameRef, FrameStore
    from dwcp_jupyter.store.metadata import Metadata, Transaction
    from dwcp_jupyter.store.opening import Stores, as_stores, open  # noqa: A004
    from dwcp_jupyter.store.owners import Owner, Owners

__all__ = [
    "GRACE",
    "Artifact",
    "ArtifactStore",
    "Collected",
    "FrameRef",
    "FrameStore",
    "Metadata",
    "Operation",
    "Owner",
    "Owners",
    "Stores",
    "Transaction",
    "Write",
    "as_stores",
    "collect",
    "open",
]

_HOME = {
    "GRACE": "collecting",
    "Artifact": "artifacts",
    "ArtifactStore": "artifacts",
    "Collected": "collecting",
    "FrameRef": "frames",
    "FrameStore": "frames",
    "Metadata": "metadata",
    "Operation": "combining",
    "Owner": "owners",
    "Owners": "owners",
    "Stores": "opening",
    "Transaction": "metadata",
    "Write": "combining",
    "as_stores": "opening",
    "collect": "collecting",
    "open": "opening",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
