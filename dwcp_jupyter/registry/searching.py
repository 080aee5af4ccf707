"""Versions that meet a condition, over all models."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, bindparam, exists, literal_column, select

from dwcp_jupyter.exceptions import FilterError, did_you_mean
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.listing import EVERYTHING
from dwcp_jupyter.registry.names import parse_reference
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import remembering, schema
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
    asked = _statements(condition, order_by, after, connection.dialect.name)
    most = {"most": EVERYTHING if limit is None else limit}
    found = _known(connection, asked.keys, most["most"])
    if found is None:
        read = connection.execute(asked.whole, most).all()
        resolution.remember_versions(connection, read[:_AT_HAND])
        if order_by is None:  # quicker here than in a statement of all columns
            read = sorted(sorted(read, key=lambda row: row.sort_key, reverse=True), key=lambda row: row.name)
        found = [(row, row) for row in read]
    pointed = _pointed(connection, {row.model_id for row, _ in found})
    return [rows.to_version(row, tuple(pointed.get(row.id, ())), model=model) for row, model in found]


def _known(connection: Connection, keys: Select[Any], most: int) -> list[tuple[Row[Any], Row[Any]]] | None:
    """Return the rows of the versions found, each with what is wanted of its model, if all but a few are at hand."""
    if not remembering.is_on(connection, table=schema.versions):
        return None
    found = connection.execute(keys, {"most": min(most, _AT_HAND + 1)}).all()
    if len(found) > _AT_HAND:
        return None
    at_hand = ((key.id, resolution.known_version(connection, key.id)) for key in found)
    known = {version_id: row for version_id, row in at_hand if row is not None}
    missing = [key.id for key in found if key.id not in known]
    if len(missing) > _FEW:
        return None
    if missing:
        read = connection.execute(_BY_ID, {"wanted": missing}).all()
        resolution.remember_versions(connection, read)
        known.update((row.id, row) for row in read)
    return [(known[key.id], key) for key in found]


class _Statements(NamedTuple):
    """A search, for the keys of the versions alone, and for all columns."""

    keys: Select[Any]
    whole: Select[Any]


@lru_cache(maxsize=128)
def _statements(condition: str, order_by: str | None, after: str | None, dialect: str) -> _Statements:
    """Return the statements of a search: rows are found by the columns asked for, and then read as a whole."""
    key = _VERSIONS.id if dialect == "postgresql" else literal_column("versions.rowid", BigInteger)
    owned = schema.versions.join(schema.models, _MODELS.id == _VERSIONS.model_id)
    wanted = select(_VERSIONS.id, _MODELS.name, _MODELS.task_type).select_from(owned)
    if condition.strip():
        wanted = wanted.where(parse_filter(condition, _fields(dialect)))
    order: list[Any] = [_MODELS.name, _VERSIONS.sort_key.desc()]
    if order_by is not None:
        if after is not None:
            raise FilterError("Pages follow names and versions: leave out order_by, or after.")
        order.insert(0, parse_order(order_by, _ORDERS, metrics=_VERSIONS.metrics, dialect=dialect))
    elif after is not None:
        wanted = wanted.where(_follows(after))
    wanted = wanted.order_by(*order).limit(bindparam("most", type_=BigInteger))
    chosen = wanted.with_only_columns(key.label("key"), _MODELS.name, _MODELS.task_type).subquery("chosen")
    found = schema.versions.join(chosen, chosen.c.key == key)
    query = select(schema.versions, chosen.c.name, chosen.c.task_type).select_from(found)
    if order_by is not None:
        by = parse_order(order_by, {**_ORDERS, "name": chosen.c.name}, metrics=_VERSIONS.metrics, dialect=dialect)
        query = query.order_by(by, chosen.c.name, _VERSIONS.sort_key.desc())
    return _Statements(keys=wanted, whole=query)


@cache
def _fields(dialect: str) -> Mapping[str, Field]:
    parameters = of_json(_VERSIONS.hyperparameters, dialect=dialect)
    return {
        "name": of_text(_MODELS.name, fold=lambda value: unicodedata.normalize("NFC", value)),
        "version": of_text(_VERSIONS.version, fold=lambda value: value.removeprefix("v")),
        "stage": _of_stage,
        "framework": of_text(_VERSIONS.framework, fold=str.lower),
        "framework_version": of_text(_VERSIONS.framework_version),
        "flavor": of_text(_VERSIONS.flavor),
        "task_type": of_text(_MODELS.task_type),
        "author": of_text(_VERSIONS.author),
        "created_by": of_text(_VERSIONS.created_by),
        "created_at": _of_moment,
        "description": of_text(_VERSIONS.description),
        "changelog": of_text(_VERSIONS.changelog),
        "run_id": of_text(_VERSIONS.run_id),
        "git_commit": of_text(_VERSIONS.git_commit),
        "sha256": of_text(_VERSIONS.sha256, fold=str.lower),
        "training_dataset": of_text(_VERSIONS.training_dataset),
        "tag": of_list(_VERSIONS.tags, dialect=dialect),
        "alias": _of_alias,
        "metrics": of_json(_VERSIONS.metrics, dialect=dialect),
        "hyperparameters": parameters,
        "params": parameters,
        "custom_metadata": of_json(_VERSIONS.custom_metadata, dialect=dialect),
    }


def _of_stage(said: Comparison) -> ColumnElement[bool]:
    """Compare the stage, of which there are four and no order."""
    condition = _STAGE(said)
    if said.operator not in {"=", "!=", "like"}:
        said.refuse(f"a stage is not more or less than another. Write {said.field} = 'x' or {said.field} != 'x'.")
    wanted = str(said.value).lower()
    if said.operator != "like" and wanted not in _STAGES:
        known = did_you_mean(wanted, _STAGES)
        said.refuse(f"no stage '{said.value}'.{known} Stages: {', '.join(_STAGES)}.")
    return condition


def _of_moment(said: Comparison) -> ColumnElement[bool]:
    """Compare when a version was registered with the text of a date, or the beginning of one, in UTC."""
    condition = _MOMENT(said)
    if said.operator != "like" and not _is_date(str(said.value)):
        said.refuse(f"'{said.value}' is no date. Write one such as '2026-11-23' or '2026-11-23T06:52', in UTC.")
    return condition


def _is_date(text: str) -> bool:
    """Return whether a text is an ISO date in UTC, or the beginning of one such as ``2026-11``."""
    if not _DATE.fullmatch(text):
        return False
    try:
        datetime.fromisoformat((text + "-01-01"[len(text) - 4 :])[:10])
    except ValueError:
        return False
    return True


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
    if len(models) <= _FEW_MODELS:
        for model_id in models:
            for alias, version_id in resolution.aliases_of(connection, model_id).items():
                pointed[version_id].append(alias)
        return pointed
    of_them = _ALIASES.model_id.in_(models)
    for row in connection.execute(select(_ALIASES.version_id, _ALIASES.alias).where(of_them).order_by(_ALIASES.alias)):
        pointed[row.version_id].append(row.alias)
    return pointed


_FEW_MODELS = 3
"""Models whose aliases are asked for one by one, as those of the calls before may be known."""
_FEW = 30
"""Versions that DuckDB's index finds sooner than a scan does."""
_AT_HAND = 1_000
"""Versions of one search that are kept at hand."""
_STAGES = tuple(str(stage) for stage in Stage)
_STAGE = of_text(_VERSIONS.stage, fold=str.lower)
_MOMENT = of_text(_VERSIONS.created_at, fold=lambda value: value.replace(" ", "T").removesuffix("Z"))
_DATE = re.compile(
    r"\d{4}(-\d\d(-\d\d([T ]([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,6})?)?)?(Z|\+00:00)?)?)?)?", re.ASCII
)
"""A date as the database keeps it: the texts of two compare as the moments do."""
_BY_ID = select(schema.versions).where(_VERSIONS.id.in_(bindparam("wanted", expanding=True)))
