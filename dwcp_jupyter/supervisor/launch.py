"""Start a supervisor, from a process that wants to hold it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor.logs import ProcessLog
from dwcp_jupyter.supervisor.runtime import Layout

__all__ = ["launch"]


def launch(layout: Layout, environ: Mapping[str, str], *, timeout_s: float) -> bool:
    """Start a supervisor for the workspace, in a session of its own; return once it takes connections.

    Returns
    -------
    bool
        False if another process has the lock: it is a supervisor that starts or ends.

    Raises
    ------
    SupervisorError
        If it does not come up; the message has the last lines it wrote.
    """
    layout.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = ProcessLog(layout.log)
    reading, writing = os.pipe()
    try:
        output = log.open()
        try:
            command = ["--root", str(layout.root), "--ready-fd", str(writing)]
            subprocess.run(
                [sys.executable, "-m", "dwcp_jupyter.supervisor", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(environ),
                cwd="/",
                pass_fds=[writing],
                start_new_session=True,
                timeout=timeout_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise SupervisorError(f"The supervisor of '{layout.root}' cannot be started: {exc}") from exc
        finally:
            os.close(output)
            os.close(writing)
        answer = _read_answer(reading, timeout_s)
    finally:
        os.close(reading)
    if answer is None or "error" in answer:
        reason = answer["error"] if answer else "it ended, or said nothing, before it was ready"
        lines = "\n".join(log.tail())
        raise SupervisorError(f"The supervisor of '{layout.root}' did not start: {reason}\n{lines}".rstrip())
    return "ready" in answer


def _read_answer(descriptor: int, timeout_s: float) -> dict[str, Any] | None:
    """Return the one line that comes, or None. The end may never come: forks of this process can hold the pipe."""
    deadline, data = time.monotonic() + timeout_s, b""
    while not data.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            return None
        block = os.read(descriptor, 1 << 16)
        if not block:
            return None
        data += block
    answer: dict[str, Any] = json.loads(data)
    return answer
