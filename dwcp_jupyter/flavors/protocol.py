"""What a flavor is, and which one a model has.

A flavor is one module per framework with one object that satisfies `Flavor`. It is found by the module in which the
model's class, or one of its bases, was defined: so no framework is imported to ask. A function is kept by its source.
Other packages add flavors by entry points of the group ``dwcp_jupyter.flavors``, named by the top-level module of the
classes they keep.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from os import PathLike
from pathlib import Path
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import packing
from dwcp_jupyter.flavors.frameworks import Framework

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from dwcp_jupyter.flavors.package import PackageInfo
    from dwcp_jupyter.flavors.signature import Signature

__all__ = [
    "GROUP",
    "Exporter",
    "Flavor",
    "ModelFacts",
    "Prediction",
    "Prover",
    "flavor_for_file",
    "flavor_named",
    "flavor_of",
]

GROUP = "dwcp_jupyter.flavors"
_BUILT_IN = {
    "sklearn": "dwcp_jupyter.flavors.sklearn",
    "xgboost": "dwcp_jupyter.flavors.xgboost",
    "onnx": "dwcp_jupyter.flavors.onnx",
    "torch": "dwcp_jupyter.flavors.torch.flavor",
    "keras": "dwcp_jupyter.flavors.keras.flavor",
    "python": "dwcp_jupyter.flavors.python.flavor",
}
_FUNCTIONS = (FunctionType, MethodType)
_OLD_KERAS = (
    " Keras reads this old format without its protection, so it may run code that the file brings along: if you know "
    "who made it, load it yourself and save it as .keras."
)
_REMEDIES = {
    ".h5": _OLD_KERAS,
    ".hdf5": _OLD_KERAS,
    ".pb": " Name the folder of a SavedModel, not the file in it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model answers.

    Attributes
    ----------
    values : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Labels or numbers.
    probabilities : ndarray of shape (n_samples, n_classes), or None
        Where the model has them; columns in the order of `classes`.
    """

    values: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None = None
    classes: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What a model says of itself: its task, classes, input names and what its flavor needs to read it again.

    Attributes
    ----------
    fitted_names : tuple of str, optional
        The columns of the data frame that it was fitted on, if it was.
    fitted_width : int, optional
        How many columns it was fitted on, named or not.
    """

    framework_version: str | None
    task: str | None = None
    classes: tuple[Any, ...] | None = None
    input_names: tuple[str, ...] | None = None
    fitted_names: tuple[str, ...] | None = None
    fitted_width: int | None = None
    signature: Signature | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


class Flavor(Protocol):
    """Keeps and runs the models of one framework.

    `save` and `load` are inverse: what comes back predicts the same. Neither keeps state; all are safe for threads.
    """

    name: str
    framework: Framework
    extensions: Mapping[str, str]
    """Endings of files that it can read, with their formats; it is asked to read no other format."""

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:
        """Return what a fitted model says of itself; `path` is the file it was loaded from, if it was.

        Raises
        ------
        FlavorError
            If it is not fitted, or no model.
        """

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        """Write the model into `folder`; return its file's name and format."""

    def load(self, path: Path, info: PackageInfo) -> Any:
        """Return the model in a file whose trust was decided."""

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        """Return the model's answer to rows that fit its signature."""


@runtime_checkable
class Prover(Protocol):
    """What a flavor has besides, if what it keeps could answer otherwise than the model does."""

    def prove(self, model: Any, path: Path, frame: pd.DataFrame, info: PackageInfo) -> None:
        """Compare the answers of the kept file with those of the model.

        Parameters
        ----------
        frame : pandas.DataFrame
            Rows of the example, as the model takes them.

        Raises
        ------
        FlavorError
            If they differ.
        """


@runtime_checkable
class Exporter(Protocol):
    """What a flavor has besides, if it keeps what a model does with an example in place of the model itself."""

    def export(self, model: Any, example: Any, signature: Signature | None) -> Any:
        """Return the model in the form that the flavor describes, saves and runs.

        Parameters
        ----------
        example, signature : optional
            As they were given to `save_model`.

        Raises
        ------
        FlavorError
            If that is not possible, or not without an example.
        """


def flavor_named(name: str) -> Flavor:
    """Return a flavor by its name.

    Raises
    ------
    FlavorError
        If none is installed under it.
    """
    if name in _BUILT_IN:
        return cast("Flavor", importlib.import_module(_BUILT_IN[name]).FLAVOR)
    for entry in metadata.entry_points(group=GROUP, name=name):
        return cast("Flavor", entry.load())
    raise FlavorError(f"No flavor '{name}' is installed. Installed: {', '.join(_names())}.")


def flavor_of(model: Any) -> Flavor:
    """Return the flavor that keeps `model`; bytes are an ONNX graph.

    Raises
    ------
    FlavorError
        If none does.
    """
    if isinstance(model, bytes):
        return flavor_named("onnx")
    if isinstance(model, _FUNCTIONS):
        return flavor_named("python")
    names = _names()
    for cls in type(model).__mro__:
        module = cls.__module__.partition(".")[0]
        if module in names:
            return flavor_named(module)
    if callable(model):
        return flavor_named("python")  # which refuses what is no function, and says what to do instead
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    remedy = "Pass the fitted model itself."
    if isinstance(model, (str, PathLike)):
        remedy = "A model's file is kept by flavors.adopt_file, or registered by artifact_path=."
    raise FlavorError(f"No flavor keeps models of type '{kind}'. Kept are models of: {', '.join(names)}. {remedy}")


def flavor_for_file(path: Path, framework: Framework | str | None) -> tuple[Flavor, str]:
    """Return the flavor and the format of a foreign file, by its ending and the framework named.

    The folder of a SavedModel is known by its file ``saved_model.pb``.

    Raises
    ------
    FlavorError
        If no flavor reads such a file.
    """
    ending = packing.SAVED_MODEL if packing.is_saved_model(path) else path.suffix.lower()
    for name in _names():
        flavor = flavor_named(name)
        if framework is not None and framework not in {name, flavor.framework}:
            continue
        if ending in flavor.extensions:
            return flavor, flavor.extensions[ending]
    what = f" as a model of {framework}" if framework is not None else ""
    raise FlavorError(
        f"'{path}' cannot be kept{what}: no flavor reads files ending in '{ending}'. Readable are .skops, .pkl, "
        ".pickle, .joblib (sklearn), .ubj, .json (xgboost), .onnx, .pt2, .pt, .pth (pytorch), .keras and folders of a "
        "SavedModel (tensorflow), .py and .zip (python_function); or pass the fitted model itself."
        f"{_REMEDIES.get(ending, '')}"
    )


def _names() -> tuple[str, ...]:
    """Return the names of all flavors, our own first."""
    others = {entry.name for entry in metadata.entry_points(group=GROUP)}
    return (*_BUILT_IN, *sorted(others - set(_BUILT_IN)))
