"""The last step of a registration, as an operation on plain data: any process of the workspace can do it for another.

It decides the version's number: eight processes that ask for the next one get eight different ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import VersionExistsError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.registry.versioning import Bump, SemanticVersion, bump_for
from dwcp_jupyter.store import Artifact, FrameRef, Operation, Transaction, schema

__all__ = ["REGISTER", "refer", "set_reference_data"]


def _register(tx: Transaction, request: Mapping[str, Any]) -> dict[str, Any]:
    """Write a version with its event; raises before it writes anything."""
    name, wanted, given = request["name"], request["version"], request["values"]
    standing = _standing(tx.connection, name, wanted)
    _refuse_existing(tx.connection, name, wanted, standing)
    parent = request["parent"]
    parent_id = standing.version_id if parent is None else resolution.resolve(tx.connection, parent).id
    number = (
        _next(standing, Bump(request["bump"]), given["signature"]) if wanted is None else SemanticVersion.parse(wanted)
    )
    now = clock.to_text(tx.now)
    values = {
        **given,
        "model_id": standing.model_id or _create_model(tx, request, given["model_id"]),
        "version": str(number),
        "sort_key": number.sort_key,
        "parent_id": parent_id,
        "created_at": now,
        "created_by": tx.actor.name,
        "sealed_at": None if given["sha256"] is None else now,
    }
    tx.execute(_INSERT_VERSION, [values])
    tx.record("version.registered", f"model:{name}@{number}", name=name, **values)
    artifacts = {
        role: Artifact(sha256=kept[0], size_bytes=kept[1]) for role, kept in request["artifacts"].items() if kept
    }
    reference = request["reference"]
    if artifacts or reference is not None:
        version = rows.from_values(values, name=name, task_type=request["task_type"])
        refer(tx, version, artifacts)
        if reference is not None:
            frame = FrameRef(**{**reference, "columns": tuple(reference["columns"])})
            set_reference_data(tx, version, frame, sensitivity=0.05, source="training")
    return {"values": values}


def _find(connection: Connection, request: Mapping[str, Any]) -> dict[str, Any] | None:
    table = schema.versions
    row = connection.execute(select(table).where(table.c.id == request["values"]["id"])).first()
    return None if row is None else {"values": dict(row._mapping)}


REGISTER = Operation(name=f"{__name__}:REGISTER", run=_register, find=_find)


def set_reference_data(
    tx: Transaction, version: ModelVersion, kept: FrameRef, *, sensitivity: float, source: str
) -> None:
    """Write a version's reference data, in place of earlier ones."""
    if not 0 < sensitivity < 1:
        raise ValueError(
            f"sensitivity={sensitivity} is no level of significance. Give one between 0 and 1, such as 0.05."
        )
    values = {
        "sha256": kept.sha256,
        "rows": kept.rows,
        "columns": schema.dump(list(kept.columns)),
        "sensitivity": repr(float(sensitivity)),
        "source": source,
        "created_at": clock.to_text(tx.now),
    }
    table = schema.reference_data
    tx.execute(delete(table).where(table.c.version_id == version.id))
    tx.execute(insert(table).values(version_id=version.id, **values))
    refer(tx, version, {"reference": Artifact(sha256=kept.sha256, size_bytes=kept.size_bytes)})
    tx.record("reference.set", f"model:{version.reference}", version_id=version.id, **values)


def refer(tx: Transaction, version: ModelVersion, artifacts: Mapping[str, Artifact | None]) -> None:
    """Write which artifacts a version needs."""
    table, owner = schema.artifact_references, f"version:{version.id}"
    for role, artifact in artifacts.items():
        if artifact is None:
            continue
        tx.execute(delete(table).where((table.c.owner == owner) & (table.c.role == role)))
        tx.execute(insert(table).values(sha256=artifact.sha256, owner=owner, role=role, size_bytes=artifact.size_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What a registration finds: the model, and of its versions the wanted one if it is there, else the highest."""

    model_id: str | None = None
    version_id: str | None = None
    version: str | None = None
    signature: str | None = None
    created_at: str | None = None
    created_by: str | None = None


_STANDING = (
    select(
        schema.models.c.id.label("model_id"),
        schema.versions.c.id.label("version_id"),
        schema.versions.c.version,
        schema.versions.c.signature,
        schema.versions.c.created_at,
        schema.versions.c.created_by,
    )
    .select_from(schema.models.outerjoin(schema.versions, schema.versions.c.model_id == schema.models.c.id))
    .where(schema.models.c.name == bindparam("name"))
    .order_by((schema.versions.c.version == bindparam("version")).desc(), schema.versions.c.sort_key.desc())
    .limit(1)
)
"""One statement for all a registration asks: each costs DuckDB a millisecond while every other process waits."""
_INSERT_VERSION = insert(schema.versions)


def _standing(connection: Connection, name: str, version: str | None) -> _Standing:
    row = connection.execute(_STANDING, {"name": name, "version": version or ""}).first()
    return _Standing() if row is None else _Standing(**row._mapping)


def _refuse_existing(connection: Connection, name: str, wanted: str | None, standing: _Standing) -> None:
    if wanted is None or standing.version != wanted:
        return
    free = _next(_standing(connection, name, None), Bump.PATCH, None)
    created_at = str(standing.created_at)[:16]
    raise VersionExistsError(
        f"'{name}@{wanted}' exists already, registered by {standing.created_by} on {created_at} UTC; "
        f"versions do not change. Register {free} instead, or leave the version out."
    )


def _create_model(tx: Transaction, request: Mapping[str, Any], model_id: str) -> str:
    now = clock.to_text(tx.now)
    values = {
        "id": model_id,
        "name": request["name"],
        "description": request["values"]["description"],
        "task_type": request["task_type"],
        "tags": request["values"]["tags"],
        "custom_metadata": schema.dump({}),
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(insert(schema.models).values(**values))
    tx.record("model.created", f"model:{request['name']}", **values)
    return model_id


def _next(standing: _Standing, bump: Bump, signature: str | None) -> SemanticVersion:
    if standing.version is None:
        return SemanticVersion(major=1, minor=0, patch=0)
    if bump is Bump.AUTO:
        bump = bump_for(_signature(standing.signature), _signature(signature))
    return SemanticVersion.parse(standing.version).next(bump)


def _signature(text: str | None) -> Signature | None:
    record = schema.load(text)
    return None if record is None else Signature.from_json(record)
