"""The registry's operations on requests: ask, judge, list."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from dwcp_jupyter.events import local_actor
from dwcp_jupyter.exceptions import ApprovalError, ApprovalNotFoundError, ModelNotFoundError
from dwcp_jupyter.registry import aliasing, approvals, resolution
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.approvals import Approval, ApprovalList, ApprovalState
from dwcp_jupyter.registry.checking import check_choice
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.policy_store import policy_for
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.targets import ProtectedAlias, Target, target_of

__all__ = ["ApprovalCalls"]


class ApprovalCalls(Acting):
    """Requests for approval."""

    def request_approval(
        self,
        model_id: ModelReference,
        requested_by: str | None = None,
        target_stage: Target | str = Stage.PRODUCTION,
        justification: str = "",
    ) -> Approval:
        """Return a request to move a version to a stage or a protected alias; `approve_model` takes it, or its id.

        Parameters
        ----------
        requested_by : str, optional
            Who asks; by default the registry's actor. From Python this is asserted.
        target_stage : Stage or str, optional
            Where it is to go: a stage, or an alias, written ``"@champion"``.

        Raises
        ------
        TransitionError, InvalidNameError, ApprovalError
            If the version cannot go there, that takes no approval, or a request is open already.
        """
        target, model_id = target_of(target_stage), reference_of(model_id)
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._acting(requested_by)) as tx:
            version = resolution.resolve(tx.connection, model_id, must_be_certain=True)
            if isinstance(target, ProtectedAlias):
                aliasing.check_distinct(tx.connection, version, target.alias)
            policy = policy_for(tx.connection, version.name, target)
            return approvals.request_approval(
                tx, version, target, policy=policy, justification=justification, new_id=self._new_id()
            )

    def approve_model(self, approval_id: str | Approval, approver: str | None = None, comments: str = "") -> Approval:
        """Return a request with one more approval; it is approved once the policy has all that it asks for.

        Raises
        ------
        ApprovalError
            If it is not open, the approver's own, judged by the approver already, or the policy does not let them.
        """
        return self._decide(approval_id, approver, comments, is_approved=True)

    def reject_model(self, approval_id: str | Approval, approver: str | None = None, comments: str = "") -> Approval:
        """Return a request that was rejected; that ends it."""
        return self._decide(approval_id, approver, comments, is_approved=False)

    def list_approvals(
        self, model_id: ModelReference | None = None, *, state: ApprovalState | str | None = None
    ) -> ApprovalList:
        """Return requests, the newest first.

        Parameters
        ----------
        model_id : str, optional
            Only those of a version, or of all versions of a model; of deleted ones by what they were called.
        state : ApprovalState, optional
            ``"pending"`` is the reviewers' inbox.

        Raises
        ------
        ModelNotFoundError, InvalidMetadataError
            If there is no such model, or no such state.
        """
        wanted = None if state is None else check_choice(ApprovalState, state, field="state")
        model_id = None if model_id is None else reference_of(model_id)
        with self._stores.metadata.read() as connection:
            found = approvals.list_approvals(connection, self._stores.clock(), state=wanted)
            if model_id is not None:
                found = _those_of(connection, found, model_id)
        return ApprovalList(found)

    def get_approval(self, approval_id: str) -> Approval:
        """Return a request by its id, or by the beginning of it that leaves no choice.

        Raises
        ------
        ApprovalNotFoundError
            If there is none.
        """
        with self._stores.metadata.read() as connection:
            return approvals.find_approval(connection, approval_id, self._stores.clock())

    def find_obstacle(self, approval: Approval, *, is_approved: bool = True) -> str | None:
        """Return why the registry's actor may not approve a request, or reject it, or None."""
        with self._stores.metadata.read() as connection:
            policy = policy_for(connection, approval.model.partition("@")[0], approval.stage)
        try:
            approvals.check_reviewer(approval, policy, self._actor or local_actor(), is_approved=is_approved)
        except ApprovalError as exc:
            return str(exc)
        return None

    def _decide(
        self, approval_id: str | Approval, approver: str | None, comment: str, *, is_approved: bool
    ) -> Approval:
        text = approval_id.id if isinstance(approval_id, Approval) else approval_id
        if not self._stores.metadata.exists:
            raise ApprovalNotFoundError(f"There is no request '{text}': this workspace is empty.")
        with self._stores.metadata.transaction(self._acting(approver)) as tx:
            return approvals.decide(tx, text, is_approved=is_approved, comment=comment)


def _those_of(connection: Connection, found: Iterable[Approval], reference: str) -> list[Approval]:
    """Return the requests of a version, or of all versions of a model; of deleted ones by what they were called."""
    try:
        version = resolution.resolve(connection, reference)
    except ModelNotFoundError:
        former = [a for a in found if a.model == reference or a.model.startswith(f"{reference}@")]
        if not former:
            raise
        return former
    if "@" in reference or reference == version.id:
        return [a for a in found if a.version_id == version.id]
    return [a for a in found if a.model.startswith(f"{version.name}@")]
