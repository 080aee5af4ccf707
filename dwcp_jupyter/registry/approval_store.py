"""Requests and decisions as the database keeps them, read into values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.events import Assurance
from dwcp_jupyter.exceptions import ApprovalError, ApprovalNotFoundError, ModelNotFoundError
from dwcp_jupyter.registry import resolution
from dwcp_jupyter.registry.approval_rules import what_lacks
from dwcp_jupyter.registry.approval_values import Approval, ApprovalState, Decision
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.policy_store import policy_for
from dwcp_jupyter.registry.stages import Stage, can_reach
from dwcp_jupyter.registry.targets import Target, target_of
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema

__all__ = ["OPEN", "cover", "find_approval", "list_approvals"]

OPEN = (ApprovalState.PENDING, ApprovalState.APPROVED)
_KEPT: dict[ApprovalState, tuple[ApprovalState, ...]] = {
    state: OPEN for state in ApprovalState if state is not ApprovalState.REJECTED
}
"""What the database may keep of a request that is in a state; all but a rejection follow from what changes later."""


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
    stage: Target | None = None,
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


def cover(version: ModelVersion) -> str:
    """Return the sum of what an approval is given for."""
    covered: Mapping[str, Any] = {"sha256": version.sha256, "metrics": dict(version.metrics)}
    return hashing.sha256_bytes(hashing.canonical_json(covered))


def _value(connection: Connection, row: Row[Any], now: datetime) -> Approval:
    try:
        version = resolution.resolve(connection, row.version_id)
    except ModelNotFoundError:
        version = None
    target, decisions = target_of(row.stage), _decisions(connection, row.id)
    state, missing = _standing(connection, row, version, target, decisions, now)
    return Approval(
        id=row.id,
        model=_former_reference(connection, row) if version is None else version.reference,
        version_id=row.version_id,
        stage=target,
        state=state,
        requested_by=row.requested_by,
        justification=row.justification,
        requested_at=clock.from_text(row.requested_at),
        expires_at=clock.from_text(row.expires_at),
        assurance=Assurance(row.assurance),
        decisions=decisions,
        missing=missing,
    )


def _former_reference(connection: Connection, row: Row[Any]) -> str:
    """Return what a version was called that is deleted: as the trash, or the event of the request, says."""
    trash, events = schema.trash.c, schema.events.c
    found = connection.execute(select(trash.name, trash.version).where(trash.version_id == row.version_id)).first()
    if found is not None:
        return f"{found.name}@{found.version}"
    is_it = (events.kind == "approval.requested") & events.body.contains(row.id, autoescape=True)
    subject: str | None = connection.execute(select(events.subject).where(is_it)).scalar()
    return row.version_id if subject is None else subject.removeprefix("model:")


def _decisions(connection: Connection, approval_id: str) -> tuple[Decision, ...]:
    table = schema.decisions
    query = select(table).where(table.c.approval_id == approval_id).order_by(table.c.decided_at, table.c.reviewer)
    return tuple(
        Decision(
            reviewer=found.name,
            is_approved=bool(found.is_approved),
            comment=found.comment,
            time=clock.from_text(found.decided_at),
            assurance=Assurance(found.assurance),
        )
        for found in connection.execute(query)
    )


def _standing(
    connection: Connection,
    row: Row[Any],
    version: ModelVersion | None,
    target: Target,
    decisions: tuple[Decision, ...],
    now: datetime,
) -> tuple[ApprovalState, str | None]:
    """Return the state of a request, and what a pending one lacks."""
    if row.state == ApprovalState.REJECTED or not all(decision.is_approved for decision in decisions):
        return ApprovalState.REJECTED, None
    if version is None or cover(version) != row.covers:
        return ApprovalState.STALE, None
    policy = policy_for(connection, version.name, target)
    if not _is_reachable(version, target, policy):
        return ApprovalState.STALE, None
    if now > clock.from_text(row.expires_at):
        return ApprovalState.EXPIRED, None
    asked = Assurance(row.assurance)
    missing = what_lacks(policy, requested_by=row.requested_by, asked=asked, decisions=decisions)
    return (ApprovalState.PENDING if missing else ApprovalState.APPROVED), missing


def _is_reachable(version: ModelVersion, target: Target, policy: StagePolicy) -> bool:
    if isinstance(target, Stage):
        return can_reach(version.stage, target)
    if not policy.stages:
        return version.stage is not Stage.ARCHIVED
    return any(can_reach(version.stage, stage) for stage in policy.stages)
