"""A difference between two models on the same rows is told from luck, against independent sources."""

import math

import numpy as np
import pytest
from scipy import stats

from dwcp_jupyter.statistics import bootstrap_difference, mcnemar


def cells(both, lost, gained, neither):
    """Return true values and two models' answers with these counts."""
    first = [1] * both + [1] * lost + [0] * gained + [0] * neither
    second = [1] * both + [0] * lost + [1] * gained + [0] * neither
    return [1] * len(first), first, second


@pytest.mark.parametrize(("lost", "gained"), [(3, 12), (12, 3), (5, 5), (0, 6), (25, 40)])
def test_mcnemars_p_value_is_that_of_the_coin(lost, gained):
    test = mcnemar(*cells(30, lost, gained, 10))
    n = lost + gained
    tail = min(stats.binom.cdf(min(lost, gained), n, 0.5) * 2, 1.0)
    assert test.p_value == pytest.approx(tail)
    assert test.difference == pytest.approx((gained - lost) / (40 + n))
    assert test.interval[0] < test.difference < test.interval[1]


def test_answers_that_never_differ_are_a_tie():
    test = mcnemar(["a", "b"], ["a", "a"], ["a", "a"])
    assert (test.difference, test.p_value) == (0.0, 1.0)


def test_without_rows_nothing_is_said():
    assert all(math.isnan(test.p_value) for test in (mcnemar([], [], []), bootstrap_difference(lambda _: (0, 0), 0)))


def test_the_bootstrap_agrees_with_the_paired_t_test_on_means():
    rng = np.random.default_rng(1)
    first = rng.normal(size=400)
    second = first + rng.normal(0.05, 0.3, 400)  # far apart only when paired
    test = bootstrap_difference(lambda rows: (first[rows].mean(), second[rows].mean()), 400)
    low, high = stats.ttest_rel(second, first).confidence_interval()
    assert test.interval == pytest.approx((low, high), abs=0.006)
    assert test.p_value == pytest.approx(stats.ttest_rel(second, first).pvalue, abs=0.02)
    assert stats.ttest_ind(second, first).pvalue > 0.2


def test_the_bootstrap_holds_its_level_where_nothing_differs():
    rng = np.random.default_rng(2)
    p_values = []
    for seed in range(200):
        first, second = rng.normal(size=(2, 80))
        p_values.append(
            bootstrap_difference(
                lambda rows, a=first, b=second: (a[rows].mean(), b[rows].mean()), 80, resamples=300, seed=seed
            ).p_value
        )
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.11


def test_resamples_on_which_the_metric_is_not_defined_are_left_out():
    test = bootstrap_difference(lambda _: (float("nan"), 1.0), 5, resamples=10)
    assert math.isnan(test.p_value)
