"""The last step of registrations, as an operation on plain data: any process of the workspace can do it for others.

It decides the versions' numbers: eight processes that ask for the next one get eight different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, delete, func, select, update

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import DwcpError, InvalidMetadataError, VersionExistsError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.registry.versioning import Bump, SemanticVersion, bump_for
from dwcp_jupyter.store import Artifact, FrameRef, Operation, Transaction, Write, schema

__all__ = ["REGISTER", "refer", "set_reference_data"]


def _register(tx: Transaction, writes: Sequence[Write]) -> list[dict[str, Any] | Exception]:
    """Write versions with their events."""
    batch = _Batch(tx, _look_up(tx.connection, [write.request for write in writes]))
    results: list[dict[str, Any] | Exception] = []
    for write in writes:
        try:
            results.append(batch.add(write))
        except (DwcpError, ValueError) as exc:
            results.append(exc)
    batch.insert()
    return results


def _find(connection: Connection, request: Mapping[str, Any]) -> dict[str, Any] | None:
    table = schema.versions
    row = connection.execute(select(table).where(table.c.id == request["values"]["id"])).first()
    if row is None:
        return None
    model = connection.execute(select(schema.models.c.task_type).where(schema.models.c.id == row.model_id))
    return {"values": dict(row._mapping), "task_type": model.scalar()}


REGISTER = Operation(name=f"{__name__}:REGISTER", run=_register, find=_find)


def set_reference_data(
    tx: Transaction, version: ModelVersion, kept: FrameRef, *, sensitivity: float, source: str
) -> None:
    """Write a version's reference data, in place of earlier ones."""
    if not 0 < sensitivity < 1:
        raise ValueError(
            f"sensitivity={sensitivity} is no level of significance. Give one between 0 and 1, such as 0.05."
        )
    row = _reference_row(version.id, kept, sensitivity=sensitivity, source=source, now=clock.to_text(tx.now))
    table = schema.reference_data
    tx.execute(delete(table).where(table.c.version_id == version.id))
    tx.insert(table, [row])
    refer(tx, version, {"reference": kept.artifact})
    tx.record("reference.set", f"model:{version.reference}", **row, size_bytes=kept.size_bytes)


def refer(tx: Transaction, version: ModelVersion, artifacts: Mapping[str, Artifact | None]) -> None:
    """Write which artifacts a version needs, in place of earlier ones of the same role."""
    table, owner = schema.artifact_references, f"version:{version.id}"
    kept = {role: artifact for role, artifact in artifacts.items() if artifact is not None}
    for role in kept:
        tx.execute(delete(table).where((table.c.owner == owner) & (table.c.role == role)))
    tx.insert(table, _artifact_rows(version.id, kept))


@dataclass(slots=True, kw_only=True)
class _Standing:
    """What a registration finds of a model: its highest version, and those that have a wanted number."""

    model_id: str | None = None
    task_type: str | None = None
    highest: Mapping[str, Any] | None = None
    taken: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, version: Mapping[str, Any]) -> None:
        """Let a version be there."""
        self.taken[version["version"]] = version
        if self.highest is None or version["sort_key"] > self.highest["sort_key"]:
            self.highest = version

    def next(self, bump: Bump, signature: str | None) -> SemanticVersion:
        """Return the number after the highest."""
        if self.highest is None:
            return SemanticVersion(major=1, minor=0, patch=0)
        if bump is Bump.AUTO:
            bump = bump_for(_signature(self.highest["signature"]), _signature(signature))
        return SemanticVersion.parse(self.highest["version"]).next(bump)


class _Batch:
    """Rows to be inserted together; each `add` sees those before it."""

    def __init__(self, tx: Transaction, standings: dict[str, _Standing]) -> None:
        self._tx = tx
        self._now = clock.to_text(tx.now)
        self._standings = standings
        self._rows: dict[Table, list[dict[str, Any]]] = defaultdict(list)

    def add(self, write: Write) -> dict[str, Any]:
        """Return a version's row, to be inserted with all that belongs to it, and its model's task type.

        Raises before it notes anything.
        """
        request, tx = write.request, self._tx.acting(write.actor)
        name, given = request["name"], request["values"]
        standing = self._standings.setdefault(name, _Standing())
        number = _number(request, standing)
        task_type = _task_type(request, standing)
        parent_id = _parent(tx.connection, request, standing)
        reference = _frame(request["reference"])
        values = {
            **given,
            "model_id": self._model(tx, request, standing, task_type),
            "version": str(number),
            "sort_key": number.sort_key,
            "parent_id": parent_id,
            "created_at": self._now,
            "created_by": tx.actor.name,
            "sealed_at": None if given["sha256"] is None else self._now,
        }
        standing.add(values)
        self._rows[schema.versions].append(values)
        kept = {role: Artifact(**artifact) for role, artifact in request["artifacts"].items()}
        sizes = {"code_size_bytes": kept["code"].size_bytes} if "code" in kept else {}
        tx.record("version.registered", f"model:{name}@{number}", name=name, **values, **sizes)
        if reference is not None:
            row = _reference_row(values["id"], reference, sensitivity=0.05, source="training", now=self._now)
            self._rows[schema.reference_data].append(row)
            tx.record("reference.set", f"model:{name}@{number}", **row, size_bytes=reference.size_bytes)
            kept["reference"] = reference.artifact
        self._rows[schema.artifact_references] += _artifact_rows(values["id"], kept)
        return {"values": values, "task_type": task_type}

    def insert(self) -> None:
        """Write the rows."""
        for table, rows_of_table in self._rows.items():
            self._tx.insert(table, rows_of_table)

    def _model(self, tx: Transaction, request: Mapping[str, Any], standing: _Standing, task_type: str | None) -> str:
        """Return the id of the version's model, which a first version makes and the first task type completes."""
        if standing.model_id is None:
            standing.task_type = task_type
            return self._add_model(tx, request)
        if task_type != standing.task_type:
            standing.task_type = task_type
            for row in self._rows[schema.models]:
                if row["id"] == standing.model_id:
                    row["task_type"] = task_type
            tx.execute(update(schema.models).where(_MODELS.id == standing.model_id).values(task_type=task_type))
            tx.record("model.updated", f"model:{request['name']}", task_type=task_type)
        return standing.model_id

    def _add_model(self, tx: Transaction, request: Mapping[str, Any]) -> str:
        given = request["values"]
        values = rows.new_model_values(
            model_id=given["model_id"],
            name=request["name"],
            description=given["description"],
            tags=given["tags"],
            task_type=request["task_type"],
            now=self._now,
        )
        self._rows[schema.models].append(values)
        tx.record("model.created", f"model:{request['name']}", **values)
        model_id = self._standings[request["name"]].model_id = str(values["id"])
        return model_id


def _number(request: Mapping[str, Any], standing: _Standing) -> SemanticVersion:
    wanted = request["version"]
    if wanted is None:
        return standing.next(Bump(request["bump"]), request["values"]["signature"])
    if (existing := standing.taken.get(wanted)) is not None:
        raise VersionExistsError(
            f"'{request['name']}@{wanted}' exists already, registered by {existing['created_by']} on "
            f"{existing['created_at'][:16]} UTC; versions do not change. "
            f"Register {standing.next(Bump.PATCH, None)} instead, or leave the version out."
        )
    return SemanticVersion.parse(wanted)


def _task_type(request: Mapping[str, Any], standing: _Standing) -> str | None:
    said = request["task_type"]
    if said is None or standing.task_type in (None, said):
        return said or standing.task_type
    raise InvalidMetadataError(
        f"'{request['name']}' is a model for {standing.task_type}, and this version is for {said}; versions of one "
        "model can take each other's place. Register it under another name, or leave out the task type."
    )


def _parent(connection: Connection, request: Mapping[str, Any], standing: _Standing) -> str | None:
    if request["parent"] is not None:
        return resolution.resolve(connection, request["parent"]).id
    return None if standing.highest is None else str(standing.highest["id"])


_MODELS, _VERSIONS = schema.models.c, schema.versions.c
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_WANTED: BindParameter[Any] = bindparam("wanted", expanding=True)
_HIGHEST = (
    select(_VERSIONS.model_id, func.max(_VERSIONS.sort_key).label("sort_key"))
    .where(_VERSIONS.model_id.in_(select(_MODELS.id).where(_MODELS.name.in_(_NAMES))))
    .group_by(_VERSIONS.model_id)
    .subquery()
)
_STANDINGS = (
    select(
        _MODELS.name.label("model_name"),
        _MODELS.id.label("known_model_id"),
        _MODELS.task_type.label("known_task_type"),
        _VERSIONS.id,
        _VERSIONS.version,
        _VERSIONS.sort_key,
        _VERSIONS.signature,
        _VERSIONS.created_at,
        _VERSIONS.created_by,
    )
    .select_from(
        schema.models.outerjoin(_HIGHEST, _HIGHEST.c.model_id == _MODELS.id).outerjoin(
            schema.versions,
            (_VERSIONS.model_id == _MODELS.id)
            & ((_VERSIONS.sort_key == _HIGHEST.c.sort_key) | _VERSIONS.version.in_(_WANTED)),
        )
    )
    .where(_MODELS.name.in_(_NAMES))
)
"""One statement for all that registrations ask: each costs DuckDB milliseconds, while every other process waits."""


def _look_up(connection: Connection, requests: Sequence[Mapping[str, Any]]) -> dict[str, _Standing]:
    """Return by name what there is of the models of `requests`."""
    names = sorted({request["name"] for request in requests})
    wanted = sorted({request["version"] for request in requests} - {None})
    standings: dict[str, _Standing] = {}
    for row in connection.execute(_STANDINGS, {"names": names, "wanted": wanted}):
        standing = standings.setdefault(
            row.model_name, _Standing(model_id=row.known_model_id, task_type=row.known_task_type)
        )
        if row.id is not None:
            standing.add(dict(row._mapping))
    return standings


def _frame(record: Mapping[str, Any] | None) -> FrameRef | None:
    return None if record is None else FrameRef(**{**record, "columns": tuple(record["columns"])})


def _reference_row(version_id: str, kept: FrameRef, *, sensitivity: float, source: str, now: str) -> dict[str, Any]:
    return {
        "version_id": version_id,
        "sha256": kept.sha256,
        "rows": kept.rows,
        "columns": schema.dump(list(kept.columns)),
        "sensitivity": repr(float(sensitivity)),
        "source": source,
        "created_at": now,
    }


def _artifact_rows(version_id: str, artifacts: Mapping[str, Artifact]) -> list[dict[str, Any]]:
    return [
        {"sha256": artifact.sha256, "owner": f"version:{version_id}", "role": role, "size_bytes": artifact.size_bytes}
        for role, artifact in artifacts.items()
    ]


def _signature(text: str | None) -> Signature | None:
    record = schema.load(text)
    return None if record is None else Signature.from_json(record)
