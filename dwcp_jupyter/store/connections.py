"""How a process gets a connection to the metadata: what the ways for the databases have in common.

`leased.LeasedConnections` is for DuckDB, whose file one process at a time may open; `pooled.PooledConnections` for
databases that several may use at once. A forked child inherits the connections of neither.

A file that is removed while it is open takes writes for ever, which nobody can read. So each connection remembers which
file it opened, and one whose file no longer lies at its path is not used again.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import weakref
from pathlib import Path
from typing import Any, Protocol

__all__ = ["Connections", "is_removed", "keep_through_forks", "leave_alone", "remember_file"]


class Connections(Protocol):
    """Gives connections; safe for threads and forks, re-entrant within a thread."""

    def connection(self) -> Any:
        """Return a context manager that yields a `sqlalchemy.Connection`, valid inside it only."""

    def connection_at_once(self) -> Any:
        """Return the same, without waiting: it yields None where another process is at it."""

    def close(self) -> None:
        """Give back everything held."""

    def before_fork(self) -> None:
        """Give back what a child must not inherit, where no call is under way."""

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""


_live: weakref.WeakSet[Any] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for connections in list(_live):
        connections.after_fork()


def _before_fork() -> None:
    for connections in list(_live):
        connections.before_fork()


def _close_all() -> None:
    for connections in list(_live):
        connections.close()


def keep_through_forks(connections: Connections) -> None:
    """Have them told before and after each fork, and closed at the end of the process, as long as they live."""
    _live.add(connections)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)
atexit.register(_close_all)


def leave_alone(thing: object) -> None:
    """Make `thing` immortal in this process."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


_FILE = "dwcp_file"


def remember_file(connection: Any, path: str) -> None:
    """Let a connection, or its pool's record, remember which file it opened: open, a file keeps its inode to itself."""
    connection.info[_FILE] = (path, _identity(path))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def is_removed(connection: Any) -> bool:
    """Return whether the file that this connection, or its pool's record, has open no longer lies at its path."""
    if _FILE not in connection.info:
        return False
    path, opened = connection.info[_FILE]
    return opened is None or opened != _identity(path)
