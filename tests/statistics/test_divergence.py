"""PSI, Jensen-Shannon and Wasserstein against scipy and by hand, and their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwcp_jupyter.statistics import bin_counts, jensen_shannon, psi, quantile_edges, wasserstein

samples = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))
pairs = st.integers(1, 10).flatmap(
    lambda k: st.tuples(*(hnp.arrays(np.int64, k, elements=st.integers(0, 1000)) for _ in range(2)))
)


def test_psi_by_hand():
    expected = (0.3 - 0.5) * math.log(0.3 / 0.5) + (0.7 - 0.5) * math.log(0.7 / 0.5)
    assert psi([50, 50], [30, 70]) == pytest.approx(expected)


def test_an_empty_bin_counts_as_a_ten_thousandth():
    expected = (1e-4 - 0.5) * math.log(1e-4 / 0.5) + (1 - 0.5) * math.log(1 / 0.5)
    assert psi([50, 50], [0, 100]) == pytest.approx(expected)


def test_a_shift_by_a_deviation_is_a_major_one_and_none_is_none():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=20_000)
    edges = quantile_edges(reference)
    counts = [bin_counts(values, edges) for values in (reference, rng.normal(size=20_000), rng.normal(1, size=20_000))]
    assert psi(counts[0], counts[1]) < 0.01
    assert psi(counts[0], counts[2]) > 0.25


@given(pairs)
def test_psi_and_jensen_shannon_are_symmetric_and_bounded(pair):
    left, right = pair
    if not left.sum() or not right.sum():
        assert math.isnan(psi(left, right))
        assert math.isnan(jensen_shannon(left, right))
        return
    assert psi(left, right) >= 0
    assert psi(left, right) == pytest.approx(psi(right, left))
    assert 0 <= jensen_shannon(left, right) <= 1
    assert jensen_shannon(left, right) == pytest.approx(jensen_shannon(right, left), abs=1e-9)
    assert psi(left, left) == 0
    assert jensen_shannon(left, 3 * left) == pytest.approx(0, abs=1e-7)


@given(pairs)
def test_jensen_shannon_agrees_with_scipy(pair):
    left, right = pair
    if left.sum() and right.sum():
        theirs = scipy.spatial.distance.jensenshannon(left / left.sum(), right / right.sum(), base=2)
        assert jensen_shannon(left, right) == pytest.approx(0 if np.isnan(theirs) else theirs, abs=1e-7)


def test_nothing_in_common_is_the_largest_distance():
    assert jensen_shannon([10, 0], [0, 7]) == pytest.approx(1)


@given(samples, samples)
def test_wasserstein_agrees_with_scipy(left, right):
    ours = wasserstein(left, right, is_normalised=False)
    assert ours == pytest.approx(scipy.stats.wasserstein_distance(left, right), rel=1e-6, abs=1e-6)


@given(samples, st.floats(-100, 100))
def test_a_shift_by_d_is_a_distance_of_d(sample, shift):
    assert wasserstein(sample, sample + shift, is_normalised=False) == pytest.approx(abs(shift), rel=1e-6, abs=1e-6)


def test_normalised_distance_has_no_unit():
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=500), rng.normal(0.5, size=400)
    assert wasserstein(left * 1000, right * 1000) == pytest.approx(wasserstein(left, right))


def test_a_constant_reference_is_equal_or_infinitely_far():
    assert wasserstein([2.0] * 9, [2.0] * 5) == 0
    assert wasserstein([2.0] * 9, [2.0, 3.0]) == math.inf


def test_empty_samples_have_no_distance():
    assert math.isnan(wasserstein([], [1.0]))
    assert math.isnan(wasserstein([1.0], [np.nan]))
