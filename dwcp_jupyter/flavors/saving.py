"""Between models and package folders."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError
from dwcp_jupyter.flavors import package as packages
from dwcp_jupyter.flavors import protocol
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature
from dwcp_jupyter.flavors.trust import Trust, decide_trust

__all__ = ["adopt_file", "load_model", "save_model"]

_EXAMPLE_ROWS = 5


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
    input_example : DataFrame, optional
        Input that the model takes, shape (n_samples, n_inputs); all of it is used to infer the signature, its first
        rows are kept.

    Raises
    ------
    FlavorError
        If no flavor keeps the model, or not safely. Nothing is left in `directory`.
    """
    flavor = protocol.flavor_of(model)
    facts = flavor.describe(model)
    folder = _empty_folder(Path(directory))
    try:
        file, kind = flavor.save(model, folder)
        info = PackageInfo(
            flavor=flavor.name,
            framework=flavor.framework,
            framework_version=facts.framework_version,
            format=kind,
            file=file,
            sha256=hashing.sha256_file(folder / file),
            task=facts.task,
            classes=facts.classes,
            packages=facts.packages,
            detail=facts.detail,
        )
        return _complete(folder, info, model, flavor, facts, signature=signature, input_example=input_example)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def adopt_file(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    framework: Framework | None = None,
    signature: Signature | None = None,
    input_example: Any = None,
    trust: Trust | str | None = None,
) -> PackageInfo:
    """Return the description of a package that keeps a foreign model file byte for byte.

    The file is loaded once, to learn its inputs and classes; for a pickle that takes a decision.

    Raises
    ------
    FlavorError
        If no flavor reads such a file.
    UntrustedArtifactError
        If it is a pickle that `trust` does not allow.
    """
    source = Path(path)
    flavor, kind = protocol.flavor_for_file(source, framework)
    folder = _empty_folder(Path(directory))
    file = f"model{source.suffix.lower()}"
    try:
        shutil.copyfile(source, folder / file)
        info = PackageInfo(
            flavor=flavor.name,
            framework=flavor.framework,
            framework_version=None,
            format=kind,
            file=file,
            sha256=hashing.sha256_file(folder / file),
        )
        if not info.is_safe:
            decide_trust(info.sha256, trust=trust, path=source, call=f"adopt_file('{source}', …, trust='{{sha256}}')")
        model = _load(flavor, folder / file, info)
        facts = flavor.describe(model)
        info = replace(
            info,
            framework_version=facts.framework_version,
            task=facts.task,
            classes=facts.classes,
            packages=facts.packages,
            detail=facts.detail,
        )
        return _complete(folder, info, model, flavor, facts, signature=signature, input_example=input_example)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def load_model(
    directory: str | os.PathLike[str],
    *,
    trust: Trust | str | None = None,
    call: str = "load_model(…, trust='{sha256}')",
) -> LoadedModel:
    """Return the model of the package in `directory`.

    Parameters
    ----------
    trust : Trust or str, optional
        The decision to load a format that can run code; safe formats need none.
    call : str
        The line by which the caller would allow it, for the error.

    Raises
    ------
    FlavorError
        If the folder is no package.
    IntegrityError
        If the model's file is not the one described.
    UntrustedArtifactError
        If it can run code and `trust` does not allow its sum.
    """
    folder = Path(directory)
    info = packages.read_package(folder)
    path = folder / info.file
    actual = hashing.sha256_file(path) if path.is_file() else "none: there is no such file"
    if actual != info.sha256:
        raise IntegrityError(
            f"'{info.file}' was changed: the package describes SHA-256 {info.sha256}, found is {actual}. It is not "
            "loaded.",
            expected=info.sha256,
            actual=actual,
        )
    if not info.is_safe:
        decide_trust(info.sha256, trust=trust, call=call)
    flavor = protocol.flavor_named(info.flavor)
    return LoadedModel(_load(flavor, path, info), info, flavor)


def _load(flavor: protocol.Flavor, path: Path, info: PackageInfo) -> Any:
    from dwcp_jupyter.exceptions import DwcpError

    try:
        return flavor.load(path, info)
    except DwcpError:
        raise
    except Exception as exc:  # readers of model files raise whatever their format's library does
        raise FlavorError(f"'{path.name}' cannot be read as {info.format}: {exc}. Save the model again.") from exc


def _empty_folder(folder: Path) -> Path:
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"'{folder}' is not empty. Name a new folder for the package.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _complete(
    folder: Path,
    info: PackageInfo,
    model: Any,
    flavor: protocol.Flavor,
    facts: protocol.ModelFacts,
    *,
    signature: Signature | None,
    input_example: Any,
) -> PackageInfo:
    """Infer what was not given, write example and description."""
    example = None
    if input_example is not None:
        signature = signature or _from_example(info, model, flavor, input_example)
        example = signature.conform(input_example).head(_EXAMPLE_ROWS)
    info = replace(info, signature=signature or facts.signature or _from_names(facts))
    if example is not None:
        packages.write_example(folder, example)
    packages.write_package(folder, info)
    return info


def _from_example(info: PackageInfo, model: Any, flavor: protocol.Flavor, input_example: Any) -> Signature:
    inputs = Signature.infer(input_example)
    answer = LoadedModel(model, replace(info, signature=inputs), flavor).predict(input_example)
    return Signature.infer(input_example, answer.values)


def _from_names(facts: protocol.ModelFacts) -> Signature | None:
    """Return what the model's own column names say: numbers, unless somebody knows better."""
    if facts.input_names is None:
        return None
    columns = tuple(
        Column(name=name, type=ColumnType.FLOAT, dtype="float64", nullable=False) for name in facts.input_names
    )
    return Signature(inputs=columns)
