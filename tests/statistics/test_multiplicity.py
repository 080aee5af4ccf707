"""Benjamini-Hochberg against scipy, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.statistics import benjamini_hochberg

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=50)


@given(p_values)
def test_it_agrees_with_scipy(values):
    assert benjamini_hochberg(values) == pytest.approx(scipy.stats.false_discovery_control(values, method="bh"))


@given(p_values)
def test_it_keeps_the_order_and_never_makes_a_value_smaller(values):
    adjusted = benjamini_hochberg(values)
    assert np.all(adjusted >= np.array(values) - 1e-15)
    assert np.all(adjusted <= 1)
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(adjusted[order]) >= 0)


@given(p_values, st.randoms(use_true_random=False))
def test_it_does_not_depend_on_the_order_of_the_columns(values, random):
    places = list(range(len(values)))
    random.shuffle(places)
    shuffled = benjamini_hochberg([values[place] for place in places])
    assert shuffled == pytest.approx(benjamini_hochberg(values)[places])


def test_a_test_that_was_not_done_does_not_count():
    adjusted = benjamini_hochberg([0.01, np.nan, 0.04])
    assert adjusted[[0, 2]] == pytest.approx(benjamini_hochberg([0.01, 0.04]))
    assert np.isnan(adjusted[1])


def test_no_values_give_none():
    assert benjamini_hochberg([]).size == 0
    assert np.isnan(benjamini_hochberg([np.nan])).all()
