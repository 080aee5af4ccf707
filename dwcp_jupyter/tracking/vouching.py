"""Whether a run is what its events vouch for.

Its row is proven with all others, by `registry.verify`. The values that it logged may be millions, so they are read
only where somebody asks for them: of one run, or of those that ended last.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Row, select

from dwcp_jupyter.events import Record
from dwcp_jupyter.registry import proof
from dwcp_jupyter.registry.folding import Fold
from dwcp_jupyter.store import event_log, schema
from dwcp_jupyter.tracking import history

__all__ = ["bodies_of", "find_altered_history", "has_history", "is_as_told"]


def is_as_told(row: Row[Any], told: Iterable[Record]) -> bool:
    """Return whether the row of a run is what its events say."""
    folded, key = Fold(), (row.id,)
    for event in told:
        folded.apply(event)
    is_sound = folded.fault is None and key in folded.runs.rows
    return is_sound and proof.difference("runs", {key: folded.runs.rows[key]}, {key: dict(row._mapping)}) is None


def find_altered_history(connection: Connection, *, limit: int | None) -> tuple[str, str] | None:
    """Return id and name of a run whose logged values are not those that it ended with, or None.

    Parameters
    ----------
    limit : int, optional
        How many runs are looked at, those that ended last: all their values are read. All runs without it.
    """
    ended = {event.subject: event for event in event_log.read(connection, kinds=("run.ended", "run.deleted"))}
    known = [event for event in ended.values() if "history_sha256" in event.payload]
    for event in known[::-1][:limit]:
        run_id = event.subject.partition(":")[2]
        if not has_history(connection, run_id, event.payload["history_sha256"]):
            return run_id, str(event.payload.get("name"))
    return None


def has_history(connection: Connection, run_id: str, sha256: str) -> bool:
    """Return whether the sum over all that a run logged is this one."""
    return history.sum_of_sums(map(history.sum_of_body, bodies_of(connection, run_id))) == sha256


def bodies_of(connection: Connection, run_id: str) -> list[str]:
    """Return the bodies of a run's rows of values, in order."""
    table = schema.run_metrics.c
    return list(connection.execute(select(table.body).where(table.run_id == run_id).order_by(table.number)).scalars())
