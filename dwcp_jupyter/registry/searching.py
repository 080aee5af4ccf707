"""Versions that meet a condition, over all models."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, select

from dwcp_jupyter.exceptions import FilterError
from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.names import parse_reference
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.filtering import Comparison, Field, of_json, of_list, of_text, parse_filter, parse_order

__all__ = ["search"]

_MODELS, _VERSIONS, _ALIASES = schema.models.c, schema.versions.c, schema.aliases.c
_ORDERS = {"name": _MODELS.name, "version": _VERSIONS.sort_key, "created_at": _VERSIONS.created_at}


def search(
    connection: Connection,
    condition: str,
    *,
    order_by: str | None = None,
    limit: int | None = None,
    after: str | None = None,
) -> list[ModelVersion]:
    """Return the versions that meet a condition; see `ModelRegistry.search_versions`."""
    fields = _fields(connection.dialect.name)
    query = select(_VERSIONS.id).join(schema.models, _MODELS.id == _VERSIONS.model_id)
    query = query.where(parse_filter(condition, fields)) if condition.strip() else query
    if order_by is not None:
        if after is not None:
            raise FilterError("Pages follow names and versions: leave out order_by, or after.")
        query = query.order_by(
            parse_order(order_by, _ORDERS, metrics=_VERSIONS.metrics, dialect=connection.dialect.name)
        )
    elif after is not None:
        query = query.where(_follows(after))
    query = query.order_by(_MODELS.name, _VERSIONS.sort_key.desc())
    return _values(connection, list(connection.execute(query.limit(limit)).scalars()))


def _fields(dialect: str) -> dict[str, Field]:
    parameters = of_json(_VERSIONS.hyperparameters, dialect=dialect)
    return {
        "name": of_text(_MODELS.name, fold=lambda value: unicodedata.normalize("NFC", value)),
        "version": of_text(_VERSIONS.version, fold=lambda value: value.removeprefix("v")),
        "stage": of_text(_VERSIONS.stage, fold=str.lower),
        "framework": of_text(_VERSIONS.framework, fold=str.lower),
        "task_type": of_text(_MODELS.task_type),
        "author": of_text(_VERSIONS.author),
        "created_by": of_text(_VERSIONS.created_by),
        "created_at": of_text(_VERSIONS.created_at),
        "description": of_text(_VERSIONS.description),
        "changelog": of_text(_VERSIONS.changelog),
        "run_id": of_text(_VERSIONS.run_id),
        "tag": of_list(_VERSIONS.tags, dialect=dialect),
        "alias": _of_alias,
        "metrics": of_json(_VERSIONS.metrics, dialect=dialect),
        "hyperparameters": parameters,
        "params": parameters,
        "custom_metadata": of_json(_VERSIONS.custom_metadata, dialect=dialect),
    }


def _of_alias(said: Comparison) -> ColumnElement[bool]:
    if said.key or not isinstance(said.value, str):
        said.refuse("compare it with a text in quotes, such as alias = 'champion'.")
    operator = "=" if said.operator == "!=" else said.operator
    meant = Comparison(field="alias", key="", operator=operator, value=said.value, place=said.place)
    is_called = exists().where((_ALIASES.version_id == _VERSIONS.id) & meant.between(_ALIASES.alias))
    return ~is_called if said.operator == "!=" else is_called


def _follows(reference: str) -> ColumnElement[bool]:
    parsed = parse_reference(reference)
    if parsed.version is None:
        raise FilterError(f"'{reference}' is no version. Give after the last one of a page, such as 'churn@1.0.0'.")
    return (_MODELS.name > parsed.name) | (
        (_MODELS.name == parsed.name) & (_VERSIONS.sort_key < parsed.version.sort_key)
    )


def _values(connection: Connection, ids: list[str]) -> list[ModelVersion]:
    """Return versions in the order of their ids."""
    if not ids:
        return []
    aliases: dict[str, list[str]] = defaultdict(list)
    pointing: Select[Any] = select(_ALIASES.version_id, _ALIASES.alias).order_by(_ALIASES.alias)
    for row in connection.execute(pointing.where(_ALIASES.version_id.in_(ids))):
        aliases[row.version_id].append(row.alias)
    found = {row.id: row for row in connection.execute(select(schema.versions).where(_VERSIONS.id.in_(ids)))}
    owners = sorted({row.model_id for row in found.values()})
    models = {row.id: row for row in connection.execute(select(schema.models).where(_MODELS.id.in_(owners)))}
    return [
        rows.to_version(row, tuple(aliases.get(row.id, ())), model=models[row.model_id])
        for row in (found[key] for key in ids)
    ]
