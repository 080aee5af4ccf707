"""The registry's operations.

Each changes the database in one transaction that ends in an event rich enough to rebuild the state of any moment.
Heavy work (saving a model, hashing its files) is done before the transaction opens, so that the metadata is in use for
milliseconds only; an artifact whose transaction fails is left unreferenced and harmless.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import delete, update

from dwcp_jupyter import clock, flavors, store
from dwcp_jupyter.events import Actor, ChainBreak
from dwcp_jupyter.exceptions import (
    ArtifactSignatureError,
    InvalidMetadataError,
    ModelNotFoundError,
    UntrustedArtifactError,
    did_you_mean,
)
from dwcp_jupyter.registry import (
    aliasing,
    gates,
    listing,
    proof,
    recording,
    registration,
    resolution,
    restoring,
    rows,
    searching,
    signing,
    trash,
    trusting,
)
from dwcp_jupyter.registry.checking import check_mapping, check_tags, check_text
from dwcp_jupyter.registry.comparison import Comparison, ComparisonList, compare_metrics
from dwcp_jupyter.registry.guarding import GuardedStages
from dwcp_jupyter.registry.lineage import Lineage
from dwcp_jupyter.registry.lineage_graph import lineage_of
from dwcp_jupyter.registry.names import check_alias, check_name
from dwcp_jupyter.registry.signing import ModelSignature
from dwcp_jupyter.registry.trash import GarbageReport, TrashList
from dwcp_jupyter.registry.values import Model, ModelList, ModelMetadata, ModelVersion, VersionList
from dwcp_jupyter.registry.versioning import Bump
from dwcp_jupyter.store import schema

__all__ = ["ModelRegistry"]

_UPDATABLE: dict[str, Callable[[Any], str]] = {
    "description": lambda value: check_text(value, field="description"),
    "tags": lambda value: schema.dump(check_tags(value)),
    "custom_metadata": lambda value: schema.dump(check_mapping(value, field="custom_metadata")),
}


class ModelRegistry(GuardedStages):
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
    ) -> ModelVersion:
        """Return the new version, registered in the development stage.

        Parameters
        ----------
        metadata : ModelMetadata
            Name, version and everything said of it.
        model : object, optional
            A fitted model, kept in its flavor's safe format.
        artifact_path : path, optional
            A model file or package folder, kept as it is. Without `model` and `artifact_path` the version is a draft.
        signature, input_example : optional
            Inferred from the model and the example where they are not given.
        bump : Bump
            What grows when `metadata` names no version.
        trust : Trust or str, optional
            The decision to load an unsafe `artifact_path`; see `flavors.decide_trust`.
        reference_data : pandas.DataFrame or pyarrow.Table, optional
            Training data to keep with the version, against which drift is measured; see `set_reference_data`.

        Raises
        ------
        VersionExistsError
            If the version is there already.
        InvalidNameError, InvalidVersionError, FlavorError, SignatureError, UntrustedArtifactError
            If something of it cannot be kept. Nothing is registered then.
        """
        plan = registration.prepare(metadata, bump=bump)
        is_draft = model is None and artifact_path is None
        with nullcontext("") if is_draft else tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            package = registration.package(
                Path(folder) / "package",
                model=model,
                artifact_path=artifact_path,
                framework=metadata.framework,
                signature=signature,
                input_example=input_example,
                trust=trust,
                call=f"registry.register_model(metadata, artifact_path='{artifact_path}', trust='{{sha256}}')",
                on_trust=trusting.recorder(self._stores, plan.name, actor=self._actor),
            )
            kept = registration.keep(self._stores, package, code=metadata.code, reference=reference_data)
        return registration.commit(self._stores, plan, kept, actor=self._actor, new_id=self._new_id)

    def create_version(self, model_id: str, version: str, changelog: str = "") -> ModelVersion:
        """Return a new draft of an existing model; `store_model_artifact` completes it."""
        with self._stores.metadata.read() as connection:
            name = resolution.model_row(connection, model_id.partition("@")[0]).name
        return self.register_model(ModelMetadata(name=name, version=version, changelog=changelog))

    def store_model_artifact(
        self, model_id: str, artifact_path: str | os.PathLike[str], *, trust: flavors.Trust | str | None = None
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

    def get_model(self, model_id: str) -> ModelVersion:
        """Return the version that a reference or id means; for a bare name the highest.

        Raises
        ------
        ModelNotFoundError
            If there is none; it names what was probably meant.
        """
        with self._stores.metadata.read() as connection:
            return resolution.resolve(connection, model_id)

    def resolve(self, reference: str) -> ModelVersion:
        """Return the one version that `reference` means, for a change or a deploy.

        Raises
        ------
        ModelNotFoundError
            If there is none.
        AmbiguousModelError
            If it leaves a choice.
        """
        with self._stores.metadata.read() as connection:
            return resolution.resolve(connection, reference, must_be_certain=True)

    def list_models(
        self,
        filter: Mapping[str, str] | None = None,  # noqa: A002 - the guide's name
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> ModelList:
        """Return the models in order of their names.

        Parameters
        ----------
        filter : mapping, optional
            ``name`` (part of it, any case), ``stage`` and ``framework`` (of any version), ``tag`` (of the model or
            any version).
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            The last name of the page before.
        """
        with self._stores.metadata.read() as connection:
            return ModelList(
                listing.find_models(connection, dict(filter or {}), limit=listing.check_limit(limit), after=after)
            )

    def list_versions(self, model_id: str, *, limit: int | None = None, after: str | None = None) -> VersionList:
        """Return a model's versions, the highest first.

        Parameters
        ----------
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            The last version of the page before.
        """
        with self._stores.metadata.read() as connection:
            model = resolution.model_row(connection, model_id.partition("@")[0])
            return VersionList(listing.find_versions(connection, model, limit=listing.check_limit(limit), after=after))

    def search_versions(
        self, condition: str = "", *, order_by: str | None = None, limit: int | None = None, after: str | None = None
    ) -> VersionList:
        """Return the versions of all models that meet a condition, by name and then the highest first.

        Parameters
        ----------
        condition : str
            Comparisons joined by ``and``, ``or``, ``not`` and parentheses. Fields: ``name``, ``version``, ``stage``,
            ``alias``, ``tag``, ``framework``, ``task_type``, ``author``, ``created_by``, ``created_at``,
            ``description``, ``changelog``, ``run_id``, and by their names ``metrics.``, ``params.`` and
            ``custom_metadata.``. Operators: ``= != < <= > >= like``.
        order_by : str, optional
            ``name``, ``version``, ``created_at`` or a metric, with ``asc`` or ``desc``: ``"metrics.auc desc"``.
        limit : int, optional
            The size of a page; all without it.
        after : str, optional
            Reference of the last version of the page before.

        Raises
        ------
        FilterError
            If it cannot be understood; it says where.

        Examples
        --------
        ``registry.search_versions("metrics.test_accuracy >= 0.95 and tag = 'risk' and stage != 'archived'")``
        """
        with self._stores.metadata.read() as connection:
            return VersionList(
                searching.search(
                    connection, condition, order_by=order_by, limit=listing.check_limit(limit), after=after
                )
            )

    def describe_model(self, model_id: str) -> Model:
        """Return a model as a whole: its description, tags, stages and aliases."""
        with self._stores.metadata.read() as connection:
            (model,) = listing.describe(connection, [resolution.model_row(connection, model_id)])
        return model

    def update_model(self, model_id: str, updates: Mapping[str, Any]) -> None:
        """Change description, tags or custom metadata: of a model by its name, of a version by its reference.

        Raises
        ------
        ValueError
            For any other field; versions are immutable.
        InvalidMetadataError
            For a value that cannot be kept.
        """
        for key in updates:
            if key not in _UPDATABLE:
                raise ValueError(
                    f"'{key}' cannot be changed.{did_you_mean(key, _UPDATABLE)} Only {', '.join(_UPDATABLE)} can; "
                    "register a new version for the rest."
                )
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

    def set_alias(self, model_id: str, alias: str, *, dry_run: bool = False) -> ModelVersion:
        """Return the version that ``name@alias`` means from now on.

        An alias that a policy protects (`set_policy` with ``"@alias"``) is set on the terms on which a version enters
        a stage. With `dry_run` the version is returned as it would be, and nothing changes.

        Raises
        ------
        InvalidNameError
            If it cannot be an alias.
        TransitionError, GateError, ApprovalError
            If a policy protects it and does not let this version carry it; it names all that is missing.
        """
        alias = check_alias(alias)
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

    def remove_alias(self, model_id: str, alias: str) -> None:
        """Remove an alias of a model.

        Raises
        ------
        ModelNotFoundError
            If the model has no such alias.
        ApprovalError
            If a policy protects it: then it may mean another version, but never none.
        """
        self._refuse_empty(model_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            model = resolution.model_row(tx.connection, model_id.partition("@")[0])
            alias = check_name(alias, what="alias")  # one of an earlier release may be what check_alias refuses now
            aliasing.remove_alias(tx, resolution.resolve(tx.connection, f"{model.name}@{alias}"), alias)

    def delete_model(self, model_id: str) -> None:
        """Move a version by its reference, or a model with all its versions by its name, to the trash.

        `restore_model` brings it back until `collect_garbage` empties the trash. Its name is free at once.

        Raises
        ------
        TransitionError
            For a version in production or one that an endpoint serves.
        """
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

    def restore_model(self, model_id: str) -> ModelVersion:
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
        """
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

    def export_mlflow(self, model_id: str, path: str | os.PathLike[str]) -> Path:
        """Return the new folder `path`, with a version as an MLflow model that ``mlflow.pyfunc.load_model`` reads.

        Raises
        ------
        FlavorError
            If MLflow has no such model, or could not answer as this one does.
        FileExistsError
            If `path` is there already.
        """
        with tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            return flavors.write_mlflow(self.fetch(model_id, folder), path)

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
        metadata : ModelMetadata
            Name and everything said of it.
        trust : Trust or str, optional
            The SHA-256 sum of the model's file, where that is a pickle, or the sums in ``DWCP_TRUST``. ``own`` does not
            count here: whoever unpacks a download owns it, and did not make it.

        Raises
        ------
        FlavorError
            If it is no MLflow model of scikit-learn, XGBoost or ONNX.
        UntrustedArtifactError
            If loading could run code and nobody named its sum; the message shows the line that would.
        """
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

    def load_model(self, model_id: str, trust: flavors.Trust | str | None = None) -> flavors.LoadedModel:
        """Return the version's model, loaded from bytes that were checked against their sums.

        Raises
        ------
        IntegrityError
            If the bytes were changed; it names both sums.
        UntrustedArtifactError
            If the format can run code and `trust` does not allow it. What the same actor once decided to load by
            its path is loaded again under ``own``.
        """
        version = self.get_model(model_id)
        with tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            directory = self.fetch(version.id, folder)
            info = flavors.read_package(directory)
            if not info.is_safe and trusting.was_granted(self._stores, info.sha256, trust=trust, actor=self._actor):
                return flavors.load_model(directory, trust=info.sha256)
            return flavors.load_model(
                directory,
                trust=trust,
                call=f"registry.load_model('{version.reference}', trust='{{sha256}}')",
                on_trust=trusting.recorder(self._stores, version.reference, actor=self._actor),
            )

    def fetch(self, model_id: str, destination: str | os.PathLike[str]) -> Path:
        """Return `destination`, into which the version's package was written, checked.

        Raises
        ------
        ArtifactSignatureError
            If the settings ``trusted_keys`` and ``require_signature`` do not let it be loaded. Nothing is left there.
        """
        version = self.get_model(model_id)
        directory = self._stores.artifacts.fetch_tree(self._sum_of(version), destination)
        settings = self._stores.settings
        if settings.require_signature or signing.trusted_keys(settings):
            with self._stores.metadata.read() as connection:
                found = signing.find(connection, version)
            signing.check_loaded(version, directory, found, settings)
        return directory

    @staticmethod
    def _sum_of(version: ModelVersion) -> str:
        if version.sha256 is None:
            raise ModelNotFoundError(
                f"'{version.reference}' is a draft: it has no model file. Complete it with store_model_artifact."
            )
        return version.sha256

    def sign_model(
        self, model_id: str, private_key: str | os.PathLike[str], *, password: str | None = None
    ) -> ModelSignature:
        """Return the signature over a version's files, kept with it in place of an earlier one.

        Parameters
        ----------
        private_key : path
            PEM file of an elliptic key (``openssl ecparam -name prime256v1 -genkey -noout -out model.key``). It is read
            here and kept nowhere.
        password : str, optional
            Of the key.

        Raises
        ------
        ArtifactSignatureError
            If the key cannot be used.
        """
        version = self.get_model(model_id)
        with tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            package = self._stores.artifacts.fetch_tree(self._sum_of(version), Path(folder) / "package")
            bundle = signing.make(package, private_key, password=password)
        with self._stores.metadata.transaction(self._actor) as tx:
            current = resolution.resolve(tx.connection, version.id)
            gates.write_evidence(tx, current, signing.KIND, signing.as_evidence(bundle, version))
            return signing.ModelSignature(
                reference=current.reference,
                public_key=f"of {os.fspath(private_key)}",
                signed_by=tx.actor.name,
                signed_at=tx.now,
                bundle=bundle,
            )

    def verify_signature(self, model_id: str, public_key: str | os.PathLike[str] | None = None) -> ModelSignature:
        """Return a version's signature, checked against its files.

        Parameters
        ----------
        public_key : path, optional
            PEM file of the signer's public key; the keys of the setting ``trusted_keys`` without it.

        Raises
        ------
        ArtifactSignatureError
            If it has none, or none that agrees with the key and the files.
        """
        version = self.get_model(model_id)
        with self._stores.metadata.read() as connection:
            found = signing.find(connection, version)
        keys = signing.trusted_keys(self._stores.settings) if public_key is None else [os.fspath(public_key)]
        if found is None or not keys:
            raise ArtifactSignatureError(
                f"'{version.reference}' is not signed. Sign it: registry.sign_model('{version.reference}', 'model.key')"
                if found is None
                else "No key is given and none is trusted. Name the signer's public key."
            )
        with tempfile.TemporaryDirectory(prefix="dwcp-") as folder:
            package = self._stores.artifacts.fetch_tree(self._sum_of(version), Path(folder) / "package")
            agreeing = signing.verify(package, found.bundle, keys, of=version.reference)
        return replace(found, public_key=agreeing)

    def compare_models(
        self,
        model_a: str,
        model_b: str,
        *,
        primary_metric: str | None = None,
        directions: Mapping[str, bool] | None = None,
        data: Any = None,
        y_true: Any = None,
        trust: flavors.Trust | str | None = None,
    ) -> Comparison:
        """Return two versions side by side, with the better one where that can be said; it is kept in the history.

        Parameters
        ----------
        primary_metric : str, optional
            The metric that decides. Without it one version must be at least as good in every metric whose direction
            is known.
        directions : mapping of str to bool, optional
            Whether more is better, for metrics whose names do not tell.
        data, y_true : pandas.DataFrame and array_like, optional
            Rows that neither model was trained on, shapes (n_samples, n_features) and (n_samples,): both models are
            asked, and a paired test decides whether a difference is more than luck.

        Raises
        ------
        ModelNotFoundError, InvalidMetadataError
            If one is not there, or the question cannot be answered; nothing is kept then.
        """
        a, b = self.get_model(model_a), self.get_model(model_b)
        if (data is None) is not (y_true is None):
            raise InvalidMetadataError("A paired test takes both data and y_true. Give the other one too.")
        test = None
        if data is not None:
            from dwcp_jupyter.registry.pairing import paired_test

            first, second = (self.load_model(version.id, trust=trust) for version in (a, b))
            test = paired_test(first, second, data, y_true, primary_metric=primary_metric)
        compared = compare_metrics(a, b, primary_metric=primary_metric, directions=directions, test=test)
        with self._stores.metadata.transaction(self._actor) as tx:
            tx.record("version.compared", f"model:{a.reference}", **compared.to_json())
            return replace(compared, time=tx.now, actor=tx.actor.name)

    def get_model_lineage(self, model_id: str, *, generations: int | None = None) -> Lineage:
        """Return where a version comes from and what came of it, as a graph.

        Parameters
        ----------
        generations : int, optional
            How many versions before and after it to follow; all without it.

        Raises
        ------
        ModelNotFoundError
            If there is none.
        """
        with self._stores.metadata.read() as connection:
            return lineage_of(connection, resolution.resolve(connection, model_id), generations=generations)

    def list_comparisons(self, model_id: str | None = None) -> ComparisonList:
        """Return the comparisons that were made, the newest first; with `model_id` those of that version or model."""
        wanted = None if model_id is None else self.get_model(model_id)
        found = [
            Comparison.from_json(event.payload, time=event.time, actor=event.actor.name)
            for event in reversed(self._stores.metadata.events(kinds=["version.compared"]))
        ]
        if wanted is None or model_id is None:
            return ComparisonList(found)
        names = {wanted.reference} if "@" in model_id else {v.reference for v in self.list_versions(wanted.name)}
        return ComparisonList(c for c in found if names & {c.a, c.b})

    def set_reference_data(
        self, model_id: str, frame: Any, *, sensitivity: float = 0.05, source: str = "given"
    ) -> store.FrameRef:
        """Keep the data against which this version's inputs and predictions are watched.

        Parameters
        ----------
        frame : pandas.DataFrame or pyarrow.Table
            Columns by name, shape (n_samples, n_columns).
        sensitivity : float
            Level of significance for drift tests, in (0, 1).
        source : str
            Where the data come from: ``"training"`` or ``"given"``.
        """
        kept = self._stores.frames.put(frame)
        with self._stores.metadata.transaction(self._actor) as tx:
            version = resolution.resolve(tx.connection, model_id)
            recording.set_reference_data(tx, version, kept, sensitivity=sensitivity, source=source)
        return kept

    def reference_data(self, model_id: str) -> store.FrameRef | None:
        """Return the reference data kept for a version, or None."""
        with self._stores.metadata.read() as connection:
            version = resolution.resolve(connection, model_id)
            return registration.find_reference_data(connection, version.id)
