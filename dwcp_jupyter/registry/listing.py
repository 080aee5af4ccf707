"""Models and versions in pages, each read in a few statements however many there are.

A page begins after the last item of the page before, by its name or version, so that nothing is shown twice or left
out while others register.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Row, Select, bindparam, func, select, true

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import InvalidMetadataError, did_you_mean
from dwcp_jupyter.registry import resolution, rows
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import Model, ModelVersion
from dwcp_jupyter.registry.versioning import SemanticVersion
from dwcp_jupyter.store import remembering, schema

__all__ = ["EVERYTHING", "check_limit", "describe", "find_models", "find_versions"]

_FILTERS = ("name", "stage", "tag", "framework")
_STAGE_ORDER = {
    str(stage): rank for rank, stage in enumerate((Stage.PRODUCTION, Stage.STAGING, Stage.DEVELOPMENT, Stage.ARCHIVED))
}
_MANY = 500
"""From this number of models on they are not named one by one."""

_MODELS, _VERSIONS, _ALIASES = schema.models.c, schema.versions.c, schema.aliases.c

EVERYTHING = 2**62
"""A limit that nothing reaches."""
_AHEAD_ROWS = 500
"""Rows that are read at once where one page follows another: DuckDB reads 500 in twice the time of 100."""
_FIRST = select(schema.versions).where(_VERSIONS.model_id == bindparam("model"))
_PAGE, _NEXT_PAGE = (
    query.order_by(_VERSIONS.sort_key.desc()).limit(bindparam("most", type_=BigInteger))
    for query in (_FIRST, _FIRST.where(_VERSIONS.sort_key < bindparam("last")))
)


def check_limit(limit: int | None) -> int | None:
    """Return the size of a page, or None for everything.

    Raises
    ------
    ValueError
        If it is no number of items.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ValueError(f"limit={limit!r} is no number of items. Give 1 or more, or None for all.")
    return None if limit is None else min(limit, EVERYTHING)


def find_models(
    connection: Connection, wanted: Mapping[str, str], *, limit: int | None = None, after: str | None = None
) -> list[Model]:
    """Return models in order of their names; see `ModelRegistry.list_models`."""
    for key in wanted:
        if key not in _FILTERS:
            raise ValueError(f"No filter '{key}'.{did_you_mean(key, _FILTERS)} Filters: {', '.join(_FILTERS)}.")
    query = select(schema.models).order_by(_MODELS.name)
    if after is not None:
        query = query.where(_MODELS.name > after)
    for column in ("stage", "framework"):
        if column in wanted:
            condition = schema.versions.c[column] == str(wanted[column]).lower()
            query = query.where(_MODELS.id.in_(select(_VERSIONS.model_id).where(condition)))
    if "tag" in wanted:
        query = query.where(_MODELS.id.in_(_tagged(connection, str(wanted["tag"]))))
    part = str(wanted.get("name", "")).casefold()
    if part:  # databases fold the case of other scripts differently, or not at all
        names = connection.execute(query.with_only_columns(_MODELS.name)).scalars()
        chosen = [name for name in names if part in name.casefold()][:limit]
        found = connection.execute(select(schema.models).where(_MODELS.name.in_(chosen)).order_by(_MODELS.name)).all()
    else:
        found = connection.execute(query.limit(limit)).all()
    return describe(connection, found)


def describe(connection: Connection, models: Sequence[Row[Any]]) -> list[Model]:
    """Return the values of rows of `schema.models`, with what their versions and aliases say."""
    if not models:
        return []
    ids = [row.id for row in models]
    tops: dict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(_tops(_VERSIONS.model_id.in_(ids) if len(ids) < _MANY else true())):
        tops[row.model_id].append(row)
    aliases: dict[str, dict[str, str]] = defaultdict(dict)
    pointing = (
        select(_ALIASES.model_id, _ALIASES.alias, _VERSIONS.version)
        .join(schema.versions, _VERSIONS.id == _ALIASES.version_id)
        .order_by(_ALIASES.alias)
    )
    for row in connection.execute(pointing.where(_ALIASES.model_id.in_(ids)) if len(ids) < _MANY else pointing):
        aliases[row.model_id][row.alias] = row.version
    return [_model(row, tops[row.id], aliases[row.id]) for row in models]


def _tops(condition: ColumnElement[bool]) -> Any:
    """Return the query for the highest version of each stage of each model, with how many there are."""
    groups = (
        select(
            _VERSIONS.model_id,
            _VERSIONS.stage,
            func.count().label("size"),
            func.max(_VERSIONS.sort_key).label("sort_key"),
            func.max(func.coalesce(_VERSIONS.sealed_at, _VERSIONS.created_at)).label("changed_at"),
        )
        .where(condition)
        .group_by(_VERSIONS.model_id, _VERSIONS.stage)
        .subquery()
    )
    is_top = (
        (_VERSIONS.model_id == groups.c.model_id)
        & (_VERSIONS.stage == groups.c.stage)
        & (_VERSIONS.sort_key == groups.c.sort_key)
    )
    return select(
        _VERSIONS.model_id,
        _VERSIONS.stage,
        _VERSIONS.version,
        _VERSIONS.sort_key,
        _VERSIONS.metrics,
        groups.c.size,
        groups.c.changed_at,
    ).join(groups, is_top)


def _model(row: Row[Any], tops: Sequence[Row[Any]], aliases: Mapping[str, str]) -> Model:
    highest = max(tops, key=lambda top: str(top.sort_key), default=None)
    return Model(
        id=row.id,
        name=row.name,
        description=row.description,
        task_type=row.task_type,
        tags=tuple(schema.load(row.tags)),
        custom_metadata=schema.load(row.custom_metadata),
        created_at=clock.from_text(row.created_at),
        updated_at=clock.from_text(max([row.updated_at, *(top.changed_at for top in tops)])),
        version_count=sum(int(top.size) for top in tops),
        latest=None if highest is None else highest.version,
        stages={top.stage: top.version for top in sorted(tops, key=lambda top: _STAGE_ORDER[top.stage])},
        aliases=dict(aliases),
        metrics={} if highest is None else schema.load(highest.metrics),
    )


def find_versions(
    connection: Connection, model: Row[Any], *, limit: int | None = None, after: str | None = None
) -> list[ModelVersion]:
    """Return versions of a row of `schema.models`, the highest first; see `ModelRegistry.list_versions`."""
    wanted = {"model": model.id, "most": EVERYTHING if limit is None else limit}
    query = _PAGE
    if after is not None:
        name, at, text = after.rpartition("@")
        if at and name != model.name:
            raise InvalidMetadataError(f"'{after}' is no version of '{model.name}'. Give the last one of a page.")
        query, wanted = _NEXT_PAGE, {**wanted, "last": SemanticVersion.parse(text).sort_key}
    found = _page(connection, query, wanted)
    pointed: dict[str, list[str]] = defaultdict(list)
    for alias, version_id in resolution.aliases_of(connection, model.id).items():
        pointed[version_id].append(alias)
    return [rows.to_version(row, model=model, aliases=tuple(pointed.get(row.id, ()))) for row in found]


def _page(connection: Connection, query: Select[Any], wanted: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """Return the rows of a page, and keep the pages that follow: who turns over once does so again."""
    size: int = wanted["most"]
    pages = _AHEAD_ROWS // size
    if pages < 2 or "last" not in wanted or not remembering.is_on(connection):
        return remembering.rows_of(connection, query, wanted, table=schema.versions)
    found = remembering.known(connection, query, wanted, table=schema.versions)
    if found is not None:
        return found
    read = connection.execute(query, {**wanted, "most": pages * size}).all()
    for start in range(0, len(read) or 1, size):
        page = read[start : start + size]
        remembering.put(connection, query, wanted, page, table=schema.versions)
        wanted = {**wanted, "last": page[-1].sort_key} if page else wanted
    return read[:size]


def _tagged(connection: Connection, tag: str) -> list[str]:
    """Return the ids of the models that have a tag, or a version with it."""
    part = schema.dump(tag)  # as it stands in the list
    narrowed = (
        select(_MODELS.id, _MODELS.tags).where(_MODELS.tags.contains(part, autoescape=True)),
        select(_VERSIONS.model_id, _VERSIONS.tags).where(_VERSIONS.tags.contains(part, autoescape=True)),
    )
    found = {model_id for query in narrowed for model_id, tags in connection.execute(query) if tag in schema.load(tags)}
    return sorted(found)
