"""Whether the rows of the workspace are what the chain of events says they must be.

Whoever edits a row without an event (a stage, a metric, a decision, what lies in the trash, how a run ended) is found
here: the events are folded into the rows that they make, and these are compared with the tables, column by column. What
the events themselves are worth, the chain's own check says. Two things are data and no state, and are left out: the
values that a run logs, of which its last event has the sum (`Tracker.verify_run` reads them), and how an endpoint is
doing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from dwcp_jupyter.events import ChainBreak
from dwcp_jupyter.registry.expecting import Rows, agrees, shortened
from dwcp_jupyter.registry.folding import Fold
from dwcp_jupyter.registry.needing import expected_references
from dwcp_jupyter.store import event_log, schema

__all__ = ["TABLES", "Proven", "difference", "find_break"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proven:
    """A table whose rows events explain.

    Attributes
    ----------
    words : tuple of str
        Columns by which a person knows a row.
    untold : frozenset of str
        Columns that repeat an event's time and decide nothing.
    is_partial : bool
        Whether events tell some of the columns only: those are compared.
    """

    table: Table
    keys: tuple[str, ...]
    words: tuple[str, ...]
    untold: frozenset[str] = frozenset()
    is_partial: bool = False


_UPDATED = frozenset({"updated_at"})
TABLES = {
    "models": Proven(table=schema.models, keys=("id",), words=("name",), untold=_UPDATED),
    "versions": Proven(table=schema.versions, keys=("id",), words=("version", "id")),
    "aliases": Proven(table=schema.aliases, keys=("model_id", "alias"), words=("alias",), untold=_UPDATED),
    "reference_data": Proven(table=schema.reference_data, keys=("version_id",), words=("version_id",)),
    "trash": Proven(table=schema.trash, keys=("version_id",), words=("name", "version")),
    "policies": Proven(table=schema.policies, keys=("model", "stage"), words=("model", "stage")),
    "evidence": Proven(table=schema.evidence, keys=("version_id", "kind"), words=("kind", "version_id")),
    "approvals": Proven(table=schema.approvals, keys=("id",), words=("id",)),
    "decisions": Proven(table=schema.decisions, keys=("approval_id", "reviewer"), words=("name", "approval_id")),
    "runs": Proven(table=schema.runs, keys=("id",), words=("name", "id"), is_partial=True),
    "endpoints": Proven(table=schema.endpoints, keys=("id",), words=("name",), is_partial=True),
    "artifact_references": Proven(
        table=schema.artifact_references,
        keys=("sha256", "owner", "role"),
        words=("role", "owner"),
        is_partial=True,
    ),
}


def find_break(connection: Connection, *, checkpoint: str | tuple[int, str] | None = None) -> ChainBreak | None:
    """Return the first place where chain or rows do not hold, or None. Of rows it is one after the newest event."""
    folded = Fold()
    broken = event_log.find_break(connection, checkpoint=checkpoint, visit=folded.apply)
    faults = [fault for fault in (folded.fault, broken) if fault is not None]
    if faults:
        return min(faults, key=lambda fault: fault.seq)
    altered = _find_altered_row(connection, folded)
    return None if altered is None else ChainBreak(seq=event_log.read_head(connection)[0] + 1, reason=altered)


def difference(name: str, expected: Rows, found: Rows, folded: Fold | None = None) -> str | None:
    """Return in words where a table is not what it must be, or None; `folded` knows whose a row is."""
    suspects = [key for key in {*expected, *found} if expected.get(key) != found.get(key)]
    for key in sorted(suspects, key=str):
        known, row = expected.get(key), found.get(key)
        merged = {**(row or {}), **(known or {})}
        called = _called(name, merged) + ("" if folded is None else _whose(name, merged, folded))
        if row is None:
            return f"{called} is gone from the table {name} without an event"
        if known is None:
            return f"{called} stands in the table {name} without an event"
        changed = _changed(TABLES[name], known, row)
        if changed is not None:
            return f"{called} in the table {name} was changed without an event: {changed}"
    return None


def _find_altered_row(connection: Connection, folded: Fold) -> str | None:
    runs: Sequence[Row[Any]] = []
    for name, proven in TABLES.items():
        rows = connection.execute(select(proven.table)).all()
        found = _by_key(proven, rows)
        if name == "runs":
            runs = rows
        if name == "artifact_references":
            expected = expected_references(folded, runs)
            found = {key: row for key, row in found.items() if key in expected or key not in folded.endpoints.ever}
        else:
            expected = folded.tables[name]
        fault = difference(name, expected, found, folded)
        if fault is not None:
            return fault
    return None


def _by_key(proven: Proven, rows: Sequence[Row[Any]]) -> Rows:
    columns = proven.table.columns.keys()
    places = [columns.index(key) for key in proven.keys]
    return {tuple(str(row[i]) for i in places): dict(zip(columns, row, strict=True)) for row in rows}


def _changed(proven: Proven, known: Mapping[str, Any], row: Mapping[str, Any]) -> str | None:
    """Return the first column that is not what is known of it, in words."""
    for column, value in row.items():
        if column in proven.untold or (proven.is_partial and column not in known):
            continue
        if not agrees(known.get(column), value):
            return f"{column} is {shortened(value)}, recorded was {shortened(known.get(column))}"
    return None


def _called(name: str, row: Mapping[str, Any]) -> str:
    return "'" + " ".join(str(row.get(word)) for word in TABLES[name].words) + "'"


def _whose(name: str, row: Mapping[str, Any], folded: Fold) -> str:
    """Return of which model or version a row is, in words; nothing where it says so itself, or nobody knows."""
    if "name" in TABLES[name].words:
        return ""
    version = folded.tables["versions"].get((str(row.get("version_id")),))
    model = folded.tables["models"].get((str((version or row).get("model_id")),))
    if model is None:
        return ""
    return f" of '{model['name']}'" if version is None else f" of '{model['name']}@{version['version']}'"
