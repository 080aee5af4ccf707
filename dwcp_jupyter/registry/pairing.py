"""Two models' answers to the same rows, put to a paired test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_jupyter.exceptions import InvalidMetadataError, PipelineConfigError
from dwcp_jupyter.statistics import PairedTest, base_name, bootstrap_difference, mcnemar

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_jupyter.flavors import LoadedModel, Prediction

__all__ = ["paired_test"]


def paired_test(a: LoadedModel, b: LoadedModel, data: Any, y_true: Any, *, primary_metric: str | None) -> PairedTest:
    """Return the test of two models' answers to the same rows.

    For classifiers McNemar's test of their accuracies, which is also what decides without a primary metric; for any
    other metric the paired bootstrap of it; for regression without one, of the mean squared error.

    Parameters
    ----------
    data : pandas.DataFrame
        Inputs, shape (n_samples, n_features).
    y_true : array_like of shape (n_samples,)
        What was true.

    Raises
    ------
    InvalidMetadataError
        If `y_true` does not fit the data, or the primary metric cannot be computed from answers.
    SignatureError, PredictionError
        If a model cannot take the data.
    """
    import pandas as pd

    truth = np.asarray(y_true)
    if truth.ndim != 1 or len(truth) != len(data) or not len(truth):
        raise InvalidMetadataError(
            f"y_true has the shape {truth.shape} and the data have {len(data)} rows. Give one true value for each row."
        )
    if pd.isna(truth).any():
        raise InvalidMetadataError("y_true has missing values. Leave those rows out of data and y_true.")
    first, second = a.predict(data), b.predict(data)
    is_classification = _is_classification(a, truth) and _is_classification(b, truth)
    name = base_name(primary_metric) if primary_metric else ("accuracy" if is_classification else "mse")
    if is_classification and name in ("acc", "accuracy"):
        return mcnemar(truth, first.values, second.values)
    return _bootstrap(name, "classification" if is_classification else "regression", truth, first, second)


def _is_classification(model: LoadedModel, truth: NDArray[Any]) -> bool:
    return truth.dtype.kind != "f" if model.info.task is None else model.info.task == "classification"


def _bootstrap(name: str, task: str, truth: NDArray[Any], first: Prediction, second: Prediction) -> PairedTest:
    from dwcp_jupyter.statistics import scores

    try:
        score = scores.find_score(name, task)
    except PipelineConfigError as exc:
        raise InvalidMetadataError(f"Metric '{name}' cannot be computed from answers. {exc}") from exc
    if score.needs_probabilities and (first.probabilities is None or second.probabilities is None):
        raise InvalidMetadataError(f"Metric '{name}' needs probabilities, which not both models give. Name another.")
    classes = tuple(np.unique(np.concatenate([truth, first.values, second.values])).tolist())
    sides = [
        scores.Answers(
            y_true=truth,
            y_pred=side.values,
            probabilities=_columns(side, classes) if score.needs_probabilities else None,
            classes=classes if task == "classification" else (),
        )
        for side in (first, second)
    ]

    def measure(rows: NDArray[np.intp]) -> tuple[float, float]:
        values = [score(side.take(rows)) for side in sides]
        return values[0], values[1]

    return bootstrap_difference(measure, len(truth), resamples=1_000)


def _columns(side: Prediction, classes: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return probabilities with a column for each of `classes`; a model knows only those that it was trained on."""
    assert side.probabilities is not None
    known = {label: place for place, label in enumerate(side.classes or classes)}
    columns = [
        side.probabilities[:, known[label]] if label in known else np.zeros(len(side.values)) for label in classes
    ]
    return np.stack(columns, axis=1).astype(float)
