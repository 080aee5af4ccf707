"""The processes of a workspace.

One supervisor per workspace, elected by a file lock, turns the endpoints in the metadata into running
processes and keeps them running: it replaces what dies or hangs, updates without a gap, and ends, leaving
nothing behind, when nobody holds it any more. It knows command lines only, never models.

`hold` is the way in: whoever holds a workspace's supervisor keeps it alive, starting it where there is none.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.supervisor.client import Hold, hold
    from dwcp_jupyter.supervisor.finding import find, status, stop
    from dwcp_jupyter.supervisor.reports import Answer, Applied, EndpointReport, HoldKind, Status
    from dwcp_jupyter.supervisor.runtime import runtime_dir
    from dwcp_jupyter.supervisor.state import EndpointStatus, Lifetime, ProcessSpec, Spec

__all__ = [
    "Answer",
    "Applied",
    "EndpointReport",
    "EndpointStatus",
    "Hold",
    "HoldKind",
    "Lifetime",
    "ProcessSpec",
    "Spec",
    "Status",
    "find",
    "hold",
    "runtime_dir",
    "status",
    "stop",
]

_HOMES = {
    "Answer": "reports",
    "Applied": "reports",
    "EndpointReport": "reports",
    "EndpointStatus": "state",
    "Hold": "client",
    "HoldKind": "reports",
    "Lifetime": "state",
    "ProcessSpec": "state",
    "Spec": "state",
    "Status": "reports",
    "find": "finding",
    "hold": "client",
    "runtime_dir": "runtime",
    "status": "finding",
    "stop": "finding",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
