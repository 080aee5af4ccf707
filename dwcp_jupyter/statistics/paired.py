"""Whether one of two models is better on the same rows, or was lucky.

Answers to the same rows depend on each other; a test that ignores it misses real differences. Both tests here use the
pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PairedTest", "bootstrap_difference", "mcnemar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """The outcome of a paired test.

    Attributes
    ----------
    name : str
        Which test.
    difference : float
        The second's value minus the first's.
    interval : tuple of float
        95 % confidence interval of it.
    p_value : float
        Two-sided, of no difference; NaN without rows.
    n : int
        Rows.
    """

    name: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    n: int


def mcnemar(y_true: ArrayLike, first: ArrayLike, second: ArrayLike) -> PairedTest:
    """Return McNemar's exact test [1]_ of two classifiers' accuracies, with the interval of the difference [2]_.

    Only the rows matter that one gets right and the other wrong: without a difference these fall to either side like
    coins.

    References
    ----------
    .. [1] McNemar (1947), https://doi.org/10.1007/BF02295996; exact by the binomial distribution.
    .. [2] Agresti and Min (2005), https://doi.org/10.1002/sim.1781: Wald's with half a count added to each cell.

    Examples
    --------
    >>> test = mcnemar([1] * 10, [0] * 8 + [1] * 2, [1] * 10)
    >>> round(test.difference, 1), round(test.p_value, 4)
    (0.8, 0.0078)
    """
    from scipy.stats import binomtest

    truth = np.asarray(y_true)
    right_first, right_second = np.asarray(first) == truth, np.asarray(second) == truth
    n = len(truth)
    gained, lost = int((right_second & ~right_first).sum()), int((right_first & ~right_second).sum())
    if n == 0:
        nan = float("nan")
        return PairedTest(name="McNemar", difference=nan, interval=(nan, nan), p_value=nan, n=0)
    changed = gained + lost
    p_value = float(binomtest(gained, changed, 0.5).pvalue) if changed else 1.0
    b, c, total = gained + 0.5, lost + 0.5, n + 2
    centre = (b - c) / total
    half = 1.959963984540054 * np.sqrt((b + c) - (b - c) ** 2 / total) / total
    return PairedTest(
        name="McNemar",
        difference=(gained - lost) / n,
        interval=(float(max(-1.0, centre - half)), float(min(1.0, centre + half))),
        p_value=p_value,
        n=n,
    )


def bootstrap_difference(
    measure: Callable[[NDArray[np.intp]], tuple[float, float]], n: int, *, resamples: int = 2_000, seed: int = 0
) -> PairedTest:
    """Return the paired percentile bootstrap [1]_ of the difference of a metric between two models.

    Parameters
    ----------
    measure : callable
        Takes row numbers, shape (n,), and returns the metric of the first and of the second model on these rows.
    n : int
        Rows. Resamples on which the metric is not defined are left out.

    References
    ----------
    .. [1] Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3; the p-value is twice the smaller
       share of resamples on either side of zero, never under one in `resamples`.
    """
    nan = float("nan")
    if n == 0:
        return PairedTest(name="paired bootstrap", difference=nan, interval=(nan, nan), p_value=nan, n=0)
    rng = np.random.default_rng(seed)

    def difference(rows: NDArray[np.intp]) -> float:
        first, second = measure(rows)
        return second - first

    observed = difference(np.arange(n))
    drawn = np.asarray([difference(rng.integers(0, n, n)) for _ in range(resamples)])
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return PairedTest(name="paired bootstrap", difference=observed, interval=(nan, nan), p_value=nan, n=n)
    low, high = np.quantile(drawn, [0.025, 0.975])
    beyond = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return PairedTest(
        name="paired bootstrap",
        difference=observed,
        interval=(float(low), float(high)),
        p_value=float(min(1.0, max(2 * beyond, 1 / resamples))),
        n=n,
    )
