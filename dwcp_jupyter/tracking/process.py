"""Whether the process that wrote a run is still there."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

import psutil

__all__ = ["has_ended", "this_process"]

_TOLERANCE_S = 2.0


def this_process() -> dict[str, Any]:
    """Return by what `has_ended` knows this process again: host, pid and when it started."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": psutil.Process().create_time()}


def has_ended(process: Mapping[str, Any] | None) -> bool:
    """Return whether a process of this host is gone; False for one of another host, of which nobody here can know."""
    if process is None or process["host"] != socket.gethostname():
        return False
    try:
        found = psutil.Process(process["pid"])
        is_other = abs(found.create_time() - process["started"]) > _TOLERANCE_S  # its number was given anew
        return is_other or found.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        return False
