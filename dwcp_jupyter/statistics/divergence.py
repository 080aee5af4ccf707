"""Distances between two distributions: how far apart, whatever the sample sizes.

A p-value shrinks with the number of rows; these do not. They are the effect sizes by which drift is judged.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwcp_jupyter.statistics.histograms import finite

__all__ = ["jensen_shannon", "psi", "wasserstein"]

_ZERO_SHARE = 1e-4


def _shares(counts: ArrayLike) -> NDArray[np.float64] | None:
    array = np.asarray(counts, dtype=np.float64)
    total = array.sum()
    return array / total if total > 0 else None


def psi(reference_counts: ArrayLike, current_counts: ArrayLike) -> float:
    """Return the population stability index of two rows of counts in the same bins.

    ``sum((current - reference) * ln(current / reference))`` over shares. A share of zero is taken as 0.0001, as is
    usual, since its logarithm has no value.

    Parameters
    ----------
    reference_counts, current_counts : array_like of int, shape (k,)

    Returns
    -------
    float
        At least 0; 0 for equal shares. By convention below .1 is no shift, up to .25 a moderate one, above a major
        one. NaN if either is empty. Symmetric.

    References
    ----------
    Yurdakul and Naranjo 2020, https://doi.org/10.21314/JRMV.2020.227; zero shares as in Evidently,
    https://docs.evidentlyai.com/metrics/customize_data_drift.
    """
    reference, current = _shares(reference_counts), _shares(current_counts)
    if reference is None or current is None:
        return math.nan
    present = (reference > 0) | (current > 0)
    reference, current = (np.where(shares > 0, shares, _ZERO_SHARE)[present] for shares in (reference, current))
    return float(((current - reference) * np.log(current / reference)).sum())


def jensen_shannon(reference_counts: ArrayLike, current_counts: ArrayLike) -> float:
    """Return the Jensen-Shannon distance of two rows of counts: the root of the divergence to base 2.

    Returns
    -------
    float
        In [0, 1]: 0 for equal shares, 1 for shares without a category in common. NaN if either is empty. Symmetric, and
        it obeys the triangle inequality.

    References
    ----------
    Lin 1991, https://doi.org/10.1109/18.61115; Endres and Schindelin 2003, https://doi.org/10.1109/TIT.2003.813506.
    """
    reference, current = _shares(reference_counts), _shares(current_counts)
    if reference is None or current is None:
        return math.nan
    middle = (reference + current) / 2
    divergence = sum(
        float((shares[shares > 0] * np.log2(shares[shares > 0] / middle[shares > 0])).sum()) / 2
        for shares in (reference, current)
    )
    return math.sqrt(min(1.0, max(0.0, divergence)))


def wasserstein(reference: ArrayLike, current: ArrayLike, *, is_normalised: bool = True) -> float:
    """Return the first Wasserstein distance, the area between the two empirical distribution functions.

    Parameters
    ----------
    reference, current : array_like, shapes (n,) and (m,)
        NaN and infinities are left out.
    is_normalised : bool
        In standard deviations of `reference` instead of the column's own unit.

    Returns
    -------
    float
        At least 0; 0 for equal samples. A shift of the whole sample by d gives d. With a constant reference,
        normalised: 0 where the current sample is the same constant, else infinite. NaN if either sample is empty.

    References
    ----------
    Ramdas, Trillos and Cuturi 2017, https://doi.org/10.3390/e19020047.
    """
    left, right = np.sort(finite(reference)), np.sort(finite(current))
    if not left.size or not right.size:
        return math.nan
    points = np.sort(np.concatenate([left, right]), kind="stable")
    gaps = np.searchsorted(left, points[:-1], side="right") / left.size
    gaps -= np.searchsorted(right, points[:-1], side="right") / right.size
    distance = float((np.abs(gaps) * np.diff(points)).sum())
    if not is_normalised:
        return distance
    deviation = float(left.std())
    if deviation > np.finfo(float).eps * max(1.0, float(np.abs(left).max())):
        return distance / deviation
    return 0.0 if distance == 0 else math.inf
