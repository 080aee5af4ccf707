"""The registry's operations on policies and on the evidence that they look at."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from dwcp_jupyter.exceptions import did_you_mean
from dwcp_jupyter.registry import gates, policy_store, resolution
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.names import ModelReference, check_name, reference_of
from dwcp_jupyter.registry.policies import StagePolicy
from dwcp_jupyter.registry.policy_store import EVERY_MODEL
from dwcp_jupyter.registry.targets import Target, target_of
from dwcp_jupyter.store import schema

__all__ = ["PolicyCalls"]


class PolicyCalls(Acting):
    """Policies and evidence."""

    def set_policy(
        self, stage: Target | str, policy: str | Mapping[str, Any] | StagePolicy | None, *, model: str | None = None
    ) -> StagePolicy:
        """Return the policy that counts for a stage or an alias from now on.

        Parameters
        ----------
        stage : Stage or str
            What it guards: a stage, or an alias, written ``"@champion"``, which is protected by that.
        policy : str, mapping or StagePolicy, or None
            YAML or its fields, see `StagePolicy`; None removes it. What a model's own policy leaves out is as the
            policy for all models says.
        model : str, optional
            For the versions of one model; for all without it. It need not be there yet: one whose name is hardly
            another is warned of.

        Raises
        ------
        PolicyError
            If it cannot be one, or nobody could ever satisfy it; it names every fault.
        ApprovalError
            If one that takes authenticated people only would change, and the registry's actor is not one.

        Examples
        --------
        ``registry.set_policy("@champion", {"reviewers": 1, "stages": ["staging", "production"]}, model="churn")``
        """
        target = target_of(stage)
        parsed = None if policy is None else StagePolicy.parse(policy)
        if model is not None:
            check_name(model)
        with self._stores.metadata.transaction(self._actor) as tx:
            name = _name_of(tx.connection, model)
            if parsed is None:
                policy_store.remove_policy(tx, name, target)
            else:
                _warn_of_slip(tx.connection, name)
                policy_store.set_policy(tx, name, target, parsed)
            return policy_store.policy_for(tx.connection, name, target)

    def policy(self, stage: Target | str, *, model: str | None = None) -> StagePolicy:
        """Return the policy that counts for a stage or ``"@alias"``, of one model or of those without their own."""
        with self._stores.metadata.read() as connection:
            return policy_store.policy_for(connection, _name_of(connection, model), target_of(stage))

    def record_evidence(self, model_id: ModelReference, kind: str, values: Mapping[str, Any]) -> None:
        """Keep what was measured of a version, for the checks of policies, in place of earlier evidence of that kind.

        Parameters
        ----------
        kind : str
            ``"bias"``, ``"documents"``, ``"alerts"`` or another word; a check names it before the dot.
        values : mapping
            Numbers by their names; for documents, anything that tells which.
        """
        model_id = reference_of(model_id)
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            gates.record_evidence(tx, resolution.resolve(tx.connection, model_id, must_be_certain=True), kind, values)

    def evidence(self, model_id: ModelReference) -> dict[str, dict[str, Any]]:
        """Return what is recorded of a version, by kind and name; its metrics among them."""
        with self._stores.metadata.read() as connection:
            return gates.evidence_of(connection, resolution.resolve(connection, reference_of(model_id)))


def _name_of(connection: Connection, model: str | None) -> str:
    """Return the name under which a model's policies are kept: its own, also where its id is given."""
    if model is None:
        return EVERY_MODEL
    found = resolution.find_model(connection, model)
    return check_name(model) if found is None else str(found.name)


def _warn_of_slip(connection: Connection, name: str) -> None:
    names = connection.execute(select(schema.models.c.name)).scalars().all()
    meant = "" if name == EVERY_MODEL or name in names else did_you_mean(name, names)
    if meant:
        warnings.warn(f"There is no model '{name}' yet.{meant} The policy waits for one of that name.", stacklevel=3)
