"""Blocks refuse what cannot be drawn, when they are made."""

from __future__ import annotations

import pytest

from dwcp_jupyter.rendering import Bars, Column, Facts, Level, Lines, Mark, Note, Table


def test_a_row_of_another_length_than_the_columns_is_refused():
    with pytest.raises(ValueError, match="Row 1 has 1 values for 2 columns"):
        Table(("a", "b"), [(1, 2), (1,)])


@pytest.mark.parametrize("length", [1, 3])
def test_a_series_of_another_length_than_its_axis_is_refused(length):
    values = {"a": [1.0] * length}
    with pytest.raises(ValueError, match="Series 'a'"):
        Bars("t", ["x", "y"], values, x_label="n")
    with pytest.raises(ValueError, match="Series 'a'"):
        Lines("t", [1, 2], values, x_label="x", y_label="y")


def test_a_histogram_has_one_edge_more_than_bins():
    Lines("t", [0, 1, 2], {"a": [1, 2]}, x_label="x", y_label="y", is_step=True)
    with pytest.raises(ValueError, match="need 2"):
        Lines("t", [0, 1, 2], {"a": [1, 2, 3]}, x_label="x", y_label="y", is_step=True)


@pytest.mark.parametrize(
    "make", [lambda: Note("x", "loud"), lambda: Mark("x", "loud"), lambda: Column("x", format="loud")]
)
def test_unknown_levels_and_formats_are_refused(make):
    with pytest.raises(ValueError, match="loud"):
        make()


def test_a_table_knows_what_it_hides():
    table = Table(("a",), [(i,) for i in range(10)], limit=3, total=100)
    assert len(table.shown) == 3
    assert table.hidden == 97


def test_levels_may_be_given_as_text_and_facts_as_pairs():
    assert Note("x", "warning").level is Level.WARNING
    assert Facts([("a", 1)]) == Facts({"a": 1})
