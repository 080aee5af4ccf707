"""Effect sizes and intervals against scipy and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.statistics import cramers_v, detectable_ks, ks_p_value, mean_difference, wilson_interval


def test_cramers_v_agrees_with_scipy_for_equal_sizes():
    left, right = [30, 50, 20], [60, 10, 30]
    theirs = scipy.stats.contingency.association(np.array([left, right]), method="cramer", correction=False)
    assert cramers_v(left, right) == pytest.approx(theirs)


def test_cramers_v_does_not_depend_on_how_the_sizes_compare():
    assert cramers_v([30, 70], [600, 400]) == pytest.approx(cramers_v([300, 700], [6, 4]))


@pytest.mark.parametrize(("left", "right", "expected"), [([1, 1], [5, 5], 0), ([9, 0], [0, 4], 1), ([3], [4], 0)])
def test_cramers_v_at_its_ends(left, right, expected):
    assert cramers_v(left, right) == pytest.approx(expected)


def test_cramers_v_of_an_empty_sample_is_nan():
    assert math.isnan(cramers_v([0, 0], [1, 2]))


def test_mean_difference_by_hand():
    left, right = [1.0, 2.0, 3.0], [3.0, 4.0, 5.0, 6.0]
    pooled = math.sqrt((2 * np.var(left, ddof=1) + 3 * np.var(right, ddof=1)) / 5)
    assert mean_difference(left, right) == pytest.approx(2.5 / pooled)
    assert mean_difference(right, left) == pytest.approx(-2.5 / pooled)


def test_mean_difference_of_constants_and_of_too_few_values():
    assert mean_difference([2, 2], [2, 2, 2]) == 0
    assert mean_difference([2, 2], [1, 1]) == -math.inf
    assert math.isnan(mean_difference([2.0], [1.0, 2.0]))
    assert math.isnan(mean_difference([], []))


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_agrees_with_scipy(counts, confidence):
    successes, n = counts
    low, high = wilson_interval(successes, n, confidence=confidence)
    theirs = scipy.stats.binomtest(successes, n).proportion_ci(confidence_level=confidence, method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)
    assert 0 <= low <= successes / n <= high <= 1


def test_without_rows_a_share_is_anything():
    assert wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "n", "confidence"), [(3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0), (1, 2, 0.0)])
def test_impossible_shares_are_refused(successes, n, confidence):
    with pytest.raises(ValueError, match=r"share|confidence"):
        wilson_interval(successes, n, confidence=confidence)


@pytest.mark.parametrize(("n", "m", "alpha"), [(1000, 500, 0.05), (200, 10_000, 0.01), (5000, 5000, 0.0025)])
def test_the_detectable_distance_is_where_the_test_turns(n, m, alpha):
    distance = detectable_ks(n, m, alpha=alpha)
    assert ks_p_value(distance, n, m) == pytest.approx(alpha, rel=0.15)


def test_nothing_can_be_told_from_no_rows_or_a_few():
    assert detectable_ks(0, 100) == 1.0
    assert detectable_ks(3, 3) == 1.0
