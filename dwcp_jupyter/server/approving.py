"""Requests for approval through the server: the inbox, what to judge by, and the judgement.

The reviewer is whoever is signed in. With each request comes the evidence that a reviewer asks for first: the version's
metrics, and every check of the stage or alias with the value found.
"""

from __future__ import annotations

from typing import Any

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import ModelNotFoundError
from dwcp_jupyter.registry import Approval, ApprovalState, ModelRegistry, ModelVersion, StagePolicy
from dwcp_jupyter.server import bodies
from dwcp_jupyter.server.changing import registry_of
from dwcp_jupyter.server.questions import Question
from dwcp_jupyter.server.statuses import RequestError

__all__ = ["approval", "approvals", "approve", "policy", "reject", "remove_policy", "request", "set_policy"]

_MOST = 200


def approvals(question: Question) -> dict[str, Any]:
    """Return a page of requests, the newest first."""
    limit = question.integer("limit", default=50, low=1, high=_MOST)
    offset = question.integer("offset", default=0, low=0)
    registry = registry_of(question)
    with question.entry.stores.metadata.read():  # one opening of the database for all that follows
        found = registry.list_approvals(question.arguments.get("model"), state=_state(question))
        page = list(found)[offset : offset + limit]
        return {"approvals": [_approval(registry, item) for item in page], "total": len(found)}


def approval(question: Question) -> dict[str, Any]:
    """Return one request."""
    registry = registry_of(question)
    return _approval(registry, registry.get_approval(question.parts["approval"]))


def request(question: Question) -> dict[str, Any]:
    """Return a new request by whoever is signed in."""
    said = question.content(bodies.Request)
    registry = registry_of(question)
    made = registry.request_approval(said.model, target_stage=said.stage, justification=said.justification)
    return _approval(registry, made)


def approve(question: Question) -> dict[str, Any]:
    """Return a request with one more approval."""
    registry = registry_of(question)
    comment = question.content(bodies.Judgement).comment
    return _approval(registry, registry.approve_model(question.parts["approval"], comments=comment))


def reject(question: Question) -> dict[str, Any]:
    """Return a request that was rejected."""
    registry = registry_of(question)
    comment = question.content(bodies.Judgement).comment
    return _approval(registry, registry.reject_model(question.parts["approval"], comments=comment))


def policy(question: Question) -> dict[str, Any]:
    """Return what a stage or an alias asks for, of one model or of those without their own."""
    target, model = question.parts["target"], question.arguments.get("model")
    return _policy(registry_of(question).policy(target, model=model))


def set_policy(question: Question) -> dict[str, Any]:
    """Return what a stage or an alias asks for from now on."""
    said = question.content(bodies.PolicyChange).policy
    target, model = question.parts["target"], question.arguments.get("model")
    return _policy(registry_of(question).set_policy(target, said, model=model))


def remove_policy(question: Question) -> dict[str, Any]:
    """Return what a stage or an alias asks for after a policy was removed."""
    target, model = question.parts["target"], question.arguments.get("model")
    return _policy(registry_of(question).set_policy(target, None, model=model))


def _policy(found: StagePolicy) -> dict[str, Any]:
    return {
        "reviewers": found.reviewers,
        "roles": {role: list(people) for role, people in found.roles.items()},
        "require": list(found.require),
        "expires_after_days": found.expires_after_days,
        "assurance": str(found.assurance),
        "checks": [str(check) for check in found.checks],
        "stages": [str(stage) for stage in found.stages],
    }


def _state(question: Question) -> ApprovalState | None:
    text = question.arguments.get("state")
    if text is None:
        return None
    try:
        return ApprovalState(text)
    except ValueError as exc:
        raise RequestError(f"state='{text}' is none of: {', '.join(ApprovalState)}.") from exc


def _approval(registry: ModelRegistry, item: Approval) -> dict[str, Any]:
    try:
        version = registry.get_model(item.version_id)
    except ModelNotFoundError:  # it was deleted: the request is stale
        version = None
    return {
        "id": item.id,
        "model": item.model,
        "version_id": item.version_id,
        "stage": str(item.stage),
        "state": str(item.state),
        "requested_by": item.requested_by,
        "assurance": str(item.assurance),
        "justification": item.justification,
        "requested_at": clock.to_text(item.requested_at),
        "expires_at": clock.to_text(item.expires_at),
        "missing": item.missing,
        "obstacle": registry.find_obstacle(item),
        "may_reject": registry.find_obstacle(item, is_approved=False) is None,
        "decisions": [
            {
                "reviewer": decision.reviewer,
                "assurance": str(decision.assurance),
                "is_approved": decision.is_approved,
                "comment": decision.comment,
                "time": clock.to_text(decision.time),
            }
            for decision in item.decisions
        ],
        "from_stage": None if version is None else str(version.stage),
        "metrics": {} if version is None else dict(version.metrics),
        "checks": [] if version is None else _checks(registry, version, item),
    }


def _checks(registry: ModelRegistry, version: ModelVersion, item: Approval) -> list[dict[str, Any]]:
    asked: StagePolicy = registry.policy(item.stage, model=version.name)
    evidence = registry.evidence(version.id) if asked.checks else {}
    return [
        {"check": str(result.check), "is_passed": result.is_passed, "found": result.found}
        for result in asked.results(evidence)
    ]
