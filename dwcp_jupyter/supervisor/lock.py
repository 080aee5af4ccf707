"""The lock that elects the supervisor.

``flock`` on a file of the workspace: the operating system gives it to one process, and takes it back when that
process ends, however it ends. The file is never removed: with two files at one path, two processes would have "the"
lock.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["is_locked", "take"]


def take(path: Path) -> int | None:
    """Return the descriptor that holds the lock until this process ends, or None if another process has it."""
    return _try(path, fcntl.LOCK_EX)


def is_locked(path: Path) -> bool:
    """Return whether a process has the lock."""
    if not path.exists():
        return False
    descriptor = _try(path, fcntl.LOCK_SH)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _try(path: Path, mode: int) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
