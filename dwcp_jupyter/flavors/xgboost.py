"""XGBoost: its own UBJSON, which is data and keeps every bit of the trees.

The file holds the trees; what the estimator adds and an answer depends on (which value means missing, whether columns
are categories) is kept beside it in the description.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import pickles
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["FLAVOR"]

_CLASSIFIERS = ("XGBClassifier", "XGBRFClassifier")
_REGRESSORS = ("XGBRegressor", "XGBRFRegressor")
_CLASSES = (*_CLASSIFIERS, *_REGRESSORS, "XGBRanker", "Booster")


class _XGBoostFlavor:
    name = "xgboost"
    framework = Framework.XGBOOST
    extensions: Mapping[str, str] = {".ubj": "ubj", ".json": "json", **pickles.EXTENSIONS}

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:  # noqa: ARG002 - says all itself
        kind = _kind(model)
        booster = _booster(model)
        names = booster.feature_names
        return ModelFacts(
            framework_version=_library().__version__,
            task="classification" if kind in _CLASSIFIERS else "regression" if kind in _REGRESSORS else None,
            classes=_classes(model),
            input_names=tuple(map(str, names or _numbered(booster))),
            fitted_names=None if names is None else tuple(map(str, names)),
            fitted_width=int(booster.num_features()),
            signature=_signature(booster),
            packages=installed("xgboost", "xgboost-cpu", "numpy"),
            detail={"class": kind, "inputs": "array" if names is None else "frame", **_parameters(model)},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        _kind(model)
        path = folder / "model.ubj"
        model.save_model(path)
        return path.name, "ubj"

    def load(self, path: Path, info: PackageInfo) -> Any:
        xgboost = _library()
        if info.format in pickles.FORMATS:
            return pickles.load(path)
        kind = info.detail.get("class") or _class_of_file(path)
        if kind not in _CLASSES:
            raise FlavorError(f"'{path.name}' is described as xgboost.{kind}, which is no model. It is not loaded.")
        kept = {name: info.detail[name] for name in ("missing", "enable_categorical") if name in info.detail}
        model = xgboost.Booster() if kind == "Booster" else getattr(xgboost, kind)(**kept)
        model.load_model(path)
        return model

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        data = frame if info.detail.get("inputs", "frame") == "frame" else frame.to_numpy()
        if _kind(model) == "Booster":
            matrix = _library().DMatrix(data, enable_categorical=True)
            return Prediction(values=np.asarray(model.predict(matrix)))
        if info.classes is None:
            return Prediction(values=np.asarray(model.predict(data)))
        probabilities = np.asarray(model.predict_proba(data))
        labels = np.asarray(info.classes)[probabilities.argmax(axis=1)]
        return Prediction(values=labels, probabilities=probabilities, classes=info.classes)


def _library() -> Any:
    return extras.require("xgboost", extra="xgboost", purpose="A model of XGBoost")


def _kind(model: Any) -> str:
    kind = type(model).__name__
    if kind not in _CLASSES or not type(model).__module__.startswith("xgboost."):
        raise FlavorError(
            f"{type(model).__module__}.{kind} cannot be kept: XGBoost's format would lose what the class adds. Kept "
            f"are: {', '.join(_CLASSES)}; pass a fitted one of them."
        )
    return kind


def _booster(model: Any) -> Any:
    if type(model).__name__ == "Booster":
        return model
    try:
        return model.get_booster()
    except Exception as exc:  # its NotFittedError comes from scikit-learn, or is XGBoost's own, by version
        raise FlavorError(
            f"This {type(model).__name__} is not fitted, so it cannot predict. Call its fit first."
        ) from exc


def _numbered(booster: Any) -> list[str]:
    return [f"x{number}" for number in range(booster.num_features())]


def _config(booster: Any) -> Mapping[str, Any]:
    learner: Mapping[str, Any] = json.loads(booster.save_config())["learner"]
    return learner


def _classes(model: Any) -> tuple[Any, ...] | None:
    """Return a classifier's labels; None where each row has several."""
    if type(model).__name__ not in _CLASSIFIERS:
        return None
    targets = int(_config(model.get_booster())["learner_model_param"].get("num_target", 1))
    return None if targets > 1 else tuple(np.asarray(model.classes_).tolist())


def _parameters(model: Any) -> dict[str, Any]:
    """Return what an estimator's answers depend on and its file does not hold."""
    if type(model).__name__ == "Booster":
        return {}
    missing = model.missing
    kept: dict[str, Any] = {"enable_categorical": bool(model.enable_categorical)}
    if missing is not None and not math.isnan(missing):
        kept["missing"] = float(missing)
    return kept


_TYPES = {
    "int": (ColumnType.INT, "int64"),
    "i": (ColumnType.BOOL, "bool"),
    "float": (ColumnType.FLOAT, "float64"),
    "q": (ColumnType.FLOAT, "float64"),
}


def _signature(booster: Any) -> Signature | None:
    """Return what the model recorded of its columns; None where categories are among them, which it does not name."""
    names = booster.feature_names or _numbered(booster)
    types = booster.feature_types or ["float"] * len(names)
    if not set(types) <= set(_TYPES):
        return None
    columns = [
        Column(
            name=str(name), type=_TYPES[kind][0], dtype=_TYPES[kind][1], nullable=_TYPES[kind][0] is ColumnType.FLOAT
        )
        for name, kind in zip(names, types, strict=True)
    ]
    return Signature(inputs=tuple(columns))


def _class_of_file(path: Path) -> str:
    """Return which class reads a foreign file: what it was trained for says so."""
    booster = _library().Booster()
    booster.load_model(path)
    objective = str(_config(booster)["objective"]["name"])
    if objective in {"binary:logistic", "multi:softprob", "multi:softmax"}:
        return "XGBClassifier"
    if objective.startswith("rank:"):
        return "XGBRanker"
    return "XGBRegressor" if objective.startswith(("reg:", "count:", "survival:")) else "Booster"


FLAVOR: Flavor = _XGBoostFlavor()
