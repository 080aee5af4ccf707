"""A function as an MLflow model: its file as it is, beside a small loader that needs nothing of this package.

The file keeps its sum, so a function that comes back from MLflow is the one that went there, and takes the same
decision to be loaded.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import mlflow_loader
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.python import keeping as python_keeping

__all__ = ["FORMATS", "configuration", "is_ours", "write_loader"]

FORMATS = frozenset({"python", "source"})
_CODE = "code"
_LOADER = "dwcp_function_"
_READABLE = frozenset({"skops", "ubj", "json", "keras"})
"""What the loader reads without this package."""


def configuration(info: PackageInfo, folder: Path) -> dict[str, Any]:
    """Return what MLflow is told of a function.

    Raises
    ------
    FlavorError
        If it uses a model that cannot be read without this package.
    """
    if info.format == "python":
        _check_parts(folder / info.file)
    return {
        "code": _CODE,
        "data": info.file,
        "env": {"virtualenv": "python_env.yaml"},
        "loader_module": _module(info),
        "python_version": info.python,
    }


def write_loader(info: PackageInfo, target: Path) -> None:
    """Write the loader's file into an MLflow model's folder."""
    (target / _CODE).mkdir()
    shutil.copyfile(mlflow_loader.__file__, target / _CODE / f"{_module(info)}.py")


def is_ours(conf: Mapping[str, Any]) -> bool:
    """Return whether an MLflow model says of itself that it is a function which was exported from here."""
    return str(conf.get("loader_module")).startswith(_LOADER)


def _module(info: PackageInfo) -> str:
    return f"{_LOADER}{info.sha256[:12]}"  # two of them may be imported by one process


def _check_parts(path: Path) -> None:
    contents = python_keeping.look_into(path)
    for name, part in contents.parts.items():
        if name in contents.packages:
            raise FlavorError(
                f"The function asks '{name}', a loaded package of this library, which MLflow has not. Use its model "
                f"({name}.native) in the function; it is not exported."
            )
        if part.format not in _READABLE:
            raise FlavorError(
                f"The function uses '{name}', kept as {part.format}, which an exported function cannot read. Export "
                "that model on its own; the function is not exported."
            )
