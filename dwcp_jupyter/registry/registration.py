"""The steps of registering a version: check, package, keep, commit.

Only the last one touches the database; it is `recording.REGISTER`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError as DuplicateRowError

from dwcp_jupyter import clock, flavors
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import TransitionError, VersionExistsError
from dwcp_jupyter.flavors import packing
from dwcp_jupyter.registry import recording, resolution, rows
from dwcp_jupyter.registry.checking import (
    check_choice,
    check_mapping,
    check_metrics,
    check_moment,
    check_tags,
    check_text,
)
from dwcp_jupyter.registry.names import check_name, reference_of
from dwcp_jupyter.registry.stages import Stage, stage_of
from dwcp_jupyter.registry.values import ModelMetadata, ModelVersion
from dwcp_jupyter.registry.versioning import Bump, SemanticVersion
from dwcp_jupyter.store import Artifact, FrameRef, Stores, schema

__all__ = [
    "Kept",
    "Plan",
    "check_metadata",
    "commit",
    "find_reference_data",
    "keep",
    "package",
    "prepare",
    "seal",
]

_MAPPINGS = ("hyperparameters", "environment", "custom_metadata")
_MOMENTS = ("training_started_at", "training_ended_at")
_TEXTS = ("framework_version", "author", "training_dataset", "task_type", "git_commit", "run_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Checked metadata: its name as kept, its version or how to find the next."""

    metadata: ModelMetadata
    name: str
    version: SemanticVersion | None
    bump: Bump
    stage: Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What lies in the artifact store already."""

    info: flavors.PackageInfo | None = None
    package: Artifact | None = None
    code: Artifact | None = None
    reference: FrameRef | None = None


def check_metadata(metadata: Any) -> None:
    """Raise unless it is a `ModelMetadata`.

    Raises
    ------
    TypeError
    """
    if not isinstance(metadata, ModelMetadata):
        raise TypeError(
            f"What is said of a version is a ModelMetadata, not a {type(metadata).__name__}. Give "
            "ModelMetadata(name='NAME'), or register by Workspace().register('NAME', model)."
        )


def prepare(metadata: ModelMetadata, *, bump: Bump | str, stage: Stage | str = Stage.DEVELOPMENT) -> Plan:
    """Return the plan for `metadata`; raises for what could not be kept."""
    check_metadata(metadata)
    name = check_name(metadata.name)
    said: dict[str, Any] = {field: check_mapping(getattr(metadata, field), field=field) for field in _MAPPINGS}
    said |= {field: check_text(getattr(metadata, field), field=field) for field in ("description", "changelog")}
    said |= {field: check_text(getattr(metadata, field), field=field) or None for field in _TEXTS}
    said |= {field: check_moment(getattr(metadata, field), field=field) for field in _MOMENTS}
    said |= {
        "framework": check_choice(flavors.Framework, metadata.framework, field="framework")
        if metadata.framework
        else None,
        "parent": None if metadata.parent is None else reference_of(metadata.parent),
        "code": None if metadata.code is None else check_text(metadata.code, field="code"),
    }
    said |= {"name": name, "metrics": check_metrics(metadata.metrics), "tags": check_tags(metadata.tags)}
    return Plan(
        metadata=replace(metadata, **said),
        name=name,
        version=None if metadata.version is None else SemanticVersion.parse(metadata.version),
        bump=check_choice(Bump, bump, field="bump"),
        stage=_entry(stage),
    )


def _entry(stage: Stage | str) -> Stage:
    """Return the stage into which a version is registered."""
    found = stage_of(stage)
    if found not in (Stage.DEVELOPMENT, Stage.STAGING):
        raise TransitionError(
            f"A version is not registered into {found}, which it enters from another stage. Register it into "
            "development or staging, and move it by promote_model."
        )
    return found


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
    if source.is_dir() and not packing.is_saved_model(source):
        flavors.read_package(source)
        shutil.copytree(source, folder, symlinks=True)
        flavors.check_package(folder)  # the copy: nobody changes that after the look
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
        done = stores.metadata.apply(recording.REGISTER, _request(plan, kept, new_id), actor)
    except DuplicateRowError as exc:  # another process was first, on a database without a lease
        wanted = plan.version or "the next version"
        raise VersionExistsError(
            f"'{plan.name}@{wanted}' was registered by another process just now. Register again."
        ) from exc
    return rows.from_values(done["values"], name=plan.name, task_type=done["task_type"])


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
        recording.refer(tx, sealed, {"package": kept.package, "code": kept.code})
        tx.record("version.sealed", f"model:{sealed.reference}", name=sealed.name, **values)
        return sealed


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


def _request(plan: Plan, kept: Kept, new_id: Callable[[], str]) -> dict[str, Any]:
    """Return all that `recording.REGISTER` needs, as plain data."""
    said = plan.metadata
    version = ModelVersion(
        id=new_id(),
        model_id=new_id(),
        name=plan.name,
        version="0.0.0",
        stage=Stage.DEVELOPMENT,
        framework=None if said.framework is None else flavors.Framework(str(said.framework)),
        framework_version=said.framework_version,
        metrics=dict(said.metrics),
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
        custom_metadata=dict(said.custom_metadata),
    )
    if kept.info is not None and kept.package is not None:
        version = _with_package(version, kept.info, kept.package)
    return {
        "name": plan.name,
        "version": None if plan.version is None else str(plan.version),
        "bump": str(plan.bump),
        "parent": said.parent,
        "task_type": said.task_type,
        "values": rows.version_values(version),
        "artifacts": {
            role: asdict(artifact)
            for role, artifact in (("package", kept.package), ("code", kept.code))
            if artifact is not None
        },
        "reference": None if kept.reference is None else asdict(kept.reference),
    }


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
