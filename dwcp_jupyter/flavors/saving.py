"""Between models and package folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import DwcpError, FlavorError
from dwcp_jupyter.flavors import examples, packing, protocol, tables
from dwcp_jupyter.flavors import package as packages
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature
from dwcp_jupyter.flavors.trust import Trust, TrustDecision, decide_trust

__all__ = ["adopt_file", "load_model", "save_model"]

_EXAMPLE_ROWS = 5
_PROOF_ROWS = 100
OnTrust = Callable[[TrustDecision], object]
"""Told of a decision to load an unsafe file, before it is loaded: to record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What the caller said of the model's input."""

    signature: Signature | None
    example: Any


def save_model(
    model: Any,
    directory: str | os.PathLike[str],
    *,
    signature: Signature | None = None,
    input_example: Any = None,
) -> PackageInfo:
    """Return the description of the package written into `directory`, which must be empty or absent.

    Parameters
    ----------
    model : object
        Fitted, of a framework that a flavor keeps.
    signature : Signature, optional
        Inferred from `input_example` and the model's answer to it; else from what the model says of its inputs.
    input_example : DataFrame, Arrow table, mapping, list of mappings, or array, optional
        Input that the model takes, shape (n_samples, n_inputs); all of it is used to infer the signature, its first
        rows are kept. The columns of an array take the names that the model was fitted on, if any.

    Raises
    ------
    FlavorError
        If no flavor keeps the model, or not safely. Nothing is left in `directory`.
    SignatureError, PredictionError
        If the example does not fit the signature, or the model.
    """
    flavor = protocol.flavor_of(model)
    if isinstance(flavor, protocol.Exporter):
        model = flavor.export(model, input_example, signature)
    facts = flavor.describe(model)
    folder = _empty_folder(Path(directory))
    try:
        file, kind = flavor.save(model, folder)
        info = _info(flavor, kind, file, folder)
        given = _Given(signature=signature, example=input_example)
        return _complete(folder, _described(info, facts), LoadedModel(model, info, flavor), facts, given)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def adopt_file(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    framework: Framework | str | None = None,
    signature: Signature | None = None,
    input_example: Any = None,
    trust: Trust | str | None = None,
    call: str | None = None,
    on_trust: OnTrust | None = None,
) -> PackageInfo:
    """Return the description of a package that keeps a foreign model file byte for byte, or a folder as one file.

    The file is loaded once, to learn its inputs and classes; for a format that can run code that takes a decision, told
    to `on_trust` before anything is loaded.

    Parameters
    ----------
    path : path
        The file, as the user named it, or the folder of a SavedModel.
    call : str, optional
        The line by which the caller would allow it, for the error; ``{sha256}`` in it is filled in.

    Raises
    ------
    FlavorError
        If no flavor reads such a file, or it holds no model.
    UntrustedArtifactError
        If it can run code and `trust` does not allow it.
    """
    source = Path(path)
    flavor, kind = protocol.flavor_for_file(source, framework)
    folder = _empty_folder(Path(directory))
    try:
        file = _copy(source, folder)
        info = _info(flavor, kind, file, folder)
        if not info.is_safe:
            line = call or f"flavors.adopt_file({os.fspath(path)!r}, directory, trust='{{sha256}}')"
            _decide(info, trust=trust, path=source, call=line, on_trust=on_trust)
        model = _load(flavor, folder / file, info)
        facts = flavor.describe(model, folder / file)
        given = _Given(signature=signature, example=input_example)
        return _complete(folder, _described(info, facts), LoadedModel(model, info, flavor), facts, given)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copy(source: Path, folder: Path) -> str:
    """Return the name in `folder` of a copy of the file, or of the folder as one file."""
    file = "foreign.zip" if source.is_dir() else f"foreign{source.suffix.lower()}"
    if source.is_dir():
        packing.pack(source, folder / file)
    else:
        shutil.copyfile(source, folder / file)
    return file


def load_model(
    directory: str | os.PathLike[str],
    *,
    trust: Trust | str | None = None,
    call: str = "flavors.load_model(directory, trust='{sha256}')",
    on_trust: OnTrust | None = None,
) -> LoadedModel:
    """Return the model of the package in `directory`.

    Parameters
    ----------
    trust : Trust or str, optional
        The decision to load a format that can run code; safe formats need none. A package is an artifact and no file
        that the user named, so ``own`` does not cover it.
    call : str
        The line by which the caller would allow it, for the error; ``{sha256}`` in it is filled in.
    on_trust : callable, optional
        Told of the decision before the file is loaded.

    Raises
    ------
    FlavorError
        If the folder is no package.
    IntegrityError
        If the model's file is not the one described, or its content is unsound.
    UntrustedArtifactError
        If it can run code and `trust` does not allow its sum.
    """
    folder = Path(directory)
    info = packages.check_package(folder)
    flavor = protocol.flavor_named(info.flavor)
    if info.format not in flavor.extensions.values():
        raise FlavorError(f"The flavor '{flavor.name}' reads no files of format '{info.format}'. It is not loaded.")
    if not info.is_safe:
        _decide(info, trust=trust, path=None, call=call, on_trust=on_trust)
    return LoadedModel(_load(flavor, folder / info.file, info), info, flavor)


def _decide(
    info: PackageInfo, *, trust: Trust | str | None, path: Path | None, call: str, on_trust: OnTrust | None
) -> None:
    decision = decide_trust(info.sha256, trust=trust, path=path, call=call)
    if on_trust is not None:
        on_trust(decision)


def _load(flavor: protocol.Flavor, path: Path, info: PackageInfo) -> Any:
    try:
        return flavor.load(path, info)
    except DwcpError:
        raise
    except Exception as exc:  # readers of model files raise whatever their format's library does
        raise FlavorError(
            f"'{path.name}' cannot be read as {info.format}: {type(exc).__name__}: {exc}. Save the model again."
        ) from exc


def _info(flavor: protocol.Flavor, kind: str, file: str, folder: Path) -> PackageInfo:
    return PackageInfo(
        flavor=flavor.name,
        framework=flavor.framework,
        framework_version=None,
        format=kind,
        file=file,
        sha256=hashing.sha256_file(folder / file),
    )


def _described(info: PackageInfo, facts: protocol.ModelFacts) -> PackageInfo:
    return replace(
        info,
        framework_version=facts.framework_version,
        task=facts.task,
        classes=facts.classes,
        packages=facts.packages,
        detail=facts.detail,
    )


def _empty_folder(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"'{folder}' is not empty. Name a new folder for the package.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _complete(
    folder: Path, info: PackageInfo, loaded: LoadedModel, facts: protocol.ModelFacts, given: _Given
) -> PackageInfo:
    """Infer what was not given, try the example on the model, write example and description."""
    said, flavor = given.signature, protocol.flavor_named(info.flavor)
    signature = said if said is not None and said.inputs else None  # without inputs it tells of outputs alone
    if given.example is not None:
        example = given.example if signature else examples.as_fitted(given.example, facts.fitted_names)
        signature = signature or Signature.infer(example)
        loaded.info = replace(info, signature=signature)
        conformed = signature.conform(example)
        with examples.explained(conformed, facts):
            answer = loaded.predict_conformed(conformed)
        if isinstance(flavor, protocol.Prover):
            flavor.prove(loaded.native, folder / info.file, conformed.head(_PROOF_ROWS), loaded.info)
        if not signature.outputs:
            signature = replace(signature, outputs=tables.infer_columns(tables.to_outputs(answer.values)))
        packages.write_example(folder, conformed.head(_EXAMPLE_ROWS))
    elif signature is not None and info.is_safe:  # what the model itself says against the signature, it says now
        loaded.native = _load(flavor, folder / info.file, replace(info, signature=signature))
    signature = signature or facts.signature or _from_names(facts)
    if signature is not None and said is not None and said.outputs:
        signature = replace(signature, outputs=said.outputs)
    info = replace(info, signature=signature)
    packages.write_package(folder, info)
    return info


def _from_names(facts: protocol.ModelFacts) -> Signature | None:
    """Return what the model's own column names say: numbers, unless somebody knows better."""
    if facts.input_names is None:
        return None
    columns = tuple(Column(name=name, type=ColumnType.FLOAT, dtype="float64") for name in facts.input_names)
    return Signature(inputs=columns)
