"""Versions that meet a condition, over all models."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, bindparam, exists, literal_column, select

from dwcp_jupyter.exceptions import FilterError
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.listing import EVERYTHING
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
    query = _query(condition, order_by, after, connection.dialect.name)
    found = connection.execute(query, {"most": EVERYTHING if limit is None else limit}).all()
    if order_by is None:  # quicker here than in a statement of all columns
        found = sorted(sorted(found, key=lambda row: row.sort_key, reverse=True), key=lambda row: row.model_name)
    pointed = _pointed(connection, {row.model_id for row in found})
    return [rows.to_version(row, tuple(pointed.get(row.id, ()))) for row in found]


@lru_cache(maxsize=128)
def _query(condition: str, order_by: str | None, after: str | None, dialect: str) -> Select[Any]:
    """Return the statement of a search: the rows are found by the columns asked for, and then read as a whole."""
    key = _VERSIONS.id if dialect == "postgresql" else literal_column("versions.rowid", BigInteger)
    owned = schema.versions.join(schema.models, _MODELS.id == _VERSIONS.model_id)
    wanted = select(key.label("key"), _MODELS.name.label("model_name"), _MODELS.task_type).select_from(owned)
    if condition.strip():
        wanted = wanted.where(parse_filter(condition, _fields(dialect)))
    order: list[Any] = [_MODELS.name, _VERSIONS.sort_key.desc()]
    if order_by is not None:
        if after is not None:
            raise FilterError("Pages follow names and versions: leave out order_by, or after.")
        order.insert(0, parse_order(order_by, _ORDERS, metrics=_VERSIONS.metrics, dialect=dialect))
    elif after is not None:
        wanted = wanted.where(_follows(after))
    chosen = wanted.order_by(*order).limit(bindparam("most", type_=BigInteger)).subquery("chosen")
    found = schema.versions.join(chosen, chosen.c.key == key)
    query = select(schema.versions, chosen.c.model_name, chosen.c.task_type).select_from(found)
    if order_by is None:
        return query
    by = parse_order(order_by, {**_ORDERS, "name": chosen.c.model_name}, metrics=_VERSIONS.metrics, dialect=dialect)
    return query.order_by(by, chosen.c.model_name, _VERSIONS.sort_key.desc())


@cache
def _fields(dialect: str) -> Mapping[str, Field]:
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


def _pointed(connection: Connection, models: set[str]) -> Mapping[str, list[str]]:
    """Return the aliases of the versions of some models, by the versions' ids."""
    pointed: dict[str, list[str]] = defaultdict(list)
    if len(models) <= _FEW:
        for model_id in models:
            for alias, version_id in resolution.aliases_of(connection, model_id).items():
                pointed[version_id].append(alias)
        return pointed
    of_them = _ALIASES.model_id.in_(models)
    for row in connection.execute(select(_ALIASES.version_id, _ALIASES.alias).where(of_them).order_by(_ALIASES.alias)):
        pointed[row.version_id].append(row.alias)
    return pointed


_FEW = 3
"""Models whose aliases are asked for one by one, as those of the calls before may be known."""
