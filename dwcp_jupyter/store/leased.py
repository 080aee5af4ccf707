"""Connections to a DuckDB file, which one process at a time may open.

The lease is taken, the file attached, and both are given back when the outermost call returns, or a moment later within
a burst of calls. What DuckDB attaches to is an empty instance in memory, which stays: a new one costs 15 ms, attaching
the file 1 to 5 ms and detaching it less than one. A short log is left beside the file: a checkpoint of 10,000 versions
costs 100 ms, which a lone write should not pay.

The file is detached before a fork where that is possible; a child forked in the middle of a call leaves the connection
alone for ever (its reference count is raised, since a destructor would write to the parent's file), abandons the lease,
and is refused the metadata.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from dwcp_jupyter.exceptions import LeaseTimeoutError, WorkspaceError
from dwcp_jupyter.store import interrupting, remembering
from dwcp_jupyter.store.combining import Spool
from dwcp_jupyter.store.connections import is_removed, keep_through_forks, leave_alone, remember_file
from dwcp_jupyter.store.lease import Lease

__all__ = ["LeasedConnections"]

BURST_S = 0.02
"""Calls that follow each other this closely are a burst."""
LINGER_S = 0.1
"""How long a burst keeps the file open after a call when nobody waits."""
SLICE_S = 0.2
"""How long a burst keeps the file while somebody waits: handing it over, a checkpoint and an opening, costs 60 ms."""

LOG_BYTES = 32 * 1024
"""How long DuckDB's log may be when the file is given back; a longer one is written into the file first."""

_ATTACHED = "dwcp"
_LET_IN_S = 0.1
"""Longest time for which an interrupt waits while another thread is in a call."""
_CLOSING_S = 2.0
"""Longest wait of a fork for the thread that gives the file back."""


class LeasedConnections:
    """Connections to a file that one process at a time may open.

    Parameters
    ----------
    url : sqlalchemy.URL
        SQLAlchemy URL of the file.
    lock_path : Path
        Where the lease lies.
    timeout_s : float
        Longest wait for the lease, or for another thread, in seconds.
    spool : Spool
        Requests of others: while there are some, the file is not kept for long.
    """

    def __init__(
        self, url: sa.URL, *, lock_path: Path, timeout_s: float, spool: Spool, connect_args: dict[str, Any]
    ) -> None:
        self._url = url
        self.spool = spool
        self._connect_args = connect_args
        self._lock_path = lock_path
        self._timeout_s = timeout_s
        self._is_orphan = False
        self._start_afresh()
        keep_through_forks(self)

    def _start_afresh(self) -> None:
        self._engine = sa.create_engine(
            self._url.set(database=":memory:"), poolclass=StaticPool, connect_args=self._connect_args
        )
        sa.event.listen(self._engine, "connect", _keep_logs)
        remembering.watch(self._engine)
        self._lease = Lease(self._lock_path, timeout_s=self._timeout_s)
        self._mutex = threading.RLock()
        self._connection: Connection | None = None
        self._janitor: threading.Thread | None = None
        self._depth = 0
        self._is_burst = self._is_broken = False
        self._acquired_at = self._ended_at = self._close_at = float("-inf")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield the connection under the lease."""
        with self._entered() as opened:
            assert opened is not None
            yield opened

    @contextmanager
    def connection_at_once(self) -> Iterator[Connection | None]:
        """Yield the connection, or None if another process has the lease; raise if another thread is in a call."""
        with self.connection_unless(lambda _: True, patience_s=0.0) as opened:
            yield opened

    @contextmanager
    def connection_unless(
        self, is_done: Callable[[float], bool], *, patience_s: float | None = None
    ) -> Iterator[Connection | None]:
        """Yield the connection, or None if `is_done` (see `Lease.acquire`) while another process has the lease."""
        with self._entered(until=is_done, patience_s=patience_s) as opened:
            if opened is None:
                self._ended_at = time.monotonic()  # answered by another process, it is a call of a burst all the same
            yield opened

    @contextmanager
    def _entered(
        self, *, until: Callable[[float], bool] | None = None, patience_s: float | None = None
    ) -> Iterator[Connection | None]:
        """Yield the connection, or None where `until` says so; after an interrupt in the block it is not used again."""
        is_entered, pid = False, os.getpid()
        try:
            with interrupting.held():
                is_entered = self._enter(until=until, patience_s=patience_s)
            yield self._connection if is_entered else None
        except BaseException as exc:
            self._is_broken |= is_entered and interrupting.is_interruption(exc)
            raise
        finally:
            if is_entered and os.getpid() == pid:
                with interrupting.held():
                    self._leave()

    def _enter(self, *, until: Callable[[float], bool] | None, patience_s: float | None) -> bool:
        if self._is_orphan:
            raise WorkspaceError(
                f"Process {os.getpid()} was forked in the middle of a call to the metadata '{self._url.database}', "
                "which DuckDB cannot share. Start it by multiprocessing's 'spawn', or outside the call."
            )
        patience_s = self._timeout_s if patience_s is None else patience_s
        self._take_turn(patience_s)
        try:
            if self._depth == 0:
                self._is_burst = time.monotonic() - self._ended_at < BURST_S
                if self._is_stale():
                    self._give_back()
                if self._connection is None and not self._open(until):
                    self._mutex.release()
                    return False
            self._depth += 1
        except BaseException:
            self._mutex.release()
            raise
        return True

    def _take_turn(self, patience_s: float) -> None:
        """Wait until no other thread is in a call."""
        give_up_at = time.monotonic() + patience_s
        while not self._mutex.acquire(timeout=max(0.0, min(_LET_IN_S, give_up_at - time.monotonic()))):
            interrupting.let_in()
            if time.monotonic() >= give_up_at:
                raise LeaseTimeoutError(path=str(self._lock_path), holder_pid=os.getpid(), waited_s=patience_s)

    def _leave(self) -> None:
        try:
            self._depth -= 1
            if self._depth == 0:
                if self._is_broken:
                    self._drop()
                    return
                try:
                    self._settle(time.monotonic())
                except (OSError, RuntimeError):  # no descriptor, no thread: what was written is written
                    self._janitor = None
                    self._give_back()
        finally:
            self._mutex.release()

    def _settle(self, now: float) -> None:
        """Give the file back, or keep it for the next call of a burst."""
        is_wanted = self._is_burst and self._lease.is_wanted()
        if not self._is_burst or (is_wanted and now - self._acquired_at >= SLICE_S) or self._is_stale():
            self._give_back()  # in a burst too: it waits for its turn like everybody
        else:
            self._close_later(now + (BURST_S if is_wanted else LINGER_S))
        self._ended_at = time.monotonic()  # after closing, which alone can take longer than the gap in a burst

    def _open(self, until: Callable[[float], bool] | None) -> bool:
        if not self._lease.acquire(until=until):
            return False
        try:
            self.spool.sweep()
            self._connection = self._connect()
        except BaseException:
            self._lease.release()
            raise
        self._acquired_at = time.monotonic()
        return True

    def _is_stale(self) -> bool:
        return self._connection is not None and is_removed(self._connection)

    def _connect(self) -> Connection:
        path = str(self._url.database)
        connection = self._engine.connect()
        try:
            connection.info.clear()
            self._attach(connection, path)
            remember_file(connection, path)
            if is_removed(connection):
                raise _removed(path)
            remembering.begin(connection)
        except BaseException:
            self._discard(connection)
            raise
        return connection

    def _attach(self, connection: Connection, path: str) -> None:
        cursor = connection.connection.cursor()
        quoted = path.replace("'", "''")
        try:
            cursor.execute(f"ATTACH '{quoted}' AS {_ATTACHED}")
            cursor.execute(f"USE {_ATTACHED}")
        except Exception as exc:
            if "already attached" in str(exc):  # under the lease: another store of this process has a removed file
                raise _removed(path) from exc
            dialect = self._engine.dialect
            assert dialect.dbapi is not None
            raise DBAPIError.instance("ATTACH", None, exc, dialect.dbapi.Error, dialect=dialect) from exc

    def _discard(self, connection: Connection) -> None:
        """Close DuckDB's instance with everything that it has open; the next call makes another."""
        connection.close()
        self._engine.dispose()

    def _drop(self) -> None:
        """Close what an interrupt may have left half-done, with all that was not committed."""
        connection, self._connection = self._connection, None
        self._is_broken = False
        try:
            if connection is not None:
                connection.invalidate()  # nothing is rolled back by SQLAlchemy, which may have lost count
                self._discard(connection)
        finally:
            self._lease.release()
            self._ended_at = time.monotonic()

    def _give_back(self) -> None:
        if self._connection is None:
            return
        connection, self._connection = self._connection, None
        try:
            try:
                remembering.end(connection)
                self._detach(connection)
            except BaseException:
                self._discard(connection)
                raise
            connection.close()
        finally:
            self._lease.release()

    def _detach(self, connection: Connection) -> None:
        if connection.in_transaction():
            connection.rollback()
        cursor = connection.connection.cursor()
        if self._log_bytes() > LOG_BYTES and not is_removed(connection):
            cursor.execute(f"CHECKPOINT {_ATTACHED}")
        cursor.execute("USE memory")
        cursor.execute(f"DETACH {_ATTACHED}")

    def _log_bytes(self) -> int:
        try:
            return Path(f"{self._url.database}.wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _close_later(self, moment: float) -> None:
        self._close_at = moment
        if self._janitor is None:
            self._janitor = threading.Thread(
                target=_close_when_idle, args=(self, BURST_S), name="dwcp-lease-janitor", daemon=True
            )
            self._janitor.start()

    def _close_if_idle(self) -> float:
        """Close what lingered long enough; return the seconds until the next look, or 0 for nothing left to do."""
        with self._mutex:
            now = time.monotonic()
            left_s = self._close_at - now
            if left_s > BURST_S and now - self._ended_at > BURST_S and not self.spool.is_empty():
                left_s = 0.0  # the burst is over, and somebody's request would wait for nothing
            if self._connection is not None and left_s > 0:
                return min(left_s, BURST_S)
            self._janitor = None
            self._give_back()
            return 0.0

    def close(self) -> None:
        """Give back the file and the lease, unless a call of another thread is under way."""
        if self._mutex.acquire(timeout=1.0):
            try:
                if self._depth == 0:
                    self._give_back()
                    self._engine.dispose()
            finally:
                self._mutex.release()

    def before_fork(self) -> None:
        """Close the file, unless a call is under way; where another thread closes it, wait until it is closed."""
        if self._mutex.acquire(blocking=False) or (self._depth == 0 and self._mutex.acquire(timeout=_CLOSING_S)):
            try:
                if self._depth == 0:
                    self._give_back()
            finally:
                self._mutex.release()

    def after_fork(self) -> None:
        """Leave the parent's connection and lease alone."""
        leave_alone(self._engine)
        if self._connection is not None:
            self._is_orphan = True
            leave_alone(self._connection)
            leave_alone(self._connection.connection)
        self._lease.abandon()
        self._start_afresh()


def _close_when_idle(connections: LeasedConnections, wait_s: float) -> None:
    """Hold on to the connections until they are closed: dropped before, they would keep the lease."""
    while wait_s > 0:
        time.sleep(wait_s)
        wait_s = connections._close_if_idle()


def _removed(path: str) -> WorkspaceError:
    return WorkspaceError(f"The metadata '{path}' were removed while this process used them. Repeat in a moment.")


def _keep_logs(connection: Any, _record: Any) -> None:
    connection.cursor().execute("PRAGMA disable_checkpoint_on_shutdown")  # `_detach` decides
