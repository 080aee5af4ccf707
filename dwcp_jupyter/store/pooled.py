"""Connections to a database that several processes may use at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import InvalidatePoolError

from dwcp_jupyter.store import interrupting
from dwcp_jupyter.store.connections import is_removed, keep_through_forks, leave_alone, remember_file

__all__ = ["PooledConnections"]

_CONNECT_S = 5
"""Longest wait for a database server to take a connection."""


class PooledConnections:
    """Connections to a database that several processes may use at once (SQLite in WAL mode, PostgreSQL)."""

    def __init__(self, url: sa.URL, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._start_afresh()
        keep_through_forks(self)

    def _start_afresh(self) -> None:
        is_sqlite = self._url.get_backend_name() == "sqlite"
        arguments: dict[str, Any] = {"timeout": self._timeout_s, "check_same_thread": False}
        if not is_sqlite:
            arguments = {"application_name": "dwcp_jupyter", "connect_timeout": _CONNECT_S}
        self._engine: Engine = sa.create_engine(self._url, connect_args=arguments, pool_pre_ping=not is_sqlite)
        if is_sqlite:
            sa.event.listen(self._engine, "connect", _configure_sqlite)
            sa.event.listen(self._engine, "connect", self._remember)
            sa.event.listen(self._engine, "checkout", self._refuse_removed)
            sa.event.listen(self._engine, "begin", _begin_sqlite)
            sa.event.listen(self._engine, "invalidate", _let_go)
        else:
            sa.event.listen(self._engine, "begin", self._begin_postgresql)
        self._local = threading.local()

    def _begin_postgresql(self, connection: Connection) -> None:
        if connection.get_execution_options().get("dwcp_write"):  # each statement sees what was committed before it
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(1000 * self._timeout_s)}")
        else:  # all statements see one moment
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    def _remember(self, _connection: Any, record: Any) -> None:
        if self._url.database:
            remember_file(record, self._url.database)

    def _refuse_removed(self, _connection: Any, record: Any, _proxy: Any) -> None:
        if is_removed(record):
            raise InvalidatePoolError  # the pool closes it, and those opened before, and opens another

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield this thread's connection."""
        current: Connection | None = getattr(self._local, "connection", None)
        if current is not None:
            yield current
            return
        connection, pid = None, os.getpid()
        try:
            connection = self._local.connection = self._engine.connect()
            yield connection
        except BaseException as exc:
            if connection is not None and os.getpid() == pid and interrupting.is_interruption(exc):
                with interrupting.held():
                    connection.invalidate()  # SQLAlchemy may have lost count of what is begun
            raise
        finally:
            if os.getpid() == pid:
                with interrupting.held():
                    self._local.connection = None
                    if connection is not None:
                        connection.close()

    @contextmanager
    def connection_at_once(self) -> Iterator[Connection | None]:
        """Yield this thread's connection: reading waits for nobody."""
        with self.connection() as opened:
            yield opened

    def close(self) -> None:
        """Close the pool's idle connections."""
        self._engine.dispose()

    def before_fork(self) -> None:
        """Do nothing: the pool is left to the parent."""

    def after_fork(self) -> None:
        """Leave the parent's connections alone."""
        leave_alone(self._engine)
        if (current := getattr(self._local, "connection", None)) is not None:
            leave_alone(current)
        self._start_afresh()


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _begin_sqlite(connection: Connection) -> None:
    # a reader that later writes would fail with "database is locked" at once, however long the time-out
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("dwcp_write") else "BEGIN")


def _let_go(connection: Any, _record: Any, _exc: BaseException | None) -> None:
    """Give back SQLite's locks, which a connection keeps when it is closed while a statement of it is alive.

    A notebook keeps the statement in the frames of its last error.
    """
    connection.rollback()
