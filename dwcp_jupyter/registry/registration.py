"""The steps of registering a version: check, package, keep, commit.

Only the last one touches the database, and it decides the version's number there: eight processes that ask for the next
one get eight different ones.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError as DuplicateRowError

from dwcp_jupyter import clock, flavors
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import TransitionError, VersionExistsError
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.names import check_name
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelMetadata, ModelVersion
from dwcp_jupyter.registry.versioning import Bump, SemanticVersion, bump_for
from dwcp_jupyter.store import Artifact, FrameRef, Stores, Transaction, schema

__all__ = [
    "Kept",
    "Plan",
    "commit",
    "find_reference_data",
    "keep",
    "package",
    "prepare",
    "remove",
    "seal",
    "set_reference_data",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Checked metadata: its name as kept, its version or how to find the next."""

    metadata: ModelMetadata
    name: str
    version: SemanticVersion | None
    bump: Bump
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What lies in the artifact store already."""

    info: flavors.PackageInfo | None = None
    package: Artifact | None = None
    code: Artifact | None = None
    reference: FrameRef | None = None


def prepare(metadata: ModelMetadata, *, bump: Bump | str) -> Plan:
    """Return the plan for `metadata`; raises for what could not be kept."""
    return Plan(
        metadata=metadata,
        name=check_name(metadata.name),
        version=None if metadata.version is None else SemanticVersion.parse(metadata.version),
        bump=Bump(bump),
        metrics=rows.check_metrics(metadata.metrics),
    )


def package(
    folder: Path,
    *,
    model: Any = None,
    artifact_path: str | os.PathLike[str] | None = None,
    framework: flavors.Framework | str | None = None,
    signature: flavors.Signature | None = None,
    input_example: Any = None,
    trust: flavors.Trust | str | None = None,
    call: str | None = None,
    on_trust: Callable[[flavors.TrustDecision], None] | None = None,
) -> Path | None:
    """Return `folder`, filled with a package; None where there is nothing to pack.

    `call` and `on_trust` are those of `flavors.adopt_file`.
    """
    if model is not None and artifact_path is not None:
        raise ValueError("Both model and artifact_path are given. Give the one that is to be kept.")
    if model is not None:
        flavors.save_model(model, folder, signature=signature, input_example=input_example)
        return folder
    if artifact_path is None:
        return None
    source = Path(artifact_path)
    if not source.exists():
        raise FileNotFoundError(f"There is no file or folder '{source}' to register. Save the model there first.")
    if source.is_dir():
        flavors.read_package(source)
        shutil.copytree(source, folder, symlinks=True)
        return folder
    flavors.adopt_file(
        source,
        folder,
        framework=None if framework is None else flavors.Framework(str(framework)),
        signature=signature,
        input_example=input_example,
        trust=trust,
        call=call,
        on_trust=on_trust,
    )
    return folder


def keep(stores: Stores, folder: Path | None, *, code: str | None, reference: Any = None) -> Kept:
    """Return the artifacts made of a package folder, of source code and of reference data."""
    return Kept(
        info=None if folder is None else flavors.read_package(folder),
        package=None if folder is None else stores.artifacts.put_tree(folder),
        code=None if code is None else stores.artifacts.put_bytes(code.encode()),
        reference=None if reference is None else stores.frames.put(reference),
    )


def commit(stores: Stores, plan: Plan, kept: Kept, *, actor: Actor | None, new_id: Callable[[], str]) -> ModelVersion:
    """Return the version, written with its event.

    Raises
    ------
    VersionExistsError
        If it is there already.
    """
    try:
        with stores.metadata.transaction(actor) as tx:
            standing = _standing(tx.connection, plan.name, plan.version)
            _refuse_existing(tx.connection, plan, standing)
            model_id = standing.model_id or _create_model(tx, plan, new_id)
            number = plan.version or _next(standing, plan.bump, kept.info)
            version = _value(
                tx, plan, kept, model_id=model_id, number=number, parent_id=standing.version_id, version_id=new_id()
            )
            values = rows.version_values(version)
            tx.execute(_INSERT_VERSION, [values])
            _refer(tx, version, kept)
            tx.record("version.registered", f"model:{version.reference}", name=plan.name, **values)
            if kept.reference is not None:
                set_reference_data(tx, version, kept.reference, sensitivity=0.05, source="training")
            return version
    except DuplicateRowError as exc:  # another process was first, on a database without a lease
        wanted = plan.version or "the next version"
        raise VersionExistsError(
            f"'{plan.name}@{wanted}' was registered by another process just now. Register again."
        ) from exc


def seal(stores: Stores, draft: ModelVersion, kept: Kept, *, actor: Actor | None) -> ModelVersion:
    """Return the draft with its artifact.

    Raises
    ------
    VersionExistsError
        If it has one already.
    """
    assert kept.package is not None
    assert kept.info is not None
    with stores.metadata.transaction(actor) as tx:
        current = resolution.resolve(tx.connection, draft.id)
        if not current.is_draft:
            raise VersionExistsError(
                f"'{current.reference}' has its model file already ({str(current.sha256)[:12]}…). Register a new one."
            )
        values = rows.version_values(_with_package(current, kept.info, kept.package))
        values["sealed_at"] = clock.to_text(tx.now)
        tx.execute(update(schema.versions).where(schema.versions.c.id == draft.id).values(**values))
        sealed = resolution.resolve(tx.connection, draft.id)
        _refer(tx, sealed, kept)
        tx.record("version.sealed", f"model:{sealed.reference}", name=sealed.name, **values)
        return sealed


def remove(tx: Transaction, version: ModelVersion) -> None:
    """Remove a version's rows; its event carries them.

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
    tx.execute(delete(schema.aliases).where(schema.aliases.c.version_id == version.id))
    tx.execute(delete(schema.artifact_references).where(schema.artifact_references.c.owner == f"version:{version.id}"))
    tx.execute(delete(schema.reference_data).where(schema.reference_data.c.version_id == version.id))
    tx.execute(delete(schema.versions).where(schema.versions.c.id == version.id))
    tx.record("version.deleted", f"model:{version.reference}", name=version.name, **rows.version_values(version))


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
    _refer_to(tx, version, {"reference": Artifact(sha256=kept.sha256, size_bytes=kept.size_bytes)})
    tx.record("reference.set", f"model:{version.reference}", version_id=version.id, **values)


def find_reference_data(connection: Connection, version_id: str) -> FrameRef | None:
    """Return a version's reference data, or None."""
    refs = schema.artifact_references
    row = connection.execute(
        select(schema.reference_data, refs.c.size_bytes)
        .join(refs, (refs.c.sha256 == schema.reference_data.c.sha256) & (refs.c.owner == f"version:{version_id}"))
        .where(schema.reference_data.c.version_id == version_id)
    ).first()
    if row is None:
        return None
    return FrameRef(
        sha256=row.sha256, rows=row.rows, columns=tuple(schema.load(row.columns)), size_bytes=row.size_bytes
    )


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


def _standing(connection: Connection, name: str, version: SemanticVersion | None) -> _Standing:
    wanted = "" if version is None else str(version)
    row = connection.execute(_STANDING, {"name": name, "version": wanted}).first()
    return _Standing() if row is None else _Standing(**row._mapping)


def _refuse_existing(connection: Connection, plan: Plan, standing: _Standing) -> None:
    if plan.version is None or standing.version != str(plan.version):
        return
    free = _next(_standing(connection, plan.name, None), Bump.PATCH, None)
    created_at = str(standing.created_at)[:16]
    raise VersionExistsError(
        f"'{plan.name}@{standing.version}' exists already, registered by {standing.created_by} on {created_at} UTC; "
        f"versions do not change. Register {free} instead, or leave the version out."
    )


def _create_model(tx: Transaction, plan: Plan, new_id: Callable[[], str]) -> str:
    model_id, now = new_id(), clock.to_text(tx.now)
    values = {
        "id": model_id,
        "name": plan.name,
        "description": plan.metadata.description,
        "task_type": plan.metadata.task_type,
        "tags": schema.dump(list(plan.metadata.tags)),
        "custom_metadata": schema.dump({}),
        "created_at": now,
        "updated_at": now,
    }
    tx.execute(insert(schema.models).values(**values))
    tx.record("model.created", f"model:{plan.name}", **values)
    return model_id


def _next(standing: _Standing, bump: Bump, info: flavors.PackageInfo | None) -> SemanticVersion:
    if standing.version is None:
        return SemanticVersion(major=1, minor=0, patch=0)
    if bump is Bump.AUTO:
        known = schema.load(standing.signature)
        before = None if known is None else flavors.Signature.from_json(known)
        bump = bump_for(before, None if info is None else info.signature)
    return SemanticVersion.parse(standing.version).next(bump)


def _value(
    tx: Transaction,
    plan: Plan,
    kept: Kept,
    *,
    model_id: str,
    number: SemanticVersion,
    parent_id: str | None,
    version_id: str,
) -> ModelVersion:
    said = plan.metadata
    if said.parent is not None:
        parent_id = resolution.resolve(tx.connection, said.parent).id
    version = ModelVersion(
        id=version_id,
        model_id=model_id,
        name=plan.name,
        version=str(number),
        stage=Stage.DEVELOPMENT,
        framework=None if said.framework is None else flavors.Framework(str(said.framework)),
        framework_version=said.framework_version,
        metrics=plan.metrics,
        hyperparameters=dict(said.hyperparameters),
        tags=tuple(said.tags),
        description=said.description,
        changelog=said.changelog,
        author=said.author,
        task_type=said.task_type,
        training_dataset=said.training_dataset,
        training_started_at=said.training_started_at,
        training_ended_at=said.training_ended_at,
        environment=dict(said.environment),
        git_commit=said.git_commit,
        code_sha256=None if kept.code is None else kept.code.sha256,
        run_id=said.run_id,
        parent_id=parent_id,
        custom_metadata=dict(said.custom_metadata),
        created_at=tx.now,
        created_by=tx.actor.name,
    )
    return version if kept.info is None or kept.package is None else _with_package(version, kept.info, kept.package)


def _with_package(version: ModelVersion, info: flavors.PackageInfo, artifact: Artifact) -> ModelVersion:
    return replace(
        version,
        framework=info.framework,
        framework_version=version.framework_version or info.framework_version,
        flavor=info.flavor,
        signature=info.signature,
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
    )


def _refer(tx: Transaction, version: ModelVersion, kept: Kept) -> None:
    _refer_to(tx, version, {"package": kept.package, "code": kept.code})


def _refer_to(tx: Transaction, version: ModelVersion, artifacts: dict[str, Artifact | None]) -> None:
    table, owner = schema.artifact_references, f"version:{version.id}"
    for role, artifact in artifacts.items():
        if artifact is None:
            continue
        tx.execute(delete(table).where((table.c.owner == owner) & (table.c.role == role)))
        tx.execute(insert(table).values(sha256=artifact.sha256, owner=owner, role=role, size_bytes=artifact.size_bytes))
