"""The registry's operations on the files of versions: load, sign, hand over to MLflow, and data to compare with."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwcp_jupyter import flavors, store
from dwcp_jupyter.exceptions import (
    ArtifactSignatureError,
    ModelNotFoundError,
)
from dwcp_jupyter.registry import (
    gates,
    recording,
    registration,
    resolution,
    signing,
    trusting,
)
from dwcp_jupyter.registry.names import ModelReference, reference_of
from dwcp_jupyter.registry.reading_calls import ReadingCalls
from dwcp_jupyter.registry.signing import ModelSignature
from dwcp_jupyter.registry.values import ModelVersion

__all__ = ["FileCalls"]


class FileCalls(ReadingCalls):
    """The files of versions."""

    def load_model(self, model_id: ModelReference, trust: flavors.Trust | str | None = None) -> flavors.LoadedModel:
        """Return the version's model, loaded from bytes that were checked against their sums.

        For a bare name it is the highest version that has a model file.

        Raises
        ------
        ModelNotFoundError
            If there is no such version, or it is a draft.
        IntegrityError
            If the bytes were changed; it names both sums.
        UntrustedArtifactError
            If the format can run code and `trust` does not allow it. What the same actor once decided to load by
            its path is loaded again under ``own``.
        """
        version = self._with_file(model_id)
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

    def fetch(self, model_id: ModelReference, destination: str | os.PathLike[str]) -> Path:
        """Return `destination`, into which the version's package was written, checked; see `load_model`.

        Raises
        ------
        ArtifactSignatureError
            If the settings ``trusted_keys`` and ``require_signature`` do not let it be loaded. Nothing is left there.
        """
        version = self._with_file(model_id)
        directory = self._stores.artifacts.fetch_tree(self._sum_of(version), destination)
        settings = self._stores.settings
        if settings.require_signature or signing.trusted_keys(settings):
            with self._stores.metadata.read() as connection:
                found = signing.find(connection, version)
            signing.check_loaded(version, directory, found, settings)
        return directory

    def _with_file(self, model_id: ModelReference) -> ModelVersion:
        with self._stores.metadata.read() as connection:
            return resolution.resolve(connection, reference_of(model_id), takes_sealed=True)

    @staticmethod
    def _sum_of(version: ModelVersion) -> str:
        if version.sha256 is None:
            raise ModelNotFoundError(
                f"'{version.reference}' is a draft: it has no model file. Complete it with store_model_artifact."
            )
        return version.sha256

    def sign_model(
        self, model_id: ModelReference, private_key: str | os.PathLike[str], *, password: str | None = None
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
        AmbiguousModelError
            If `model_id` leaves a choice between versions.
        ArtifactSignatureError
            If the key cannot be used.
        """
        version = self.resolve(model_id)
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

    def verify_signature(
        self, model_id: ModelReference, public_key: str | os.PathLike[str] | None = None
    ) -> ModelSignature:
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

    def export_mlflow(self, model_id: ModelReference, path: str | os.PathLike[str]) -> Path:
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

    def set_reference_data(
        self, model_id: ModelReference, frame: Any, *, sensitivity: float = 0.05, source: str = "given"
    ) -> store.FrameRef:
        """Keep the data against which this version's inputs and predictions are watched.

        Parameters
        ----------
        frame : DataFrame, Arrow table, mapping, list of mappings, or array
            Columns by name, shape (n_samples, n_columns); those of an array take the names of the inputs.
        sensitivity : float
            Level of significance for drift tests, in (0, 1).
        source : str
            Where the data come from: ``"training"`` or ``"given"``.

        Raises
        ------
        AmbiguousModelError
            If `model_id` leaves a choice between versions.
        SignatureError
            For what is no table.
        """
        from dwcp_jupyter.flavors.reference import to_reference

        version = self.resolve(model_id)
        kept = self._stores.frames.put(to_reference(frame, version.signature))
        with self._stores.metadata.transaction(self._actor) as tx:
            version = resolution.resolve(tx.connection, version.id)
            recording.set_reference_data(tx, version, kept, sensitivity=sensitivity, source=source)
        return kept

    def reference_data(self, model_id: ModelReference) -> store.FrameRef | None:
        """Return the reference data kept for a version, or None."""
        with self._stores.metadata.read() as connection:
            version = resolution.resolve(connection, reference_of(model_id))
            return registration.find_reference_data(connection, version.id)
