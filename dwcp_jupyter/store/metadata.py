"""The metadata: transactions that end in events.

A write is one transaction: statements, then the events that say what changed, appended as its last step and chained to
the head row, which is locked for it. So state and audit trail cannot differ, and the chain cannot fork. Reads take the
same way in. A workspace that does not exist yet reads as empty and is created by the first write.
"""

from __future__ import annotations

import contextlib
import copy
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Executable
from sqlalchemy.exc import DBAPIError

from dwcp_jupyter import clock, config
from dwcp_jupyter.events import Actor, ChainBreak, Event, Record, local_actor
from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.store import event_log, interrupting, remembering, schema
from dwcp_jupyter.store.combining import Operation, Spool, Ticket, Write
from dwcp_jupyter.store.connections import Connections, is_removed
from dwcp_jupyter.store.databases import connections_to, explained, file_of, url_of
from dwcp_jupyter.store.inserting import insert_rows
from dwcp_jupyter.store.leased import LeasedConnections
from dwcp_jupyter.store.migrations import is_founded, migrate
from dwcp_jupyter.store.place import place_of

__all__ = ["Metadata", "Transaction"]

_CHECKED = "dwcp_schema"


class Transaction:
    """One write under way; made by `Metadata.transaction`."""

    def __init__(self, connection: Connection, *, actor: Actor, now: clock.Clock) -> None:
        self.connection = connection
        self.actor = actor
        self.now = now()
        self._pending: list[event_log.Pending] = []

    def acting(self, actor: Actor) -> Transaction:
        """Return the same transaction, in which `actor` acts."""
        other = copy.copy(self)
        other.actor = actor
        return other

    def execute(self, statement: Executable) -> sa.CursorResult[Any]:
        """Return the result of one statement."""
        return self.connection.execute(statement)

    def insert(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows, each with a value for every column."""
        insert_rows(self.connection, table, rows)

    def record(self, kind: str, subject: str, /, **payload: Any) -> None:
        """Append an event when the transaction commits."""
        self._pending.append(event_log.Pending(kind=kind, subject=subject, actor=self.actor, payload=payload))

    def _append_events(self) -> int | None:
        if not self._pending:
            return None
        return event_log.append(self.connection, self._pending, time=self.now)


class Metadata:
    """The metadata of one workspace.

    Safe for threads, processes and forks; transactions nest within a thread (the outermost commits). Close it with
    `close`, or leave that to the end of the process.

    Parameters
    ----------
    root : Path
        The workspace folder.
    settings : config.Dwcp
        `metadata_url` and `lease_timeout_s` are read.
    now : Clock
        Stamps events.
    """

    def __init__(self, root: Path, *, settings: config.Dwcp, now: clock.Clock = clock.utc_now) -> None:
        self.root = root
        self.url = url_of(root, settings.metadata_url)
        self.dialect = self.url.get_backend_name()
        self._timeout_s = settings.lease_timeout_s
        self._now = now
        self._local = threading.local()
        self._connections: Connections | None = None
        self._is_founded = False
        self._mutex = threading.Lock()

    @contextmanager
    def transaction(self, actor: Actor | None = None) -> Iterator[Transaction]:
        """Yield a transaction; it commits at the end of the block, or rolls everything back on an exception.

        Raises
        ------
        LeaseTimeoutError
            If the metadata stays in use by another process.
        WorkspaceError
            If the workspace cannot be written.
        """
        outer: Transaction | None = getattr(self._local, "transaction", None)
        if outer is not None:
            yield outer if actor is None else outer.acting(actor)
            return
        self._create_workspace()
        with explained(self.url, self._timeout_s), self._open().connection() as opened:
            self._check_schema(opened)
            connection = opened.execution_options(dwcp_write=True)
            with _transaction(connection):
                event_log.lock_head(connection, dialect=self.dialect)
                transaction = Transaction(connection, actor=actor or local_actor(), now=self._now)
                self._local.transaction = transaction
                try:
                    yield transaction
                    seq = transaction._append_events()
                    self._refuse_removed(connection)
                finally:
                    self._local.transaction = None
            if seq is not None:
                with contextlib.suppress(OSError):  # it is committed; panels look again by themselves
                    self._announce(seq)

    def apply(self, operation: Operation, request: Mapping[str, Any], actor: Actor | None = None) -> dict[str, Any]:
        """Return the result of `operation` on `request`, committed; by whichever process has the metadata open.

        Parameters
        ----------
        request : mapping
            See `Write.request`.

        Raises
        ------
        LeaseTimeoutError, WorkspaceError
            As `transaction`; and the error with which the operation refuses the request.
        """
        write = Write(request=request, actor=actor or local_actor())
        if getattr(self._local, "transaction", None) is not None or self.dialect != "duckdb":
            return self._alone(operation, write)
        self._create_workspace()
        connections = self._open()
        assert isinstance(connections, LeasedConnections)
        ticket = connections.spool.ticket(operation, write)
        try:
            with explained(self.url, self._timeout_s), connections.connection_unless(ticket.wait) as opened:
                if opened is not None:
                    return self._as_holder(operation, write, ticket, connections.spool)
            result = ticket.answer()
        finally:
            ticket.close()
        return self._alone(operation, write) if result is None else result

    def _alone(self, operation: Operation, write: Write) -> dict[str, Any]:
        with self.transaction(write.actor) as tx:
            done = operation.find(tx.connection, write.request)  # by a process that could not say so any more
            if done is not None:
                return done
            (result,) = operation.run(tx, [write])
            if isinstance(result, Exception):
                raise result
        return result

    def _as_holder(self, operation: Operation, write: Write, ticket: Ticket, spool: Spool) -> dict[str, Any]:
        """Do the write, unless a former holder did, and those of others with it."""
        if not ticket.take_back():  # claimed by a process that has given the file back since, or died
            done = ticket.answer()
            if done is None:
                with self.read() as connection:
                    done = operation.find(connection, write.request)
            if done is not None:
                return done
        claimed = spool.claim()
        results: Sequence[dict[str, Any] | Exception | None] = [None] * len(claimed)
        own: dict[str, Any] | Exception | None = None
        try:
            with self.transaction(write.actor) as tx:
                found = _run(tx, [(operation, write), *((other.operation, other.write) for other in claimed)])
            own, results = found[0], found[1:]
        except _SpoiledError:
            pass
        finally:
            for other, result in zip(claimed, results, strict=True):
                other.answer(result if isinstance(result, dict) else None)  # its owner learns by itself why not
        if own is None:
            return self._alone(operation, write)
        if isinstance(own, Exception):
            raise own
        return own

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for reads; inside a transaction of this thread, that transaction's own."""
        with self._reading(lambda connections: connections.connection()) as connection:
            assert connection is not None
            yield connection

    @contextmanager
    def read_at_once(self) -> Iterator[Connection | None]:
        """Yield what `read` does, or None where another process has the metadata at this moment.

        Raises
        ------
        LeaseTimeoutError
            If another thread is in a call; at once too.
        """
        with self._reading(lambda connections: connections.connection_at_once()) as connection:
            yield connection

    @contextmanager
    def _reading(self, connect: Callable[[Connections], Any]) -> Iterator[Connection | None]:
        outer: Transaction | None = getattr(self._local, "transaction", None)
        if outer is not None:
            yield outer.connection
        elif not self.exists:
            with _empty() as connection:
                yield connection
        else:
            with explained(self.url, self._timeout_s), connect(self._open()) as opened:
                if opened is None:
                    yield None
                    return
                self._check_schema(opened)
                connection = opened.execution_options(dwcp_write=False)
                if connection.in_transaction():  # a read within a read of this thread
                    yield connection
                else:
                    with _transaction(connection):
                        yield connection

    @property
    def exists(self) -> bool:
        """Whether anything was ever written."""
        path = file_of(self.url)
        if path is not None:
            return path.exists()
        if not self._is_founded:
            with explained(self.url, self._timeout_s), self._open().connection() as opened:
                self._is_founded = is_founded(opened)
        return self._is_founded

    @property
    def is_shared(self) -> bool:
        """Whether workspace folders of several machines may use this database."""
        return self.dialect == "postgresql"

    @property
    def place(self) -> str:
        """The name of this workspace folder among those that use the database."""
        return place_of(self.root)

    def events(
        self,
        *,
        after: int = 0,
        before: int | None = None,
        kinds: Sequence[str] | None = None,
        subject: str | None = None,
        below: str | None = None,
        limit: int | None = None,
    ) -> list[Event]:
        """Return the events after number `after` in order, of these kinds and this subject where given.

        `below` takes a subject with its parts: all versions of a model.
        """
        with self.read() as connection:
            found = event_log.read(
                connection, after=after, before=before, kinds=kinds, subject=subject, below=below, limit=limit
            )
        return [Event.from_record(record) for record in found]

    def head(self) -> tuple[int, str]:
        """Return number and hash of the newest event; keep it elsewhere to prove later that none was cut off."""
        with self.read() as connection:
            return event_log.read_head(connection)

    def verify(
        self, *, checkpoint: tuple[int, str] | None = None, visit: Callable[[Record], None] | None = None
    ) -> bool | ChainBreak:
        """Return True if the event chain holds, else its first break.

        Parameters
        ----------
        checkpoint : (int, str), optional
            An earlier `head`, kept outside. Without one, truncation or a rewrite of the whole chain cannot be excluded.
        visit : callable, optional
            Gets each sound event in its turn, as it is kept.
        """
        with self.read() as connection:
            found = event_log.find_break(connection, checkpoint=checkpoint, visit=visit)
        return True if found is None else found

    def close(self) -> None:
        """Give back connections and lease; the next call opens them again."""
        if self._connections is not None:
            self._connections.close()

    def _open(self) -> Connections:
        with self._mutex:
            if self._connections is None:
                self._connections = connections_to(self.url, self.root, self._timeout_s)
            return self._connections

    def _check_schema(self, connection: Connection) -> None:
        """Migrate where needed, once per connection: a file may be removed and made anew, even as the same inode."""
        if connection.info.get(_CHECKED) or connection.in_transaction():
            return
        if not _has_tables(connection):
            with _transaction(connection.execution_options(dwcp_write=True)):
                if self.dialect == "postgresql":
                    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7232611)")
                migrate(connection, now=self._now)
        connection.info[_CHECKED] = True

    def _refuse_removed(self, connection: Connection) -> None:
        if is_removed(connection):
            raise WorkspaceError(
                f"The metadata '{self.url.database}' were removed while this change was written, so nothing of it is "
                "kept. Repeat it: a new workspace is made there."
            )

    def _create_workspace(self) -> None:
        if self.root.is_dir():
            return
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise WorkspaceError(
                f"The workspace folder '{self.root}' cannot be created: {exc.strerror}. Name another by DWCP_HOME."
            ) from exc
        sys.stderr.write(f"dwcp_jupyter: created the workspace {self.root}\n")

    def _announce(self, seq: int) -> None:
        """Rewrite the sequence file, by which panels learn that something changed."""
        folder = self.root / "run"
        folder.mkdir(exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "sequence", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(descriptor, f"{seq:<20}".encode(), 0)
        finally:
            os.close(descriptor)


class _SpoiledError(Exception):
    """A write failed in the middle, and others share its transaction."""


def _run(tx: Transaction, wanted: Sequence[tuple[Operation, Write]]) -> list[dict[str, Any] | Exception]:
    """Return the results of writes of several operations, in the order in which they are given."""
    results: dict[int, dict[str, Any] | Exception] = {}
    try:
        for operation in dict.fromkeys(operation for operation, _ in wanted):
            places = [place for place, (other, _) in enumerate(wanted) if other == operation]
            results |= zip(places, operation.run(tx, [wanted[place][1] for place in places]), strict=True)
    except Exception as exc:
        if len(wanted) == 1:
            raise
        raise _SpoiledError from exc
    return [results[place] for place in range(len(wanted))]


def _has_tables(connection: Connection) -> bool:
    """Return whether all tables are there; `migrate` would find out too, which costs DuckDB ten milliseconds."""
    try:
        with _transaction(connection.execution_options(dwcp_write=False)):
            newest = connection.execute(sa.select(sa.func.max(schema.migrations.c.number))).scalar()
    except DBAPIError:
        return False
    return newest == schema.SCHEMA_VERSION


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    """Commit or roll back, but never in a forked child: the transaction is its parent's."""
    transaction, pid = None, os.getpid()
    try:
        with interrupting.held():
            transaction = connection.begin()
        yield
    except BaseException as exc:
        if transaction is not None and os.getpid() == pid:
            with interrupting.held():
                _roll_back(transaction, because=exc)
                remembering.forget(connection)
        raise
    if os.getpid() != pid:
        raise WorkspaceError(
            f"This transaction belongs to process {pid}; a forked child cannot commit it. Open one there."
        )
    try:
        with interrupting.held():
            transaction.commit()
    except BaseException:
        remembering.forget(connection)
        raise


def _roll_back(transaction: sa.RootTransaction, *, because: BaseException) -> None:
    try:
        transaction.rollback()
    except (sa.exc.SQLAlchemyError, RuntimeError):
        if not interrupting.is_interruption(because):
            raise  # else the connection is closed, and with it the transaction


@contextmanager
def _empty() -> Iterator[Connection]:
    """Yield a workspace with nothing in it, in memory."""
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            migrate(connection, now=clock.utc_now)
            yield connection
    finally:
        engine.dispose()
