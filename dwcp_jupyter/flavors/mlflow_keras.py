"""Keras models in MLflow's format: the ``.keras`` file in a folder ``data``, which MLflow's flavor ``keras`` reads.

MLflow asks a Keras model with one array and answers with what comes out of it: of a classifier these are the
probabilities, from which labels follow here. So a model with one input of numbers is exported. Its columns are kept
by name where they make a matrix; arrays, which have no columns, are kept as a tensor.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.signature import ColumnType

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLACE", "describe", "file_of", "tensor", "write_example"]

_FOLDER = "data"
PLACE = f"{_FOLDER}/model.keras"
"""Where in an MLflow model the file lies."""


def describe(info: PackageInfo) -> dict[str, Any]:
    """Return what MLflow's flavor says of a package.

    Raises
    ------
    FlavorError
        If MLflow could not ask the model.
    """
    inputs = [str(name) for name in info.detail.get("inputs", ())]
    columns = () if info.signature is None else info.signature.inputs
    if len(inputs) != 1 or any(column.dtype in {"string", "object"} for column in columns):
        raise FlavorError(
            f"MLflow gives a Keras model one array of numbers, and this one takes {', '.join(inputs)} otherwise. Serve "
            "it here."
        )
    return {
        "data": _FOLDER,
        "keras_version": info.packages.get("keras"),
        "keras_backend": info.detail.get("backend"),
        "save_exported_model": False,
    }


def tensor(info: PackageInfo) -> dict[str, Any] | None:
    """Return the input of a Keras model that takes one array, as MLflow writes a tensor; None for any other."""
    columns = () if info.signature is None or info.format != "keras" else info.signature.inputs
    if len(columns) != 1 or columns[0].type is not ColumnType.ARRAY:
        return None
    return {"type": "tensor", "tensor-spec": {"dtype": columns[0].dtype, "shape": [-1, *columns[0].shape]}}


def write_example(folder: Path, example: pd.DataFrame) -> dict[str, Any]:
    """Write an example of one array, and return what MLflow says of it."""
    file = "input_example.json"
    array = np.stack([np.asarray(value) for value in example.iloc[:, 0]])
    (folder / file).write_text(json.dumps({"inputs": array.tolist()}), encoding="utf-8")
    return {"artifact_path": file, "type": "ndarray", "format": "tf-serving"}


def file_of(conf: Mapping[str, Any]) -> str:
    """Return the file that MLflow's flavor ``keras``, or ``tensorflow`` for a Keras model, names.

    Raises
    ------
    FlavorError
        If it keeps a SavedModel.
    """
    if conf.get("save_exported_model") or conf.get("model_type", "keras") != "keras":
        raise FlavorError(
            "The MLflow model keeps a SavedModel, which is a program. If you know who made it, register its folder "
            "by artifact_path=, and load it by trust."
        )
    return str(PurePosixPath(str(conf.get("data", _FOLDER))) / "model.keras")
