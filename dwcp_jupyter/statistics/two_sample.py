"""Tests of whether two samples come from one distribution.

Kolmogorov-Smirnov for numbers, chi-square for categories. Both take samples of unequal sizes, and p-values stay valid
in the cases that break naive versions: ties (conservative for KS), categories unknown to the reference, and cells too
small for the chi-square approximation, which are pooled first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from dwcp_jupyter.statistics.histograms import finite

__all__ = ["TestResult", "chi_square", "ks_p_value", "ks_two_sample"]

_LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """A statistic and its p-value, both NaN where there was nothing to test."""

    __test__ = False  # pytest takes the name for a test class

    statistic: float
    p_value: float


def ks_two_sample(reference: ArrayLike, current: ArrayLike) -> TestResult:
    """Return the two-sample Kolmogorov-Smirnov statistic and its two-sided p-value.

    Parameters
    ----------
    reference, current : array_like, shapes (n,) and (m,)
        NaN and infinities are left out.

    Returns
    -------
    TestResult
        `statistic` in [0, 1]: the largest distance between the two empirical distribution functions. 0 for equal
        samples, 1 for samples that do not overlap. NaN if either sample is empty.

    References
    ----------
    Hodges 1958, https://doi.org/10.1007/BF02589501. The p-value is the limiting distribution with Stephens' correction
    for finite samples, https://doi.org/10.1111/j.2517-6161.1970.tb00821.x.
    """
    left, right = np.sort(finite(reference)), np.sort(finite(current))
    if not left.size or not right.size:
        return TestResult(statistic=math.nan, p_value=math.nan)
    points = np.concatenate([left, right])
    gaps = np.searchsorted(left, points, side="right") / left.size
    gaps -= np.searchsorted(right, points, side="right") / right.size
    statistic = float(np.abs(gaps).max())
    return TestResult(statistic=statistic, p_value=ks_p_value(statistic, left.size, right.size))


def ks_p_value(statistic: float, n_reference: int, n_current: int) -> float:
    """Return the p-value of a two-sample Kolmogorov-Smirnov statistic.

    Parameters
    ----------
    statistic : float
        In [0, 1].
    n_reference, n_current : int
        Sizes, at least 1.
    """
    effective = math.sqrt(n_reference * n_current / (n_reference + n_current))
    return float(special.kolmogorov((effective + 0.12 + 0.11 / effective) * statistic))


def chi_square(reference_counts: ArrayLike, current_counts: ArrayLike) -> TestResult:
    """Return Pearson's chi-square statistic that two rows of counts have the same shares, and its p-value.

    Categories whose expected count in either sample is below 5 are pooled, least first, until none is (Cochran's rule).

    Parameters
    ----------
    reference_counts, current_counts : array_like of int, shape (k,)
        Of the same categories in the same order; totals may differ and zeros are fine.

    Returns
    -------
    TestResult
        `statistic` in [0, N]. Fewer than two categories after pooling give 0 and 1; an empty sample gives NaN.

    References
    ----------
    Pearson 1900, https://doi.org/10.1080/14786440009463897; Cochran 1954, https://doi.org/10.2307/3001616.
    """
    table = np.array([reference_counts, current_counts], dtype=np.float64)
    totals = table.sum(axis=1)
    if not totals.all():
        return TestResult(statistic=math.nan, p_value=math.nan)
    table = _pooled(table, least=_LEAST_EXPECTED * totals.sum() / totals.min())
    freedom = table.shape[1] - 1
    if freedom < 1:
        return TestResult(statistic=0.0, p_value=1.0)
    expected = np.outer(totals, table.sum(axis=0)) / totals.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return TestResult(statistic=statistic, p_value=float(special.chdtrc(freedom, statistic)))


def _pooled(table: NDArray[np.float64], *, least: float) -> NDArray[np.float64]:
    """Return `table` with its smallest columns added up until every column has at least `least` in all."""
    sizes = table.sum(axis=0)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    small = int((sizes[order] < least).sum())
    while 0 < small < order.size and sizes[order[:small]].sum() < least:
        small += 1
    if small == 0:
        return table[:, order]
    return np.column_stack([table[:, order[:small]].sum(axis=1), table[:, order[small:]]])
