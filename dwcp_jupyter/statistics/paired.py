"""Whether one of two models is better on the same rows, or was lucky.

Answers to the same rows depend on each other; a test that ignores it misses real differences. Both tests here use the
pairs, and both are exact for few rows: without a difference it is a coin for each row which model gave which answer. So
five rows can never show a difference at the level of 5 %, however clear they look.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["PairedTest", "mcnemar", "permutation_difference"]

_MOST_EXACT = 11
"""Up to so many rows every exchange is tried."""
_FEWEST_FOR_INTERVAL = 20
"""Below it resampled rows repeat so often that the interval would be far too narrow."""


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
        95 % confidence interval of it; NaN where there are too few rows for one.
    p_value : float
        Two-sided, of no difference; NaN without rows, and where the metric has no value on them.
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


def permutation_difference(
    measure: Callable[[NDArray[np.intp], NDArray[np.bool_]], tuple[float, float]],
    n: int,
    *,
    resamples: int = 1_000,
    seed: int = 0,
) -> PairedTest:
    """Return the paired permutation test [1]_ of the difference of a metric between two models.

    If neither is better, each row's two answers could have come from either model: exchanging them changes the
    difference by luck only. Up to 11 rows all exchanges are tried and the p-value is exact; beyond, it is that of
    random ones [2]_, which never is too small either. The smallest that `n` rows allow is ``2 ** (1 - n)``.

    Parameters
    ----------
    measure : callable
        Takes row numbers and, for each of them, whether the models' answers are exchanged, shapes (n,) and (n,); it
        returns the metric of the first and of the second on these rows.
    n : int
        Rows.
    resamples : int
        Random exchanges, and resamples of rows for the percentile interval [3]_; those on which the metric is not
        defined are left out of it.

    References
    ----------
    .. [1] Noreen (1989), Computer-intensive Methods for Testing Hypotheses, chapter 2; for metrics that are no means:
       Yeh (2000), https://doi.org/10.3115/992730.992783
    .. [2] Phipson and Smyth (2010), https://doi.org/10.2202/1544-6115.1585: one more in numerator and denominator.
    .. [3] Efron and Tibshirani (1993), An Introduction to the Bootstrap, section 13.3.

    Examples
    --------
    >>> errors = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [2.0, 4.0, 5.0, 6.0, 7.0, 8.0]])
    >>> def means(rows, exchanged):
    ...     kept = np.where(exchanged, errors[::-1, rows], errors[:, rows])
    ...     return kept[0].mean(), kept[1].mean()
    >>> permutation_difference(means, 6).p_value == 2 / 2**6
    True
    """
    rng = np.random.default_rng(seed)
    everything, as_is = np.arange(n), np.zeros(n, dtype=bool)
    first, second = measure(everything, as_is) if n else (np.nan, np.nan)
    observed = float(second - first)
    nan = float("nan")
    if not np.isfinite(observed):
        return PairedTest(name="paired permutation", difference=observed, interval=(nan, nan), p_value=nan, n=n)
    least = abs(observed) * (1 - 1e-9) - 1e-12 * (abs(first) + abs(second))  # equal but for rounding is as extreme
    exchanges = _all_exchanges(n) if n <= _MOST_EXACT else (rng.random(n) < 0.5 for _ in range(resamples))
    found = [_difference(measure, everything, exchanged) for exchanged in exchanges]
    extreme = sum(not abs(value) < least for value in found)  # one that is not defined speaks against nothing
    p_value = extreme / len(found) if n <= _MOST_EXACT else (extreme + 1) / (len(found) + 1)
    interval = (nan, nan)
    if n >= _FEWEST_FOR_INTERVAL:
        drawn = np.asarray([_difference(measure, rng.integers(0, n, n), as_is) for _ in range(resamples)])
        drawn = drawn[np.isfinite(drawn)]
        if len(drawn):
            low, high = np.quantile(drawn, [0.025, 0.975])
            interval = (float(low), float(high))
    return PairedTest(name="paired permutation", difference=observed, interval=interval, p_value=p_value, n=n)


def _all_exchanges(n: int) -> Iterator[NDArray[np.bool_]]:
    """Yield every way to exchange answers that keeps the first row's: the others differ from these by the sign only."""
    for rest in itertools.product((False, True), repeat=n - 1):
        yield np.array((False, *rest))


def _difference(
    measure: Callable[[NDArray[np.intp], NDArray[np.bool_]], tuple[float, float]],
    rows: NDArray[np.intp],
    exchanged: NDArray[np.bool_],
) -> float:
    first, second = measure(rows, exchanged)
    return second - first
