"""Who may decide on a request, and which decisions count: what keeps it that two people are two people.

The state of a request is nothing that is kept and trusted. It follows from the decisions that are there, the policy as
it is now, the time, and the version as it is now. The one who asked never counts, however a decision in their name came
into the database; a person counts once, by the form in which names are compared.
"""

from __future__ import annotations

from collections.abc import Sequence

from dwcp_jupyter.events import Actor, Assurance, person_key
from dwcp_jupyter.exceptions import ApprovalConflictError, ApprovalError, did_you_mean
from dwcp_jupyter.registry.approval_values import Approval, ApprovalState, Decision
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.targets import Target, entering
from dwcp_jupyter.registry.values import ModelVersion

__all__ = ["can_be_completed", "check_reviewer", "explain_missing", "what_lacks"]


def what_lacks(
    policy: StagePolicy, *, requested_by: str, asked: Assurance, decisions: Sequence[Decision]
) -> str | None:
    """Return in words what a request lacks, or None; where a policy wants proof of who acted, nothing else counts."""
    if policy.assurance is Assurance.AUTHENTICATED and asked is not Assurance.AUTHENTICATED:
        return "a request by an authenticated person"
    return policy.missing(_approvers(policy, requested_by, decisions))


def can_be_completed(policy: StagePolicy, approval: Approval) -> bool:
    """Return whether people are left whose approvals would be enough, now that the policy may be another one."""
    if policy.assurance is Assurance.AUTHENTICATED and approval.assurance is not Assurance.AUTHENTICATED:
        return False
    if not policy.roles:  # anybody may review, and there is always somebody else
        return True
    have_decided = {person_key(decision.reviewer) for decision in approval.decisions}
    named = {person_key(name): name for people in policy.roles.values() for name in people}
    left = [name for key, name in named.items() if key not in {*have_decided, person_key(approval.requested_by)}]
    return policy.missing([*_approvers(policy, approval.requested_by, approval.decisions), *left]) is None


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
        onward = (
            "The version can go there."
            if approval.state is ApprovalState.APPROVED
            else "Ask again with request_approval."
        )
        raise ApprovalConflictError(
            f"Request {approval.id[:8]} for '{approval.model}' is {approval.state} and takes no decision. {onward}"
        )
    key = person_key(actor.name)
    if key == person_key(approval.requested_by):
        raise ApprovalError(
            f"'{actor.name}' asked for '{approval.model}' to {entering(approval.stage)} and cannot decide on it. A "
            "second person must."
        )
    if any(key == person_key(decision.reviewer) for decision in approval.decisions):
        raise ApprovalConflictError(f"'{actor.name}' has decided on request {approval.id[:8]} already.")
    _check_proof(approval, policy, actor, is_approved=is_approved)
    if policy.roles and not policy.roles_of(actor.name):
        people = ", ".join(f"{role}: {', '.join(names)}" for role, names in policy.roles.items())
        near = did_you_mean(actor.name, [name for names in policy.roles.values() for name in names])
        raise ApprovalError(f"'{actor.name}' has none of the roles that may review.{near} They are: {people}.")


def explain_missing(version: ModelVersion, target: Target, found: Sequence[Approval]) -> str:
    """Return why none of the requests found, the newest first, lets a version in, with the remedy."""
    refused = f"'{version.reference}' cannot {entering(target)}"
    ask = f"Ask: %promote {version.reference} {target} --ask WHY, in Python request_approval."
    if not found:
        return f"{refused}: nobody was asked to approve it. {ask}"
    newest = found[0]
    if newest.state is ApprovalState.PENDING:
        return f"{refused}: request {newest.id[:8]} lacks {newest.missing}."
    return f"{refused}: request {newest.id[:8]} is {newest.state}. {ask}"


def _check_proof(approval: Approval, policy: StagePolicy, actor: Actor, *, is_approved: bool) -> None:
    if policy.assurance is not Assurance.AUTHENTICATED:
        return
    if actor.assurance is not Assurance.AUTHENTICATED:
        raise ApprovalError(
            f"The policy of {approval.stage} takes decisions by authenticated people only. Decide in the Jupyter "
            "server that you signed in to, not from Python."
        )
    if is_approved and approval.assurance is not Assurance.AUTHENTICATED:
        raise ApprovalError(
            f"Request {approval.id[:8]} was made from Python, where anybody can be named, but the policy of "
            f"{approval.stage} takes requests by authenticated people only. Reject it, and ask again in the panel."
        )


def _approvers(policy: StagePolicy, requested_by: str, decisions: Sequence[Decision]) -> list[str]:
    wants_proof = policy.assurance is Assurance.AUTHENTICATED
    return [
        decision.reviewer
        for decision in decisions
        if decision.is_approved
        and person_key(decision.reviewer) != person_key(requested_by)
        and (decision.assurance is Assurance.AUTHENTICATED or not wants_proof)
    ]
