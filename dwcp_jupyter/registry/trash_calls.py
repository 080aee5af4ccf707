"""The registry's operations that take away: into the trash, out of it, and for good."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import delete

from dwcp_jupyter import clock, store
from dwcp_jupyter.exceptions import (
    ModelNotFoundError,
)
from dwcp_jupyter.registry import (
    resolution,
    restoring,
    rows,
    trash,
)
from dwcp_jupyter.registry.acting import Acting
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.trash import GarbageReport, Trashed, TrashList
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema

__all__ = ["TrashCalls"]


class TrashCalls(Acting):
    """Deletion and its undoing."""

    def delete_model(self, model_id: ModelReference) -> None:
        """Move a version by its reference, or a model with all its versions by its name, to the trash.

        `restore_model` brings it back until `collect_garbage` empties the trash. Its name is free at once.

        Raises
        ------
        TransitionError
            For a version in production or one that an endpoint serves.
        """
        model_id = reference_of(model_id)
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            if "@" in model_id:
                doomed = [resolution.resolve(tx.connection, model_id, must_be_certain=True)]
                model = None
            else:
                model = resolution.model_row(tx.connection, model_id)
                query = rows.VERSIONS.where(schema.versions.c.model_id == model.id)
                doomed = [rows.to_version(row) for row in tx.execute(query).all()]
            for version in doomed:
                trash.throw_away(tx, version)
            if model is not None:
                tx.execute(delete(schema.models).where(schema.models.c.id == model.id))
                versions = [version.id for version in doomed]
                tx.record("model.deleted", f"model:{model.name}", model_id=model.id, versions=versions)

    def restore_model(self, model_id: ModelReference | Trashed) -> ModelVersion:
        """Return a deleted version that came back, with its aliases where nobody took them, and its reference data.

        A bare name brings back what the last deletion took: one version, or the whole model as it was, with all
        versions that were deleted with it; the highest of them is returned.

        Raises
        ------
        ModelNotFoundError
            If the trash does not hold it; it says what it holds.
        VersionExistsError
            If its number, or the model's name, was given away meanwhile. Nothing comes back then.
        IntegrityError
            If what lies in the trash is not what was deleted.
        """
        model_id = reference_of(model_id)
        if not self._stores.metadata.exists:
            raise ModelNotFoundError(f"The trash holds no '{model_id}': this workspace is empty.")
        with self._stores.metadata.transaction(self._actor) as tx:
            return restoring.restore(tx, model_id)

    def list_trash(self) -> TrashList:
        """Return the deleted versions that can come back, the latest first."""
        with self._stores.metadata.read() as connection:
            return trash.list_trash(connection)

    def collect_garbage(
        self,
        *,
        dry_run: bool = False,
        older_than: timedelta = trash.KEPT_FOR,
        grace: timedelta = store.GRACE,
        gone: Iterable[str] = (),
    ) -> GarbageReport:
        """Return what was freed: the trash emptied, and the files removed that nothing needs.

        Where other databases keep files in the same artifact store nothing is freed: what they need is not known here.

        Parameters
        ----------
        dry_run : bool
            Whether only to say what would be done.
        older_than : timedelta
            How long deleted versions stay in the trash.
        grace : timedelta
            How long files stay that nothing needs; a registration keeps its files before it names them.
        gone : iterable of str
            Ids or names of other databases that kept files in the artifact store and are there no more. Their records
            are removed from it, and what only they needed is freed.

        Raises
        ------
        WorkspaceError
            If other databases keep files in the artifact store, or `gone` names none of them. Nothing is changed then.
        TypeError
            If `older_than` or `grace` is no timedelta.
        """
        for name, value in (("older_than", older_than), ("grace", grace)):
            _check_duration(value, field=name)
        if not self._stores.metadata.exists:
            return GarbageReport(versions=(), blobs=0, bytes=0, is_dry=dry_run)
        owners = self._stores.owners
        forgotten = [owners.find(name) for name in gone]
        others = owners.others(without=[owner.id for owner in forgotten])
        if not dry_run:
            owners.claim()
            owners.refuse_others(without=[owner.id for owner in forgotten])
            self._forget(forgotten)
        limit = self._stores.clock() - older_than
        with self._stores.metadata.read() as connection:
            doomed = [item for item in trash.list_trash(connection) if item.deleted_at <= limit]
        if doomed and not dry_run:
            with self._stores.metadata.transaction(self._actor) as tx:
                held = {item.version_id for item in trash.list_trash(tx.connection)}
                doomed = [item for item in doomed if item.version_id in held]  # restored meanwhile: it stays
                trash.empty(tx, doomed)
        found = store.collect(
            self._stores.metadata,
            self._stores.artifacts,
            owners,
            grace=grace,
            is_dry=dry_run,
            without=[f"trash:{item.version_id}" for item in doomed],
        )
        return GarbageReport(
            versions=tuple(item.reference for item in doomed),
            blobs=found.blobs,
            bytes=found.bytes,
            is_dry=dry_run,
            others=tuple(owner.called for owner in others),
        )

    def _forget(self, owners: Iterable[store.Owner]) -> None:
        """Record that other databases are gone, and remove their records from the artifact store."""
        for owner in owners:
            since = None if owner.since is None else clock.to_text(owner.since)
            with self._stores.metadata.transaction(self._actor) as tx:
                tx.record("owner.forgotten", f"owner:{owner.id}", name=owner.name, since=since)
            self._stores.owners.forget(owner)


def _check_duration(value: Any, *, field: str) -> None:
    if not isinstance(value, timedelta):
        days = f"{value:g}" if isinstance(value, (int, float)) else "30"
        raise TypeError(
            f"{field}={value!r} is of type '{type(value).__name__}' and has no unit. Give a timedelta, such as "
            f"timedelta(days={days})."
        )
