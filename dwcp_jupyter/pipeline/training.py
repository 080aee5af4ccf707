"""Fitting: prepared folds, the choice of features, tuning, and the final model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from sklearn.pipeline import Pipeline

from dwcp_jupyter.pipeline import estimators
from dwcp_jupyter.pipeline.config import PipelineConfig
from dwcp_jupyter.pipeline.evaluation import Fold, answers
from dwcp_jupyter.pipeline.labels import LabelledClassifier
from dwcp_jupyter.pipeline.preparation import Preparation
from dwcp_jupyter.pipeline.progress import CancelToken
from dwcp_jupyter.pipeline.search import Objective
from dwcp_jupyter.pipeline.splitting import Fold as Rows
from dwcp_jupyter.pipeline.splitting import Part
from dwcp_jupyter.statistics.scores import Answers, Score

_ROWS_WORTH_ALL_CORES = 20_000
"""Below, starting threads for each small fit costs more than they save."""

__all__ = ["Fitter", "engineered", "fitted", "fold_scores", "interactions_help", "objective", "prepared"]


class Fitter:
    """Makes models of one class for one task.

    With few rows `workers` folds are fitted at once; with many, one at a time on all cores, where it can use them.
    """

    def __init__(self, config: PipelineConfig, task: str, classes: Sequence[Any], *, n_rows: int) -> None:
        is_large = n_rows >= _ROWS_WORTH_ALL_CORES
        self._n_jobs = -1 if is_large else None
        self.workers = 1 if is_large else max(1, min(4, os.cpu_count() or 1))
        self.cls = estimators.estimator_class(config, task)
        self.classes = tuple(classes)
        self._config = config
        estimators.check_params(self.cls, config.model_params, field="model_params")
        estimators.check_params(self.cls, config.param_space, field="param_space")

    def model(self, params: Mapping[str, Any]) -> Any:
        """Return an unfitted model with these parameters over those of the configuration."""
        values = {**self._config.model_params, **params}
        made = estimators.make(self.cls, values, seed=self._config.random_seed, n_jobs=self._n_jobs)
        is_coded = all(type(label) is int and label == code for code, label in enumerate(self.classes))
        needs_codes = self.cls.__module__.startswith("xgboost") and not is_coded  # False and 0.0 are no 0 in answers
        return LabelledClassifier(made) if needs_codes else made

    def fit(self, model: Any, inputs: Any, target: Any, **options: Any) -> Any:
        """Return `model`, fitted."""
        return model.fit(inputs, target, **options)


def prepared(preparation: Preparation, part: Part, rows: Sequence[Rows], *, with_interactions: bool) -> list[Fold]:
    """Return the folds with their inputs transformed; the transformer is fitted on each fold's own rows."""
    made = []
    inputs, target = part.inputs[list(preparation.columns)], part.target.to_numpy()
    for fit, judge in rows:
        transformer = preparation.transformer(with_interactions=with_interactions)
        made.append(
            Fold(
                fit_inputs=transformer.fit_transform(inputs.iloc[fit], target[fit]),
                fit_target=target[fit],
                judge_inputs=transformer.transform(inputs.iloc[judge]),
                judge_target=target[judge],
            )
        )
    return made


def fold_scores(
    fitter: Fitter, params: Mapping[str, Any], folds: Sequence[Fold], scores: Mapping[str, Score], cancel: CancelToken
) -> dict[str, list[float]]:
    """Return each metric on each fold."""
    found: dict[str, list[float]] = {name: [] for name in scores}
    for fold in folds:
        cancel.check()
        model = fitter.fit(fitter.model(params), fold.fit_inputs, fold.fit_target)
        said = _said(fitter, model, fold, scores.values())
        for name, score in scores.items():
            found[name].append(score(said))
    return found


def interactions_help(plain: Sequence[float], wider: Sequence[float], *, higher_is_better: bool) -> bool:
    """Return whether the wider features are better on the held-out folds by more than chance would make them.

    A one-sided paired t-test over folds at the 5% level, with the variance corrected for overlapping training rows
    (Nadeau and Bengio 2003, https://doi.org/10.1023/A:1024068626366).
    """
    gains = (np.asarray(wider) - np.asarray(plain)) * (1 if higher_is_better else -1)
    n = len(gains)
    if not np.isfinite(gains).all() or gains.mean() <= 0:
        return False
    spread = gains.var(ddof=1) * (1 / n + 1 / (n - 1))
    if spread == 0:
        return True
    return bool(stats.t.sf(gains.mean() / np.sqrt(spread), n - 1) < 0.05)


def _said(fitter: Fitter, model: Any, fold: Fold, scores: Iterable[Score]) -> Answers:
    needed = any(score.needs_probabilities for score in scores)
    return answers(model, fold.judge_inputs, fold.judge_target, classes=fitter.classes, with_probabilities=needed)


def objective(fitter: Fitter, folds: Sequence[Fold], score: Score) -> Objective:
    """Return what tuning optimises: the mean of `score` over the folds."""

    def evaluate(params: Mapping[str, Any], report: Callable[[int, float], bool]) -> float | None:
        values: list[float] = []

        def judge(fold: Fold) -> float:
            model = fitter.fit(fitter.model(params), fold.fit_inputs, fold.fit_target)
            return score(_said(fitter, model, fold, [score]))

        with ThreadPoolExecutor(fitter.workers) as pool:
            for start in range(0, len(folds), fitter.workers):
                values.extend(pool.map(judge, folds[start : start + fitter.workers]))
                if report(len(values) - 1, float(np.mean(values))):
                    return None
        return float(np.mean(values))

    return evaluate


def fitted(
    fitter: Fitter,
    preparation: Preparation,
    params: Mapping[str, Any],
    train: Part,
    validation: Part,
    *,
    with_interactions: bool,
    patience: int | None,
) -> Pipeline:
    """Return preprocessing and model as one pipeline, fitted on the training rows.

    With `patience`, boosting by XGBoost stops when the validation rows have not gained for so many rounds.
    """
    columns = list(preparation.columns)
    transformer = preparation.transformer(with_interactions=with_interactions)
    inputs = transformer.fit_transform(train.inputs[columns], train.target.to_numpy())
    model = fitter.model(params)
    inner = model.classifier if isinstance(model, LabelledClassifier) else model
    options: dict[str, Any] = {}
    if patience is not None and type(inner).__module__.startswith("xgboost") and "RF" not in type(inner).__name__:
        inner.set_params(early_stopping_rounds=patience)
        target: Any = validation.target.to_numpy()
        if isinstance(model, LabelledClassifier):
            target = np.searchsorted(np.unique(train.target.to_numpy()), target)
        options = {"eval_set": [(transformer.transform(validation.inputs[columns]), target)], "verbose": False}
    model = fitter.fit(model, inputs, train.target.to_numpy(), **options)
    if "n_jobs" in model.get_params() and "n_jobs" not in params:
        model.set_params(n_jobs=None)  # serving answers requests in parallel, not the rows of one
    return Pipeline([("prepare", transformer), ("model", model)])


def engineered(pipeline: Pipeline, inputs: pd.DataFrame) -> pd.DataFrame:
    """Return what the model sees of `inputs`: shape (n_samples, n_features), columns named by their origin."""
    transformer = pipeline.named_steps["prepare"]
    return pd.DataFrame(
        transformer.transform(inputs), columns=[str(name) for name in transformer.get_feature_names_out()]
    )
