"""What was deleted and can come back.

A deleted version leaves the tables and lies in the trash with all that belonged to it; its artifacts stay needed, and
the event of its deletion has the sum of what lies there. When the trash is emptied it is gone for good, and the files
that nothing else needs go with it. Its name and number are free at once. `restoring` is the way back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, update

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.exceptions import TransitionError
from dwcp_jupyter.registry import aliasing, resolution
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Column, Displayed, Facts, Format, Listed, Note, Table, View
from dwcp_jupyter.store import Transaction, schema

__all__ = ["KEPT_FOR", "GarbageReport", "TrashList", "Trashed", "empty", "list_trash", "rename_owner", "throw_away"]

KEPT_FOR = timedelta(days=30)
"""How long the trash is kept when garbage is collected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trashed:
    """A deleted version that can come back."""

    version_id: str
    name: str
    version: str
    size_bytes: int | None
    deleted_at: datetime
    deleted_by: str

    @property
    def reference(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


class TrashList(Listed[Trashed]):
    """Deleted versions, the latest first."""

    __slots__ = ()

    def _view(self) -> View:
        found = [(t.reference, t.size_bytes, t.deleted_at, t.deleted_by) for t in self]
        columns = ("Version", Column("Size", format=Format.BYTES), "Deleted", "By")
        return View("Trash", [Table(columns, found)] if found else [Note("The trash is empty.", "info")])


@dataclass(frozen=True, slots=True, kw_only=True)
class GarbageReport(Displayed):
    """What a garbage collection removed, or would remove.

    Attributes
    ----------
    versions : tuple of str
        Deleted versions that can no longer come back.
    blobs, bytes : int
        Files removed, and their size.
    others : tuple of str
        In a dry run: other databases that keep files in the same artifact store, for which nothing can be removed.
    """

    versions: tuple[str, ...]
    blobs: int
    bytes: int
    is_dry: bool
    others: tuple[str, ...] = ()

    def _view(self) -> View:
        would = "would be " if self.is_dry else ""
        gone = "Versions that would be gone for good" if self.is_dry else "Versions gone for good"
        facts = Facts(
            {
                gone: ", ".join(self.versions) or "none",
                f"Files {would}removed": self.blobs,
                f"Bytes {would}freed": self.bytes,
            }
        )
        refused = f"Nothing can be removed while other databases keep files there: {'; '.join(self.others)}"
        notes = [Note(refused, "warning")] if self.others else []
        return View("Garbage collection" + (" (dry run)" if self.is_dry else ""), [facts, *notes])


def throw_away(tx: Transaction, version: ModelVersion) -> None:
    """Move a version to the trash, with its aliases and reference data.

    Raises
    ------
    TransitionError, ApprovalError
        If it is in production or served, or carries an alias that a policy protects.
    """
    if version.stage is Stage.PRODUCTION:
        raise TransitionError(
            f"'{version.reference}' is in production and cannot be deleted. Move it to staging or archive it."
        )
    endpoint = tx.execute(select(schema.endpoints.c.name).where(schema.endpoints.c.version_id == version.id)).scalar()
    if endpoint is not None:
        raise TransitionError(
            f"'{version.reference}' is served by endpoint '{endpoint}'. Remove that first: %undeploy {endpoint}"
        )
    carried = resolution.aliases_to(tx.connection, model_id=version.model_id, version_id=version.id)
    aliasing.refuse_loss(tx.connection, version, carried, what="deleted with it")
    values = dict(tx.execute(select(schema.versions).where(schema.versions.c.id == version.id)).one()._mapping)
    body = schema.dump(
        {
            "values": values,
            "task_type": version.task_type,
            "aliases": list(carried),
            "reference_data": _all(tx, schema.reference_data, schema.reference_data.c.version_id == version.id),
            "evidence": _all(tx, schema.evidence, schema.evidence.c.version_id == version.id),
        }
    )
    trashed = {
        "version_id": version.id,
        "name": version.name,
        "version": version.version,
        "body": body,
        "size_bytes": version.size_bytes,
        "deleted_at": clock.to_text(tx.now),
        "deleted_by": tx.actor.name,
    }
    tx.insert(schema.trash, [trashed])
    for table, key in (
        (schema.aliases, schema.aliases.c.version_id),
        (schema.reference_data, schema.reference_data.c.version_id),
        (schema.evidence, schema.evidence.c.version_id),
        (schema.versions, schema.versions.c.id),
    ):
        tx.execute(delete(table).where(key == version.id))
    rename_owner(tx, f"version:{version.id}", f"trash:{version.id}")
    said = {"body_sha256": hashing.sha256_bytes(body.encode()), "deleted_at": trashed["deleted_at"]}
    tx.record("version.deleted", f"model:{version.reference}", name=version.name, **values, **said)


def list_trash(connection: Connection) -> TrashList:
    """Return deleted versions, the latest first."""
    table = schema.trash
    query = select(table).order_by(table.c.deleted_at.desc(), table.c.version_id)
    return TrashList(_value(row) for row in connection.execute(query))


def empty(tx: Transaction, doomed: Iterable[Trashed]) -> None:
    """Let deleted versions be gone for good; their events stay."""
    for item in doomed:
        tx.execute(delete(schema.trash).where(schema.trash.c.version_id == item.version_id))
        owner = schema.artifact_references.c.owner == f"trash:{item.version_id}"
        tx.execute(delete(schema.artifact_references).where(owner))
        tx.record("trash.emptied", f"model:{item.reference}", **_to_json(item))


def rename_owner(tx: Transaction, former: str, new: str) -> None:
    """Let what an owner needs among the artifacts be needed by another one."""
    table = schema.artifact_references
    tx.execute(update(table).where(table.c.owner == former).values(owner=new))


def _to_json(item: Trashed) -> dict[str, Any]:
    return {**asdict(item), "deleted_at": clock.to_text(item.deleted_at)}


def _all(tx: Transaction, table: Any, condition: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in tx.execute(select(table).where(condition))]


def _value(row: Any) -> Trashed:
    return Trashed(
        version_id=row.version_id,
        name=row.name,
        version=row.version,
        size_bytes=row.size_bytes,
        deleted_at=clock.from_text(row.deleted_at),
        deleted_by=row.deleted_by,
    )
