"""What a killed supervisor left running.

Its children notice the end of their channel and go by themselves, unless they are stopped or stuck. Their successor
must not share port and work with those, so the next supervisor ends them. A recorded pid may be another program's
by now: a process is ours only if its environment names our state file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

import psutil

__all__ = ["end_orphans"]

_GRACE_S = 0.5
_POLL_S = 0.02


async def end_orphans(pids: Iterable[int], *, state_file: Path, grace_s: float = _GRACE_S) -> None:
    """Return when none of `pids` is a child of a former supervisor; after `grace_s` seconds they are killed."""
    orphans = [pid for pid in pids if _is_ours(pid, state_file)]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace_s
    while orphans:
        if loop.time() >= deadline:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
        await asyncio.sleep(_POLL_S)
        orphans = [pid for pid in orphans if _is_ours(pid, state_file)]


def _is_ours(pid: int, state_file: Path) -> bool:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(process.environ().get("DWCP_STATE_FILE") == str(state_file))
    except (psutil.Error, OSError):
        return False
