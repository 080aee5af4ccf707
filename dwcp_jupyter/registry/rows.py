"""Between rows of the database and the registry's values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from dwcp_jupyter import clock
from dwcp_jupyter.flavors import Framework, Signature
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.registry.versioning import SemanticVersion
from dwcp_jupyter.store import schema

__all__ = ["VERSIONS", "from_values", "new_model_values", "to_version", "version_values"]

_COLUMNS = tuple(schema.versions.columns.keys())

VERSIONS = select(
    schema.versions,
    schema.models.c.name.label("model_name"),
    schema.models.c.task_type,
).join(schema.models, schema.models.c.id == schema.versions.c.model_id)
"""Versions with their model's name; add a condition and an order."""


def to_version(row: Row[Any], aliases: tuple[str, ...] = (), *, model: Row[Any] | None = None) -> ModelVersion:
    """Return the value of a row of `VERSIONS`; or of `schema.versions`, with the row of its model."""
    found = tuple(row)
    values = dict(zip(_COLUMNS, found, strict=False))  # a quarter of the time that attributes of the row take
    name, task_type = found[-2:] if model is None else (model.name, model.task_type)
    return from_values(values, name=name, task_type=task_type, aliases=aliases)


def from_values(
    values: Mapping[str, Any], *, name: str, task_type: str | None, aliases: tuple[str, ...] = ()
) -> ModelVersion:
    """Return the value of a row of `schema.versions` as `version_values` makes it."""
    signature = schema.load(values["signature"])
    return ModelVersion(
        id=values["id"],
        model_id=values["model_id"],
        name=name,
        version=values["version"],
        stage=Stage(values["stage"]),
        framework=Framework(values["framework"]) if values["framework"] else None,
        framework_version=values["framework_version"],
        flavor=values["flavor"],
        sha256=values["sha256"],
        size_bytes=values["size_bytes"],
        signature=Signature.from_json(signature) if signature is not None else None,
        metrics=schema.load(values["metrics"]),
        hyperparameters=schema.load(values["hyperparameters"]),
        tags=tuple(schema.load(values["tags"])),
        description=values["description"],
        changelog=values["changelog"],
        author=values["author"],
        task_type=task_type,
        training_dataset=values["training_dataset"],
        training_started_at=_moment(values["training_started_at"]),
        training_ended_at=_moment(values["training_ended_at"]),
        environment=schema.load(values["environment"]),
        git_commit=values["git_commit"],
        code_sha256=values["code_sha256"],
        run_id=values["run_id"],
        parent_id=values["parent_id"],
        custom_metadata=schema.load(values["custom_metadata"]),
        aliases=aliases,
        created_at=_moment(values["created_at"]),
        created_by=values["created_by"],
    )


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
