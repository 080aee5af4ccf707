"""The registry's operations on stages: move, ask, judge, roll back, and what was when.

`ModelRegistry` inherits them; they are apart because they belong together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select, update

from dwcp_jupyter import store
from dwcp_jupyter.events import Actor, Assurance, Record, local_actor
from dwcp_jupyter.exceptions import ApprovalError, ApprovalNotFoundError, ModelNotFoundError, TransitionError
from dwcp_jupyter.registry import approvals, gates, history, resolution
from dwcp_jupyter.registry.approvals import Approval, ApprovalList, ApprovalState
from dwcp_jupyter.registry.history import StageHistory
from dwcp_jupyter.registry.names import check_name, parse_reference
from dwcp_jupyter.registry.policies import StagePolicy, person_key
from dwcp_jupyter.registry.stages import Stage, check_transition, stage_of
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import Transaction, event_log, schema

__all__ = ["GuardedStages"]

_EVERY_MODEL = "*"


class GuardedStages:
    """Stages with their policies, approvals and history."""

    _stores: store.Stores
    _actor: Actor | None
    _new_id: Callable[[], str]

    def promote_model(self, model_id: str, target_stage: Stage | str, *, dry_run: bool = False) -> ModelVersion:
        """Return the version, moved to another stage.

        A model has one version in production: the one that was there goes back to staging in the same moment. With
        `dry_run` the version is returned as it would be, and nothing changes.

        Raises
        ------
        TransitionError
            If the life cycle has no such step, or the version is a draft.
        GateError
            If the evidence does not pass a check of the stage's policy; it names each.
        ApprovalError
            If the stage takes an approval that is not there, not complete, expired or stale.
        """
        target = stage_of(target_stage)
        self._refuse_empty(model_id)
        if dry_run:
            with self._stores.metadata.read() as connection:
                version, _ = _may_enter(connection, model_id, target, now=self._stores.clock())
            return replace(version, stage=target)
        with self._stores.metadata.transaction(self._actor) as tx:
            version, approval = _may_enter(tx.connection, model_id, target, now=tx.now)
            if target is Stage.PRODUCTION:
                self._displace(tx, version, reason=f"replaced by {version.version}")
            _move(tx, version, target, approval_id=None if approval is None else approval.id)
            return resolution.resolve(tx.connection, version.id)

    def rollback(
        self,
        model_id: str,
        stage: Stage | str = Stage.PRODUCTION,
        *,
        dry_run: bool = False,
        expected: str | None = None,
    ) -> ModelVersion:
        """Return the version that was in production before the one that is there now, back in production.

        They change places in one transaction. The approval that it once had counts again, as long as its model file
        and metrics are the same; an approval's age does not matter on the way back. With `dry_run` the version is
        returned as it would be, and nothing changes.

        Parameters
        ----------
        expected : str, optional
            The version that should come back, such as ``"1.0.0"``: for whoever was shown it before they confirmed.

        Raises
        ------
        TransitionError
            If there is nothing to go back to, or another version than the one expected would come back.
        ApprovalError
            If no approval covers the version as it is.
        """
        if stage_of(stage) is not Stage.PRODUCTION:
            raise TransitionError(f"Only production is rolled back, not {stage}. Use promote_model for other stages.")
        self._refuse_empty(model_id)
        if dry_run:
            with self._stores.metadata.read() as connection:
                before, _ = _may_return(connection, model_id, now=self._stores.clock(), expected=expected)
            return replace(before, stage=Stage.PRODUCTION)
        with self._stores.metadata.transaction(self._actor) as tx:
            before, approval = _may_return(tx.connection, model_id, now=tx.now, expected=expected)
            self._displace(tx, before, reason="rolled back")
            _move(
                tx, before, Stage.PRODUCTION, reason="rollback", approval_id=None if approval is None else approval.id
            )
            return resolution.resolve(tx.connection, before.id)

    def request_approval(
        self,
        model_id: str,
        requested_by: str | None = None,
        target_stage: Stage | str = Stage.PRODUCTION,
        justification: str = "",
    ) -> Approval:
        """Return a request to move a version to a stage; `approve_model` takes it, or its id.

        Parameters
        ----------
        requested_by : str, optional
            Who asks; by default the registry's actor. From Python this is asserted.

        Raises
        ------
        TransitionError, ApprovalError
            If the version cannot go there, the stage takes no approval, or a request is open already.
        """
        target = stage_of(target_stage)
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._acting(requested_by)) as tx:
            version = resolution.resolve(tx.connection, model_id, must_be_certain=True)
            policy = approvals.policy_for(tx.connection, version.name, target)
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

    def list_approvals(self, model_id: str | None = None, *, state: ApprovalState | str | None = None) -> ApprovalList:
        """Return requests, the newest first.

        Parameters
        ----------
        model_id : str, optional
            Only those of a version, or of all versions of a model.
        state : ApprovalState, optional
            ``"pending"`` is the reviewers' inbox.
        """
        wanted = None if state is None else ApprovalState(str(state))
        with self._stores.metadata.read() as connection:
            found = approvals.list_approvals(connection, self._stores.clock(), state=wanted)
            if model_id is not None:
                version = resolution.resolve(connection, model_id)
                ids = {version.id} if "@" in model_id or model_id == version.id else None
                found = [a for a in found if (a.version_id in ids if ids else a.model.startswith(f"{version.name}@"))]
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
        policy = self.policy(approval.stage, model=approval.model.partition("@")[0])
        try:
            approvals.check_reviewer(approval, policy, self._actor or local_actor(), is_approved=is_approved)
        except ApprovalError as exc:
            return str(exc)
        return None

    def set_policy(
        self, stage: Stage | str, policy: str | Mapping[str, Any] | StagePolicy | None, *, model: str | None = None
    ) -> StagePolicy:
        """Return the policy that counts for a stage from now on.

        Parameters
        ----------
        policy : str, mapping or StagePolicy, or None
            YAML or its fields, see `StagePolicy`; None removes it.
        model : str, optional
            For the versions of one model; for all without it.

        Raises
        ------
        PolicyError
            If it cannot be one; it names every fault.
        """
        target = stage_of(stage)
        parsed = None if policy is None else StagePolicy.parse(policy)
        name = _EVERY_MODEL if model is None else check_name(model)
        with self._stores.metadata.transaction(self._actor) as tx:
            if parsed is None:
                gates.remove_policy(tx, name, target)
            else:
                gates.set_policy(tx, name, target, parsed)
            return approvals.policy_for(tx.connection, name, target)

    def policy(self, stage: Stage | str, *, model: str | None = None) -> StagePolicy:
        """Return the policy that counts for a stage, of one model or of those without their own."""
        name = _EVERY_MODEL if model is None else check_name(model)
        with self._stores.metadata.read() as connection:
            return approvals.policy_for(connection, name, stage_of(stage))

    def record_evidence(self, model_id: str, kind: str, values: Mapping[str, Any]) -> None:
        """Keep what was measured of a version, for the checks of policies.

        Parameters
        ----------
        kind : str
            ``"bias"``, ``"documents"``, ``"alerts"`` or another word; a check names it before the dot.
        values : mapping
            Numbers by their names; for documents, anything that tells which.
        """
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            gates.record_evidence(tx, resolution.resolve(tx.connection, model_id, must_be_certain=True), kind, values)

    def evidence(self, model_id: str) -> dict[str, dict[str, Any]]:
        """Return what is recorded of a version, by kind and name; its metrics among them."""
        with self._stores.metadata.read() as connection:
            return gates.evidence_of(connection, resolution.resolve(connection, model_id))

    def as_of(self, model_id: str, when: datetime) -> ModelVersion:
        """Return the version that a reference meant at a moment, as it was then.

        Parameters
        ----------
        when : datetime
            With a time zone; without one it is read as UTC.

        Raises
        ------
        ModelNotFoundError
            If it meant none.

        Examples
        --------
        ``registry.as_of("churn@production", datetime(2026, 3, 1))``: what was in production on that day.
        """
        moment = when.replace(tzinfo=UTC) if when.tzinfo is None else when
        return history.as_of(self._past_events(parse_reference(model_id).name, until=moment), model_id, moment)

    def history(self, model_id: str) -> StageHistory:
        """Return every change of a model's stages and aliases, the oldest first."""
        name = parse_reference(model_id).name
        found = self._past_events(name)
        if not found:
            raise ModelNotFoundError(f"No model '{name}' was ever in this workspace. List models with %models.")
        return history.changes(found)

    def _past_events(self, name: str, *, until: datetime | None = None) -> list[Record]:
        with self._stores.metadata.read() as connection:
            return event_log.read(connection, kinds=history.KINDS, below=f"model:{name}", until=until)

    def _decide(
        self, approval_id: str | Approval, approver: str | None, comment: str, *, is_approved: bool
    ) -> Approval:
        text = approval_id.id if isinstance(approval_id, Approval) else approval_id
        if not self._stores.metadata.exists:
            raise ApprovalNotFoundError(f"There is no request '{text}': this workspace is empty.")
        with self._stores.metadata.transaction(self._acting(approver)) as tx:
            return approvals.decide(tx, text, is_approved=is_approved, comment=comment)

    def _acting(self, name: str | None) -> Actor:
        """Return who acts: the registry's actor, or in Python whoever the caller says."""
        actor = self._actor or local_actor()
        if name is None or person_key(name) == person_key(actor.name):
            return actor
        if actor.assurance is Assurance.AUTHENTICATED:
            raise ApprovalError(f"You are signed in as '{actor.name}' and cannot act as '{name}'. Leave the name out.")
        return Actor(name=name.strip())

    def _displace(self, tx: Transaction, newcomer: ModelVersion, *, reason: str) -> None:
        """Move the version in production back to staging, for another one's sake."""
        table = schema.versions
        ids = tx.execute(
            select(table.c.id).where(table.c.model_id == newcomer.model_id, table.c.stage == str(Stage.PRODUCTION))
        ).scalars()
        for version_id in list(ids):
            _move(tx, resolution.resolve(tx.connection, version_id), Stage.STAGING, reason=reason)

    def _refuse_empty(self, model_id: str) -> None:
        """Raise for a workspace that does not exist yet; a change of nothing is no reason to create one."""
        if not self._stores.metadata.exists:
            with self._stores.metadata.read() as connection:
                resolution.resolve(connection, model_id)


def _may_enter(
    connection: Connection, model_id: str, target: Stage, *, now: datetime
) -> tuple[ModelVersion, Approval | None]:
    """Return a version that may go to a stage, with the approval that lets it; raises if it may not."""
    version = resolution.resolve(connection, model_id, must_be_certain=True)
    check_transition(version.reference, version.stage, target)
    if version.is_draft and target is not Stage.ARCHIVED:
        raise TransitionError(
            f"'{version.reference}' is a draft without a model file. Complete it by store_model_artifact."
        )
    policy = approvals.policy_for(connection, version.name, target)
    gates.check_gates(connection, version, target, policy)
    return version, approvals.require_approval(connection, version, target, policy=policy, now=now)


def _may_return(
    connection: Connection, model_id: str, *, now: datetime, expected: str | None
) -> tuple[ModelVersion, Approval | None]:
    """Return the version that was in production before, with the approval that covers it; raises if it may not."""
    name = resolution.model_row(connection, model_id.partition("@")[0]).name
    before = _before_incumbent(connection, name)
    if expected not in (None, before.version):
        raise TransitionError(
            f"'{before.reference}' would come back, not '{expected}': production changed meanwhile. Look again."
        )
    policy = approvals.policy_for(connection, name, Stage.PRODUCTION)
    return before, approvals.require_approval(
        connection, before, Stage.PRODUCTION, policy=policy, now=now, may_be_old=True
    )


def _before_incumbent(connection: Connection, name: str) -> ModelVersion:
    past = history.past(event_log.read(connection, kinds=history.KINDS, below=f"model:{name}"), name)
    entered = [version_id for version_id in past.incumbents if version_id in past.versions]
    if not past.incumbents:
        raise TransitionError(f"No version of '{name}' was ever in production.")
    current = next((row["id"] for row in past.versions.values() if row["stage"] == Stage.PRODUCTION), None)
    candidates = [version_id for version_id in entered if version_id != current]
    if not candidates:
        raise TransitionError(f"No version of '{name}' was in production before. There is nothing to go back to.")
    before = resolution.resolve(connection, candidates[-1])
    if before.stage is not Stage.STAGING:
        raise TransitionError(
            f"'{before.reference}' was in production before, but is in {before.stage} now and cannot go back. "
            "Promote another version."
        )
    return before


def _move(
    tx: Transaction, version: ModelVersion, target: Stage, *, reason: str | None = None, approval_id: str | None = None
) -> None:
    tx.execute(update(schema.versions).where(schema.versions.c.id == version.id).values(stage=str(target)))
    tx.record(
        "version.promoted",
        f"model:{version.reference}",
        version_id=version.id,
        source=str(version.stage),
        target=str(target),
        reason=reason,
        approval_id=approval_id,
    )
