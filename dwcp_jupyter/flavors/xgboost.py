"""XGBoost: its own UBJSON, which is data and keeps every bit of the trees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction

__all__ = ["FLAVOR"]

_CLASSES = ("XGBClassifier", "XGBRegressor", "XGBRanker", "XGBRFClassifier", "XGBRFRegressor", "Booster")


class _XGBoostFlavor:
    name = "xgboost"
    framework = Framework.XGBOOST
    extensions: Mapping[str, str] = {".ubj": "ubj", ".json": "json"}

    def describe(self, model: Any) -> ModelFacts:
        xgboost = _library()
        kind = _kind(model)
        booster = model if kind == "Booster" else model.get_booster()
        names = booster.feature_names or [f"x{number}" for number in range(booster.num_features())]
        is_classifier = kind in {"XGBClassifier", "XGBRFClassifier"}
        return ModelFacts(
            framework_version=xgboost.__version__,
            task="classification"
            if is_classifier
            else "regression"
            if kind in {"XGBRegressor", "XGBRFRegressor"}
            else None,
            classes=tuple(np.asarray(model.classes_).tolist()) if is_classifier else None,
            input_names=tuple(map(str, names)),
            packages=installed("xgboost", "xgboost-cpu", "numpy"),
            detail={"class": kind, "names_columns": booster.feature_names is not None},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        _kind(model)
        path = folder / "model.ubj"
        model.save_model(path)
        return path.name, "ubj"

    def load(self, path: Path, info: PackageInfo) -> Any:
        xgboost = _library()
        kind = info.detail.get("class") or _class_of_file(xgboost, path)
        if kind not in _CLASSES:
            raise FlavorError(f"'{path.name}' is described as xgboost.{kind}, which is no model. It is not loaded.")
        model = getattr(xgboost, kind)()
        model.load_model(path)
        return model

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        data = frame if info.detail.get("names_columns", True) else frame.to_numpy()
        if _kind(model) == "Booster":
            xgboost = _library()
            return Prediction(values=np.asarray(model.predict(xgboost.DMatrix(data))))
        if info.classes is None:
            return Prediction(values=np.asarray(model.predict(data)))
        probabilities = np.asarray(model.predict_proba(data))
        return Prediction(
            values=np.asarray(info.classes)[probabilities.argmax(axis=1)],
            probabilities=probabilities,
            classes=info.classes,
        )


def _library() -> Any:
    return extras.require("xgboost", extra="xgboost", purpose="A model of XGBoost")


def _kind(model: Any) -> str:
    kind = next((cls.__name__ for cls in type(model).__mro__ if cls.__name__ in _CLASSES), None)
    if kind is None:
        raise FlavorError(
            f"xgboost.{type(model).__name__} cannot be kept. Kept are: {', '.join(_CLASSES)}; pass a fitted one of them."
        )
    return kind


def _class_of_file(xgboost: Any, path: Path) -> str:
    """Return which class reads a foreign file: its objective says so."""
    booster = xgboost.Booster()
    booster.load_model(path)
    objective = str(booster.attr("scikit_learn") or "") + booster.save_config()
    if '"_estimator_type": "classifier"' in objective or '"name":"binary:logistic"' in objective:
        return "XGBClassifier"
    return "XGBRegressor" if '"_estimator_type": "regressor"' in objective else "Booster"


FLAVOR: Flavor = _XGBoostFlavor()
