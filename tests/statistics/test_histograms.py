"""Bins and categories: nothing is lost, and bins depend on the reference alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dwcp_jupyter.statistics import bin_counts, category_counts, quantile_edges, sturges_edges

samples = hnp.arrays(np.float64, st.integers(1, 80), elements=st.floats(-1e6, 1e6))


@given(samples, samples, st.integers(1, 20))
def test_every_value_falls_into_one_bin(reference, current, bins):
    for edges in (quantile_edges(reference, bins=bins), sturges_edges(reference)):
        assert np.all(np.diff(edges) > 0)
        assert bin_counts(reference, edges).sum() == reference.size
        assert bin_counts(current, edges).sum() == current.size


def test_inner_bins_count_as_numpy_does():
    values = np.random.default_rng(0).normal(size=5000)
    edges = sturges_edges(values)
    assert bin_counts(values, edges).tolist() == np.histogram(values, edges)[0].tolist()
    assert len(edges) - 1 == len(np.histogram_bin_edges(values, "sturges")) - 1


def test_quantile_bins_hold_equal_shares():
    values = np.random.default_rng(0).exponential(size=10_000)
    assert bin_counts(values, quantile_edges(values, bins=10)).tolist() == pytest.approx([1000] * 10, abs=1)


def test_values_beyond_the_reference_count_into_the_outer_bins():
    assert bin_counts([-99.0, 99.0, np.nan], [0.0, 1.0, 2.0]).tolist() == [1, 1]


def test_an_empty_and_a_constant_reference_have_defined_bins():
    assert quantile_edges([]).size == 0
    assert sturges_edges([np.nan]).size == 0
    assert bin_counts([5.0, 5.0, 7.0], quantile_edges([5.0] * 10)).tolist() == [3]


def test_categories_of_both_samples_are_aligned():
    names, left, right = category_counts(np.array(["a", "b", "a", None], object), np.array(["c", "b"], object))
    assert names == ["a", "b", "c"]
    assert left.tolist() == [2, 1, 0]
    assert right.tolist() == [0, 1, 1]


def test_rare_categories_beyond_the_limit_are_one():
    names, left, right = category_counts(np.repeat(["a", "b", "c", "d"], [9, 5, 2, 1]), np.array(["a"]), limit=3)
    assert names == ["a", "b", None]
    assert left.tolist() == [9, 5, 3]
    assert right.tolist() == [1, 0, 0]


@given(st.lists(st.sampled_from("abcdef")), st.lists(st.sampled_from("defgh")), st.integers(1, 6))
def test_no_row_is_lost_among_categories(left, right, limit):
    _, counts, others = category_counts(np.array(left, object), np.array(right, object), limit=limit)
    assert counts.sum() == len(left)
    assert others.sum() == len(right)
