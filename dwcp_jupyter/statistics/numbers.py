"""All that drift asks about one column of numbers, in one pass.

The distances share their work: one sort of each sample gives both distribution functions, and from these follow the
Kolmogorov-Smirnov and Wasserstein distances and the stability index. Above 200,000 values the KS distance is read at
1,001 quantiles of the reference only: it is at most the exact one, so its p-value errs to the safe side. (Measured:
sorting a million values takes 18 ms, placing them unsorted into 1,000 bins 80 ms.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dwcp_jupyter.statistics.divergence import psi
from dwcp_jupyter.statistics.histograms import finite
from dwcp_jupyter.statistics.two_sample import ks_p_value

__all__ = ["NumberComparison", "compare_numbers"]

_EXACT_VALUES = 200_000
_POINTS = 1001
_PSI_BINS = 10
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "right")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberComparison:
    """Distances of two samples; all NaN if either is empty.

    Attributes
    ----------
    ks, p_value : float
        As `ks_two_sample`.
    wasserstein : float
        As `wasserstein`, in standard deviations of the reference.
    psi : float
        As `psi`, over ten bins that hold equal shares of the reference.
    """

    ks: float
    p_value: float
    wasserstein: float
    psi: float


def compare_numbers(reference: ArrayLike, current: ArrayLike, *, exact_values: int = _EXACT_VALUES) -> NumberComparison:
    """Return the distances between two samples.

    Parameters
    ----------
    reference, current : array_like, shapes (n,) and (m,)
        NaN and infinities are left out.
    exact_values : int
        Values of both together up to which nothing is approximated.
    """
    left, right = finite(reference), finite(current)
    if not left.size or not right.size:
        return NumberComparison(ks=math.nan, p_value=math.nan, wasserstein=math.nan, psi=math.nan)
    left, right = np.sort(left), np.sort(right)
    is_exact = left.size + right.size <= exact_values
    points = left if is_exact else left[np.linspace(0, left.size - 1, _POINTS).astype(np.int64)]
    ks = _ks(left, right, points)
    return NumberComparison(
        ks=ks,
        p_value=ks_p_value(ks, left.size, right.size),
        wasserstein=_in_deviations(_area(left, right), left),
        psi=_stability(left, right),
    )


def _in_deviations(distance: float, reference: Floats) -> float:
    deviation = float(reference.std())
    if deviation > np.finfo(float).eps * max(1.0, float(np.abs(reference).max())):
        return distance / deviation
    return 0.0 if distance == 0 else math.inf


def _ks(left: Floats, right: Floats, points: Floats) -> float:
    """Return the largest gap between the distribution functions at `points` and just before them."""
    gaps = (
        np.searchsorted(left, points, side=side) / left.size - np.searchsorted(right, points, side=side) / right.size
        for side in _SIDES
    )
    return float(max(np.abs(gap).max() for gap in gaps))


def _area(left: Floats, right: Floats) -> float:
    """Return the area between the distribution functions, as the mean distance of quantiles.

    Both quantile functions are constant between multiples of ``1 / n`` and ``1 / m``; whole numbers keep these exact.
    """
    n, m = left.size, right.size
    if n == m:
        return float(np.abs(left - right).mean())
    steps = np.sort(np.concatenate([np.arange(n, dtype=np.int64) * m, np.arange(m, dtype=np.int64) * n]))
    widths = np.diff(steps, append=n * m)
    return float((np.abs(left[steps // m] - right[steps // n]) * widths).sum() / (n * m))


def _stability(left: Floats, right: Floats) -> float:
    """Return the stability index over the reference's deciles, as `bin_counts` would count them."""
    inner = np.unique(left[np.linspace(0, left.size - 1, _PSI_BINS + 1).astype(np.int64)])[1:-1]
    counts = [np.diff(np.searchsorted(side, inner), prepend=0, append=side.size) for side in (left, right)]
    return psi(*counts)
