"""Labels of any kind for classifiers that take numbers only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone

__all__ = ["LabelledClassifier"]


class LabelledClassifier(ClassifierMixin, BaseEstimator):
    """A classifier over the numbers 0 … n-1, with the caller's own labels outside.

    Parameters
    ----------
    classifier : estimator
        Takes the labels 0 … n-1 only, as XGBoost does.
    """

    def __init__(self, classifier: Any) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any, **options: Any) -> LabelledClassifier:  # noqa: N803 - scikit-learn's names
        """Fit a copy of the classifier; `X` of shape (n_samples, n_features)."""
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self.classifier_ = clone(self.classifier).fit(X, codes, **options)
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803 - scikit-learn's names
        """Return labels of shape (n_samples,)."""
        labels: NDArray[Any] = self.classes_[np.asarray(self.classifier_.predict(X), dtype=np.int64)]
        return labels

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - scikit-learn's names
        """Return probabilities of shape (n_samples, n_classes)."""
        return np.asarray(self.classifier_.predict_proba(X))
