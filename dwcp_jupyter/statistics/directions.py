"""Which way a metric is better, by its name.

The names are scikit-learn's, of its scorers (``neg_log_loss``) and of its functions (``davies_bouldin_score``), those
of XGBoost, LightGBM and Keras, and the field's. No table can know every name that a user gives a metric; where this one
does not, the answer is None, and who compares says so instead of guessing: a ``risk_score`` is good where it is low, a
``credit_score`` where it is high.
"""

from __future__ import annotations

import re

__all__ = ["base_name", "higher_is_better", "is_quality"]

_SPLIT = re.compile(
    r"^(?:best_cv|mean_test|mean_train|(?:test|val|valid|validation|train|training|cv|dev|eval|holdout|oof|oob)(?:_\d+)?)_"
)
_KIND = re.compile(r"(?:_(?:macro|micro|weighted|samples|ovr|ovo)|_at_\d+|@[\d.]+)+$")
"""How it was averaged, or for how many of the first: ``f1_macro``, ``roc_auc_ovr_weighted``, ``ndcg@10``."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HIGHER = _words(
    """
    acc accuracy adjusted_mutual_info adjusted_rand auc aucpr auprc auroc average_precision balanced_accuracy bleu
    calinski_harabasz cohen_kappa completeness concordance_index consensus d2 d2_absolute_error d2_brier d2_log_loss
    d2_pinball d2_tweedie dcg dice exact_match explained_deviance explained_variance f05 f1 f2 f_score fbeta
    fowlkes_mallows gini hit_rate homogeneity iou jaccard kappa label_ranking_average_precision lift log_likelihood
    map matthews_corrcoef mcc mrr mutual_info ndcg normalized_mutual_info npv positive_likelihood_ratio ppv pr_auc
    precision psnr r2 rand recall roc_auc rouge sensitivity silhouette specificity ssim throughput tnr top_k_accuracy
    tpr v_measure
    """
)
"""Also with ``_score`` behind them."""
_LOWER = _words(
    """
    aic bic brier brier_score cer cost cross_entropy crossentropy crps davies_bouldin davies_bouldin_score deviance
    ece error error_rate fdr fid fnr fpr hamming_loss l1 l2 latency log_loss logloss loss mae mape mase max_error
    mean_absolute_error mean_squared_error median_absolute_error merror mlogloss mphe mse msle
    negative_likelihood_ratio nll perplexity pinball rmse rmsle rmsse root_mean_squared_error smape wape wer
    """
)
_HIGHER_ENDS = ("_accuracy", "_auc", "_f1", "_precision", "_recall", "_r2", "_per_s", "_throughput")
_LOWER_ENDS = (
    *("_brier", "_brier_score", "_cost", "_cross_entropy", "_crossentropy", "_deviance", "_difference", "_error"),
    *("_latency", "_logloss", "_loss", "_mae", "_ms", "_mse", "_nloglik", "_rmse"),
)


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
    >>> higher_is_better("cv_neg_mean_squared_error"), higher_is_better("risk_score")
    (True, None)
    """
    name = _KIND.sub("", base_name(metric))
    if name.startswith("neg_"):
        turned = higher_is_better(name.removeprefix("neg_"))
        return None if turned is None else not turned
    stem = name.removesuffix("_score")
    if name == "score" or not _HIGHER.isdisjoint((name, stem)):
        return True
    if name in _LOWER or name.endswith(_LOWER_ENDS):
        return False
    return True if stem.endswith(_HIGHER_ENDS) else None


def is_quality(metric: str) -> bool:
    """Return whether a metric may say how good a model is: a duration or the spread over folds needs no direction.

    Examples
    --------
    >>> is_quality("profit"), is_quality("fit_s"), is_quality("cv_accuracy_std")
    (True, False, False)
    """
    name = base_name(metric)
    return name.endswith("_per_s") or not name.endswith(("_s", "_std", "_time"))
