"""The loader that an exported function takes along: MLflow imports a copy of this file, where nothing else of us is.

So it imports the standard library alone, and what the function's models need. Whoever calls
``mlflow.pyfunc.load_model`` runs the function's text: MLflow asks for no decision.
"""

from __future__ import annotations

import importlib
import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any


class _FunctionModel:
    """A function of one data frame, as MLflow calls models."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def predict(self, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002 - MLflow passes it
        """Return the function's answers, one a row."""
        return self._function(model_input.reset_index(drop=True))


def _load_pyfunc(path: str) -> _FunctionModel:
    """Return the function in a file: the name by which MLflow calls it."""
    if path.endswith(".py"):
        return _FunctionModel(_run(Path(path).read_text(encoding="utf-8"), {})["predict"])
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(path) as archive:
        archive.extractall(place)
        folder = Path(place)
        said = json.loads((folder / "function.json").read_text(encoding="utf-8"))
        names = {name: _model(folder / "parts" / name) for name in said["parts"]}
        names |= {name: _table(folder / "tables" / name, table) for name, table in said["tables"].items()}
        text = (folder / "model.py").read_text(encoding="utf-8")
    return _FunctionModel(_run(text, names)[said["function"]])


def _run(text: str, names: dict[str, Any]) -> dict[str, Any]:
    import sys
    import types

    module = types.ModuleType(f"{__name__}_text")
    vars(module).update(names)
    sys.modules[module.__name__] = module  # dataclasses look their annotations up there
    exec(compile(text, "model.py", "exec", dont_inherit=True), vars(module))  # noqa: S102 - it is the model
    return vars(module)


def _model(folder: Path) -> Any:
    said = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    file, detail = folder / said["file"], said["detail"]
    if said["format"] == "skops":
        import skops.io

        return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    if said["format"] == "keras":
        return importlib.import_module("keras").saving.load_model(file, compile=False)
    import xgboost

    kept = {name: detail[name] for name in ("missing", "enable_categorical") if name in detail}
    model = xgboost.Booster() if detail["class"] == "Booster" else getattr(xgboost, detail["class"])(**kept)
    model.load_model(file)
    return model


def _table(folder: Path, said: dict[str, Any]) -> Any:
    import numpy as np
    import pandas as pd

    if said["kind"] == "array":
        return np.load(folder / said["file"], allow_pickle=False)
    frame = pd.read_parquet(folder / said["file"])
    return frame["values"].rename(said["name"]) if said["kind"] == "series" else frame
