"""The rows of the registry that events make.

Each event changes the rows that those before it made. One that changes what is not there, or that takes over a row
which was altered behind the chain's back, is where folding ends: what would follow means nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dwcp_jupyter.events import ChainBreak, Record
from dwcp_jupyter.registry.expecting import Part, Rows, means_the_same, shortened
from dwcp_jupyter.registry.folding_work import EndpointFold, RunFold
from dwcp_jupyter.store import schema

__all__ = ["Deletion", "Fold", "version_row"]

Step = Callable[[Mapping[str, Any], Record], None]

_KINDS = (
    *("model.created", "model.updated", "model.deleted", "trash.emptied"),
    *("version.registered", "version.sealed", "version.promoted", "version.deleted", "version.restored"),
    *("alias.set", "alias.removed", "policy.set", "policy.removed", "reference.set"),
    *("evidence.recorded", "approval.requested", "approval.decided"),
)
_FIELDS = frozenset(schema.versions.columns.keys())
_REFERENCE_FIELDS = frozenset(schema.reference_data.columns.keys())
_SEALED = frozenset({"framework", "framework_version", "flavor", "signature", "sha256", "size_bytes", "sealed_at"})
"""What completing a draft changes."""
_SENSELESS = (LookupError, TypeError, ValueError, AttributeError)
"""What steps raise on a payload that does not fit the rows; the chain may have been written by anybody."""


class _AlteredError(ValueError):
    """An event took over a row that is not what the events before it made."""


@dataclass(slots=True, kw_only=True)
class Deletion:
    """A version in the trash, with what comes back with it.

    Attributes
    ----------
    seq : int
        The event that deleted it.
    model_seq : int or None
        The event that deleted the whole model with it, in one transaction.
    """

    seq: int
    time: str
    values: dict[str, Any]
    evidence: Rows
    reference: Rows
    model_seq: int | None = None


class Fold:
    """The rows that events make, by table and key.

    Attributes
    ----------
    fault : ChainBreak or None
        The first event that makes no sense.
    deletions : dict of str to Deletion
        By the ids of the versions in the trash.
    former_models : dict of str to dict
        Rows of deleted models as they last were, by id.
    sizes : dict of (str, str) to int
        Bytes of the artifacts ``code`` and ``reference`` of versions, where an event says them.
    """

    def __init__(self) -> None:
        self.runs, self.endpoints = RunFold(), EndpointFold()
        names = ("models", "versions", "aliases", "policies", "evidence", "approvals", "decisions", "reference_data")
        self.tables: dict[str, Rows] = {
            **{name: {} for name in (*names, "trash")},
            "runs": self.runs.rows,
            "endpoints": self.endpoints.rows,
        }
        self.fault: ChainBreak | None = None
        self.deletions: dict[str, Deletion] = {}
        self.former_models: dict[str, dict[str, Any]] = {}
        self.sizes: dict[tuple[str, str], int] = {}
        self._models: dict[str, str] = {}
        self._versions: dict[tuple[str, str], str] = {}
        """Ids by model and version, as the events name them."""
        own: dict[str, Step] = {kind: getattr(self, f"_{kind.replace('.', '_')}") for kind in _KINDS}
        self._steps = own | self.runs.steps | self.endpoints.steps

    def apply(self, event: Record) -> None:
        """Let an event have happened."""
        step = self._steps.get(event.kind)
        if step is None or self.fault is not None:
            return
        try:
            step(event.payload, event)
        except _AlteredError as exc:
            self.fault = ChainBreak(seq=event.seq, reason=f"event {event.seq} {exc}")
        except _SENSELESS:
            what = f"event {event.seq}, {event.kind} of '{event.subject}',"
            self.fault = ChainBreak(seq=event.seq, reason=f"{what} changes what is not there, or does not say how")

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

    def _model_deleted(self, said: Mapping[str, Any], event: Record) -> None:
        model_id = said["model_id"]
        self.former_models[model_id] = self.tables["models"].pop((model_id,))
        together = said.get("versions")
        if together is None:  # an earlier release, which wrote the same time into all events of a transaction
            mine = (key for key, gone in self.deletions.items() if gone.values["model_id"] == model_id)
            together = [key for key in mine if self.deletions[key].time == event.time]
        for version_id in together:
            self.deletions[version_id].model_seq = event.seq

    def _version_registered(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["versions"][(said["id"],)] = version_row(said)
        self._versions[said["model_id"], said["version"]] = said["id"]
        if "code_size_bytes" in said:
            self.sizes[said["id"], "code"] = said["code_size_bytes"]

    def _version_sealed(self, said: Mapping[str, Any], event: Record) -> None:
        _refuse_altered("completes", self.tables["versions"][(said["id"],)], said, but=_SEALED)
        self._version_registered(said, event)

    def _version_promoted(self, said: Mapping[str, Any], _: Record) -> None:
        self.tables["versions"][(said["version_id"],)]["stage"] = said["target"]

    def _version_deleted(self, said: Mapping[str, Any], event: Record) -> None:
        version_id = said["id"]
        before = self.tables["versions"].pop((version_id,))
        _refuse_altered("deletes", before, said, but=frozenset({"sealed_at"}))  # which earlier releases told wrong
        gone = Deletion(
            seq=event.seq,
            time=event.time,
            values=version_row(said),
            evidence=self._take("evidence", version_id),
            reference=self._take("reference_data", version_id),
        )
        self.deletions[version_id] = gone
        aliases = self.tables["aliases"]
        self.tables["aliases"] = {key: row for key, row in aliases.items() if row["version_id"] != version_id}
        rows = {"evidence": [*gone.evidence.values()], "reference_data": [*gone.reference.values()]}
        self.tables["trash"][(version_id,)] = {
            "version_id": version_id,
            "name": said["name"],
            "version": said["version"],
            "body": Part({"values": gone.values, **rows}, said.get("body_sha256")),
            "size_bytes": said["size_bytes"],
            "deleted_at": said.get("deleted_at", event.time),
            "deleted_by": event.actor,
        }

    def _version_restored(self, said: Mapping[str, Any], event: Record) -> None:
        gone = self.deletions.pop(said["id"])
        _refuse_altered("restores", gone.values, said, but=frozenset({"model_id"}))
        del self.tables["trash"][(said["id"],)]
        self._version_registered(said, event)
        self.tables["evidence"].update(gone.evidence)
        self.tables["reference_data"].update(gone.reference)

    def _trash_emptied(self, said: Mapping[str, Any], _: Record) -> None:
        del self.tables["trash"][(said["version_id"],)], self.deletions[said["version_id"]]

    def _alias_set(self, said: Mapping[str, Any], _: Record) -> None:
        model_id = self.tables["versions"][(said["version_id"],)]["model_id"]
        row = {"model_id": model_id, "alias": said["alias"], "version_id": said["version_id"]}
        self.tables["aliases"][(model_id, said["alias"])] = row

    def _alias_removed(self, said: Mapping[str, Any], _: Record) -> None:
        model_id = self.tables["versions"][(said["version_id"],)]["model_id"]
        self.tables["aliases"].pop((model_id, said["alias"]), None)

    def _reference_set(self, said: Mapping[str, Any], _: Record) -> None:
        row = {key: value for key, value in said.items() if key in _REFERENCE_FIELDS}
        self.tables["reference_data"][(said["version_id"],)] = row
        self.sizes.pop((said["version_id"], "reference"), None)
        if "size_bytes" in said:
            self.sizes[said["version_id"], "reference"] = said["size_bytes"]

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

    def _take(self, name: str, version_id: str) -> Rows:
        """Return the rows of a version, taken out of a table whose keys begin with its id."""
        rows = self.tables[name]
        taken = {key: row for key, row in rows.items() if key[0] == version_id}
        for key in taken:
            del rows[key]
        return taken


def version_row(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of `schema.versions` that an event carries."""
    return {key: value for key, value in said.items() if key in _FIELDS}


def _refuse_altered(does: str, before: Mapping[str, Any], said: Mapping[str, Any], *, but: frozenset[str]) -> None:
    """Raise if an event says of a version what the events before it did not."""
    for column, value in before.items():
        if column not in but and not means_the_same(value, said.get(column)):
            raise _AlteredError(
                f"{does} '{said.get('name')}@{before['version']}' otherwise than it was recorded: {column} is "
                f"{shortened(said.get(column))}, recorded was {shortened(value)}"
            )
