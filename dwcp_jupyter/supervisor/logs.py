"""The log files of the children.

A child writes straight into its file, so nothing is lost when it is killed, and nothing passes through the
supervisor. Each start notes where its own output begins: a failure is reported with its own last lines, not with
those of an earlier one.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["ProcessLog", "prune"]

_LARGEST_BYTES = 8 << 20
_TAIL_BYTES = 8 << 10
_TAIL_LINES = 20


class ProcessLog:
    """What one start of a process writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> int:
        """Return a descriptor to append to; a file that has grown large is put aside first, as ``.1``."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size > _LARGEST_BYTES:
                self.path.replace(self.path.with_suffix(".log.1"))
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._start = os.fstat(descriptor).st_size
        return descriptor

    def tail(self) -> tuple[str, ...]:
        """Return the last lines of this start, 20 at most."""
        try:
            with self.path.open("rb") as stream:
                end = stream.seek(0, os.SEEK_END)
                stream.seek(max(self._start, end - _TAIL_BYTES))
                text = stream.read().decode("utf-8", errors="replace")
        except OSError:
            return ()
        return tuple(line for line in text.splitlines() if line.strip())[-_TAIL_LINES:]


def prune(folder: Path, *, older_than_s: float) -> None:
    """Remove the logs in `folder` that nothing was written to for `older_than_s` seconds."""
    limit = time.time() - older_than_s
    for path in folder.glob("*.log*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()
