"""One pass over a column gives what the single functions give."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwcp_jupyter.statistics import compare_numbers, ks_two_sample, wasserstein

samples = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6))
SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy-tailed": lambda rng, n: rng.pareto(1.5, size=n),
    "whole numbers": lambda rng, n: rng.poisson(3, size=n).astype(float),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.9, 0.0, rng.exponential(size=n)),
}


@given(samples, samples)
def test_small_samples_are_exact(left, right):
    compared = compare_numbers(left, right)
    expected = ks_two_sample(left, right)
    assert compared.ks == pytest.approx(expected.statistic, abs=1e-12)
    assert compared.p_value == pytest.approx(expected.p_value)
    assert compared.psi >= 0
    if left.std() > 1e-6:
        assert compared.wasserstein == pytest.approx(wasserstein(left, right), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("change", [lambda x: x, lambda x: x + 0.1, lambda x: 1.2 * x, lambda x: -x])
def test_large_samples_are_nearly_exact_and_err_to_the_safe_side(shape, change):
    rng = np.random.default_rng(3)
    left, right = SHAPES[shape](rng, 60_000), change(SHAPES[shape](rng, 40_000))
    quick, exact = compare_numbers(left, right, exact_values=0), compare_numbers(left, right)
    assert exact.ks - 0.002 <= quick.ks <= exact.ks + 1e-12
    assert quick.wasserstein == pytest.approx(wasserstein(left, right), rel=1e-6)
    assert quick.psi == pytest.approx(exact.psi, abs=1e-12)


def test_a_few_values_far_outside_are_measured_in_large_samples_too():
    left = np.random.default_rng(0).normal(size=10_000)
    right = left.copy()
    right[:100] = 1e6
    quick = compare_numbers(left, right, exact_values=0)
    assert quick.wasserstein == pytest.approx(wasserstein(left, right), rel=1e-9)


def test_samples_that_do_not_overlap_are_one_apart():
    for shift in (-10.0, 10.0):
        compared = compare_numbers(np.zeros(100), np.full(100, shift), exact_values=0)
        assert compared.ks == 1.0
        assert compared.wasserstein == math.inf


@pytest.mark.parametrize("exact_values", [0, 1000])
@pytest.mark.parametrize(("left", "right"), [([], [1.0]), ([1.0], []), ([], [])])
def test_empty_samples_have_no_distances(left, right, exact_values):
    compared = compare_numbers(left, right, exact_values=exact_values)
    assert math.isnan(compared.ks)
    assert math.isnan(compared.p_value)
    assert math.isnan(compared.wasserstein)
    assert math.isnan(compared.psi)


def test_psi_of_a_shift_agrees_with_its_integral():
    """For N(0, 1) against N(d, 1) the index tends to d squared, as bins get finer."""
    rng = np.random.default_rng(0)
    compared = compare_numbers(rng.normal(size=200_000), rng.normal(0.5, size=200_000))
    assert compared.psi == pytest.approx(0.25, rel=0.1)
