"""KS and chi-square against scipy, and their laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwcp_jupyter.statistics import chi_square, ks_p_value, ks_two_sample

samples = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))
counts = hnp.arrays(np.int64, st.integers(2, 12), elements=st.integers(0, 500))


@pytest.mark.parametrize(("n", "m", "shift"), [(200, 300, 0.0), (50, 1000, 0.3), (1000, 1000, 0.1), (100, 60, 0.5)])
def test_ks_agrees_with_scipy(n, m, shift):
    rng = np.random.default_rng(n + m)
    left, right = rng.normal(size=n), rng.normal(shift, size=m)
    ours, theirs = ks_two_sample(left, right), scipy.stats.ks_2samp(left, right, method="exact")
    assert ours.statistic == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=0.1, abs=0.01)


def test_ks_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(0)
    p_values = np.array([ks_two_sample(rng.normal(size=150), rng.normal(size=250)).p_value for _ in range(2000)])
    for level in (0.01, 0.05, 0.2):
        assert (p_values <= level).mean() == pytest.approx(level, abs=3 * math.sqrt(level / 2000))


@given(samples, samples)
def test_ks_is_symmetric_bounded_and_invariant_under_monotone_maps(left, right):
    there, back = ks_two_sample(left, right), ks_two_sample(right, left)
    assert there.statistic == pytest.approx(back.statistic, abs=1e-12)
    assert there.p_value == pytest.approx(back.p_value)
    assert 0 <= there.statistic <= 1
    assert 0 <= there.p_value <= 1
    assert ks_two_sample(left * 2.0, right * 2.0).statistic == there.statistic


def test_ks_leaves_out_what_is_missing():
    assert ks_two_sample([1.0, np.nan, 2.0, np.inf], [1.0, 2.0]) == ks_two_sample([1.0, 2.0], [1.0, 2.0])


@pytest.mark.parametrize(("left", "right"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_ks_of_an_empty_sample_is_nan(left, right):
    result = ks_two_sample(left, right)
    assert math.isnan(result.statistic)
    assert math.isnan(result.p_value)


def test_equal_constants_do_not_differ_and_apart_ones_do():
    same, apart = ks_two_sample([3.0] * 50, [3.0] * 70), ks_two_sample([3.0] * 50, [4.0] * 70)
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    assert apart.statistic == 1.0
    assert apart.p_value < 1e-9


def test_ks_p_value_falls_with_the_distance():
    p_values = [ks_p_value(distance, 100, 100) for distance in np.linspace(0, 1, 50)]
    assert all(later <= earlier for earlier, later in itertools.pairwise(p_values))


@pytest.mark.parametrize(("left", "right"), [([50, 60, 90], [80, 40, 60]), ([500, 300, 200, 44], [30, 70, 60, 9])])
def test_chi_square_agrees_with_scipy_for_unequal_sizes(left, right):
    ours, theirs = chi_square(left, right), scipy.stats.chi2_contingency([left, right], correction=False)
    assert ours.statistic == pytest.approx(theirs.statistic)
    assert ours.p_value == pytest.approx(theirs.pvalue)


def test_a_category_unknown_to_the_reference_counts():
    assert chi_square([500, 500, 0], [400, 400, 200]).p_value < 1e-9


def test_small_cells_are_pooled_as_by_hand():
    pooled = chi_square([500, 480, 3, 2, 1], [490, 470, 2, 2, 3])
    by_hand = scipy.stats.chi2_contingency([[500, 480, 6], [490, 470, 7]], correction=False)
    assert pooled.statistic == pytest.approx(by_hand.statistic)
    assert pooled.p_value == pytest.approx(by_hand.pvalue)


def test_many_rare_categories_raise_no_false_alarm():
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.full(300, 0.3))
    rejected = [
        chi_square(rng.multinomial(1000, shares), rng.multinomial(200, shares)).p_value < 0.05 for _ in range(500)
    ]
    assert np.mean(rejected) < 0.08


def test_one_category_leaves_nothing_to_test():
    result = chi_square([10], [20])
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_chi_square_of_an_empty_sample_is_nan():
    assert math.isnan(chi_square([0, 0], [3, 4]).p_value)


@given(counts, st.integers(1, 5), st.randoms(use_true_random=False))
def test_chi_square_is_symmetric_bounded_and_zero_for_equal_shares(left, times, random):
    right = np.array([random.randint(0, 300) for _ in left])
    if not left.sum() or not right.sum():
        return
    there, back = chi_square(left, right), chi_square(right, left)
    assert there.statistic == pytest.approx(back.statistic, abs=1e-9)
    assert 0 <= there.p_value <= 1
    assert 0 <= there.statistic <= (left.sum() + right.sum()) * (1 + 1e-9)
    assert chi_square(left, left * times).statistic == pytest.approx(0, abs=1e-9)
