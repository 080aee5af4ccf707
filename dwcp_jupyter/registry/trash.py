"""What was deleted and can come back.

A deleted version leaves the tables and lies in the trash with all that belonged to it; its artifacts stay needed. When
the trash is emptied it is gone for good, and the files that nothing else needs go with it. Its name and number are
free at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import ModelNotFoundError, TransitionError, VersionExistsError, did_you_mean
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.names import parse_reference
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Column, Displayed, Facts, Format, Listed, Note, Table, View
from dwcp_jupyter.store import Transaction, schema

__all__ = ["KEPT_FOR", "GarbageReport", "TrashList", "Trashed", "empty", "list_trash", "restore", "throw_away"]

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
    """

    versions: tuple[str, ...]
    blobs: int
    bytes: int
    is_dry: bool

    def _view(self) -> View:
        would = "would be " if self.is_dry else ""
        facts = Facts(
            {
                f"Versions that {would}gone for good": ", ".join(self.versions) or "none",
                f"Files {would}removed": self.blobs,
                f"Bytes {would}freed": self.bytes,
            }
        )
        return View("Garbage collection" + (" (dry run)" if self.is_dry else ""), [facts])


def throw_away(tx: Transaction, version: ModelVersion) -> None:
    """Move a version to the trash, with its aliases and reference data.

    Raises
    ------
    TransitionError
        If it is in production or served.
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
    body = {
        "values": rows.version_values(version),
        "task_type": version.task_type,
        "aliases": list(resolution.aliases_to(tx.connection, model_id=version.model_id, version_id=version.id)),
        "reference_data": _all(tx, schema.reference_data, schema.reference_data.c.version_id == version.id),
        "evidence": _all(tx, schema.evidence, schema.evidence.c.version_id == version.id),
    }
    values = {
        "version_id": version.id,
        "name": version.name,
        "version": version.version,
        "body": schema.dump(body),
        "size_bytes": version.size_bytes,
        "deleted_at": clock.to_text(tx.now),
        "deleted_by": tx.actor.name,
    }
    tx.insert(schema.trash, [values])
    for table, key in (
        (schema.aliases, schema.aliases.c.version_id),
        (schema.reference_data, schema.reference_data.c.version_id),
        (schema.evidence, schema.evidence.c.version_id),
        (schema.versions, schema.versions.c.id),
    ):
        tx.execute(delete(table).where(key == version.id))
    _rename_owner(tx, f"version:{version.id}", f"trash:{version.id}")
    tx.record("version.deleted", f"model:{version.reference}", name=version.name, **rows.version_values(version))


def restore(tx: Transaction, model_id: str, *, new_id: str) -> ModelVersion:
    """Return a version that came back from the trash; of several, the one that was deleted last.

    Raises
    ------
    ModelNotFoundError
        If the trash does not hold it.
    VersionExistsError
        If its number was given to another version meanwhile.
    """
    found = _find(tx.connection, model_id)
    body = schema.load(found.body)
    values = body["values"]
    model = resolution.find_model(tx.connection, found.name)
    if model is None:
        model_id = new_id
        _create_model(tx, found.name, model_id, values, body["task_type"])
    else:
        model_id = model.id
    table = schema.versions
    key = (table.c.model_id == model_id) & (table.c.version == found.version)
    if tx.execute(select(table.c.id).where(key)).first() is not None:
        raise VersionExistsError(
            f"'{found.name}@{found.version}' was registered again after the deletion. Delete that one "
            "first, or keep it."
        )
    values = {**values, "model_id": model_id}
    tx.insert(table, [values])
    tx.insert(schema.reference_data, body["reference_data"])
    tx.insert(schema.evidence, body["evidence"])
    _rename_owner(tx, f"trash:{found.version_id}", f"version:{found.version_id}")
    tx.execute(delete(schema.trash).where(schema.trash.c.version_id == found.version_id))
    reference = f"{found.name}@{found.version}"
    tx.record("version.restored", f"model:{reference}", name=found.name, **values)
    aliases = schema.aliases
    taken = set(tx.execute(select(aliases.c.alias).where(aliases.c.model_id == model_id)).scalars())
    for alias in body["aliases"]:
        if alias not in taken:
            row = {"alias": alias, "version_id": found.version_id}
            tx.execute(insert(aliases).values(model_id=model_id, updated_at=clock.to_text(tx.now), **row))
            tx.record("alias.set", f"model:{reference}", before=None, **row)
    return resolution.resolve(tx.connection, found.version_id)


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


def _to_json(item: Trashed) -> dict[str, Any]:
    return {**asdict(item), "deleted_at": clock.to_text(item.deleted_at)}


def _all(tx: Transaction, table: Any, condition: Any) -> list[dict[str, Any]]:
    return [dict(row._mapping) for row in tx.execute(select(table).where(condition))]


def _rename_owner(tx: Transaction, former: str, new: str) -> None:
    table = schema.artifact_references
    tx.execute(update(table).where(table.c.owner == former).values(owner=new))


def _create_model(tx: Transaction, name: str, model_id: str, values: dict[str, Any], task_type: str | None) -> None:
    row = rows.new_model_values(
        model_id=model_id,
        name=name,
        description=values["description"],
        tags=values["tags"],
        task_type=task_type,
        now=clock.to_text(tx.now),
    )
    tx.insert(schema.models, [row])
    tx.record("model.created", f"model:{name}", **row)


def _find(connection: Connection, model_id: str) -> Any:
    table = schema.trash
    query = select(table).order_by(table.c.deleted_at.desc())
    by_id = connection.execute(query.where(table.c.version_id == model_id)).first()
    if by_id is not None:
        return by_id
    reference = parse_reference(model_id)
    query = query.where(table.c.name == reference.name)
    if reference.version is not None:
        query = query.where(table.c.version == str(reference.version))
    found = connection.execute(query).first()
    if found is not None and (reference.selector is None or reference.version is not None):
        return found
    held = list(connection.execute(select(table.c.name, table.c.version)))
    references = [f"{row.name}@{row.version}" for row in held]
    raise ModelNotFoundError(
        f"The trash holds no '{model_id}'.{did_you_mean(model_id, references)} "
        f"It holds: {', '.join(references[:8]) or 'nothing'}."
    )


def _value(row: Any) -> Trashed:
    return Trashed(
        version_id=row.version_id,
        name=row.name,
        version=row.version,
        size_bytes=row.size_bytes,
        deleted_at=clock.from_text(row.deleted_at),
        deleted_by=row.deleted_by,
    )
