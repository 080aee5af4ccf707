"""Between rows of the database and the registry's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import Row, select

from dwcp_jupyter import clock
from dwcp_jupyter.flavors import Framework, Signature
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.registry.versioning import SemanticVersion
from dwcp_jupyter.store import schema

__all__ = ["VERSIONS", "from_values", "new_model_values", "to_version", "version_values"]

VERSIONS = select(
    schema.versions,
    schema.models.c.name.label("model_name"),
    schema.models.c.task_type,
).join(schema.models, schema.models.c.id == schema.versions.c.model_id)
"""Versions with their model's name; add a condition and an order."""


def to_version(row: Row[Any], aliases: tuple[str, ...] = (), *, model: Row[Any] | None = None) -> ModelVersion:
    """Return the value of a row of `VERSIONS`; or of `schema.versions`, with the row of its model."""
    signature = schema.load(row.signature)
    return ModelVersion(
        id=row.id,
        model_id=row.model_id,
        name=row.model_name if model is None else model.name,
        version=row.version,
        stage=Stage(row.stage),
        framework=Framework(row.framework) if row.framework else None,
        framework_version=row.framework_version,
        flavor=row.flavor,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        signature=Signature.from_json(signature) if signature is not None else None,
        metrics=schema.load(row.metrics),
        hyperparameters=schema.load(row.hyperparameters),
        tags=tuple(schema.load(row.tags)),
        description=row.description,
        changelog=row.changelog,
        author=row.author,
        task_type=row.task_type if model is None else model.task_type,
        training_dataset=row.training_dataset,
        training_started_at=_moment(row.training_started_at),
        training_ended_at=_moment(row.training_ended_at),
        environment=schema.load(row.environment),
        git_commit=row.git_commit,
        code_sha256=row.code_sha256,
        run_id=row.run_id,
        parent_id=row.parent_id,
        custom_metadata=schema.load(row.custom_metadata),
        aliases=aliases,
        created_at=_moment(row.created_at),
        created_by=row.created_by,
    )


def from_values(
    values: Mapping[str, Any], *, name: str, task_type: str | None, aliases: tuple[str, ...] = ()
) -> ModelVersion:
    """Return the value of a row of `schema.versions` as `version_values` makes it."""
    return to_version(cast("Row[Any]", SimpleNamespace(**values, model_name=name, task_type=task_type)), aliases)


def new_model_values(
    *,
    model_id: str,
    name: str,
    description: str,
    tags: str,
    task_type: str | None,
    now: str,
) -> dict[str, Any]:
    """Return the row of `schema.models` for a new model; also what its event carries."""
    return {
        "id": model_id,
        "name": name,
        "description": description,
        "task_type": task_type,
        "tags": tags,
        "custom_metadata": schema.dump({}),
        "created_at": now,
        "updated_at": now,
    }


def version_values(version: ModelVersion) -> dict[str, Any]:
    """Return the row of `schema.versions` for a value, JSON throughout; also what its event carries."""
    return {
        "id": version.id,
        "model_id": version.model_id,
        "version": version.version,
        "sort_key": SemanticVersion.parse(version.version).sort_key,
        "stage": str(version.stage),
        "parent_id": version.parent_id,
        "changelog": version.changelog,
        "description": version.description,
        "author": version.author,
        "framework": None if version.framework is None else str(version.framework),
        "framework_version": version.framework_version,
        "flavor": version.flavor,
        "training_dataset": version.training_dataset,
        "training_started_at": _text(version.training_started_at),
        "training_ended_at": _text(version.training_ended_at),
        "metrics": schema.dump(dict(version.metrics)),
        "hyperparameters": schema.dump(dict(version.hyperparameters)),
        "tags": schema.dump(list(version.tags)),
        "custom_metadata": schema.dump(dict(version.custom_metadata)),
        "environment": schema.dump(dict(version.environment)),
        "signature": None if version.signature is None else schema.dump(version.signature.to_json()),
        "git_commit": version.git_commit,
        "code_sha256": version.code_sha256,
        "run_id": version.run_id,
        "sha256": version.sha256,
        "size_bytes": version.size_bytes,
        "created_at": _text(version.created_at),
        "created_by": version.created_by,
        "sealed_at": None if version.sha256 is None else _text(version.created_at),
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else clock.from_text(text)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)
