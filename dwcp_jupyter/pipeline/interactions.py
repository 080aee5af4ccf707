"""Products and ratios of inputs as one transformer.

It belongs to the fitted pipeline, so serving computes the same. It never sees the target but to rank inputs: with many
of them, the pairs of those that go with the target most, within the rows it is fitted on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["SMALLEST_DIVISOR", "Interactions"]

SMALLEST_DIVISOR = 1e-6
"""A ratio whose divisor is nearer to 0 than this is 0."""


class Interactions(TransformerMixin, BaseEstimator):
    """Add ``a * b`` and ``a / b`` for pairs of columns; the columns themselves are not repeated.

    Parameters
    ----------
    max_columns : int
        Pairs are made of at most this many columns: those of the largest absolute rank correlation with the target,
        or the first ones where no target is given.

    Attributes
    ----------
    left_, right_ : ndarray of shape (n_pairs,)
        Column numbers of each pair.
    """

    def __init__(self, max_columns: int = 8) -> None:
        self.max_columns = max_columns

    def fit(self, X: Any, y: Any = None) -> Interactions:  # noqa: N803 - scikit-learn's names
        """Choose the pairs; `X` of shape (n_samples, n_features), finite numbers."""
        values = validate_data(self, X, dtype=np.float64)
        chosen = self._choose(values, y)
        pairs = [(a, b) for place, a in enumerate(chosen) for b in chosen[place + 1 :]]
        self.left_ = np.asarray([a for a, _ in pairs], dtype=np.int64)
        self.right_ = np.asarray([b for _, b in pairs], dtype=np.int64)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:  # noqa: N803 - scikit-learn's names
        """Return products, ratios and reversed ratios: shape (n_samples, 3 * n_pairs)."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=np.float64, reset=False)
        left, right = values[:, self.left_], values[:, self.right_]
        return np.hstack([left * right, _ratio(left, right), _ratio(right, left)])

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[Any]:
        """Return the new columns' names."""
        names = input_features
        if names is None:
            names = getattr(self, "feature_names_in_", [f"x{number}" for number in range(self.n_features_in_)])
        pairs = [(names[a], names[b]) for a, b in zip(self.left_, self.right_, strict=True)]
        made = [*(f"{a} * {b}" for a, b in pairs), *(f"{a} / {b}" for a, b in pairs), *(f"{b} / {a}" for a, b in pairs)]
        return np.asarray(made, dtype=object)

    def _choose(self, values: NDArray[np.float64], y: Any) -> list[int]:
        count = values.shape[1]
        if count <= self.max_columns or y is None:
            return list(range(min(count, self.max_columns)))
        codes = np.unique(np.asarray(y), return_inverse=True)[1]
        strengths = [abs(_correlation(_ranks(values[:, number]), codes.astype(float))) for number in range(count)]
        return sorted(np.argsort(strengths)[::-1][: self.max_columns].tolist())


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    is_usable = np.abs(below) > SMALLEST_DIVISOR
    return np.where(is_usable, above / np.where(is_usable, below, 1.0), 0.0)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.unique(values, return_inverse=True)[1].astype(float)


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    spread = left.std() * right.std()
    return 0.0 if spread == 0 else float(((left - left.mean()) * (right - right.mean())).mean() / spread)
