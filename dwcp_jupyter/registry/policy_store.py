"""Policies as the database keeps them: what was said of a target, for one model or for all.

Only what was said is kept, so that a policy for all models that changes later counts for every field which a model's
own policy leaves open. A change is refused where it would leave a policy that nobody can satisfy, and where one that
demands people who proved who they are would be changed by somebody who did not: otherwise anybody could lift it first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from dwcp_jupyter import clock
from dwcp_jupyter.events import Assurance
from dwcp_jupyter.exceptions import ApprovalError, PolicyError
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.targets import ProtectedAlias, Target
from dwcp_jupyter.store import Transaction, remembering, schema

__all__ = ["EVERY_MODEL", "policy_for", "protected_aliases", "remove_policy", "set_policy"]

EVERY_MODEL = "*"
"""What stands for a model's name in the policy for all."""

Bodies = Mapping[str, Mapping[str, Any]]
"""What was said of one target, by model."""


def policy_for(connection: Connection, model: str, target: Target) -> StagePolicy:
    """Return what a target asks of a model's versions.

    Each field is what the model's own policy says, else the policy for all models, else what it is by default: one
    reviewer for production and for a protected alias, nothing elsewhere.
    """
    return _merged(model, target, _bodies(connection, target, model))


def protected_aliases(connection: Connection, model: str) -> list[str]:
    """Return the aliases of a model of which a policy asks something, in order."""
    found = remembering.rows_of(connection, _ALIASES_OF_MODEL, {"wanted": model}, table=schema.policies)
    targets = dict.fromkeys(ProtectedAlias(target) for (target,) in found)
    return [target.alias for target in targets if policy_for(connection, model, target).asks_something]


def set_policy(tx: Transaction, model: str, target: Target, policy: StagePolicy) -> None:
    """Write what `target` asks of a model's versions, in place of an earlier policy; ``*`` is for every model.

    Raises
    ------
    PolicyError
        If nobody could satisfy it, or another model's own policy with what it inherits.
    ApprovalError
        If one that demands authenticated people would change, and the transaction's actor is none.
    """
    body = policy.to_json()
    _check_change(tx, model, target, body)
    values = {
        "model": model,
        "stage": str(target),
        "body": schema.dump(body),
        "set_by": tx.actor.name,
        "set_at": clock.to_text(tx.now),
    }
    _forget(tx, model, target)
    tx.insert(schema.policies, [values])
    tx.record("policy.set", f"policy:{model}/{target}", **values)


def remove_policy(tx: Transaction, model: str, target: Target) -> None:
    """Remove a policy; the one for every model, or the built-in one, counts again.

    Raises
    ------
    PolicyError, ApprovalError
        As `set_policy`.
    """
    _check_change(tx, model, target, None)
    _forget(tx, model, target)
    tx.record("policy.removed", f"policy:{model}/{target}", model=model, stage=str(target))


_POLICIES = schema.policies.c
_OF_TARGET = select(_POLICIES.model, _POLICIES.body).where(_POLICIES.stage == bindparam("target"))
_COUNTS = (_POLICIES.model == bindparam("wanted")) | (_POLICIES.model == EVERY_MODEL)
_OF_MODEL = _OF_TARGET.where(_COUNTS)
_ALIASES_OF_MODEL = select(_POLICIES.stage).where(_COUNTS, _POLICIES.stage.startswith("@")).order_by(_POLICIES.stage)


def _bodies(connection: Connection, target: Target, model: str | None = None) -> Bodies:
    query, wanted = _OF_TARGET, {"target": str(target)}
    if model is not None:
        query, wanted = _OF_MODEL, {**wanted, "wanted": model}
    found = remembering.rows_of(connection, query, wanted, table=schema.policies)
    return {row.model: schema.load(row.body) for row in found}


def _merged(model: str, target: Target, bodies: Bodies) -> StagePolicy:
    said = [bodies[name] for name in (EVERY_MODEL, model) if name in bodies]
    is_guarded = target is Stage.PRODUCTION or (isinstance(target, ProtectedAlias) and bool(said))
    fields: dict[str, Any] = {"reviewers": 1 if is_guarded else 0}
    for body in said:
        fields |= body
    return StagePolicy.parse(fields)


def _check_change(tx: Transaction, model: str, target: Target, body: Mapping[str, Any] | None) -> None:
    """Raise unless what a target asks may change so, of every model that it changes for."""
    if body is not None and "stages" in body and not isinstance(target, ProtectedAlias):
        raise PolicyError("The policy cannot be kept: stages: only a protected alias has them, such as '@champion'.")
    former = _bodies(tx.connection, target)
    new = {name: said for name, said in former.items() if name != model} | ({} if body is None else {model: body})
    for name in sorted({*former, *new, EVERY_MODEL}):
        before, after = _merged(name, target, former), _merged(name, target, new)
        if before == after and former.get(name) == new.get(name):
            continue
        whose = f"the policy of {target}" if name in (model, EVERY_MODEL) else f"the policy of {target} for '{name}'"
        if before.assurance is Assurance.AUTHENTICATED and tx.actor.assurance is not Assurance.AUTHENTICATED:
            raise ApprovalError(
                f"'{tx.actor.name}' cannot change {whose}: it takes authenticated people only, and so does what it "
                f"asks. Change it through a Jupyter server that knows who you are: PUT /dwcp/api/policies/{target}."
            )
        faults = after.faults()
        if faults:
            where = "" if name in (model, EVERY_MODEL) else f" for '{name}', which inherits from it"
            raise PolicyError(f"The policy cannot be kept{where}: {'; '.join(faults)}")


def _forget(tx: Transaction, model: str, target: Target) -> None:
    table = schema.policies
    tx.execute(delete(table).where((table.c.model == model) & (table.c.stage == str(target))))
