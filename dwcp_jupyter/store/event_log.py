"""The event chain in the metadata: append, read, check.

The bodies are stored as the bytes that were hashed. `head` holds number and hash of the newest event; whoever
appends locks that row first, which is what keeps the chain from forking.

Times follow the chain. Several machines may write to one database, and their clocks differ: an event is never stamped
before the one it continues. That costs exactness of a second or two where a clock lags, and nothing of the order; a
clock that was hours ahead does not rule what follows, which then goes by its own again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from dwcp_jupyter import clock, events, hashing
from dwcp_jupyter.exceptions import SettingError, WorkspaceError
from dwcp_jupyter.store import remembering, schema
from dwcp_jupyter.store.inserting import insert_rows

__all__ = ["Pending", "append", "find_break", "lock_head", "parse_checkpoint", "read", "read_head"]

_MOST_SKEW = timedelta(hours=1)
"""How far ahead of this clock the newest event may be for its time to count."""
_CHECKPOINT = re.compile(r"(\d{1,18}):([0-9a-f]{64})")

_HEAD = select(schema.head.c.seq, schema.head.c.hash).where(schema.head.c.id == bindparam("wanted"))
_THE_ONE = {"wanted": 1}
_TIME = select(schema.events.c.time).where(schema.events.c.seq == bindparam("wanted"))
_MOVE_HEAD = (
    update(schema.head).where(schema.head.c.id == 1).values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """An event that has no number yet."""

    kind: str
    subject: str
    actor: events.Actor
    payload: Mapping[str, Any]


def lock_head(connection: Connection, *, dialect: str) -> None:
    """Let one writer at a time go on; on DuckDB the lease, on SQLite ``BEGIN IMMEDIATE`` did so already."""
    if dialect == "postgresql":
        connection.execute(select(schema.head.c.id).with_for_update())


def append(connection: Connection, pending: Sequence[Pending], *, time: datetime) -> int:
    """Append events to the chain; return the number of the last one.

    Parameters
    ----------
    time : datetime
        When they happened, by this machine's clock; of the newest event's time, the later counts.
    """
    seq, previous = read_head(connection)
    time = _not_before(connection, seq, time)
    rows = []
    for item in pending:
        seq += 1
        event = events.Event(
            seq=seq,
            time=time,
            kind=item.kind,
            subject=item.subject,
            actor=item.actor,
            payload=item.payload,
            previous=previous,
        )
        body = event.body()
        previous = hashing.sha256_bytes(body)
        rows.append(
            {
                "seq": seq,
                "kind": item.kind,
                "subject": item.subject,
                "time": clock.to_text(time),
                "body": body.decode(),
                "hash": previous,
            }
        )
    insert_rows(connection, schema.events, rows)
    connection.execute(_MOVE_HEAD, {"new_seq": seq, "new_hash": previous})
    remembering.put(connection, _HEAD, _THE_ONE, [(seq, previous)], table=schema.head)
    remembering.put(connection, _TIME, {"wanted": seq}, [(clock.to_text(time),)], table=schema.events)
    return seq


def _not_before(connection: Connection, seq: int, time: datetime) -> datetime:
    """Return `time`, or that of event `seq` where this is a little later."""
    found = remembering.rows_of(connection, _TIME, {"wanted": seq}, table=schema.events)
    newest = found[0][0] if found else ""
    if clock.to_text(time) < newest <= clock.to_text(time + _MOST_SKEW):
        return clock.from_text(newest)
    return time


def read(
    connection: Connection,
    *,
    after: int = 0,
    before: int | None = None,
    until: datetime | None = None,
    kinds: Sequence[str] | None = None,
    subject: str | None = None,
    below: str | None = None,
    limit: int | None = None,
) -> list[events.Record]:
    """Return events in order, the first `limit` of them if that is given.

    `until` is a moment, with what happened in it: the events go up to the last that is not later, so that they are the
    beginning of what happened also where clocks differed. `below` names a subject whose events are wanted with those of
    its parts: of ``model:churn`` also ``model:churn@1.0.0``.
    """
    table = schema.events.c
    query = select(table.time, table.body).where(table.seq > after).order_by(table.seq)
    if before is not None:
        query = query.where(table.seq < before)
    if kinds is not None:
        query = query.where(table.kind.in_(list(kinds)))
    if subject is not None:
        query = query.where(table.subject == subject)
    if below is not None:
        start = f"{below}@"
        is_part = func.substr(table.subject, 1, len(start)) == start
        query = query.where((table.subject == below) | is_part)
    if until is None:
        return [events.read_record(body) for _, body in connection.execute(query.limit(limit)).all()]
    found, moment = connection.execute(query).all(), clock.to_text(until)
    count = next((place for place in range(len(found), 0, -1) if found[place - 1].time <= moment), 0)
    return [events.read_record(body) for _, body in found[:count][:limit]]


def read_head(connection: Connection) -> tuple[int, str]:
    """Return number and hash of the newest event; ``(0, GENESIS)`` before the first."""
    found = [tuple(row) for row in remembering.rows_of(connection, _HEAD, _THE_ONE, table=schema.head)]
    if not found:
        raise WorkspaceError(
            "The row that names the newest event is gone from the metadata: somebody removed it by hand. Nothing can "
            "be recorded without it. Restore a backup with %dwcp restore."
        )
    return int(found[0][0]), str(found[0][1])


def parse_checkpoint(given: str | tuple[int, str]) -> tuple[int, str]:
    """Return number and hash of an event, from these or from the text that shows them, such as ``"12:9f3c…"``.

    Raises
    ------
    SettingError
        If it is neither.
    """
    if isinstance(given, tuple) and [type(part) for part in given] == [int, str]:
        return given  # also one that no chain can have, such as a head that somebody wrote: it is a break
    shown = ":".join(map(str, given)) if isinstance(given, tuple) else str(given)
    found = _CHECKPOINT.fullmatch(shown.strip())
    if found is None or (int(found[1]) == 0 and found[2] != events.GENESIS):
        raise SettingError(
            f"'{shown}' is no checkpoint. Give number and hash of an event as %audit shows them: 12:9f3c…, with all 64 "
            "digits of the hash."
        )
    return int(found[1]), found[2]


def find_break(
    connection: Connection,
    *,
    checkpoint: str | tuple[int, str] | None = None,
    visit: Callable[[events.Record], None] | None = None,
) -> events.ChainBreak | None:
    """Return the first break of the chain, of its columns against their bodies, its head or `checkpoint`; or None.

    `visit` gets each sound event in its turn.
    """
    wanted = None if checkpoint is None else parse_checkpoint(checkpoint)
    remembering.forget(connection)  # what is proven is what is stored
    table = schema.events.c
    columns = (table.seq, table.kind, table.subject, table.time, table.body, table.hash)
    rows = connection.execute(select(*columns).order_by(table.seq)).all()
    found = events.find_break(rows, visit=visit)
    if found is not None:
        return found
    newest = (int(rows[-1].seq), str(rows[-1].hash)) if rows else (0, events.GENESIS)
    head = connection.execute(_HEAD, _THE_ONE).first()
    if head is None:
        return events.ChainBreak(seq=newest[0] + 1, reason=f"the head is gone that named the newest event, {newest[0]}")
    if (int(head.seq), str(head.hash)) != newest:
        return events.ChainBreak(seq=newest[0] + 1, reason=f"the head does not match the newest event, {newest[0]}")
    return _compare_with(wanted, connection) if wanted is not None else None


def _compare_with(checkpoint: tuple[int, str], connection: Connection) -> events.ChainBreak | None:
    seq, expected = checkpoint
    if seq == 0 and expected == events.GENESIS:
        return None
    found = connection.execute(select(schema.events.c.hash).where(schema.events.c.seq == seq)).scalar()
    if found is None:
        count = connection.execute(select(func.count()).select_from(schema.events)).scalar()
        return events.ChainBreak(seq=seq, reason=f"the checkpoint names event {seq}, but the chain ends at {count}")
    if found != expected:
        return events.ChainBreak(
            seq=seq, reason=f"event {seq} is not the one that the checkpoint names: history was rewritten"
        )
    return None
