"""Requests to move a version to a guarded stage or alias, and what reviewers said of them.

A request covers the version as it is then: its model file and its metrics. Once either is another one, the request is
stale and decides nothing any more; after its time it has expired. Nobody judges their own request, nobody judges twice,
and one rejection ends it. Everything here works inside the caller's transaction.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, update

from dwcp_jupyter import clock
from dwcp_jupyter.events import Assurance, person_key
from dwcp_jupyter.exceptions import ApprovalConflictError, ApprovalError, TransitionError
from dwcp_jupyter.registry import resolution
from dwcp_jupyter.registry.approval_rules import can_be_completed, check_reviewer, explain_missing, what_lacks
from dwcp_jupyter.registry.approval_store import OPEN, cover, find_approval, list_approvals
from dwcp_jupyter.registry.approval_values import Approval, ApprovalList, ApprovalState, Decision
from dwcp_jupyter.registry.checking import check_text
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.policy_store import policy_for
from dwcp_jupyter.registry.stages import Stage, check_transition
from dwcp_jupyter.registry.targets import Target, entering
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import Transaction, schema

__all__ = [
    "Approval",
    "ApprovalList",
    "ApprovalState",
    "Decision",
    "check_reviewer",
    "decide",
    "find_approval",
    "list_approvals",
    "policy_for",
    "request_approval",
    "require_approval",
]


def request_approval(
    tx: Transaction,
    version: ModelVersion,
    target: Target,
    *,
    policy: StagePolicy,
    justification: str,
    new_id: str,
) -> Approval:
    """Return a new request by the transaction's actor.

    Raises
    ------
    TransitionError, ApprovalError
        If the version cannot go there, needs no approval, or a request for it is open already that can be completed.
    """
    _check_way(tx.connection, version, target, policy)
    if version.is_draft:
        raise ApprovalError(f"'{version.reference}' is a draft without a model file: there is nothing to approve yet.")
    if not policy.takes_approval:
        move = "promote_model" if isinstance(target, Stage) else "set_alias"
        raise ApprovalError(f"{target} asks for no approval. Move '{version.reference}' there with {move}.")
    if policy.assurance is Assurance.AUTHENTICATED and tx.actor.assurance is not Assurance.AUTHENTICATED:
        raise ApprovalError(
            f"The policy of {target} takes requests by authenticated people only: nobody else can be told from the "
            "reviewers for certain. Ask in the panel of a Jupyter server that you signed in to, not from Python."
        )
    _refuse_second(tx, version, target, policy)
    values = {
        "id": new_id,
        "version_id": version.id,
        "stage": str(target),
        "requested_by": tx.actor.name,
        "assurance": str(tx.actor.assurance),
        "justification": check_text(justification, field="justification"),
        "state": str(ApprovalState.PENDING),
        "covers": cover(version),
        "requested_at": clock.to_text(tx.now),
        "expires_at": clock.to_text(tx.now + policy.expires_after),
    }
    tx.insert(schema.approvals, [values])
    tx.record("approval.requested", f"model:{version.reference}", **values)
    return find_approval(tx.connection, new_id, tx.now)


def decide(tx: Transaction, approval_id: str, *, is_approved: bool, comment: str) -> Approval:
    """Return a request after the transaction's actor judged it.

    Raises
    ------
    ApprovalError
        If it is not open, the actor's own, judged by the actor already, or the policy does not let the actor judge.
    """
    approval = find_approval(tx.connection, approval_id, tx.now)
    policy = policy_for(tx.connection, approval.model.partition("@")[0], approval.stage)
    check_reviewer(approval, policy, tx.actor, is_approved=is_approved)
    said = Decision(
        reviewer=tx.actor.name,
        is_approved=is_approved,
        comment=check_text(comment, field="comment"),
        time=tx.now,
        assurance=tx.actor.assurance,
    )
    row = {
        "approval_id": approval.id,
        "reviewer": person_key(tx.actor.name),
        "name": tx.actor.name,
        "assurance": str(tx.actor.assurance),
        "is_approved": int(is_approved),
        "comment": said.comment,
        "decided_at": clock.to_text(tx.now),
    }
    tx.insert(schema.decisions, [row])
    state = _state_after(approval, said, policy)
    tx.execute(update(schema.approvals).where(schema.approvals.c.id == approval.id).values(state=str(state)))
    tx.record("approval.decided", f"model:{approval.model}", state=str(state), stage=str(approval.stage), **row)
    return find_approval(tx.connection, approval.id, tx.now)


def require_approval(
    connection: Connection,
    version: ModelVersion,
    target: Target,
    *,
    policy: StagePolicy,
    now: datetime,
    may_be_old: bool = False,
) -> Approval | None:
    """Return the approval that lets a version enter a stage or carry an alias; None where the policy asks for none.

    Parameters
    ----------
    may_be_old : bool
        Whether one that expired counts: for a way back that was approved once.

    Raises
    ------
    ApprovalError
        It says what the nearest request lacks.
    """
    if not policy.takes_approval:
        return None
    good = (ApprovalState.APPROVED, ApprovalState.EXPIRED) if may_be_old else (ApprovalState.APPROVED,)
    found = list_approvals(connection, now, version_id=version.id, stage=target)
    for approval in found:
        if approval.state in good and _lacks(policy, approval) is None:
            return approval
    raise ApprovalError(explain_missing(version, target, found))


def _lacks(policy: StagePolicy, approval: Approval, *further: Decision) -> str | None:
    return what_lacks(
        policy,
        requested_by=approval.requested_by,
        asked=approval.assurance,
        decisions=(*approval.decisions, *further),
    )


def _state_after(approval: Approval, said: Decision, policy: StagePolicy) -> ApprovalState:
    if not said.is_approved:
        return ApprovalState.REJECTED
    return ApprovalState.APPROVED if _lacks(policy, approval, said) is None else ApprovalState.PENDING


def _check_way(connection: Connection, version: ModelVersion, target: Target, policy: StagePolicy) -> None:
    """Raise unless a version could go to a target at once, if it were approved."""
    if isinstance(target, Stage):
        check_transition(version.reference, version.stage, target)
        return
    if resolution.aliases_of(connection, version.model_id).get(target.alias) == version.id:
        raise TransitionError(f"'{version.reference}' is '{target}' already.")
    if policy.stages and version.stage not in policy.stages:
        raise TransitionError(
            f"'{version.reference}' is in {version.stage} and cannot {entering(target)}, which takes versions in "
            f"{' or '.join(policy.stages)}. Move it there first."
        )


def _refuse_second(tx: Transaction, version: ModelVersion, target: Target, policy: StagePolicy) -> None:
    for former in list_approvals(tx.connection, tx.now, version_id=version.id, stage=target):
        if former.state in OPEN and can_be_completed(policy, former):
            onward = "the version can go there" if former.state is ApprovalState.APPROVED else "reviewers decide on it"
            raise ApprovalConflictError(
                f"Request {former.id[:8]} for '{version.reference}' to {entering(target)} is {former.state} already: "
                f"{onward}."
            )
