"""Effect sizes, intervals, and what a sample of a given size can show at all."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from dwcp_jupyter.statistics.histograms import finite

__all__ = ["cramers_v", "detectable_ks", "mean_difference", "wilson_interval"]


def cramers_v(reference_counts: ArrayLike, current_counts: ArrayLike) -> float:
    """Return Cramér's V between the sample a row comes from and its category.

    Both samples are weighted alike, so the value does not depend on how their sizes compare.

    Returns
    -------
    float
        In [0, 1]: 0 for equal shares, 1 for no category in common. About .1 is small, .3 medium, .5 large. NaN if
        either sample is empty.

    References
    ----------
    Cramér 1946, *Mathematical Methods of Statistics*, p. 282; sizes after Cohen 1988,
    https://doi.org/10.4324/9780203771587.
    """
    counts = np.array([reference_counts, current_counts], dtype=np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    if not totals.all():
        return math.nan
    left, right = counts / totals
    seen = left + right > 0
    chi_square_over_n = float(((left[seen] - right[seen]) ** 2 / (left[seen] + right[seen])).sum()) / 2
    return math.sqrt(min(1.0, chi_square_over_n))


def mean_difference(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the standardised mean difference (Cohen's d): current minus reference, over the pooled deviation.

    Returns
    -------
    float
        0 for equal means; about .2 is small, .5 medium, .8 large. With both samples constant 0 where they are equal,
        else infinite with its sign. NaN if either has fewer than two values.

    References
    ----------
    Cohen 1988, https://doi.org/10.4324/9780203771587.
    """
    left, right = finite(reference), finite(current)
    if left.size < 2 or right.size < 2:
        return math.nan
    difference = float(right.mean() - left.mean())
    freedom = left.size + right.size - 2
    pooled = math.sqrt(((left.size - 1) * left.var(ddof=1) + (right.size - 1) * right.var(ddof=1)) / freedom)
    if pooled > 0:
        return difference / pooled
    return 0.0 if difference == 0 else math.copysign(math.inf, difference)


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a share.

    Parameters
    ----------
    successes, n : int
        ``0 <= successes <= n``.
    confidence : float
        In (0, 1).

    Returns
    -------
    (float, float)
        Within [0, 1], and not empty at 0 or n successes. ``(0, 1)`` for n = 0: nothing is known.

    Raises
    ------
    ValueError
        If the counts or the confidence lie outside their ranges.

    References
    ----------
    Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are no share. Give 0 <= successes <= n.")
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence {confidence} is not between 0 and 1.")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == n else min(1.0, centre + half)
    return low, high


def detectable_ks(n_reference: int, n_current: int, *, alpha: float = 0.05) -> float:
    """Return the smallest Kolmogorov-Smirnov distance that samples of these sizes can tell from chance.

    Parameters
    ----------
    n_reference, n_current : int
        Rows.
    alpha : float
        Level of the test.

    Returns
    -------
    float
        In (0, 1]; 1 also where not even samples without overlap would be significant, or one is empty.

    References
    ----------
    The two-sided limit ``sqrt(-ln(alpha / 2) / 2)`` of Smirnov 1948, https://doi.org/10.1214/aoms/1177730256.
    """
    if n_reference < 1 or n_current < 1:
        return 1.0
    effective = n_reference * n_current / (n_reference + n_current)
    return min(1.0, math.sqrt(-math.log(alpha / 2) / 2 / effective))
