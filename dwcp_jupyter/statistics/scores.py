"""How good answers are: the metrics by name, their directions and their uncertainty.

One table holds every metric, under scikit-learn's and the field's usual names: what it computes, whether more is
better, for which task, and whether it needs probabilities. For more than two classes precision, recall and F1 are macro
averages, ROC AUC is one-vs-rest macro. With two classes the positive one is the second in sorted order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sk

from dwcp_jupyter.exceptions import PipelineConfigError, did_you_mean
from dwcp_jupyter.statistics.effects import wilson_interval

__all__ = ["SCORES", "Answers", "Score", "find_score", "interval"]

CLASSIFICATION = "classification"
REGRESSION = "regression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was true and what a model said.

    Attributes
    ----------
    y_true, y_pred : ndarray of shape (n_samples,)
    probabilities : ndarray of shape (n_samples, n_classes), or None
        Columns in the order of `classes`.
    classes : tuple
        Labels in sorted order; empty for regression.
    """

    y_true: NDArray[Any]
    y_pred: NDArray[Any]
    probabilities: NDArray[np.float64] | None = None
    classes: tuple[Any, ...] = ()

    def take(self, rows: NDArray[np.intp]) -> Answers:
        """Return the answers of some rows."""
        return Answers(
            y_true=self.y_true[rows],
            y_pred=self.y_pred[rows],
            probabilities=None if self.probabilities is None else self.probabilities[rows],
            classes=self.classes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One metric.

    Attributes
    ----------
    higher_is_better : bool
        Its direction.
    task : str
        ``"classification"`` or ``"regression"``.
    needs_probabilities : bool
        Whether labels alone are not enough.
    is_share : bool
        Whether it is a share of rows, so that Wilson's interval is exact enough for it.
    from_counts : callable, optional
        The metric of a table of counts, shape (n_classes, n_classes), true classes in rows: where a metric follows from
        it, resampling rows is drawing such tables, which costs nothing.
    """

    name: str
    compute: Callable[[Answers], float]
    higher_is_better: bool
    task: str
    needs_probabilities: bool = False
    is_share: bool = False
    from_counts: Callable[[NDArray[np.float64]], float] | None = None

    def __call__(self, answers: Answers) -> float:
        """Return the metric's value."""
        return float(self.compute(answers))


def _averaged(function: Callable[..., float]) -> Callable[[Answers], float]:
    def compute(answers: Answers) -> float:
        if len(answers.classes) == 2:
            hit = answers.classes[1]
            return function(answers.y_true == hit, answers.y_pred == hit, zero_division=0)
        labels = list(answers.classes)
        return function(answers.y_true, answers.y_pred, average="macro", labels=labels, zero_division=0)

    return compute


def _roc_auc(answers: Answers) -> float:
    assert answers.probabilities is not None
    present = set(answers.y_true.tolist())
    if len(present) < len(answers.classes):
        return float("nan")  # not defined where a class does not occur
    if len(answers.classes) == 2:
        return float(sk.roc_auc_score(answers.y_true == answers.classes[1], answers.probabilities[:, 1]))
    return float(
        sk.roc_auc_score(answers.y_true, answers.probabilities, multi_class="ovr", labels=list(answers.classes))
    )


def _average_precision(answers: Answers) -> float:
    assert answers.probabilities is not None
    hits = np.stack([answers.y_true == label for label in answers.classes], axis=1)
    if len(answers.classes) == 2:
        return float(sk.average_precision_score(hits[:, 1], answers.probabilities[:, 1]))
    return float(sk.average_precision_score(hits, answers.probabilities, average="macro"))


def _log_loss(answers: Answers) -> float:
    return float(sk.log_loss(answers.y_true, answers.probabilities, labels=list(answers.classes)))


def _brier(answers: Answers) -> float:
    assert answers.probabilities is not None
    hits = np.stack([answers.y_true == label for label in answers.classes], axis=1).astype(float)
    squares = ((answers.probabilities - hits) ** 2).sum(axis=1).mean()
    return float(squares / 2 if len(answers.classes) == 2 else squares)


def _per_class(ratio: Callable[[Any, Any, Any], Any]) -> Callable[[NDArray[np.float64]], float]:
    """Return the metric whose share per class is ``ratio(hits, predicted, true)``, as (numerator, denominator)."""

    def compute(counts: NDArray[np.float64]) -> float:
        above, below = ratio(counts.diagonal(), counts.sum(axis=0), counts.sum(axis=1))
        shares = np.divide(above, below, out=np.zeros(len(counts)), where=below > 0)
        return float(shares[1] if len(counts) == 2 else shares.mean())

    return compute


def _balanced_counts(counts: NDArray[np.float64]) -> float:
    true = counts.sum(axis=1)
    return float((counts.diagonal()[true > 0] / true[true > 0]).mean())


def _mcc_counts(counts: NDArray[np.float64]) -> float:
    total, predicted, true = counts.sum(), counts.sum(axis=0), counts.sum(axis=1)
    spread = np.sqrt((total**2 - predicted @ predicted) * (total**2 - true @ true))
    return float((counts.trace() * total - predicted @ true) / spread) if spread else 0.0


def _plain(function: Callable[..., float]) -> Callable[[Answers], float]:
    return lambda answers: function(answers.y_true, answers.y_pred)


SCORES: dict[str, Score] = {
    score.name: score
    for score in (
        Score(
            name="accuracy",
            compute=_plain(sk.accuracy_score),
            higher_is_better=True,
            task=CLASSIFICATION,
            is_share=True,
        ),
        Score(
            name="balanced_accuracy",
            compute=_plain(sk.balanced_accuracy_score),
            higher_is_better=True,
            task=CLASSIFICATION,
            from_counts=_balanced_counts,
        ),
        Score(
            name="precision",
            compute=_averaged(sk.precision_score),
            higher_is_better=True,
            task=CLASSIFICATION,
            from_counts=_per_class(lambda hits, predicted, _true: (hits, predicted)),
        ),
        Score(
            name="recall",
            compute=_averaged(sk.recall_score),
            higher_is_better=True,
            task=CLASSIFICATION,
            from_counts=_per_class(lambda hits, _predicted, true: (hits, true)),
        ),
        Score(
            name="f1_score",
            compute=_averaged(sk.f1_score),
            higher_is_better=True,
            task=CLASSIFICATION,
            from_counts=_per_class(lambda hits, predicted, true: (2 * hits, predicted + true)),
        ),
        Score(
            name="mcc",
            compute=_plain(sk.matthews_corrcoef),
            higher_is_better=True,
            task=CLASSIFICATION,
            from_counts=_mcc_counts,
        ),
        Score(name="roc_auc", compute=_roc_auc, higher_is_better=True, task=CLASSIFICATION, needs_probabilities=True),
        Score(
            name="average_precision",
            compute=_average_precision,
            higher_is_better=True,
            task=CLASSIFICATION,
            needs_probabilities=True,
        ),
        Score(
            name="log_loss", compute=_log_loss, higher_is_better=False, task=CLASSIFICATION, needs_probabilities=True
        ),
        Score(
            name="brier_score", compute=_brier, higher_is_better=False, task=CLASSIFICATION, needs_probabilities=True
        ),
        Score(name="r2", compute=_plain(sk.r2_score), higher_is_better=True, task=REGRESSION),
        Score(name="mae", compute=_plain(sk.mean_absolute_error), higher_is_better=False, task=REGRESSION),
        Score(name="mse", compute=_plain(sk.mean_squared_error), higher_is_better=False, task=REGRESSION),
        Score(name="rmse", compute=_plain(sk.root_mean_squared_error), higher_is_better=False, task=REGRESSION),
        Score(
            name="median_absolute_error",
            compute=_plain(sk.median_absolute_error),
            higher_is_better=False,
            task=REGRESSION,
        ),
        Score(name="mape", compute=_plain(sk.mean_absolute_percentage_error), higher_is_better=False, task=REGRESSION),
    )
}
"""Every metric by its name."""

_ALIASES = {
    "acc": "accuracy",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "brier": "brier_score",
    "cross_entropy": "log_loss",
    "f1": "f1_score",
    "matthews_corrcoef": "mcc",
    "mean_absolute_error": "mae",
    "mean_squared_error": "mse",
    "pr_auc": "average_precision",
    "r2_score": "r2",
    "root_mean_squared_error": "rmse",
}


def find_score(name: str, task: str) -> Score:
    """Return the metric called `name`.

    Raises
    ------
    PipelineConfigError
        If there is none, or it is for the other task.

    Examples
    --------
    >>> find_score("f1", "classification").name
    'f1_score'
    """
    score = SCORES.get(_ALIASES.get(name, name))
    fitting = sorted(key for key, value in SCORES.items() if value.task == task)
    if score is None:
        raise PipelineConfigError(
            f"No metric '{name}'.{did_you_mean(name, [*SCORES, *_ALIASES])} For {task} there are: {', '.join(fitting)}."
        )
    if score.task != task:
        raise PipelineConfigError(f"Metric '{name}' is for {score.task}, this is {task}. Use: {', '.join(fitting)}.")
    return score


def interval(
    score: Score, answers: Answers, *, confidence: float = 0.95, resamples: int = 200, seed: int = 0
) -> tuple[float, float]:
    """Return a confidence interval of a metric.

    Wilson's interval for a share of rows [1]_, else the percentile bootstrap over rows [2]_; resamples on which the
    metric is not defined are left out.

    References
    ----------
    .. [1] Wilson (1927), https://doi.org/10.1080/01621459.1927.10502953
    .. [2] Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.
    """
    n = len(answers.y_true)
    if n == 0:
        return (float("nan"), float("nan"))
    if score.is_share:
        return wilson_interval(round(score(answers) * n), n, confidence=confidence)
    rng = np.random.default_rng(seed)
    if score.from_counts is not None:
        counts = _counts(answers)
        tables = rng.multinomial(n, counts.ravel() / n, size=resamples).reshape(-1, *counts.shape).astype(float)
        values = [score.from_counts(table) for table in tables]
    else:
        values = [score(answers.take(rng.integers(0, n, n))) for _ in range(resamples)]
    defined = np.asarray([value for value in values if np.isfinite(value)])
    if not len(defined):
        return (float("nan"), float("nan"))
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return (float(low), float(high))


def _counts(answers: Answers) -> NDArray[np.float64]:
    """Return how often each class was taken for each: shape (n_classes, n_classes), true classes in rows."""
    place = {label: number for number, label in enumerate(answers.classes)}
    rows = np.asarray([place[label] for label in answers.y_true.tolist()])
    columns = np.asarray([place[label] for label in answers.y_pred.tolist()])
    size = len(place)
    return np.bincount(rows * size + columns, minlength=size * size).reshape(size, size).astype(float)


def _to_answers(
    y_true: ArrayLike, y_pred: ArrayLike, probabilities: NDArray[np.float64] | None, classes: Sequence[Any]
) -> Answers:
    """Return what was true and what was said as `Answers`."""
    return Answers(
        y_true=np.asarray(y_true), y_pred=np.asarray(y_pred), probabilities=probabilities, classes=tuple(classes)
    )
