"""Aliases: what ``name@champion`` means, and who may say so.

An alias that a policy protects is set on the same terms as production is entered: the checks pass, the approval is
there, and the refusal names all that is missing at once. It is neither removed nor deleted with its version while it is
protected, since whoever asks for it would find nothing; nor does a version bring it back from the trash.

No alias is set that differs only in case from another one of its model, or from a protected one: people would take the
one for the other, and so go round the policy.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, update

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import ApprovalError, InvalidNameError, TransitionError
from dwcp_jupyter.registry import approvals, gates, resolution
from dwcp_jupyter.registry.approvals import Approval
from dwcp_jupyter.registry.checks import FailedCheck
from dwcp_jupyter.registry.names import folded
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.policy_store import policy_for, protected_aliases
from dwcp_jupyter.registry.targets import ProtectedAlias, entering
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import Transaction, schema

__all__ = ["check_carrier", "check_distinct", "is_protected", "refuse_loss", "remove_alias", "set_alias"]

_LATEST = "latest"
_POINT = (
    update(schema.aliases)
    .where((schema.aliases.c.model_id == bindparam("of_model")) & (schema.aliases.c.alias == bindparam("named")))
    .values(version_id=bindparam("version_id"), updated_at=bindparam("updated_at"))
)


def check_distinct(connection: Connection, version: ModelVersion, alias: str) -> None:
    """Raise unless an alias of a version's model can only be taken for itself.

    Raises
    ------
    InvalidNameError
        For ``latest``, and for one that differs only in case from another alias of the model, or a protected one.
    """
    name = version.name
    if folded(alias) == _LATEST:
        raise InvalidNameError(
            f"'{alias}' cannot be an alias: it would still mean '{version.reference}' once there is a later version. "
            f"The highest version is what the name alone means: '{name}'."
        )
    guarded = protected_aliases(connection, name)
    for other in (*guarded, *resolution.aliases_of(connection, version.model_id)):
        if other != alias and folded(other) == folded(alias):
            whose = "which a policy protects" if other in guarded else f"an alias of '{name}'"
            raise InvalidNameError(
                f"'{alias}' differs only in case from '{other}', {whose}, and would be taken for it. Set '{other}', or "
                "choose another name."
            )


def check_carrier(connection: Connection, version: ModelVersion, alias: str, *, now: datetime) -> Approval | None:
    """Return the approval that lets a version carry an alias, None where none is needed; raises if it may not.

    Raises
    ------
    InvalidNameError
        As `check_distinct`.
    TransitionError
        If the version is a draft, and the alias protected.
    GateError
        If it stands in the wrong stage or a check fails; it names each, and the approval that is missing too.
    ApprovalError
        If nothing but an approval is missing.
    """
    check_distinct(connection, version, alias)
    target = ProtectedAlias(f"@{alias}")
    policy = policy_for(connection, version.name, target)
    if not policy.asks_something:
        return None
    if version.is_draft:
        raise TransitionError(
            f"'{version.reference}' is a draft without a model file and cannot {entering(target)}, which is protected. "
            "Complete it by store_model_artifact."
        )
    failures = [*_misplaced(version, policy), *gates.failures(connection, version, policy)]
    made = len(policy.checks) + bool(policy.stages)
    try:
        approval = approvals.require_approval(connection, version, target, policy=policy, now=now)
    except ApprovalError as exc:
        if failures:
            raise gates.refusal(version, target, failures, of=made, besides=str(exc)) from exc
        raise
    if failures:
        raise gates.refusal(version, target, failures, of=made)
    return approval


def set_alias(tx: Transaction, version: ModelVersion, alias: str) -> None:
    """Let an alias of a version's model mean that version.

    Raises
    ------
    InvalidNameError, TransitionError, GateError, ApprovalError
        As `check_carrier`.
    """
    approval = check_carrier(tx.connection, version, alias, now=tx.now)
    table = schema.aliases
    aliases = resolution.aliases_of(tx.connection, version.model_id)
    before = aliases.get(alias)
    values = {"version_id": version.id, "updated_at": clock.to_text(tx.now)}
    if before is None:
        tx.execute(insert(table).values(model_id=version.model_id, alias=alias, **values))
    else:
        tx.connection.execute(_POINT, {"of_model": version.model_id, "named": alias, **values})
    resolution.remember_aliases(tx.connection, {**aliases, alias: version.id}, model_id=version.model_id)
    by = {} if approval is None else {"approval_id": approval.id}
    tx.record("alias.set", f"model:{version.reference}", alias=alias, version_id=version.id, before=before, **by)


def remove_alias(tx: Transaction, version: ModelVersion, alias: str) -> None:
    """Remove an alias from the version that it means.

    Raises
    ------
    ApprovalError
        If it is protected.
    """
    refuse_loss(tx.connection, version, [alias], what="removed")
    table = schema.aliases
    tx.execute(delete(table).where((table.c.model_id == version.model_id) & (table.c.alias == alias)))
    tx.record("alias.removed", f"model:{version.reference}", alias=alias, version_id=version.id)


def refuse_loss(connection: Connection, version: ModelVersion, aliases: Iterable[str], *, what: str) -> None:
    """Raise if one of the aliases of a version is protected; `what` would be done to them.

    Raises
    ------
    ApprovalError
        It names the alias and what to do first.
    """
    for alias in aliases:
        if is_protected(connection, version.name, alias):
            raise ApprovalError(
                f"'{version.name}@{alias}' means '{version.reference}' and is protected: it cannot be {what}, by "
                "nobody, since then it would mean nothing. Let it mean another version, or lift its policy first: "
                f"registry.set_policy('@{alias}', …)."
            )


def is_protected(connection: Connection, model: str, alias: str) -> bool:
    """Return whether a policy asks something of the version that an alias of a model is to mean."""
    return policy_for(connection, model, ProtectedAlias(f"@{alias}")).asks_something


def _misplaced(version: ModelVersion, policy: StagePolicy) -> list[FailedCheck]:
    if not policy.stages or version.stage in policy.stages:
        return []
    return [FailedCheck(check=f"stage is {' or '.join(policy.stages)}", found=f"it is {version.stage}")]
