"""Evidence recorded of a version, and the checks of a policy on it.

Whoever measures something of a version (bias, drift, a model card) records it here under its kind; the policy of a
stage or a protected alias reads it when the version is to enter. A refusal names every failed check with the value that
was found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, select

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import GateError, InvalidNameError
from dwcp_jupyter.registry.checking import check_mapping
from dwcp_jupyter.registry.checks import FailedCheck
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.targets import Target, entering
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import Transaction, schema

__all__ = ["check_gates", "evidence_of", "failures", "record_evidence", "refusal", "write_evidence"]

_OWN_KINDS = ("metrics", "signature", "tags")
"""Kinds that the version itself has."""


def record_evidence(tx: Transaction, version: ModelVersion, kind: str, values: Mapping[str, Any]) -> None:
    """Write what was measured of a version, in place of earlier evidence of that kind.

    Raises
    ------
    InvalidNameError, InvalidMetadataError
        If the kind is the version's own, or the values cannot be kept.
    """
    if kind in _OWN_KINDS or not kind.isidentifier():
        raise InvalidNameError(f"'{kind}' cannot be a kind of evidence. Use a word such as 'bias' or 'documents'.")
    write_evidence(tx, version, kind, check_mapping(values, field=kind))


def write_evidence(tx: Transaction, version: ModelVersion, kind: str, values: Mapping[str, Any]) -> None:
    """Write checked evidence, of a version's own kinds too."""
    row = {
        "version_id": version.id,
        "kind": kind,
        "body": schema.dump(values),
        "recorded_by": tx.actor.name,
        "recorded_at": clock.to_text(tx.now),
    }
    table = schema.evidence
    tx.execute(delete(table).where((table.c.version_id == version.id) & (table.c.kind == kind)))
    tx.insert(table, [row])
    tx.record("evidence.recorded", f"model:{version.reference}", **row)


def evidence_of(connection: Connection, version: ModelVersion) -> dict[str, dict[str, Any]]:
    """Return what is recorded of a version, by kind and name; its metrics among them."""
    table = schema.evidence
    rows = connection.execute(select(table.c.kind, table.c.body).where(table.c.version_id == version.id))
    recorded: dict[str, dict[str, Any]] = {row.kind: schema.load(row.body) for row in rows}
    recorded.get("signature", {}).pop("bundle", None)  # of which nobody can read anything
    return {**recorded, "metrics": dict(version.metrics)}


def failures(connection: Connection, version: ModelVersion, policy: StagePolicy) -> tuple[FailedCheck, ...]:
    """Return every check of a policy that the evidence of a version, as it is now, does not pass."""
    return policy.failures(evidence_of(connection, version)) if policy.checks else ()


def check_gates(connection: Connection, version: ModelVersion, target: Target, policy: StagePolicy) -> None:
    """Raise unless the evidence passes every check of the policy.

    Raises
    ------
    GateError
        It names each failed check and the value found.
    """
    failed = failures(connection, version, policy)
    if failed:
        raise refusal(version, target, failed, of=len(policy.checks))


def refusal(
    version: ModelVersion, target: Target, failed: Sequence[FailedCheck], *, of: int, besides: str = ""
) -> GateError:
    """Return the error that names each failed check, and what is missing `besides`."""
    return GateError(
        f"'{version.reference}' cannot {entering(target)}: {len(failed)} of {of} checks failed. "
        + "; ".join(map(str, failed))
        + ". Record the missing evidence, or register a version that passes."
        + (f" Besides: {besides}" if besides else ""),
        failures=[str(failure) for failure in failed],
    )
