"""Which way a metric is better, by its name.

No table can know every name that a user gives a metric; where this one does not, the answer is None, and who compares
says so instead of guessing.
"""

from __future__ import annotations

import re

__all__ = ["base_name", "higher_is_better"]

_SPLIT = re.compile(r"^(?:test|val|valid|validation|train|training|cv|eval|holdout)_")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HIGHER = _words(
    """
    acc accuracy auc auprc auroc average_precision balanced_accuracy dice explained_variance f1 f1_score
    fbeta gini iou jaccard kappa lift map matthews_corrcoef mcc mrr ndcg pr_auc precision r2 r2_score recall
    roc_auc score sensitivity specificity throughput
    """
)
_LOWER = _words(
    """
    brier brier_score cost cross_entropy crps deviance ece error error_rate fnr fpr hamming_loss latency
    log_loss loss mae mape max_error mean_absolute_error mean_squared_error median_absolute_error mse msle
    nll perplexity pinball rmse rmsle root_mean_squared_error smape wape
    """
)
_HIGHER_ENDS = ("_accuracy", "_auc", "_f1", "_precision", "_recall", "_r2", "_score", "_per_s", "_throughput")
_LOWER_ENDS = ("_brier_score", "_cost", "_difference", "_error", "_latency", "_loss", "_ms", "_rmse", "_mae", "_mse")


def base_name(metric: str) -> str:
    """Return a metric's name without the part of the data that it was computed on.

    Examples
    --------
    >>> base_name("test_roc_auc")
    'roc_auc'
    """
    return _SPLIT.sub("", metric.strip().lower().replace("-", "_").replace(" ", "_"))


def higher_is_better(metric: str) -> bool | None:
    """Return whether more of a metric is better; None where its name does not tell.

    Examples
    --------
    >>> higher_is_better("test_accuracy"), higher_is_better("val_loss"), higher_is_better("profit")
    (True, False, None)
    """
    name = base_name(metric)
    if name in _HIGHER:
        return True
    if name in _LOWER or name.endswith(_LOWER_ENDS):
        return False
    return True if name.endswith(_HIGHER_ENDS) else None
