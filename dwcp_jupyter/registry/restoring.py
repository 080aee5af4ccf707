"""The way back from the trash.

What lies in the trash is a row like any other, which somebody may have changed; what the version was, the events say.
So they are folded first, and a row that is not what was deleted does not come back: it would come back with an event of
its own, and nothing would tell the two apart any more. The model's own row is in no trash at all: the events have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.exceptions import IntegrityError, ModelNotFoundError, VersionExistsError, did_you_mean
from dwcp_jupyter.registry import aliasing, proof, resolution
from dwcp_jupyter.registry.folding import Fold
from dwcp_jupyter.registry.names import parse_reference
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.trash import rename_owner
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.registry.versioning import SemanticVersion
from dwcp_jupyter.store import Transaction, event_log, schema

__all__ = ["restore"]

_REMEDY = "It stays where it is. See %audit, and compare with a backup."


def restore(tx: Transaction, model_id: str) -> ModelVersion:
    """Return the version that came back from the trash; of several that came back together, the highest.

    An id or ``name@version`` brings back one version: the one that was deleted last. A bare name brings back what the
    last deletion took: one version, or the model with all versions that were deleted with it.

    Raises
    ------
    ModelNotFoundError
        If the trash does not hold it.
    VersionExistsError
        If its number, or the model's name, was given away meanwhile.
    IntegrityError
        If it is not what was deleted.
    """
    held, is_bare = _find(tx.connection, model_id)
    folded = _fold(tx.connection, held[0].name)
    latest = max(held, key=lambda row: _deleted_by_event(folded, row))
    _check(folded, latest)
    together = folded.deletions[latest.version_id].model_seq
    wanted = [latest]
    if is_bare and together is not None:
        wanted = [row for row in held if row.version_id in folded.deletions]
        wanted = [row for row in wanted if folded.deletions[row.version_id].model_seq == together]
    former_id = folded.deletions[latest.version_id].values["model_id"]
    model_id = _bring_back_model(tx, folded, former_id, wanted, is_whole=is_bare and together is not None)
    ordered = sorted(wanted, key=lambda row: SemanticVersion.parse(row.version).sort_key)
    for row in ordered:
        _check(folded, row)
        _bring_back(tx, row, model_id)
    return resolution.resolve(tx.connection, ordered[-1].version_id)


def _find(connection: Connection, model_id: str) -> tuple[Sequence[Row[Any]], bool]:
    """Return the rows of the trash among which the wanted one is, and whether a bare name names them."""
    table = schema.trash
    by_id = connection.execute(select(table).where(table.c.version_id == model_id)).all()
    if by_id:
        return by_id, False
    reference = parse_reference(model_id)
    query = select(table).where(table.c.name == reference.name)
    if reference.version is not None:
        query = query.where(table.c.version == str(reference.version))
    found = connection.execute(query).all()
    if found and (reference.selector is None or reference.version is not None):
        return found, reference.selector is None
    held = connection.execute(select(table.c.name, table.c.version).order_by(table.c.name, table.c.version))
    references = [f"{row.name}@{row.version}" for row in held]
    raise ModelNotFoundError(
        f"The trash holds no '{model_id}'.{did_you_mean(model_id, references)} "
        f"It holds: {', '.join(references[:8]) or 'nothing'}."
    )


def _fold(connection: Connection, name: str) -> Fold:
    """Return what the events of a model make."""
    folded = Fold()
    for event in event_log.read(connection, below=f"model:{name}"):
        folded.apply(event)
    if folded.fault is not None:
        raise IntegrityError(
            f"The trail of '{name}' is broken: {folded.fault.reason}. {_REMEDY}", expected="", actual=""
        )
    return folded


def _deleted_by_event(folded: Fold, row: Row[Any]) -> int:
    return folded.deletions[row.version_id].seq if row.version_id in folded.deletions else 0


def _check(folded: Fold, row: Row[Any]) -> None:
    """Raise if a row of the trash is not what the events say was deleted, or was in production."""
    key, found = (row.version_id,), dict(row._mapping)
    known = folded.tables["trash"].get(key)
    fault = proof.difference("trash", {} if known is None else {key: known}, {key: found})
    if known is None or fault is not None:
        actual = hashing.sha256_bytes(found["body"].encode())
        expected = "" if known is None else known["body"].sha256 or ""
        sums = (
            f" Its body has the sum {actual}, that of the event is {expected}." if expected not in ("", actual) else ""
        )
        raise IntegrityError(f"{fault}.{sums} {_REMEDY}", expected=expected, actual=actual)
    if folded.deletions[row.version_id].values["stage"] == Stage.PRODUCTION:
        raise IntegrityError(
            f"'{row.name}@{row.version}' would come back into production, from where nothing is deleted. {_REMEDY}",
            expected="",
            actual="",
        )


def _bring_back_model(
    tx: Transaction, folded: Fold, model_id: str, wanted: Sequence[Row[Any]], *, is_whole: bool
) -> str:
    """Return the id of the model to which the versions come back; it comes back itself where its name is free."""
    name = wanted[0].name
    current = resolution.find_model(tx.connection, name)
    if current is not None:
        if is_whole and current.id != model_id:
            raise VersionExistsError(
                f"'{name}' was registered again after the deletion, so the former model cannot take its name. Delete "
                f"that one first, or bring single versions back to it, such as '{name}@{wanted[0].version}'."
            )
        return str(current.id)
    former = folded.former_models.get(model_id)
    if former is None:
        raise IntegrityError(f"The model '{name}' is gone without an event. {_REMEDY}", expected="", actual="")
    row = {**former, "updated_at": clock.to_text(tx.now)}
    tx.insert(schema.models, [row])
    tx.record("model.created", f"model:{name}", **row)
    return model_id


def _bring_back(tx: Transaction, row: Row[Any], model_id: str) -> None:
    body, reference = schema.load(row.body), f"{row.name}@{row.version}"
    table = schema.versions
    is_taken = select(table.c.id).where((table.c.model_id == model_id) & (table.c.version == row.version))
    if tx.execute(is_taken).first() is not None:
        raise VersionExistsError(
            f"'{reference}' was registered again after the deletion. Delete that one first, or keep it."
        )
    values = {**body["values"], "model_id": model_id}
    tx.insert(table, [values])
    tx.insert(schema.reference_data, body["reference_data"])
    tx.insert(schema.evidence, body["evidence"])
    rename_owner(tx, f"trash:{row.version_id}", f"version:{row.version_id}")
    tx.execute(delete(schema.trash).where(schema.trash.c.version_id == row.version_id))
    tx.record("version.restored", f"model:{reference}", name=row.name, **values)
    _bring_back_aliases(tx, row, model_id, body["aliases"])


def _bring_back_aliases(tx: Transaction, row: Row[Any], model_id: str, wanted: Sequence[str]) -> None:
    """Set the aliases that nobody took and no policy protects."""
    table = schema.aliases
    taken = set(tx.execute(select(table.c.alias).where(table.c.model_id == model_id)).scalars())
    for alias in wanted:
        if alias not in taken and not aliasing.is_protected(tx.connection, row.name, alias):
            said = {"alias": alias, "version_id": row.version_id}
            tx.execute(insert(table).values(model_id=model_id, updated_at=clock.to_text(tx.now), **said))
            tx.record("alias.set", f"model:{row.name}@{row.version}", before=None, **said)
