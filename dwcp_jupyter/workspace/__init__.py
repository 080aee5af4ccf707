"""One workspace: the domains joined, and what crosses them.

`Workspace` gives each domain over the same stores (``ws.registry``, ``ws.serving`` …) and owns the steps that need
several: run a pipeline and register its result, deploy and predict, compare traffic with the training data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.workspace.joined import Workspace, find
    from dwcp_jupyter.workspace.reports import Check, Diagnosis, WorkspaceStatus

__all__ = ["Check", "Diagnosis", "Workspace", "WorkspaceStatus", "find"]

_HOME = {
    "Check": "reports",
    "Diagnosis": "reports",
    "Workspace": "joined",
    "WorkspaceStatus": "reports",
    "find": "joined",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
