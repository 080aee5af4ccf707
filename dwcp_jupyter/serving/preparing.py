"""A version made ready to be served: found or registered, trusted, loaded, compiled and proved.

All that is heavy happens here, before any transaction: what comes out is a value that `deploy` only has to write down.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from dwcp_jupyter import flavors
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import DeploymentError, MissingExtraError, ModelNotFoundError, VersionExistsError
from dwcp_jupyter.flavors import packing
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, ModelVersion, trusting
from dwcp_jupyter.serving.client import plain
from dwcp_jupyter.serving.endpoints import CompiledModel, ExecutionMode
from dwcp_jupyter.store import Artifact, Stores

__all__ = ["Compile", "Prepared", "bind_trust", "find_version", "prepare", "register_file"]


class Compile(StrEnum):
    """Whether a model is compiled to ONNX."""

    AUTO = "auto"
    """If it can be and the outputs agree; else it runs natively."""
    ALWAYS = "always"
    """Or the deployment fails."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A version, ready to be put into an endpoint."""

    version: ModelVersion
    info: flavors.PackageInfo
    signature: flavors.Signature
    mode: ExecutionMode
    reason: str
    compiled: CompiledModel | None
    onnx: Artifact | None
    example: tuple[dict[str, Any], ...]
    trust: str


def prepare(
    stores: Stores,
    registry: ModelRegistry,
    version: ModelVersion,
    *,
    compile: Compile,  # noqa: A002 - as in ModelServer.deploy
    trust: str | None,
    path: Path | None = None,
    actor: Actor | None = None,
) -> Prepared:
    """Return the version with all that its endpoint needs.

    It takes seconds, and touches the metadata for reads, and for the decision to trust.

    Parameters
    ----------
    trust : str, optional
        The decision on a file that could run code when it is loaded.
    path : Path, optional
        Where the user named that file.

    Raises
    ------
    IntegrityError, UntrustedArtifactError, MissingExtraError
        If the package cannot be loaded.
    DeploymentError
        If it has no signature, or compiling was demanded and is not possible.
    """
    with tempfile.TemporaryDirectory(prefix="dwcp-deploy-") as folder:
        directory = registry.fetch(version.id, Path(folder) / "package")
        info = flavors.read_package(directory)
        bound = bind_trust(stores, version, info, trust=trust, path=path, actor=actor)
        compilation, example = _compile(stores, registry, version, directory, compile=compile, trust=bound)
    signature = info.signature
    if signature is None:
        raise DeploymentError(
            f"'{version.reference}' has no signature, so requests cannot be checked by column. Register it again with "
            "input_example= or signature=."
        )
    onnx = None if compilation.onnx is None else stores.artifacts.put_bytes(compilation.onnx)
    compiled = None
    if onnx is not None:
        compiled = CompiledModel(
            sha256=onnx.sha256, layout=str(compilation.layout), max_difference=compilation.max_difference
        )
    return Prepared(
        version=version,
        info=info,
        signature=signature,
        mode=ExecutionMode.NATIVE if onnx is None else ExecutionMode.COMPILED,
        reason=compilation.reason,
        compiled=compiled,
        onnx=onnx,
        example=example,
        trust=bound,
    )


def bind_trust(
    stores: Stores,
    version: ModelVersion,
    info: flavors.PackageInfo,
    *,
    trust: str | None,
    path: Path | None,
    actor: Actor | None,
) -> str:
    """Return the decision that the endpoint is bound to: ``"none"``, or the one sum that may be loaded.

    A file that the actor decided to trust before (the event names its sum) needs no second decision.

    Raises
    ------
    UntrustedArtifactError
        If nobody decided to trust the file; the message shows the line that would.
    """
    if info.is_safe:
        return "none"
    if path is None and trusting.was_granted(stores, info.sha256, trust=trust, actor=actor):
        return info.sha256
    decision = flavors.decide_trust(
        info.sha256, trust=trust, path=path, call=f"server.deploy('{version.reference}', trust='{{sha256}}')"
    )
    trusting.recorder(stores, version.reference, actor=actor)(decision)
    return decision.sha256


def _holds_file(stores: Stores, version: ModelVersion, path: Path) -> bool:
    """Return whether the version was made of exactly the bytes at `path`, a file or a folder."""
    if version.sha256 is None or not (path.is_file() or packing.is_saved_model(path)):
        return False
    with tempfile.TemporaryDirectory(prefix="dwcp-deploy-") as folder:
        directory = stores.artifacts.fetch_tree(version.sha256, Path(folder) / "package")
        return flavors.read_package(directory).sha256 == packing.sha256(path)


def _compile(
    stores: Stores,
    registry: ModelRegistry,
    version: ModelVersion,
    directory: Path,
    *,
    compile: Compile,  # noqa: A002 - as in deploy()
    trust: str,
) -> tuple[flavors.Compilation, tuple[dict[str, Any], ...]]:
    """Return the compiled model, or why there is none, and a row to warm the model with."""
    if compile is Compile.NEVER:
        return _native("compiling was switched off for this endpoint"), ()
    loaded = flavors.load_model(directory, trust=trust)
    sample = _sample(stores, registry, version, loaded, flavors.read_example(directory))
    if sample is None:
        compilation = _native("there is no reference data or input example to prove on that the compiled model agrees")
        example: tuple[dict[str, Any], ...] = ()
    else:
        example = _rows(sample)
        try:
            compilation = flavors.compile_onnx(loaded, sample)
        except MissingExtraError as exc:
            compilation = _native(str(exc))
    if compile is Compile.ALWAYS and compilation.onnx is None:
        raise DeploymentError(
            f"'{version.reference}' cannot be compiled: {compilation.reason}. Deploy it with compile='auto' to "
            "serve it natively."
        )
    return compilation, example


def _native(reason: str) -> flavors.Compilation:
    return flavors.Compilation(onnx=None, layout="", reason=reason)


def _sample(
    stores: Stores, registry: ModelRegistry, version: ModelVersion, loaded: flavors.LoadedModel, example: Any
) -> Any:
    """Return the rows that the version kept: its reference data, else its input example, else None."""
    reference = registry.reference_data(version.id)
    if reference is not None and loaded.signature is not None:
        names = [column.name for column in loaded.signature.inputs]
        frame = stores.frames.get(reference.sha256).to_pandas()
        if set(names) <= set(frame.columns):
            return loaded.conform(frame[names])
    return None if example is None else loaded.conform(example)


def _rows(sample: Any) -> tuple[dict[str, Any], ...]:
    """Return the sample's first row as JSON."""
    records = sample.head(1).to_dict(orient="records")
    return tuple(msgspec.json.decode(msgspec.json.encode(records, enc_hook=plain)))


def find_version(registry: ModelRegistry, model_id: str, model_version: str | None) -> ModelVersion:
    """Return the one version that is meant, which has a model file.

    Raises
    ------
    ModelNotFoundError, AmbiguousModelError
    """
    if model_version is None:
        version = registry.resolve(model_id)
    else:
        version = registry.resolve(f"{registry.describe_model(model_id).name}@{model_version}")
    if version.is_draft:
        raise ModelNotFoundError(
            f"'{version.reference}' is a draft: it has no model file to serve. Complete it with store_model_artifact."
        )
    return version


def register_file(
    stores: Stores,
    registry: ModelRegistry,
    path: Path,
    *,
    model_id: str,
    model_version: str | None,
    framework: flavors.Framework | str | None,
    trust: str | None,
) -> ModelVersion:
    """Return the version of the file at `path`, registered now unless it is already, under this version.

    Raises
    ------
    VersionExistsError
        If the version holds other bytes.
    """
    metadata = ModelMetadata(name=model_id, version=model_version, framework=framework)
    try:
        return registry.register_model(metadata, artifact_path=path, trust=trust)
    except VersionExistsError:
        existing = registry.get_model(f"{model_id}@{model_version}")
        if not _holds_file(stores, existing, path):
            raise
        return existing
