"""From a reference to the one version that it means.

A bare name means the highest version for reads. For deploys and stage changes it must leave no choice: a name whose
versions are several is refused with their references. Not found says what was meant, where something is near.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from dwcp_jupyter.exceptions import AmbiguousModelError, ModelNotFoundError, did_you_mean
from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.names import Reference, parse_reference
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema

__all__ = ["aliases_of", "find_model", "model_row", "resolve"]

_ID_LENGTH = 32


def resolve(connection: Connection, reference: str, *, must_be_certain: bool = False) -> ModelVersion:
    """Return the version that `reference` means.

    Raises
    ------
    ModelNotFoundError, AmbiguousModelError
    """
    found = _by_id(connection, reference)
    if not found:
        parsed = parse_reference(reference)
        model = model_row(connection, parsed.name)
        found = connection.execute(
            rows.VERSIONS.where(schema.versions.c.model_id == model.id, _condition(parsed, model.id)).order_by(
                schema.versions.c.sort_key.desc()
            )
        ).all()
        if not found:
            raise ModelNotFoundError(_explain_missing(connection, parsed, model.id))
    if must_be_certain and len(found) > 1:
        candidates = [f"{row.model_name}@{row.version}" for row in found]
        shown = ", ".join(candidates[:8]) + (" …" if len(candidates) > 8 else "")
        raise AmbiguousModelError(f"'{reference}' could be several versions: {shown}. Name one.", candidates=candidates)
    return _value(connection, found[0])


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
    table = schema.models
    condition = table.c.name == unicodedata.normalize("NFC", name_or_id)
    if len(name_or_id) == _ID_LENGTH:
        condition = condition | (table.c.id == name_or_id)
    return connection.execute(select(table).where(condition)).first()


def aliases_of(connection: Connection, version_id: str) -> tuple[str, ...]:
    """Return the aliases that point to a version."""
    query = (
        select(schema.aliases.c.alias).where(schema.aliases.c.version_id == version_id).order_by(schema.aliases.c.alias)
    )
    return tuple(connection.execute(query).scalars())


def _by_id(connection: Connection, reference: str) -> Sequence[Row[Any]]:
    """Return the version with that id, or the versions of the model with that id, the highest first."""
    if len(reference) != _ID_LENGTH or "@" in reference:
        return ()
    query = rows.VERSIONS.where((schema.versions.c.id == reference) | (schema.versions.c.model_id == reference))
    return connection.execute(query.order_by(schema.versions.c.sort_key.desc())).all()


def _value(connection: Connection, row: Row[Any]) -> ModelVersion:
    return rows.to_version(row, aliases_of(connection, row.id))


def _condition(parsed: Reference, model_id: str) -> ColumnElement[bool]:
    table = schema.versions
    if parsed.version is not None:
        return table.c.version == str(parsed.version)
    if parsed.stage is not None:
        return table.c.stage == str(parsed.stage)
    if parsed.selector is not None:
        target = select(schema.aliases.c.version_id).where(
            schema.aliases.c.model_id == model_id, schema.aliases.c.alias == parsed.selector
        )
        return table.c.id.in_(target)
    return table.c.model_id == model_id


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
        remedy = f"Move one there with %promote {parsed.name}@{known[0]} {parsed.stage}."
        return f"No version of '{parsed.name}' is in {parsed.stage}. {remedy}"
    aliases = list(
        connection.execute(select(schema.aliases.c.alias).where(schema.aliases.c.model_id == model_id)).scalars()
    )
    return (
        f"No alias '{parsed.selector}' of '{parsed.name}'.{did_you_mean(str(parsed.selector), aliases)} "
        f"It has the aliases: {', '.join(aliases) or 'none'}; versions: {listed}."
    )
