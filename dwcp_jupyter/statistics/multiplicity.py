"""Correction for asking many questions at once.

Twenty columns tested at .05 give a false alarm in two checks of three. Benjamini and Hochberg's step-up procedure
bounds the expected share of false alarms among all alarms, and the chance of any where nothing has changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["benjamini_hochberg"]


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return the p-values adjusted for the false discovery rate.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        In [0, 1]. NaN stands for a test that was not done: it stays NaN and does not count.

    Returns
    -------
    ndarray, shape (m,)
        Each at least its p-value and at most 1, in the same order. Rejecting those up to alpha bounds the false
        discovery rate by alpha.

    References
    ----------
    Benjamini and Hochberg 1995, https://doi.org/10.1111/j.2517-6161.1995.tb02031.x.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    if not tested.size:
        return adjusted
    order = tested[np.argsort(values[tested], kind="stable")]
    scaled = values[order] * tested.size / np.arange(1, tested.size + 1)
    adjusted[order] = np.minimum(1.0, np.minimum.accumulate(scaled[::-1])[::-1])
    return adjusted
