"""Whether the registry's rows are what the chain of events says they must be.

Whoever edits a row without an event (a stage, a metric, a decision) is found here: the events are folded into the rows
that they make, and these are compared with the tables, column by column. What the events themselves are worth, the
chain's own check says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection, select

from dwcp_jupyter.events import ChainBreak, Record
from dwcp_jupyter.store import event_log, schema

__all__ = ["Fold", "find_altered_row"]

_TABLES = {
    "models": (schema.models, ("id",)),
    "versions": (schema.versions, ("id",)),
    "aliases": (schema.aliases, ("model_id", "alias")),
    "policies": (schema.policies, ("model", "stage")),
    "evidence": (schema.evidence, ("version_id", "kind")),
    "approvals": (schema.approvals, ("id",)),
    "decisions": (schema.decisions, ("approval_id", "reviewer")),
}
_KINDS = (
    *("model.created", "model.updated", "model.deleted"),
    *("version.registered", "version.sealed", "version.promoted", "version.deleted", "version.restored"),
    *("alias.set", "alias.removed", "policy.set", "policy.removed"),
    *("evidence.recorded", "approval.requested", "approval.decided"),
)
_UNTOLD = {"models": {"updated_at"}, "aliases": {"updated_at"}}
"""Columns that repeat an event's time and decide nothing."""

Rows = dict[tuple[str, ...], dict[str, Any]]


def find_altered_row(connection: Connection, folded: Fold) -> ChainBreak | None:
    """Return the first row that the events do not explain, as a break after the newest event; or None."""
    seq = event_log.read_head(connection)[0] + 1
    for name, (table, keys) in _TABLES.items():
        columns = table.columns.keys()
        places = [columns.index(key) for key in keys]
        rows = connection.execute(select(table)).all()
        found = {tuple(str(row[i]) for i in places): dict(zip(columns, row, strict=True)) for row in rows}
        fault = _difference(name, folded.tables[name], found)
        if fault is not None:
            return ChainBreak(seq=seq, reason=fault)
    return None


class Fold:
    """The rows that events make, by table and key."""

    def __init__(self) -> None:
        self.tables: dict[str, Rows] = {name: {} for name in _TABLES}
        self._set_aside: dict[str, Rows] = {}
        """Evidence of deleted versions, which comes back with them."""
        self._models: dict[str, str] = {}
        self._versions: dict[tuple[str, str], str] = {}
        """Ids by model and version, as the events name them."""
        self._steps: dict[str, Callable[[Mapping[str, Any], Record], None]] = {
            kind: getattr(self, f"_{kind.replace('.', '_')}") for kind in _KINDS
        }

    def apply(self, event: Record) -> None:
        """Let an event have happened."""
        step = self._steps.get(event.kind)
        if step is not None:
            step(event.payload, event)

    def _model_created(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["models"][(said["id"],)] = dict(said)
        self._models[said["name"]] = said["id"]

    def _model_updated(self, said: Mapping[str, Any], event: Record) -> None:
        name, at, version = event.subject.partition(":")[2].partition("@")
        model_id = self._models[name]
        if at:
            self.tables["versions"][(self._versions[model_id, version],)].update(said)
        else:
            self.tables["models"][(model_id,)].update(said)

    def _model_deleted(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["models"].pop((said["model_id"],), None)

    def _version_registered(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["versions"][(said["id"],)] = {key: value for key, value in said.items() if key != "name"}
        self._versions[said["model_id"], said["version"]] = said["id"]

    _version_sealed = _version_registered

    def _version_restored(self, said: Mapping[str, Any], event: Record) -> None:
        self._version_registered(said, event)
        self.tables["evidence"].update(self._set_aside.pop(said["id"], {}))

    def _version_promoted(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["versions"][(said["version_id"],)]["stage"] = said["target"]

    def _version_deleted(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["versions"].pop((said["id"],), None)
        aliases, evidence = self.tables["aliases"], self.tables["evidence"]
        self.tables["aliases"] = {key: row for key, row in aliases.items() if row["version_id"] != said["id"]}
        self._set_aside[said["id"]] = {key: row for key, row in evidence.items() if key[0] == said["id"]}
        self.tables["evidence"] = {key: row for key, row in evidence.items() if key[0] != said["id"]}

    def _alias_set(self, said: Mapping[str, Any], _: Record) -> None:
        model_id = self.tables["versions"][(said["version_id"],)]["model_id"]
        row = {"model_id": model_id, "alias": said["alias"], "version_id": said["version_id"]}
        self.tables["aliases"][(model_id, said["alias"])] = row

    def _alias_removed(self, said: Mapping[str, Any], _: Record) -> None:
        model_id = self.tables["versions"][(said["version_id"],)]["model_id"]
        self.tables["aliases"].pop((model_id, said["alias"]), None)

    def _policy_set(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["policies"][(said["model"], said["stage"])] = dict(said)

    def _policy_removed(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["policies"].pop((said["model"], said["stage"]), None)

    def _evidence_recorded(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["evidence"][(said["version_id"], said["kind"])] = dict(said)

    def _approval_requested(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["approvals"][(said["id"],)] = dict(said)

    def _approval_decided(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["approvals"][(said["approval_id"],)]["state"] = said["state"]
        row = {key: value for key, value in said.items() if key not in ("state", "stage")}
        self.tables["decisions"][(said["approval_id"], said["reviewer"])] = row


def _difference(name: str, expected: Rows, found: Rows) -> str | None:
    """Return in words where a table is not what it must be, or None."""
    for key in sorted({*expected, *found}):
        called = _called(name, expected.get(key) or found[key])
        if key not in found:
            return f"{called} is gone from the table {name} without an event"
        if key not in expected:
            return f"{called} stands in the table {name} without an event"
        if expected[key] == found[key]:
            continue
        for column, value in found[key].items():
            if column not in _UNTOLD.get(name, ()) and expected[key].get(column) != value:
                return (
                    f"{called} in the table {name} was changed without an event: {column} is {_short(value)}, recorded "
                    f"was {_short(expected[key].get(column))}"
                )
    return None


def _called(name: str, row: Mapping[str, Any]) -> str:
    words = {
        "models": ("name",),
        "versions": ("version", "id"),
        "aliases": ("alias",),
        "policies": ("model", "stage"),
        "evidence": ("kind", "version_id"),
        "approvals": ("id",),
        "decisions": ("name", "approval_id"),
    }[name]
    return "'" + " ".join(str(row.get(word)) for word in words) + "'"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
