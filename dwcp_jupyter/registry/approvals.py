"""Requests to move a version to a guarded stage, and what reviewers said of them.

A request covers the version as it is then: its model file and its metrics. Once either is another one, the request is
stale and decides nothing any more; after its time it has expired. Nobody judges their own request, nobody judges twice,
and one rejection ends it. Everything here works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, select, update

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.events import Actor, Assurance
from dwcp_jupyter.exceptions import (
    ApprovalConflictError,
    ApprovalError,
    ApprovalNotFoundError,
    ModelNotFoundError,
    did_you_mean,
)
from dwcp_jupyter.registry import resolution
from dwcp_jupyter.registry.checking import check_text
from dwcp_jupyter.registry.policies import StagePolicy, person_key
from dwcp_jupyter.registry.stages import Stage, check_transition
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Displayed, Facts, Listed, Mark, Note, Table, View
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


class ApprovalState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody used it in time."""
    STALE = "stale"
    """The version is not the one any more for which it was asked."""


_OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)
_KEPT = {ApprovalState.EXPIRED: _OPEN, ApprovalState.STALE: _OPEN}
"""The state that is kept of a request which is in one that follows from the time or from its version."""
_LEVELS = {
    ApprovalState.PENDING: "info",
    ApprovalState.APPROVED: "success",
    ApprovalState.REJECTED: "critical",
    ApprovalState.EXPIRED: "warning",
    ApprovalState.STALE: "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one reviewer said."""

    reviewer: str
    is_approved: bool
    comment: str
    time: datetime
    assurance: Assurance


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Displayed):
    """A request, with what was said of it.

    Attributes
    ----------
    id : str
        What `approve_model` and `reject_model` take.
    model : str
        The version's reference.
    """

    id: str
    model: str
    version_id: str
    stage: Stage
    state: ApprovalState
    requested_by: str
    justification: str
    requested_at: datetime
    expires_at: datetime
    assurance: Assurance
    decisions: tuple[Decision, ...] = ()
    missing: str | None = None
    """What it still lacks, in words."""

    def _view(self) -> View:
        blocks: list[Any] = [
            Facts(
                {
                    "State": Mark(str(self.state), _LEVELS[self.state]),
                    "Asked by": f"{self.requested_by} ({self.assurance})",
                    "Asked at": self.requested_at,
                    "Good until": self.expires_at,
                    "Because": self.justification or "no reason given",
                    "Lacks": self.missing or "nothing",
                    "Request": self.id,
                }
            )
        ]
        if self.decisions:
            rows = [
                (d.time, d.reviewer, "approved" if d.is_approved else "rejected", d.comment, str(d.assurance))
                for d in self.decisions
            ]
            blocks.append(Table(("Time", "Reviewer", "Decision", "Comment", "Identity"), rows))
        return View(f"{self.model} to {self.stage}", blocks)


class ApprovalList(Listed[Approval]):
    """Requests, the newest first."""

    __slots__ = ()

    def _view(self) -> View:
        rows = [
            (
                a.id[:8],
                a.model,
                str(a.stage),
                Mark(str(a.state), _LEVELS[a.state]),
                a.requested_by,
                a.justification,
                a.missing or "",
                a.requested_at,
            )
            for a in self
        ]
        columns = ("Request", "Model", "To", "State", "Asked by", "Because", "Lacks", "Asked at")
        empty = Note("Nothing waits. Ask with %promote MODEL production --ask WHY.", "info")
        return View("Approvals", [Table(columns, rows)] if rows else [empty])


def request_approval(
    tx: Transaction,
    version: ModelVersion,
    target: Stage,
    *,
    policy: StagePolicy,
    justification: str,
    new_id: str,
) -> Approval:
    """Return a new request by the transaction's actor.

    Raises
    ------
    TransitionError, ApprovalError
        If the version cannot go there, needs no approval, or a request for it is open already.
    """
    check_transition(version.reference, version.stage, target)
    if version.is_draft:
        raise ApprovalError(f"'{version.reference}' is a draft without a model file: there is nothing to approve yet.")
    if not policy.reviewers and not policy.require:
        raise ApprovalError(f"{target} asks for no approval. Move '{version.reference}' there with promote_model.")
    if policy.assurance is Assurance.AUTHENTICATED and tx.actor.assurance is not Assurance.AUTHENTICATED:
        raise ApprovalError(
            f"The policy of {target} takes requests by authenticated people only: nobody else can be told from the "
            "reviewers for certain. Ask in the panel of a Jupyter server that you signed in to, not from Python."
        )
    for former in list_approvals(tx.connection, tx.now, version_id=version.id, stage=target):
        if former.state in _OPEN:
            raise ApprovalConflictError(
                f"Request {former.id[:8]} for '{version.reference}' to {target} is {former.state} already; "
                + ("it can be promoted." if former.state is ApprovalState.APPROVED else "reviewers decide on that one.")
            )
    values = {
        "id": new_id,
        "version_id": version.id,
        "stage": str(target),
        "requested_by": tx.actor.name,
        "assurance": str(tx.actor.assurance),
        "justification": check_text(justification, field="justification"),
        "state": str(ApprovalState.PENDING),
        "covers": _cover(version),
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
    state = approval.state
    if not is_approved:
        state = ApprovalState.REJECTED
    elif _lacks(policy, approval.assurance, (*approval.decisions, said)) is None:
        state = ApprovalState.APPROVED
    tx.execute(update(schema.approvals).where(schema.approvals.c.id == approval.id).values(state=str(state)))
    tx.record("approval.decided", f"model:{approval.model}", state=str(state), stage=str(approval.stage), **row)
    return find_approval(tx.connection, approval.id, tx.now)


def require_approval(
    connection: Connection,
    version: ModelVersion,
    target: Stage,
    *,
    policy: StagePolicy,
    now: datetime,
    may_be_old: bool = False,
) -> Approval | None:
    """Return the approval that lets a version enter a stage; None where the policy asks for none.

    Parameters
    ----------
    may_be_old : bool
        Whether one that expired counts: for a way back that was approved once.

    Raises
    ------
    ApprovalError
        It says what the nearest request lacks.
    """
    if not policy.reviewers and not policy.require:
        return None
    found = list_approvals(connection, now, version_id=version.id, stage=target)
    for approval in found:
        was_approved = approval.state is ApprovalState.APPROVED or (
            may_be_old and approval.state is ApprovalState.EXPIRED and _said_yes(connection, approval.id)
        )
        if was_approved and _lacks(policy, approval.assurance, approval.decisions) is None:
            return approval
    raise ApprovalError(_explain(version, target, found, policy))


def find_approval(connection: Connection, approval_id: str, now: datetime) -> Approval:
    """Return a request by its id, or by the beginning of it that leaves no choice.

    Raises
    ------
    ApprovalError
        If there is none, or there are several.
    """
    text = str(getattr(approval_id, "id", approval_id)).strip()
    table = schema.approvals
    rows = (
        connection.execute(select(table)).all()
        if len(text) < 32
        else connection.execute(select(table).where(table.c.id == text)).all()
    )
    found = [row for row in rows if len(text) >= 4 and row.id.startswith(text.lower())]
    if len(found) == 1:
        return _value(connection, found[0], now)
    if found:
        raise ApprovalError(f"'{text}' begins several requests: {', '.join(row.id for row in found[:5])}. Give more.")
    raise ApprovalNotFoundError(f"There is no request '{text[:40]}'. List them with list_approvals().")


def list_approvals(
    connection: Connection,
    now: datetime,
    *,
    version_id: str | None = None,
    stage: Stage | None = None,
    state: ApprovalState | None = None,
) -> list[Approval]:
    """Return requests, the newest first."""
    table = schema.approvals
    query = select(table).order_by(table.c.requested_at.desc(), table.c.id)
    if version_id is not None:
        query = query.where(table.c.version_id == version_id)
    if stage is not None:
        query = query.where(table.c.stage == str(stage))
    if state is not None:
        query = query.where(table.c.state.in_([str(kept) for kept in _KEPT.get(state, (state,))]))
    found = [_value(connection, row, now) for row in connection.execute(query).all()]
    return [approval for approval in found if state in (None, approval.state)]


def policy_for(connection: Connection, model: str, stage: Stage) -> StagePolicy:
    """Return what a stage asks of a model's versions.

    That is the model's own policy, else the one for all models, else one reviewer for production and nothing elsewhere.
    """
    table = schema.policies
    rows = connection.execute(
        select(table.c.model, table.c.body).where(table.c.stage == str(stage), table.c.model.in_([model, "*"]))
    ).all()
    bodies = {row.model: row.body for row in rows}
    body = bodies.get(model, bodies.get("*"))
    if body is not None:
        return StagePolicy.parse(schema.load(body))
    return StagePolicy(reviewers=1 if stage is Stage.PRODUCTION else 0)


def check_reviewer(approval: Approval, policy: StagePolicy, actor: Actor, *, is_approved: bool = True) -> None:
    """Raise unless a person may decide on a request.

    Parameters
    ----------
    is_approved : bool
        Whether it is to be approved; a request that cannot be approved any more can still be rejected.

    Raises
    ------
    ApprovalError
        It says why not.
    """
    if approval.state is not ApprovalState.PENDING:
        raise ApprovalConflictError(
            f"Request {approval.id[:8]} for '{approval.model}' is {approval.state} and takes no decision. "
            "Ask again with request_approval."
        )
    key = person_key(actor.name)
    if not key:
        raise ApprovalError("Nobody decides without a name. Give the reviewer's.")
    if key == person_key(approval.requested_by):
        raise ApprovalError(
            f"'{actor.name}' asked for '{approval.model}' to go to {approval.stage} and cannot decide on it. A second "
            "person must."
        )
    if any(key == person_key(decision.reviewer) for decision in approval.decisions):
        raise ApprovalConflictError(f"'{actor.name}' has decided on request {approval.id[:8]} already.")
    if policy.assurance is Assurance.AUTHENTICATED and actor.assurance is not Assurance.AUTHENTICATED:
        raise ApprovalError(
            f"The policy of {approval.stage} takes decisions by authenticated people only. Decide in the Jupyter "
            "server that you signed in to, not from Python."
        )
    is_proven = approval.assurance is Assurance.AUTHENTICATED
    if is_approved and policy.assurance is Assurance.AUTHENTICATED and not is_proven:
        raise ApprovalError(
            f"Request {approval.id[:8]} was made from Python, where anybody can be named, but the policy of "
            f"{approval.stage} takes requests by authenticated people only. Reject it, and ask again in the panel."
        )
    if policy.roles and not policy.roles_of(actor.name):
        people = ", ".join(f"{role}: {', '.join(names)}" for role, names in policy.roles.items())
        near = did_you_mean(actor.name, [name for names in policy.roles.values() for name in names])
        raise ApprovalError(f"'{actor.name}' has none of the roles that may review.{near} They are: {people}.")


def _lacks(policy: StagePolicy, asked: Assurance, decisions: Sequence[Decision]) -> str | None:
    """Return what a request lacks, or None; where a policy wants proof of who acted, nothing else counts."""
    wants_proof = policy.assurance is Assurance.AUTHENTICATED
    if wants_proof and asked is not Assurance.AUTHENTICATED:
        return "a request by an authenticated person"
    counted = [d for d in decisions if d.is_approved and (d.assurance is Assurance.AUTHENTICATED or not wants_proof)]
    return policy.missing([decision.reviewer for decision in counted])


def _explain(version: ModelVersion, target: Stage, found: list[Approval], policy: StagePolicy) -> str:
    ask = f"Ask: %promote {version.reference} {target} --ask WHY, in Python request_approval."
    if not found:
        return f"'{version.reference}' cannot go to {target}: nobody was asked to approve it. {ask}"
    newest = found[0]
    if newest.state is ApprovalState.PENDING:
        return f"'{version.reference}' cannot go to {target}: request {newest.id[:8]} lacks {newest.missing}."
    if newest.state is ApprovalState.APPROVED:
        lacks = _lacks(policy, newest.assurance, newest.decisions)
        return (
            f"'{version.reference}' cannot go to {target}: the policy changed, request {newest.id[:8]} lacks {lacks}."
        )
    return f"'{version.reference}' cannot go to {target}: request {newest.id[:8]} is {newest.state}. {ask}"


def _value(connection: Connection, row: Row[Any], now: datetime) -> Approval:
    try:
        version = resolution.resolve(connection, row.version_id)
    except ModelNotFoundError:
        version = None
    table = schema.decisions
    decisions = tuple(
        Decision(
            reviewer=found.name,
            is_approved=bool(found.is_approved),
            comment=found.comment,
            time=clock.from_text(found.decided_at),
            assurance=Assurance(found.assurance),
        )
        for found in connection.execute(
            select(table).where(table.c.approval_id == row.id).order_by(table.c.decided_at, table.c.reviewer)
        )
    )
    stage, state = Stage(row.stage), ApprovalState(row.state)
    if state in _OPEN and (version is None or _cover(version) != row.covers):
        state = ApprovalState.STALE
    elif state in _OPEN and now > clock.from_text(row.expires_at):
        state = ApprovalState.EXPIRED
    missing = None
    if version is not None and state is ApprovalState.PENDING:
        missing = _lacks(policy_for(connection, version.name, stage), Assurance(row.assurance), decisions)
    return Approval(
        id=row.id,
        model=row.version_id if version is None else version.reference,
        version_id=row.version_id,
        stage=stage,
        state=state,
        requested_by=row.requested_by,
        justification=row.justification,
        requested_at=clock.from_text(row.requested_at),
        expires_at=clock.from_text(row.expires_at),
        assurance=Assurance(row.assurance),
        decisions=decisions,
        missing=missing,
    )


def _said_yes(connection: Connection, approval_id: str) -> bool:
    kept = connection.execute(select(schema.approvals.c.state).where(schema.approvals.c.id == approval_id)).scalar()
    return kept == str(ApprovalState.APPROVED)


def _cover(version: ModelVersion) -> str:
    """Return the sum of what an approval is given for."""
    covered: Mapping[str, Any] = {"sha256": version.sha256, "metrics": dict(version.metrics)}
    return hashing.sha256_bytes(hashing.canonical_json(covered))
