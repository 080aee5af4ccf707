"""Models of several frameworks, kept in safe formats and run alike.

A model becomes a package folder (`save_model`), and comes back as a `LoadedModel` that checks its input by the
signature (`load_model`). Foreign files are kept as they are (`adopt_file`). What could run code when it is loaded
needs the loader's decision (`Trust`). Frameworks are imported when a model of theirs is met.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.flavors.compile import Compilation, Tolerance, compile_onnx
    from dwcp_jupyter.flavors.frameworks import Framework
    from dwcp_jupyter.flavors.loaded import LoadedModel
    from dwcp_jupyter.flavors.mlflow import read_mlflow, write_mlflow
    from dwcp_jupyter.flavors.package import PackageInfo, check_package, read_example, read_package
    from dwcp_jupyter.flavors.protocol import Flavor, Prediction, flavor_of
    from dwcp_jupyter.flavors.saving import adopt_file, load_model, save_model
    from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature
    from dwcp_jupyter.flavors.trust import Trust, TrustDecision, decide_trust, weigh_trust

__all__ = [
    "Column",
    "ColumnType",
    "Compilation",
    "Flavor",
    "Framework",
    "LoadedModel",
    "PackageInfo",
    "Prediction",
    "Signature",
    "Tolerance",
    "Trust",
    "TrustDecision",
    "adopt_file",
    "check_package",
    "compile_onnx",
    "decide_trust",
    "flavor_of",
    "load_model",
    "read_example",
    "read_mlflow",
    "read_package",
    "save_model",
    "weigh_trust",
    "write_mlflow",
]

_HOME = {
    "read_mlflow": "mlflow",
    "write_mlflow": "mlflow",
    "Column": "signature",
    "ColumnType": "signature",
    "Compilation": "compile",
    "Flavor": "protocol",
    "Framework": "frameworks",
    "LoadedModel": "loaded",
    "PackageInfo": "package",
    "Prediction": "protocol",
    "Signature": "signature",
    "Tolerance": "compile",
    "Trust": "trust",
    "TrustDecision": "trust",
    "adopt_file": "saving",
    "check_package": "package",
    "compile_onnx": "compile",
    "decide_trust": "trust",
    "flavor_of": "protocol",
    "load_model": "saving",
    "read_example": "package",
    "read_package": "package",
    "save_model": "saving",
    "weigh_trust": "trust",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
