"""What a fitted model is worth on rows that it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwcp_jupyter.statistics.scores import Answers, Score, find_score

__all__ = ["Fold", "answers", "default_metrics", "scores_for"]

_DEFAULTS = {
    "classification": ("accuracy", "precision", "recall", "f1_score"),
    "regression": ("r2", "mae", "rmse"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold, prepared once: matrices of shape (n_samples, n_features) and targets, for fitting and judging."""

    fit_inputs: NDArray[Any]
    fit_target: NDArray[Any]
    judge_inputs: NDArray[Any]
    judge_target: NDArray[Any]


def default_metrics(task: str) -> tuple[str, ...]:
    """Return the metrics computed where none are named."""
    return _DEFAULTS[task]


def scores_for(names: Sequence[str] | None, task: str) -> dict[str, Score]:
    """Return the metrics by the names that were asked for, the deciding one first."""
    return {name: find_score(name, task) for name in (names or default_metrics(task))}


def answers(model: Any, inputs: Any, target: Any, *, classes: Sequence[Any], with_probabilities: bool) -> Answers:
    """Return what `model` says of `inputs` beside what is true; probabilities where they are wanted and it has them."""
    has_probabilities = with_probabilities and bool(classes) and hasattr(model, "predict_proba")
    return Answers(
        y_true=np.asarray(target),
        y_pred=np.asarray(model.predict(inputs)),
        probabilities=np.asarray(model.predict_proba(inputs)) if has_probabilities else None,
        classes=tuple(classes),
    )
