"""The registry's operations on aliases."""

from __future__ import annotations

from dataclasses import replace

from dwcp_jupyter.registry import (
    aliasing,
    resolution,
)
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.names import ModelReference, check_alias, check_name, reference_of
from dwcp_jupyter.registry.values import ModelVersion

__all__ = ["AliasCalls"]


class AliasCalls(Acting):
    """Names that mean a version for a time."""

    def set_alias(self, model_id: ModelReference, alias: str, *, dry_run: bool = False) -> ModelVersion:
        """Return the version that ``name@alias`` means from now on.

        An alias that a policy protects (`set_policy` with ``"@alias"``) is set on the terms on which a version enters
        a stage. With `dry_run` the version is returned as it would be, and nothing changes.

        Raises
        ------
        InvalidNameError
            If it cannot be an alias: ``latest`` among them, and one that differs only in case from another alias of the
            model, or from a protected one.
        TransitionError, GateError, ApprovalError
            If a policy protects it and does not let this version carry it; it names all that is missing.
        """
        model_id, alias = reference_of(model_id), check_alias(alias)
        self._refuse_empty(model_id)
        if dry_run:
            with self._stores.metadata.read() as connection:
                version = resolution.resolve(connection, model_id, must_be_certain=True)
                aliasing.check_carrier(connection, version, alias, now=self._stores.clock())
            return replace(version, aliases=tuple(sorted({*version.aliases, alias})))
        with self._stores.metadata.transaction(self._actor) as tx:
            version = resolution.resolve(tx.connection, model_id, must_be_certain=True)
            aliasing.set_alias(tx, version, alias)
            return replace(version, aliases=tuple(sorted({*version.aliases, alias})))

    def remove_alias(self, model_id: ModelReference, alias: str) -> None:
        """Remove an alias of a model.

        Raises
        ------
        ModelNotFoundError
            If the model has no such alias.
        ApprovalError
            If a policy protects it: then it may mean another version, but never none.
        """
        model_id = reference_of(model_id)
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            model = resolution.model_row(tx.connection, model_id.partition("@")[0])
            alias = check_name(alias, what="alias")  # one of an earlier release may be what check_alias refuses now
            aliasing.remove_alias(tx, resolution.resolve(tx.connection, f"{model.name}@{alias}"), alias)
