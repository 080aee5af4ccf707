"""Estimators by name, with their parameters checked before anything runs."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Mapping
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils import all_estimators

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import PipelineConfigError, did_you_mean
from dwcp_jupyter.pipeline.config import PipelineConfig

__all__ = ["check_params", "estimator_class", "make", "takes_missing"]

_SHORT = {
    "MLP": "MLP",
    "KNN": "KNeighbors",
    "SVM": "SV",
    "SVC": "SV",
    "SVR": "SV",
    "XGBoost": "XGB",
    "XGB": "XGB",
}
_TASK_ENDINGS = {"classification": ("Classifier", "C"), "regression": ("Regressor", "R")}
_PAIRED = {  # one idea under two names
    ("LogisticRegression", "regression"): "LinearRegression",
    ("LinearRegression", "classification"): "LogisticRegression",
    ("Ridge", "classification"): "RidgeClassifier",
}


def estimator_class(config: PipelineConfig, task: str) -> type[BaseEstimator]:
    """Return the class that the configuration names, for the task.

    Raises
    ------
    PipelineConfigError
        If there is none, or only for the other task.
    MissingExtraError
        For XGBoost without its extra.
    """
    known = _xgboost() if config.model_type == "xgboost" else _sklearn()
    name = config.model_class
    if config.model_type == "xgboost" and name == "RandomForest":
        name = "XGB"  # the field's default is scikit-learn's
    stem = _SHORT.get(name, name)
    candidates = [stem, *(stem + ending for ending in _TASK_ENDINGS[task]), _PAIRED.get((stem, task), "")]
    exact = [known[c] for c in candidates if c in known and task in known[c][1]]
    if exact:
        return exact[0][0]
    if any(c in known for c in candidates):
        raise PipelineConfigError(f"model_class='{config.model_class}' is not for {task}, which the target asks for.")
    fitting = [key for key, (_, tasks) in known.items() if task in tasks]
    short = {key.removesuffix("Classifier").removesuffix("Regressor") for key in fitting}
    near = did_you_mean(name, [*fitting, *short])
    raise PipelineConfigError(
        f"No model_class '{config.model_class}' in {config.model_type} for {task}.{near} "
        "Give a class name of the library, such as RandomForestClassifier, or RandomForest."
    )


def check_params(cls: type[BaseEstimator], params: Mapping[str, Any], *, field: str) -> None:
    """Raise for parameters that the class does not have.

    Raises
    ------
    PipelineConfigError
        It names each one, and what was probably meant.
    """
    known = set(cls().get_params())
    strange = [name for name in params if name not in known]
    if strange:
        hints = "".join(did_you_mean(name, known) for name in strange)
        named = ", ".join(map(repr, strange))
        raise PipelineConfigError(f"{field}: {cls.__name__} has no parameter {named}.{hints}")


def make(cls: type[BaseEstimator], params: Mapping[str, Any], *, seed: int, n_jobs: int | None) -> BaseEstimator:
    """Return an unfitted estimator; seeded where it draws and nothing else was said."""
    defaults = cls().get_params()
    values = dict(params)
    if "random_state" in defaults:
        values.setdefault("random_state", seed)
    if "n_jobs" in defaults:
        values.setdefault("n_jobs", n_jobs)
    if cls.__name__.startswith("LogisticRegression"):
        values.setdefault("max_iter", 1000)
    return cls(**values)


def takes_missing(cls: type[BaseEstimator]) -> bool:
    """Return whether the estimator takes missing numbers itself."""
    if cls.__module__.startswith("xgboost"):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bool(cls().__sklearn_tags__().input_tags.allow_nan)


@functools.cache
def _sklearn() -> dict[str, tuple[type[BaseEstimator], frozenset[str]]]:
    kinds = {"classifier": "classification", "regressor": "regression"}
    found: dict[str, tuple[type[BaseEstimator], frozenset[str]]] = {}
    for kind, task in kinds.items():
        for name, cls in all_estimators(type_filter=kind):
            if not any(p.default is inspect.Parameter.empty for p in list(inspect.signature(cls).parameters.values())):
                tasks = found.get(name, (cls, frozenset()))[1]
                found[name] = (cls, tasks | {task})
    return found


@functools.cache
def _xgboost() -> dict[str, tuple[type[BaseEstimator], frozenset[str]]]:
    library = extras.require("xgboost", extra="xgboost", purpose="model_type='xgboost'")
    tasks = {
        "XGBClassifier": "classification",
        "XGBRFClassifier": "classification",
        "XGBRegressor": "regression",
        "XGBRFRegressor": "regression",
    }
    return {name: (getattr(library, name), frozenset({task})) for name, task in tasks.items()}
