"""Find, look at and end the supervisor of a workspace, without holding it."""

from __future__ import annotations

import os
import time

from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor.client import Hold
from dwcp_jupyter.supervisor.connection import NotThere, connect
from dwcp_jupyter.supervisor.lock import is_locked
from dwcp_jupyter.supervisor.reports import HoldKind, Status
from dwcp_jupyter.supervisor.runtime import Layout, read_record

__all__ = ["find", "status", "stop"]

_ANSWER_TIMEOUT_S = 15.0
_LOCK_PAUSE_S = 0.01


def find(root: str | os.PathLike[str]) -> int | None:
    """Return the pid of the supervisor of the workspace at `root`, or None if none takes connections."""
    layout = Layout.of(root)
    record = read_record(layout.record)
    if record is None:
        return None
    try:
        connect(layout, timeout_s=_ANSWER_TIMEOUT_S).close()
    except NotThere:
        return None
    except SupervisorError:  # it is there, though it takes no connection
        return record.pid
    return record.pid


def status(root: str | os.PathLike[str]) -> Status | None:
    """Return all that runs for the workspace at `root`, or None if no supervisor does; none is started."""
    if find(root) is None:
        return None
    with Hold(root, kind=HoldKind.OBSERVER) as observer:
        return observer.status()


def stop(root: str | os.PathLike[str], *, timeout_s: float = 60.0) -> bool:
    """End the supervisor of the workspace at `root` and all its processes; return whether there was one.

    Endpoints with the lifetimes ``caller`` and ``detached`` are removed; those of a server come back with the next one.

    Raises
    ------
    SupervisorError
        If it has not ended within `timeout_s` seconds.
    """
    layout = Layout.of(root)
    try:
        connection = connect(layout, timeout_s=_ANSWER_TIMEOUT_S)
    except NotThere:
        return False
    deadline = time.monotonic() + timeout_s
    try:
        connection.send({"id": 1, "op": "stop"})
        while connection.receive(timeout_s=max(0.001, deadline - time.monotonic())) is not None:
            continue
    except OSError:  # out of time, or broken off: whether it has ended shows in its lock
        pass
    finally:
        connection.close()
    while is_locked(layout.lock):
        if time.monotonic() > deadline:
            raise SupervisorError(
                f"The supervisor of '{layout.root}' has not ended within {timeout_s:g} s. What it does is in "
                f"'{layout.log}'."
            )
        time.sleep(_LOCK_PAUSE_S)
    return True
