"""Drift is found where it is, and nowhere else; columns that cannot be tested are named."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dwcp_jupyter.monitoring import Severity, compare
from dwcp_jupyter.monitoring.report import DriftTest, Effect


@pytest.fixture(scope="session")
def cancer() -> pd.DataFrame:
    """Twenty columns of the Wisconsin breast cancer data, six of them cut into categories."""
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True).data.iloc[:, :20].copy()
    for bins, name in zip((2, 3, 4, 6, 10, 20), frame.columns[14:], strict=True):
        frame[name] = pd.qcut(frame[name], bins, labels=False).map(lambda number: f"class {number}")
    return frame


def drawn(frame: pd.DataFrame, rows: int, rng: np.random.Generator) -> pd.DataFrame:
    return frame.iloc[rng.integers(0, len(frame), rows)].reset_index(drop=True)


def drifted(compared) -> set[str]:
    return {column.name for column in compared.columns if column.is_drifted}


def notes(compared) -> dict[str, str]:
    return {note.column: f"{note.level}: {note.message}" for note in compared.notes}


@pytest.mark.parametrize(
    ("n_reference", "n_current", "checks", "allowed"), [(300, 150, 200, 18), (2000, 400, 120, 12), (3000, 3000, 60, 0)]
)
def test_undrifted_data_raise_no_more_alarms_than_the_sensitivity_allows(
    cancer, n_reference, n_current, checks, allowed
):
    """At .05, 200 checks have at most ten false alarms on average; 18 would be exceeded in one run of a hundred."""
    rng = np.random.default_rng(7)
    alarms = sum(
        bool(drifted(compare(drawn(cancer, n_reference, rng), drawn(cancer, n_current, rng)))) for _ in range(checks)
    )
    assert alarms <= allowed


@pytest.mark.parametrize(
    ("change", "column"),
    [
        (lambda frame: frame.assign(**{"mean radius": frame["mean radius"] * 1.15}), "mean radius"),
        (lambda frame: frame.assign(**{"mean texture": frame["mean texture"] + 2.5}), "mean texture"),
        (lambda frame: frame.assign(**{"mean area": frame["mean area"].median()}), "mean area"),
        (
            lambda frame: frame.assign(**{"mean area": frame["mean area"].median() * 0.7 + frame["mean area"] * 0.3}),
            "mean area",
        ),
        (lambda frame: frame.assign(**{"mean symmetry": -frame["mean symmetry"]}), "mean symmetry"),
    ],
    ids=["unit", "shift", "constant", "narrower", "sign"],
)
def test_real_shifts_of_numbers_are_found_every_time(cancer, change, column):
    rng = np.random.default_rng(3)
    for _ in range(10):
        compared = compare(drawn(cancer, 1500, rng), change(drawn(cancer, 400, rng)))
        assert column in drifted(compared)


def test_real_shifts_of_categories_are_found_every_time(cancer):
    rng = np.random.default_rng(3)
    column = cancer.columns[16]
    for _ in range(10):
        current = drawn(cancer, 500, rng)
        current.loc[current[column] == "class 0", column] = "class 1"
        found = compare(drawn(cancer, 800, rng), current)
        assert column in drifted(found)


def test_only_the_shifted_column_is_named(cancer):
    rng = np.random.default_rng(5)
    current = drawn(cancer, 2000, rng)
    current["mean radius"] += current["mean radius"].std()
    compared = compare(drawn(cancer, 2000, rng), current)
    assert drifted(compared) == {"mean radius"}
    assert compared.columns[0].name == "mean radius"
    assert compared.columns[0].severity is Severity.CRITICAL
    assert [distribution.name for distribution in compared.distributions] == ["mean radius"]


def test_a_difference_that_is_sure_but_tiny_is_no_drift():
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=100_000), "c": rng.choice(["a", "b"], 100_000, p=[0.5, 0.5])})
    current = pd.DataFrame({"x": rng.normal(0.03, size=100_000), "c": rng.choice(["a", "b"], 100_000, p=[0.52, 0.48])})
    compared = compare(reference, current)
    assert all(column.p_adjusted < 0.01 for column in compared.columns)
    assert not drifted(compared)


def test_a_difference_that_is_large_but_may_be_chance_is_no_drift():
    rng = np.random.default_rng(4)
    for _ in range(30):
        compared = compare(pd.DataFrame({"x": rng.normal(size=60)}), pd.DataFrame({"x": rng.normal(size=60)}))
        if compared.columns[0].effect > 0.1 and compared.columns[0].p_value > 0.05:
            assert not drifted(compared)
            return
    pytest.fail("no such sample was drawn")


@pytest.mark.parametrize(
    ("rows", "effects"),
    [
        (800, {"x": Effect.KS_DISTANCE, "c": Effect.CRAMERS_V}),
        (2000, {"x": Effect.WASSERSTEIN, "c": Effect.JENSEN_SHANNON}),
    ],
)
def test_the_measure_suits_type_and_size(rows, effects):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=rows), "c": rng.choice(list("abc"), rows), "flag": rng.random(rows) < 0.5}
    )
    found = {column.name: column for column in compare(frame, frame).columns}
    assert {name: found[name].effect_name for name in effects} == effects
    assert {name: column.test for name, column in found.items()} == {
        "x": DriftTest.KS,
        "c": DriftTest.CHI_SQUARE,
        "flag": DriftTest.CHI_SQUARE,
    }


def test_severity_grows_with_the_effect():
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=5000)})
    severities = [
        compare(reference, pd.DataFrame({"x": rng.normal(shift, size=5000)})).columns[0].severity
        for shift in (0.0, 0.25, 1.0)
    ]
    assert severities == [Severity.NONE, Severity.WARNING, Severity.CRITICAL]


def test_corrected_p_values_cover_all_tests(cancer):
    rng = np.random.default_rng(0)
    import scipy.stats

    compared = compare(drawn(cancer, 500, rng), drawn(cancer, 500, rng))
    expected = scipy.stats.false_discovery_control([column.p_value for column in compared.columns], method="bh")
    assert [column.p_adjusted for column in compared.columns] == pytest.approx(expected)


def test_too_few_rows_are_not_tested():
    frame = pd.DataFrame({"x": np.arange(49.0)})
    compared = compare(frame, frame + 1000)
    assert compared.columns == ()
    assert "a test needs 50" in notes(compared)["x"]


def test_more_missing_values_are_drift_of_their_own():
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": rng.normal(size=1000)})
    current = reference.sample(500, random_state=1, ignore_index=True)
    current.loc[:99, "x"] = np.nan
    (first, *others) = compare(reference, current).columns
    assert (first.test, first.is_drifted, first.effect) == (DriftTest.MISSING_RATE, True, pytest.approx(0.2))
    assert math.isnan(first.psi)
    assert not any(column.is_drifted for column in others)


def test_a_few_missing_values_more_are_no_drift():
    reference = pd.DataFrame({"x": np.random.default_rng(0).normal(size=1000)})
    current = reference.copy()
    current.loc[:3, "x"] = [np.nan, np.inf, -np.inf, np.nan]
    assert not drifted(compare(reference, current))


def test_schema_differences_are_noted():
    frame = pd.DataFrame({"a": np.linspace(0, 1, 100), "b": np.linspace(0, 1, 100) ** 2, "c": list("xy") * 50})
    current = pd.DataFrame({"b": list("xy") * 50, "c": np.linspace(0, 1, 100), "new": 1.0})
    found = notes(compare(frame, current))
    assert found["a"].startswith("warning: is missing")
    assert found["b"] == "critical: holds values of type string where the reference has number; not tested"
    assert found["c"] == "critical: holds values of type number where the reference has string; not tested"
    assert found["new"].startswith("info: is not in the reference data")


def test_empty_and_constant_columns_are_noted():
    reference = pd.DataFrame({"a": np.linspace(0, 1, 200), "b": np.linspace(0, 1, 200) ** 2, "c": np.nan, "d": 3.0})
    current = pd.DataFrame({"a": np.nan, "b": [0.5] * 200, "c": 1.0, "d": 3.0})
    compared = compare(reference, current)
    found = notes(compared)
    assert found["a"] == "warning: has no values in the current data"
    assert found["b"] == "warning: has one value only in the current data: 0.5"
    assert found["c"] == "info: has no values in the reference data; not tested"
    assert "d" not in found
    assert drifted(compared) == {"a", "b"}


def test_a_constant_that_changes_has_drifted():
    frame = pd.DataFrame({"x": [1.0] * 100})
    assert not drifted(compare(frame, frame))
    assert drifted(compare(frame, frame + 1)) == {"x"}


def test_unknown_categories_are_named_and_tested():
    reference = pd.DataFrame({"c": ["a", "b"] * 100})
    current = pd.DataFrame({"c": ["a", "b", "<script>", "z"] * 50})
    compared = compare(reference, current)
    assert drifted(compared) == {"c"}
    assert notes(compared)["c"] == (
        "warning: has categories unknown to the reference in 50% of its values: '<script>', 'z'"
    )


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (lambda n, rng: [f"user-{number}" for number in range(n)], "identifier"),
        (lambda n, rng: np.arange(n) + 1_000_000, "identifier"),
        (lambda n, rng: rng.permutation(n).astype(float), "identifier"),
        (lambda n, rng: [f"I bought {number} of them and liked it a lot" for number in range(n)], "free text"),
        (lambda n, rng: [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(n)], "times"),
        (lambda n, rng: [[1, 2]] * n, "cannot be compared"),
        (lambda n, rng: [1, "one"] * (n // 2), "cannot be compared"),
        (lambda n, rng: [10**400] * n, "cannot be compared"),
    ],
    ids=["name", "counter", "shuffled counter", "text", "time", "lists", "mixed", "beyond floats"],
)
def test_columns_without_a_comparable_distribution_are_left_out(values, why):
    rng = np.random.default_rng(0)
    reference, current = (pd.DataFrame({"x": values(n, rng)}) for n in (1000, 400))
    compared = compare(reference, current)
    assert compared.columns == ()
    assert why in notes(compared)["x"]


def test_many_categories_are_tested_without_false_alarm():
    rng = np.random.default_rng(0)
    zips = [f"{number:05d}" for number in range(2000)]
    shares = rng.dirichlet(np.full(2000, 0.2))
    alarms = 0
    for _ in range(40):
        reference, current = (pd.DataFrame({"zip": rng.choice(zips, n, p=shares)}) for n in (10_000, 1000))
        compared = compare(reference, current)
        assert compared.columns[0].test is DriftTest.CHI_SQUARE
        alarms += bool(drifted(compared))
    assert alarms <= 6


@pytest.mark.parametrize("dtype", ["int64", "float32", "Int64", "object", "category", "bool"])
def test_a_column_is_compared_whatever_its_dtype(dtype):
    rng = np.random.default_rng(0)
    values = pd.Series(rng.integers(0, 2, 500))
    frame = pd.DataFrame({"x": values.astype(dtype)})
    compared = compare(frame, pd.DataFrame({"x": values.astype("int64")}))
    assert compared.columns[0].test is DriftTest.CHI_SQUARE
    assert compared.columns[0].p_value == pytest.approx(1.0)


@pytest.mark.parametrize("categories", [[1, 2, 3], [1.5, 2.5, 3.5], [True, False], ["a", "b"]])
def test_categories_beside_missing_values_are_compared(categories):
    frame = pd.DataFrame({"x": pd.Categorical([*categories, None] * 60)})
    compared = compare(frame, frame)
    assert [column.test for column in compared.columns] == [DriftTest.CHI_SQUARE, DriftTest.MISSING_RATE]
    assert not drifted(compared)


def test_reference_rows_without_an_answer_were_not_asked():
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"prediction": [np.nan] * 700 + rng.normal(size=300).tolist()})
    current = pd.DataFrame({"prediction": rng.normal(size=500)})
    silent = pd.DataFrame({"prediction": [np.nan] * 200 + rng.normal(size=300).tolist()})
    (column,) = compare(reference, current).columns
    assert (column.n_reference, column.is_drifted) == (300, False)
    assert drifted(compare(reference, silent)) == {"prediction"}
    assert drifted(compare(reference, current, answers=None)) == {"prediction"}


def test_predictions_are_compared_like_any_column():
    reference = pd.DataFrame({"prediction": ["yes", "no", "no", "no"] * 100})
    assert drifted(compare(reference, pd.DataFrame({"prediction": ["yes", "no"] * 100}))) == {"prediction"}


@hypothesis_settings(max_examples=40)
@given(
    st.lists(st.one_of(st.none(), st.floats(), st.integers(-9, 9), st.text(max_size=3), st.booleans()), max_size=80),
    st.lists(st.one_of(st.none(), st.floats(), st.text(max_size=3)), max_size=80),
)
def test_any_columns_get_an_answer(left, right):
    compared = compare(pd.DataFrame({"x": left}), pd.DataFrame({"x": right}), minimum_rows=1)
    for column in compared.columns:
        assert 0 <= column.p_adjusted <= 1
        assert column.effect >= 0
