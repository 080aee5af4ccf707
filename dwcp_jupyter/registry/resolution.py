"""From a reference to the one version that it means.

A bare name means the highest version for reads. For deploys and stage changes it must leave no choice: a name whose
versions are several is refused with their references. Not found says what was meant, where something is near.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from dwcp_jupyter.exceptions import AmbiguousModelError, ModelNotFoundError, did_you_mean
from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.names import Reference, parse_reference
from dwcp_jupyter.registry.stages import TRANSITIONS, Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import remembering, schema

__all__ = [
    "aliases_of",
    "aliases_to",
    "find_model",
    "known_version",
    "model_row",
    "remember_aliases",
    "remember_versions",
    "resolve",
]

_ID_LENGTH = 32

_MODEL_BY_NAME = select(schema.models).where(schema.models.c.name == bindparam("wanted"))
_MODEL_BY_NAME_OR_ID = select(schema.models).where(
    (schema.models.c.name == bindparam("wanted")) | (schema.models.c.id == bindparam("wanted"))
)
_VERSION = select(schema.versions).where(schema.versions.c.id == bindparam("wanted"))
_VERSION_BY_NUMBER = select(schema.versions).where(
    (schema.versions.c.model_id == bindparam("model")) & (schema.versions.c.version == bindparam("number"))
)
_ALIASES = (
    select(schema.aliases.c.alias, schema.aliases.c.version_id)
    .where(schema.aliases.c.model_id == bindparam("model"))
    .order_by(schema.aliases.c.alias)
)


def resolve(
    connection: Connection, reference: str, *, must_be_certain: bool = False, takes_sealed: bool = False
) -> ModelVersion:
    """Return the version that `reference` means.

    Parameters
    ----------
    must_be_certain : bool
        Whether to refuse what leaves a choice between versions, instead of taking the highest.
    takes_sealed : bool
        Whether to take the highest version that has a model file, where a choice is left and one has.

    Raises
    ------
    ModelNotFoundError, AmbiguousModelError
    """
    found = _by_id(connection, reference)
    if found is not None:
        return found
    parsed = parse_reference(reference)
    model = model_row(connection, parsed.name)
    if parsed.version is not None:
        found = _numbered(connection, parsed, model)
    elif parsed.selector is not None and parsed.stage is None:
        found = _named(connection, parsed.selector, model)
    else:
        found = _highest(connection, parsed, model, reference if must_be_certain else None, takes_sealed=takes_sealed)
    if found is None:
        raise ModelNotFoundError(_explain_missing(connection, parsed, model.id))
    return found


def model_row(connection: Connection, name_or_id: str) -> Row[Any]:
    """Return the row of a model by name or id.

    Raises
    ------
    ModelNotFoundError
        It names the model that was probably meant.
    """
    found = find_model(connection, name_or_id)
    if found is None:
        names = connection.execute(select(schema.models.c.name)).scalars().all()
        raise ModelNotFoundError(
            f"No model '{name_or_id}' in this workspace.{did_you_mean(name_or_id, names)} List them with %models."
        )
    return found


def find_model(connection: Connection, name_or_id: str) -> Row[Any] | None:
    """Return the row of a model by name or id, or None."""
    query = _MODEL_BY_NAME_OR_ID if len(name_or_id) == _ID_LENGTH else _MODEL_BY_NAME
    wanted = {"wanted": unicodedata.normalize("NFC", name_or_id)}
    found = remembering.rows_of(connection, query, wanted, table=schema.models)
    return found[0] if found else None


def aliases_of(connection: Connection, model_id: str) -> dict[str, str]:
    """Return the ids of the versions that a model's aliases point to, in order of the aliases."""
    found = remembering.rows_of(connection, _ALIASES, {"model": model_id}, table=schema.aliases)
    return dict(tuple(row) for row in found)


def aliases_to(connection: Connection, *, model_id: str, version_id: str) -> tuple[str, ...]:
    """Return the aliases that point to a version."""
    return tuple(alias for alias, meant in aliases_of(connection, model_id).items() if meant == version_id)


def remember_aliases(connection: Connection, aliases: Mapping[str, str], *, model_id: str) -> None:
    """Keep what the aliases of a model mean after one of them was written."""
    remembering.put(connection, _ALIASES, {"model": model_id}, sorted(aliases.items()), table=schema.aliases)


def known_version(connection: Connection, version_id: str) -> Row[Any] | None:
    """Return the row of a version if it is at hand."""
    found = remembering.known(connection, _VERSION, {"wanted": version_id}, table=schema.versions)
    return found[0] if found else None


def remember_versions(connection: Connection, found: Iterable[Row[Any]]) -> None:
    """Keep rows of versions at hand; columns of their models may follow theirs."""
    for row in found:
        remembering.put(connection, _VERSION, {"wanted": row.id}, [row], table=schema.versions)


def _by_id(connection: Connection, reference: str) -> ModelVersion | None:
    if len(reference) != _ID_LENGTH or "@" in reference:
        return None
    table = schema.models
    owner = select(schema.versions.c.model_id).where(schema.versions.c.id == reference).scalar_subquery()
    model = connection.execute(select(table).where(table.c.id == owner)).first()
    return None if model is None else _value(connection, reference, model)


def _value(connection: Connection, version_id: str, model: Row[Any]) -> ModelVersion:
    """Return a version by its key: an index finds it, where any other condition costs a scan of all columns."""
    (row,) = remembering.rows_of(connection, _VERSION, {"wanted": version_id}, table=schema.versions)
    return _with_aliases(connection, row, model)


def _with_aliases(connection: Connection, row: Row[Any], model: Row[Any]) -> ModelVersion:
    return rows.to_version(row, aliases_to(connection, model_id=model.id, version_id=row.id), model=model)


def _numbered(connection: Connection, parsed: Reference, model: Row[Any]) -> ModelVersion | None:
    wanted = {"model": model.id, "number": str(parsed.version)}
    found = remembering.rows_of(connection, _VERSION_BY_NUMBER, wanted, table=schema.versions)
    return _with_aliases(connection, found[0], model) if found else None


def _named(connection: Connection, alias: str, model: Row[Any]) -> ModelVersion | None:
    version_id = aliases_of(connection, model.id).get(alias)
    return None if version_id is None else _value(connection, version_id, model)


def _highest(
    connection: Connection, parsed: Reference, model: Row[Any], certain: str | None, *, takes_sealed: bool
) -> ModelVersion | None:
    """Return the highest version of a model, or of a stage of it; where that must be `certain`, the only one."""
    table = schema.versions.c
    query = select(table.id, table.version).where(table.model_id == model.id)
    query = query.order_by(*([table.sha256.is_(None)] if takes_sealed else []), table.sort_key.desc())
    if parsed.stage is not None:
        query = query.where(table.stage == str(parsed.stage))
    meant = connection.execute(query.limit(1) if certain is None else query).all()
    if certain is not None and len(meant) > 1:
        candidates = [f"{model.name}@{row.version}" for row in meant]
        shown = ", ".join(candidates[:8]) + (" …" if len(candidates) > 8 else "")
        raise AmbiguousModelError(f"'{certain}' could be several versions: {shown}. Name one.", candidates=candidates)
    return _value(connection, meant[0].id, model) if meant else None


def _explain_missing(connection: Connection, parsed: Reference, model_id: str) -> str:
    table = schema.versions
    versions = connection.execute(
        select(table.c.version).where(table.c.model_id == model_id).order_by(table.c.sort_key.desc())
    ).scalars()
    known = list(versions)
    if not known:
        return f"Model '{parsed.name}' has no version yet. Register one with %%register {parsed.name}."
    listed = ", ".join(known[:5]) + (" …" if len(known) > 5 else "")
    if parsed.version is not None:
        near = did_you_mean(str(parsed.version), known)
        return f"No version {parsed.version} of '{parsed.name}'.{near} It has: {listed}."
    if parsed.stage is not None:
        remedy = _way_to(connection, parsed.stage, name=parsed.name, model_id=model_id)
        return f"No version of '{parsed.name}' is in {parsed.stage}. {remedy}"
    aliases = list(
        connection.execute(select(schema.aliases.c.alias).where(schema.aliases.c.model_id == model_id)).scalars()
    )
    return (
        f"No alias '{parsed.selector}' of '{parsed.name}'.{did_you_mean(str(parsed.selector), aliases)} "
        f"It has the aliases: {', '.join(aliases) or 'none'}; versions: {listed}."
    )


def _way_to(connection: Connection, target: Stage, *, name: str, model_id: str) -> str:
    """Return how the highest version comes to a stage that is the nearest to it."""
    table = schema.versions.c
    query = select(table.version, table.stage, table.sha256).where(table.model_id == model_id)
    ways: list[list[str]] = []
    for row in connection.execute(query.order_by(table.sort_key.desc())):
        onward = TRANSITIONS[Stage(row.stage)] if row.sha256 or target is Stage.ARCHIVED else frozenset()
        if target in onward:
            return f"Move one there with %promote {name}@{row.version} {target}."
        ways += [
            [f"%promote {name}@{row.version} {between}", f"%promote {name}@{row.version} {target}"]
            for between in onward
            if target in TRANSITIONS[between]
        ]
    return f"Move one there with {ways[0][0]}, then {ways[0][1]}." if ways else f"Register one with %%register {name}."
