"""Two models' answers to the same rows, put to a paired test."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from dwcp_jupyter.exceptions import InvalidMetadataError, PipelineConfigError, PredictionError
from dwcp_jupyter.statistics import PairedTest, base_name, mcnemar, permutation_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dwcp_jupyter.flavors import LoadedModel, Prediction

__all__ = ["paired_test"]


def paired_test(a: LoadedModel, b: LoadedModel, data: Any, y_true: Any, *, primary_metric: str | None) -> PairedTest:
    """Return the test of two models' answers to the same rows.

    For classifiers McNemar's test of their accuracies, which is also what decides without a primary metric; for any
    other metric the paired permutation test of it; for regression without one, of the mean squared error.

    Parameters
    ----------
    data : pandas.DataFrame
        Inputs, shape (n_samples, n_features).
    y_true : array_like of shape (n_samples,)
        What was true.

    Raises
    ------
    InvalidMetadataError
        If `y_true` does not fit the data, or the primary metric cannot be computed from answers, or has no value on
        these rows.
    SignatureError, PredictionError
        If a model cannot take the data.
    """
    truth = _checked(y_true, data)
    first, second = a.predict(data), b.predict(data)
    for side in (first, second):
        _refuse_no_answer(side)
    is_classification = _is_classification(a, truth) and _is_classification(b, truth)
    if is_classification:
        _refuse_other_labels(truth, first, second)
    name = base_name(primary_metric) if primary_metric else ("accuracy" if is_classification else "mse")
    if is_classification and name in ("acc", "accuracy"):
        return mcnemar(truth, first.values, second.values)
    return _permuted(name, "classification" if is_classification else "regression", truth, first, second)


def _checked(y_true: Any, data: Any) -> NDArray[Any]:
    import pandas as pd

    truth = np.asarray(y_true)
    if truth.ndim != 1 or len(truth) != len(data) or not len(truth):
        raise InvalidMetadataError(
            f"y_true has the shape {truth.shape} and the data have {len(data)} rows. Give one true value for each row."
        )
    if pd.isna(truth).any():
        raise InvalidMetadataError("y_true has missing values. Leave those rows out of data and y_true.")
    infinite = np.flatnonzero(np.isin(truth, (math.inf, -math.inf)) & (truth.dtype.kind in "fO"))
    if len(infinite):
        raise InvalidMetadataError(
            f"y_true is infinite (inf) in {len(infinite)} of {len(truth)} rows, the first of them row {infinite[0]}: "
            "no error can be measured there. Leave those rows out of data and y_true."
        )
    return truth


def _refuse_no_answer(side: Prediction) -> None:
    if side.values.ndim != 1:
        raise InvalidMetadataError(
            f"A model's answers have the shape {side.values.shape}, several values for a row, and a paired test "
            "compares one. Compare such models by their recorded metrics, without data and y_true."
        )
    if side.values.dtype.kind == "f" and not np.isfinite(side.values).all():
        bad = int((~np.isfinite(side.values)).sum())
        raise PredictionError(
            f"A model answered nan or inf for {bad} of {len(side.values)} rows, which cannot be compared. Look at "
            "registry.load_model(…).predict(data), or leave those rows out."
        )


def _refuse_other_labels(truth: NDArray[Any], first: Prediction, second: Prediction) -> None:
    """Refuse true values that no model can give as an answer: 0 and 1 where the models say no and yes."""
    said = {label for side in (first, second) for label in (*(side.classes or ()), *side.values.tolist())}
    if said.isdisjoint(truth.tolist()):
        true, answers = (sorted(map(repr, labels))[:5] for labels in (set(truth.tolist()), said))
        raise InvalidMetadataError(
            f"y_true holds {', '.join(true)}, and the models answer {', '.join(answers)}. Give y_true in their labels."
        )


def _is_classification(model: LoadedModel, truth: NDArray[Any]) -> bool:
    return truth.dtype.kind != "f" if model.info.task is None else model.info.task == "classification"


def _permuted(name: str, task: str, truth: NDArray[Any], first: Prediction, second: Prediction) -> PairedTest:
    from dwcp_jupyter.statistics import scores

    try:
        score = scores.find_score(name, task)
    except PipelineConfigError as exc:
        raise InvalidMetadataError(f"Metric '{name}' cannot be computed from answers. {exc}") from exc
    if score.needs_probabilities and (first.probabilities is None or second.probabilities is None):
        raise InvalidMetadataError(f"Metric '{name}' needs probabilities, which not both models give. Name another.")
    classes = tuple(np.unique(np.concatenate([truth, first.values, second.values])).tolist())
    columns = [_columns(side, classes) if score.needs_probabilities else None for side in (first, second)]
    if score.name in _OF_RANKS and len(classes) == 2:
        columns = [None if column is None else _ranked(column) for column in columns]

    def answers(rows: NDArray[np.intp], exchanged: NDArray[np.bool_]) -> scores.Answers:
        """Return the first model's answers, and the second's where they are exchanged."""
        one, other = columns
        return scores.Answers(
            y_true=truth[rows],
            y_pred=np.where(exchanged, second.values[rows], first.values[rows]),
            probabilities=None
            if one is None or other is None
            else np.where(exchanged[:, None], other[rows], one[rows]),
            classes=classes if task == "classification" else (),
        )

    def measure(rows: NDArray[np.intp], exchanged: NDArray[np.bool_]) -> tuple[float, float]:
        return score(answers(rows, exchanged)), score(answers(rows, ~exchanged))

    return _defined(name, measure, len(truth))


_OF_RANKS = ("roc_auc", "average_precision")
"""They know the order of probabilities only; so ranks are exchanged, lest two models' scales are mixed."""


def _defined(name: str, measure: Callable[..., tuple[float, float]], n: int) -> PairedTest:
    from sklearn.exceptions import UndefinedMetricWarning

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            values = measure(np.arange(n), np.zeros(n, dtype=bool))
    except (ValueError, TypeError) as exc:
        raise InvalidMetadataError(
            f"Metric '{name}' cannot be computed from y_true and the answers: {exc}. Give y_true as the models answer."
        ) from exc
    if not all(map(math.isfinite, values)):
        raise InvalidMetadataError(
            f"Metric '{name}' has no value on {'this one row' if n == 1 else f'these {n:,} rows'}, where it is not "
            "defined: it takes several rows, and such as compares classes takes each class. Give more rows, or name "
            "another primary_metric."
        )
    return permutation_difference(measure, n)


def _ranked(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks of each column, in (0, 1]; equal ones share theirs."""
    from scipy.stats import rankdata

    ranks: NDArray[np.float64] = rankdata(probabilities, axis=0) / len(probabilities)
    return ranks


def _columns(side: Prediction, classes: tuple[Any, ...]) -> NDArray[np.float64]:
    """Return probabilities with a column for each of `classes`; a model knows only those that it was trained on."""
    assert side.probabilities is not None
    known = {label: place for place, label in enumerate(side.classes or classes)}
    columns = [
        side.probabilities[:, known[label]] if label in known else np.zeros(len(side.values)) for label in classes
    ]
    return np.stack(columns, axis=1).astype(float)
