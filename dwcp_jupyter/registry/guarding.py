"""The registry's operations on stages: move and roll back; with those on requests, policies and the past.

`ModelRegistry` inherits them; they are apart because they belong together.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, select, update

from dwcp_jupyter.exceptions import ModelNotFoundError, TransitionError
from dwcp_jupyter.registry import approvals, gates, history, resolution
from dwcp_jupyter.registry.approval_calls import ApprovalCalls
from dwcp_jupyter.registry.approvals import Approval
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.past_calls import PastCalls
from dwcp_jupyter.registry.policy_calls import PolicyCalls
from dwcp_jupyter.registry.policy_store import policy_for
from dwcp_jupyter.registry.stages import Stage, check_transition, stage_of
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import Transaction, event_log, schema

__all__ = ["GuardedStages"]


class GuardedStages(ApprovalCalls, PolicyCalls, PastCalls):
    """Stages with their policies, approvals and history."""

    def promote_model(
        self, model_id: ModelReference, target_stage: Stage | str, *, dry_run: bool = False
    ) -> ModelVersion:
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
        target, model_id = stage_of(target_stage), reference_of(model_id)
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
        model_id: ModelReference,
        stage: Stage | str = Stage.PRODUCTION,
        *,
        dry_run: bool = False,
        expected: str | ModelVersion | None = None,
    ) -> ModelVersion:
        """Return the version that was in production before the one that is there now, back in production.

        They change places in one transaction. The approval that it once had counts again, as long as its model file
        and metrics are the same; an approval's age does not matter on the way back. Nor are the checks of the policy
        made again: it goes back to what passed them, and a way back that evidence can close is none in an emergency.
        With `dry_run` the version is returned as it would be, and nothing changes.

        Parameters
        ----------
        model_id : str
            The model. With a version, an alias or a stage it says which version should come back.
        expected : str, optional
            The version that should come back, such as ``"1.0.0"`` or ``"churn@1.0.0"``: for whoever was shown it before
            they confirmed.

        Raises
        ------
        ModelNotFoundError
            If `model_id` means nothing.
        TransitionError
            If there is nothing to go back to, or another version than the one meant or expected would come back.
        ApprovalError
            If no approval covers the version as it is.
        """
        if stage_of(stage) is not Stage.PRODUCTION:
            raise TransitionError(f"Only production is rolled back, not {stage}. Use promote_model for other stages.")
        model_id = reference_of(model_id)
        expected = None if expected is None else reference_of(expected)
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

    def _displace(self, tx: Transaction, newcomer: ModelVersion, *, reason: str) -> None:
        """Move the version in production back to staging, for another one's sake."""
        table = schema.versions
        ids = tx.execute(
            select(table.c.id).where(table.c.model_id == newcomer.model_id, table.c.stage == str(Stage.PRODUCTION))
        ).scalars()
        for version_id in list(ids):
            _move(tx, resolution.resolve(tx.connection, version_id), Stage.STAGING, reason=reason)


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
    policy = policy_for(connection, version.name, target)
    gates.check_gates(connection, version, target, policy)
    return version, approvals.require_approval(connection, version, target, policy=policy, now=now)


def _may_return(
    connection: Connection, model_id: str, *, now: datetime, expected: str | None
) -> tuple[ModelVersion, Approval | None]:
    """Return the version that was in production before, with the approval that covers it; raises if it may not."""
    name = resolution.model_row(connection, model_id.partition("@")[0]).name
    before = _before_incumbent(connection, name)
    if "@" in model_id and resolution.resolve(connection, model_id).id != before.id:
        raise TransitionError(
            f"'{before.reference}' would come back, not '{model_id}': a rollback undoes the last change of production. "
            "Leave out what follows the name, or move another version there with promote_model."
        )
    if expected is not None and not _is_meant(connection, before, expected):
        raise TransitionError(
            f"'{before.reference}' would come back, not '{expected}': production changed meanwhile. Look again."
        )
    policy = policy_for(connection, name, Stage.PRODUCTION)
    return before, approvals.require_approval(
        connection, before, Stage.PRODUCTION, policy=policy, now=now, may_be_old=True
    )


def _is_meant(connection: Connection, version: ModelVersion, said: str) -> bool:
    """Return whether a reference, or what follows its ``@``, means a version."""
    try:
        return resolution.resolve(connection, said if "@" in said else f"{version.name}@{said}").id == version.id
    except ModelNotFoundError:
        return False


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
