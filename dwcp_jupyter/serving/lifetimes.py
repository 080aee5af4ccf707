"""Who keeps an endpoint alive.

A process has one hold on each workspace it deploys into, for as long as it lives: an endpoint of the lifetime
``caller`` must outlast the `ModelServer` that made it, but not the process. Where a Jupyter server (or ``dwcp serve``)
can hold the workspace, it is asked to, and the endpoint outlives the kernel.
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dwcp_jupyter import supervisor
from dwcp_jupyter.store import Stores
from dwcp_jupyter.supervisor import Hold, Lifetime

__all__ = ["ServerHold", "ask_server", "choose", "process_hold", "release"]

SERVER_SOCKET = "DWCP_SERVER_SOCKET"
_TIMEOUT_S = 10.0

_HOLDS: dict[tuple[int, Path], Hold] = {}
"""One per process and workspace. Global, since it stands for the process itself; ended by the process's end."""
_LOCK = threading.Lock()


def process_hold(stores: Stores) -> Hold:
    """Return this process's hold on the workspace, taken now if there is none."""
    key = (os.getpid(), stores.root.absolute())
    with _LOCK:
        if key not in _HOLDS:
            _HOLDS[key] = supervisor.hold(stores, kind="caller")
        return _HOLDS[key]


def release(root: Path) -> None:
    """Let go of the workspace: what this process deployed there with the lifetime ``caller`` ends."""
    with _LOCK:
        hold = _HOLDS.pop((os.getpid(), root.absolute()), None)
    if hold is not None:
        hold.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHold:
    """A Jupyter server that holds the workspace.

    Attributes
    ----------
    base_url : str
        Where the workspace's routes begin, e.g. ``"http://localhost:8888/dwcp/"``.
    """

    base_url: str


def ask_server(root: Path, environ: Mapping[str, str] = os.environ) -> ServerHold | None:
    """Have the Jupyter server hold the workspace at `root`; None where there is none, or it refuses.

    The server extension names its socket in ``DWCP_SERVER_SOCKET``, which kernels inherit. One JSON line goes each way.
    """
    path = environ.get(SERVER_SOCKET)
    if not path:
        return None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(path)
            connection.sendall(json.dumps({"op": "hold", "root": str(root.absolute())}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline() or b"{}")
    except (OSError, ValueError):  # a server that is gone: the script's behaviour
        return None
    return ServerHold(base_url=str(answer.get("url", ""))) if answer.get("ok") else None


def choose(lifetime: Lifetime | str | None, *, current: Lifetime | None, server: ServerHold | None) -> Lifetime:
    """Return the lifetime of a deployment: what was asked for, else what the endpoint has, else what is at hand."""
    if lifetime is not None:
        return Lifetime(str(lifetime))
    if current is Lifetime.DETACHED:
        return current
    return Lifetime.SERVER if server is not None else Lifetime.CALLER
