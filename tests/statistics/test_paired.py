"""A difference between two models on the same rows is told from luck, against independent sources."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from dwcp_jupyter.statistics import mcnemar, permutation_difference


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
    assert all(math.isnan(test.p_value) for test in (mcnemar([], [], []), permutation_difference(lambda *_: (0, 0), 0)))


def mean_difference(first, second, **options):
    """Return the test of two models' mean errors."""
    errors = np.array([first, second])

    def measure(rows, exchanged):
        kept = np.where(exchanged, errors[::-1, rows], errors[:, rows])
        return kept[0].mean(), kept[1].mean()

    return permutation_difference(measure, errors.shape[1], **options)


@pytest.mark.parametrize("n", [2, 3, 5, 8, 11])
def test_up_to_eleven_rows_the_p_value_is_scipys_exact_one(n):
    first, second = np.random.default_rng(n).normal([[0.0], [0.8]], 1.0, (2, n))
    test = mean_difference(first, second)
    exact = stats.permutation_test(
        (second, first), lambda a, b: a.mean() - b.mean(), permutation_type="samples", n_resamples=np.inf
    )
    assert test.p_value == pytest.approx(exact.pvalue)
    assert test.difference == pytest.approx(exact.statistic)
    assert test.p_value >= 2.0 ** (1 - n)
    assert math.isnan(test.interval[0])  # so few rows say nothing of it


def test_a_metric_that_is_no_mean_has_scipys_exact_p_value_too():
    rng = np.random.default_rng(0)
    truth, *said = rng.integers(0, 2, (3, 7))

    def measure(rows, exchanged):
        one, other = (
            np.where(exchanged, said[1][rows], said[0][rows]),
            np.where(exchanged, said[0][rows], said[1][rows]),
        )
        return f1_score(truth[rows], one), f1_score(truth[rows], other)

    exact = stats.permutation_test(
        (said[1], said[0]),
        lambda a, b: f1_score(truth, a) - f1_score(truth, b),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=False,
    )
    assert permutation_difference(measure, 7).p_value == pytest.approx(exact.pvalue)


def test_beyond_eleven_rows_it_agrees_with_the_paired_t_test_on_means():
    rng = np.random.default_rng(1)
    first = rng.normal(size=400)
    second = first + rng.normal(0.05, 0.3, 400)  # far apart only when paired
    test = mean_difference(first, second, resamples=2_000)
    low, high = stats.ttest_rel(second, first).confidence_interval()
    assert test.interval == pytest.approx((low, high), abs=0.006)
    assert test.p_value == pytest.approx(stats.ttest_rel(second, first).pvalue, abs=0.02)
    assert stats.ttest_ind(second, first).pvalue > 0.2


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 30, 100])
@pytest.mark.parametrize("spread", ["normal", "heavy"])
def test_equivalent_models_are_told_apart_no_more_often_than_the_level_says(n, spread):
    rng = np.random.default_rng(n)
    draw = {"normal": lambda: rng.normal(size=(2, n)), "heavy": lambda: rng.standard_t(2, size=(2, n))}[spread]
    trials = 400
    wins = sum(mean_difference(*(draw() ** 2), resamples=199).p_value < 0.05 for _ in range(trials))
    allowed = stats.binom.ppf(0.999, trials, 0.05)
    assert wins <= (0 if n < 6 else allowed)


def test_models_alike_on_average_but_not_in_their_spread_keep_the_level():
    rng = np.random.default_rng(5)
    trials = 400
    pairs = ((rng.normal(size=60) ** 2, rng.laplace(scale=0.5**0.5, size=60) ** 2) for _ in range(trials))
    wins = sum(mean_difference(*pair, resamples=199).p_value < 0.05 for pair in pairs)
    assert wins <= stats.binom.ppf(0.999, trials, 0.05)


@pytest.mark.parametrize("n", [10, 30, 100])
def test_a_real_difference_is_found_as_often_as_by_the_paired_t_test(n):
    rng = np.random.default_rng(n)
    pairs = [rng.normal([[0.0], [2.5 / n**0.5]], 1.0, (2, n)) for _ in range(200)]
    found = sum(mean_difference(*pair, resamples=199).p_value < 0.05 for pair in pairs)
    by_t = sum(stats.ttest_rel(*pair).pvalue < 0.05 for pair in pairs)
    assert by_t > 60
    assert found >= by_t - 10


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_not_defined_on_the_rows_gives_no_p_value(value):
    assert math.isnan(permutation_difference(lambda *_: (value, 1.0), 5).p_value)


def test_equal_answers_are_never_a_difference():
    for n in (1, 5, 30):
        test = mean_difference(np.full(n, 0.1), np.full(n, 0.1))
        assert (test.difference, test.p_value) == (0.0, 1.0)


def test_resamples_on_which_the_metric_is_not_defined_are_left_out_of_the_interval():
    def measure(rows, exchanged):
        first, second = (0.0, 1.0) if len(set(rows.tolist())) == len(rows) else (math.nan, math.nan)
        return (second, first) if exchanged[0] else (first, second)

    test = permutation_difference(measure, 25, resamples=20)
    assert test.difference == 1.0
    assert math.isnan(test.interval[0])
