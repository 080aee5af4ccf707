"""The registry's operations.

Each changes the database in one transaction that ends in an event rich enough to rebuild the state of any moment.
Heavy work (saving a model, hashing its files) is done before the transaction opens, so that the metadata is in use for
milliseconds only; an artifact whose transaction fails is left unreferenced and harmless.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import update

from dwcp_jupyter import clock, flavors, store
from dwcp_jupyter.events import Actor, ChainBreak
from dwcp_jupyter.exceptions import ApprovalError, FlavorError, GateError, UntrustedArtifactError, did_you_mean
from dwcp_jupyter.registry import (
    proof,
    registration,
    resolution,
    trusting,
)
from dwcp_jupyter.registry.alias_calls import AliasCalls
from dwcp_jupyter.registry.checking import check_mapping, check_tags, check_text
from dwcp_jupyter.registry.comparison_calls import ComparisonCalls
from dwcp_jupyter.registry.guarding import GuardedStages
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.trash_calls import TrashCalls
from dwcp_jupyter.registry.values import ModelMetadata, ModelVersion
from dwcp_jupyter.registry.versioning import Bump
from dwcp_jupyter.store import schema

__all__ = ["ModelRegistry"]

_UPDATABLE: dict[str, Callable[[Any], str]] = {
    "description": lambda value: check_text(value, field="description"),
    "tags": lambda value: schema.dump(check_tags(value)),
    "custom_metadata": lambda value: schema.dump(check_mapping(value, field="custom_metadata")),
}


class ModelRegistry(GuardedStages, AliasCalls, TrashCalls, ComparisonCalls):
    """The models of one workspace.

    Safe for threads and processes; every call is atomic.

    Parameters
    ----------
    storage : Stores or path, optional
        The workspace; without it the one found from the working directory.
    actor : Actor, optional
        Who acts; by default the operating system's user, asserted.
    new_id : callable, optional
        Makes ids of 32 hexadecimal characters.
    """

    def __init__(
        self,
        storage: store.Stores | str | os.PathLike[str] | None = None,
        *,
        actor: Actor | None = None,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ) -> None:
        self._stores = store.as_stores(storage)
        self._actor = actor
        self._new_id = new_id

    def register_model(
        self,
        metadata: ModelMetadata,
        model: Any = None,
        artifact_path: str | os.PathLike[str] | None = None,
        signature: flavors.Signature | None = None,
        input_example: Any = None,
        *,
        bump: Bump | str = Bump.MINOR,
        trust: flavors.Trust | str | None = None,
        reference_data: Any = None,
        stage: Stage | str = Stage.DEVELOPMENT,
    ) -> ModelVersion:
        """Return the new version.

        Parameters
        ----------
        metadata : ModelMetadata
            Name, version and everything said of it.
        model : object, optional
            A fitted model, kept in its flavor's safe format.
        artifact_path : path, optional
            A model file, a package folder or the folder of a SavedModel, kept as it is. Without `model` and
            `artifact_path` the version is a draft.
        signature, input_example : optional
            Inferred from the model and the example where they are not given.
        bump : Bump
            What grows when `metadata` names no version.
        trust : Trust or str, optional
            The decision to load an unsafe `artifact_path`; see `flavors.decide_trust`.
        reference_data : DataFrame, Arrow table, mapping, list of mappings, or array, optional
            Training data to keep with the version, against which drift is measured; see `set_reference_data`.
        stage : Stage
            Development, or staging: then it is promoted in the same transaction.

        Raises
        ------
        VersionExistsError
            If the version is there already.
        InvalidNameError, InvalidVersionError, InvalidMetadataError, FlavorError, SignatureError, UntrustedArtifactError
            If something of it cannot be kept. Nothing is registered then.
        TransitionError, GateError, ApprovalError
            If it may not enter the stage. Nothing is registered then.
        TypeError
            If `metadata` is no ModelMetadata.
        """
        plan = registration.prepare(metadata, bump=bump, stage=stage)
        is_draft = model is None and artifact_path is None
        with nullcontext("") if is_draft else tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            package = registration.package(
                Path(folder) / "package",
                model=model,
                artifact_path=artifact_path,
                framework=plan.metadata.framework,
                signature=signature,
                input_example=input_example,
                trust=trust,
                call=f"registry.register_model(metadata, artifact_path='{artifact_path}', trust='{{sha256}}')",
                on_trust=trusting.recorder(self._stores, plan.name, actor=self._actor),
            )
            info = None if package is None else flavors.read_package(package)
            reference = None if reference_data is None else _reference(reference_data, info)
            if info is not None and plan.metadata.framework is not None:
                _check_framework(plan.metadata.framework, info)
            kept = registration.keep(self._stores, package, code=plan.metadata.code, reference=reference)
        if plan.stage is Stage.DEVELOPMENT:
            return registration.commit(self._stores, plan, kept, actor=self._actor, new_id=self._new_id)
        with self._stores.metadata.transaction(self._actor):
            registered = registration.commit(self._stores, plan, kept, actor=self._actor, new_id=self._new_id)
            try:
                return self.promote_model(registered.id, plan.stage)
            except (ApprovalError, GateError) as exc:  # what it asks for takes a version that is there
                exc.args = (f"{exc} Nothing was registered: register it into development first.",)
                raise

    def create_version(self, model_id: ModelReference, version: str, changelog: str = "") -> ModelVersion:
        """Return a new draft of an existing model; `store_model_artifact` completes it."""
        with self._stores.metadata.read() as connection:
            name = resolution.model_row(connection, reference_of(model_id).partition("@")[0]).name
        return self.register_model(ModelMetadata(name=name, version=version, changelog=changelog))

    def store_model_artifact(
        self,
        model_id: ModelReference,
        artifact_path: str | os.PathLike[str],
        *,
        trust: flavors.Trust | str | None = None,
    ) -> ModelVersion:
        """Return the draft `model_id`, completed by its model file. A version is completed once.

        Raises
        ------
        VersionExistsError
            If it has an artifact already.
        """
        draft = self.get_model(model_id)
        with tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            package = registration.package(
                Path(folder) / "package",
                artifact_path=artifact_path,
                framework=draft.framework,
                trust=trust,
                call=f"registry.store_model_artifact('{draft.reference}', '{artifact_path}', trust='{{sha256}}')",
                on_trust=trusting.recorder(self._stores, draft.reference, actor=self._actor),
            )
            kept = registration.keep(self._stores, package, code=None)
        return registration.seal(self._stores, draft, kept, actor=self._actor)

    def update_model(self, model_id: ModelReference, updates: Mapping[str, Any]) -> None:
        """Change description, tags or custom metadata: of a model by its name, of a version by its reference.

        Raises
        ------
        ValueError
            For any other field, as versions are immutable; or for none.
        InvalidMetadataError
            For a value that cannot be kept.
        """
        if not updates or not isinstance(updates, Mapping):
            raise ValueError(
                f"updates={updates!r} changes nothing. Give what is to change, such as {{'description': 'Q3 data'}}; "
                f"that can be {', '.join(_UPDATABLE)}."
            )
        for key in updates:
            if key not in _UPDATABLE:
                raise ValueError(
                    f"'{key}' cannot be changed.{did_you_mean(key, _UPDATABLE)} Only {', '.join(_UPDATABLE)} can; "
                    "register a new version for the rest."
                )
        model_id = reference_of(model_id)
        self._refuse_empty(model_id)
        values = {key: _UPDATABLE[key](value) for key, value in updates.items()}
        with self._stores.metadata.transaction(self._actor) as tx:
            now = clock.to_text(tx.now)
            if "@" in model_id:
                version = resolution.resolve(tx.connection, model_id)
                tx.execute(update(schema.versions).where(schema.versions.c.id == version.id).values(**values))
                subject, owner = version.reference, version.model_id
            else:
                model = resolution.model_row(tx.connection, model_id)
                tx.execute(update(schema.models).where(schema.models.c.id == model.id).values(**values))
                subject, owner = model.name, model.id
            tx.execute(update(schema.models).where(schema.models.c.id == owner).values(updated_at=now))
            tx.record("model.updated", f"model:{subject}", **values)

    def import_mlflow(
        self,
        path: str | os.PathLike[str],
        metadata: ModelMetadata,
        *,
        bump: Bump | str = Bump.MINOR,
        trust: flavors.Trust | str | None = None,
    ) -> ModelVersion:
        """Return the version registered from the folder of an MLflow model.

        Parameters
        ----------
        path : path
            The folder, or the file ``MLmodel`` in it.
        metadata : ModelMetadata
            Name and everything said of it.
        trust : Trust or str, optional
            The SHA-256 sum of the model's file, where that is a pickle, or the sums in ``DWCP_TRUST``. ``own`` does not
            count here: whoever unpacks a download owns it, and did not make it.

        Raises
        ------
        FlavorError
            If it is no MLflow model of a framework that is kept here.
        UntrustedArtifactError
            If loading could run code and nobody named its sum; the message shows the line that would.
        """
        registration.check_metadata(metadata)
        policy = trusting.of_import(trust)
        found = flavors.read_mlflow(path)
        origin = {"mlflow_version": found.mlflow_version, "mlflow_run_id": found.run_id}
        said = replace(
            metadata,
            framework=metadata.framework or found.framework,
            framework_version=metadata.framework_version or found.framework_version,
            custom_metadata={**{k: v for k, v in origin.items() if v is not None}, **(metadata.custom_metadata or {})},
        )
        try:
            return self.register_model(
                said,
                artifact_path=found.file,
                signature=found.signature,
                input_example=found.example,
                bump=bump,
                trust=policy,
            )
        except UntrustedArtifactError as exc:
            raise trusting.refused_import(found.file, path, exc) from None  # whose line would register the file itself

    def verify(self, *, checkpoint: str | tuple[int, str] | None = None) -> bool | ChainBreak:
        """Return True, or where the record does not hold: the chain of events, or a row that the events do not explain.

        The rows are those of all tables that events explain, of runs and endpoints too. The values that runs logged
        are not read: `Workspace.verify` looks at them.

        Parameters
        ----------
        checkpoint : tuple of int and str, or str, optional
            Number and hash of an event, kept elsewhere (`metadata.head` gives the newest), or ``"number:hash"`` as
            ``%audit`` shows it: without one a chain that was cut at its end, or rewritten as a whole, cannot be told
            from a sound one.

        Raises
        ------
        SettingError
            If the checkpoint is none.
        """
        if checkpoint is None and not self._stores.metadata.exists:
            return True
        with self._stores.metadata.read() as connection:
            found = proof.find_break(connection, checkpoint=checkpoint)
        return True if found is None else found


def _reference(data: Any, info: flavors.PackageInfo | None) -> Any:
    """Return reference data as they are kept; columns without names take those of the package's inputs."""
    from dwcp_jupyter.flavors.reference import to_reference

    return to_reference(data, None if info is None else info.signature)


def _check_framework(said: flavors.Framework | str, info: flavors.PackageInfo) -> None:
    """Raise where a model is not of the framework that its metadata say."""
    if flavors.Framework(str(said)) is not info.framework:
        raise FlavorError(
            f"The metadata say framework='{said}', and the model is one of {info.framework}. Leave framework out: the "
            "model says it."
        )
