"""Data as a signature wants them: by name, without loss, and with every fault named at once."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors import Column, ColumnType, Signature


def one(kind, dtype=None, **more):
    names = {"int": "int64", "float": "float64"}
    column = Column(name="x", type=ColumnType(kind), dtype=dtype or names.get(kind, kind), **more)
    return Signature(inputs=(column,))


def conformed(signature, *values):
    return signature.conform(pd.DataFrame({"x": pd.Series(values, dtype=object)}))["x"]


PEOPLE = Signature.infer(pd.DataFrame({"age": [31], "income": [1.5], "town": ["Rome"]}))


def test_columns_are_matched_by_name_and_put_in_order():
    frame = PEOPLE.conform({"town": ["Rome"], "income": [2.5], "age": [40]})
    assert list(frame.columns) == ["age", "income", "town"]
    assert frame.iloc[0].tolist() == [40, 2.5, "Rome"]


def test_all_faults_are_named_at_once():
    with pytest.raises(SignatureError) as caught:
        PEOPLE.conform(pd.DataFrame({"agee": [1], "income": ["much"], "colour": ["red"]}))
    assert set(caught.value.columns) == {"age", "town", "agee", "colour", "income"}
    message = str(caught.value)
    assert "'age' is missing" in message
    assert "'agee' is unknown. Did you mean 'age'?" in message
    assert "'colour' is unknown" in message
    assert "'income' must be float, but holds 'much' (str)" in message
    assert message.count("The model takes: age, income, town.") == 1


def test_an_empty_frame_is_refused_with_its_other_faults():
    with pytest.raises(SignatureError, match="no rows"):
        PEOPLE.conform(pd.DataFrame({"age": [], "income": [], "town": []}))
    with pytest.raises(SignatureError, match=r"'town' is missing.*no rows"):
        PEOPLE.conform(pd.DataFrame({"age": [], "income": []}))
    with pytest.raises(SignatureError):
        PEOPLE.conform([])


@pytest.mark.parametrize("value", [None, np.nan, pd.NA])
def test_a_missing_value_is_refused_where_the_model_cannot_take_it(value):
    for kind in ("int", "float", "bool", "string", "timestamp"):
        with pytest.raises(SignatureError, match="missing in 1 of 2 rows"):
            conformed(one(kind), value, _fine(kind))


def _fine(kind):
    return {"int": 1, "float": 1.0, "bool": True, "string": "a", "timestamp": "2026-01-01"}[kind]


@pytest.mark.parametrize(
    ("kind", "given_", "expected"),
    [
        ("float", 3, 3.0),
        ("float", True, 1.0),
        ("float", Decimal("1.25"), 1.25),
        ("float", np.float32(0.5), 0.5),
        ("float", np.inf, np.inf),
        ("int", 3.0, 3),
        ("int", True, 1),
        ("int", Decimal(7), 7),
        ("int", 2**63 - 1, 2**63 - 1),
        ("int", -(2**63), -(2**63)),
        ("bool", 1, True),
        ("bool", 0.0, False),
        ("string", "", ""),
        ("string", np.str_("a"), "a"),
    ],
)
def test_conversions_that_lose_nothing_are_made(kind, given_, expected):
    value = conformed(one(kind), given_)[0]
    assert value == expected
    assert type(value.item() if hasattr(value, "item") else value) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", 1.5),
        ("int", np.inf),
        ("int", "1"),
        ("int", 2**63),
        ("int", 9.3e18),
        ("float", "1.5"),
        ("float", 1j),
        ("float", [1.0]),
        ("bool", 2),
        ("bool", "true"),
        ("bool", 0.5),
        ("string", 1),
        ("string", b"a"),
        ("string", ["a"]),
        ("timestamp", 1_700_000_000),
        ("timestamp", "yesterday"),
        ("timestamp", "2026-02-30"),
        ("timestamp", {"year": 2026}),
    ],
)
def test_conversions_that_would_lose_or_guess_are_refused(kind, value):
    with pytest.raises(SignatureError) as caught:
        conformed(one(kind), value)
    assert caught.value.columns == ("x",)


def test_numbers_beyond_the_columns_own_type_are_refused():
    assert conformed(one("int", "int8"), -128).dtype == np.int8
    for dtype, value in (("int8", 128), ("uint8", -1), ("int32", 2.0**31)):
        with pytest.raises(SignatureError, match=f"outside {dtype}"):
            conformed(one("int", dtype), value)
    with pytest.raises(SignatureError, match="too large for float32"):
        conformed(one("float", "float32"), 1e39)
    assert np.isinf(conformed(one("float", "float32"), np.inf)[0])


def test_integers_beyond_float64_stay_exact():
    assert conformed(one("int"), 2**53 + 1)[0] == 2**53 + 1
    frame = pd.DataFrame({"x": pd.array([2**53 + 1], dtype="Int64")})
    assert one("int").conform(frame)["x"][0] == 2**53 + 1
    with pytest.raises(SignatureError, match="2\\*\\*53"):
        conformed(one("int", nullable=True), 2**53 + 1, None)


def test_integers_beside_missing_ones_become_floats():
    values = conformed(one("int", nullable=True), 1, None)
    assert values.dtype == np.float64
    assert np.isnan(values[1])


def test_nullable_types_of_pandas_become_plain():
    frame = pd.DataFrame({"x": pd.array([1.5, None], dtype="Float64")})
    assert one("float", nullable=True).conform(frame)["x"].dtype == np.float64
    flags = one("bool", nullable=True).conform(pd.DataFrame({"x": pd.array([True, None], dtype="boolean")}))["x"]
    assert flags[0] is True
    assert pd.isna(flags[1])
    sparse = pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0])})
    assert one("float").conform(sparse)["x"].tolist() == [0.0, 1.0]


def test_what_is_missing_is_what_was_missing_when_the_model_was_fitted():
    for marker in (None, np.nan):
        fitted = pd.DataFrame({"x": pd.Series(["a", marker], dtype=object)})
        back = Signature.infer(fitted).conform({"x": ["a", None]})["x"]
        assert back[1] is None if marker is None else np.isnan(back[1])


def test_text_becomes_time_and_zones_become_the_models_own():
    naive = Signature.infer({"x": pd.to_datetime(["2026-01-01"])})
    assert naive.conform({"x": ["2026-03-04T05:06:07"]})["x"][0] == pd.Timestamp("2026-03-04T05:06:07")
    assert naive.conform({"x": ["2026-03-04T05:06:07+02:00"]})["x"][0] == pd.Timestamp("2026-03-04T03:06:07")
    aware = Signature.infer({"x": pd.to_datetime(["2026-01-01"], utc=True)})
    for text in ("2026-03-04T05:06:07", "2026-03-04T05:06:07Z", "2026-03-04T07:06:07+02:00"):
        assert aware.conform({"x": [text]})["x"][0] == pd.Timestamp("2026-03-04T05:06:07Z")
    mixed = ["2026-03-04T05:06:07+02:00", "2026-03-04T05:06:07-02:00", "2026-03-04"]
    assert aware.conform({"x": mixed})["x"].dt.hour.tolist() == [3, 7, 0]
    days = one("timestamp", nullable=True).conform({"x": [dt.date(2026, 3, 4), None]})["x"]
    assert days[0] == pd.Timestamp("2026-03-04")


def test_categories_keep_their_codes_whatever_comes():
    signature = Signature.infer(pd.DataFrame({"x": pd.Categorical(["S", "L"], categories=["S", "M", "L"])}))
    column = signature.conform({"x": ["L", "XL", "S"]})["x"]
    assert list(column.cat.categories) == ["S", "M", "L", "XL"]
    assert column.cat.codes.tolist() == [2, 3, 0]
    assert signature.conform({"x": pd.Categorical(["L"])})["x"].cat.codes.tolist() == [2]
    plain = Signature.infer(pd.DataFrame({"x": ["S"]}))
    assert plain.conform(pd.DataFrame({"x": pd.Categorical(["S", "M"])}))["x"].tolist() == ["S", "M"]


def test_arrays_are_checked_in_shape_and_kind():
    signature = Signature(inputs=(Column(name="e", type=ColumnType.ARRAY, dtype="float32", shape=(2,)),))
    frame = signature.conform({"e": [[1, 2], [3, 4]]})
    assert frame["e"][1].dtype == np.float32
    assert signature.conform({"e": [1.0, 2.0]})["e"][0].tolist() == [1.0, 2.0]
    for bad in ([[1, 2, 3]], [["a", "b"]], [[[1, 2]]], [5.0]):
        with pytest.raises(SignatureError):
            signature.conform(pd.DataFrame({"e": bad}))
    images = Signature.infer(np.zeros((2, 3, 3)))
    assert images.conform(np.ones((4, 3, 3)))["x0"][0].shape == (3, 3)


def test_one_row_with_an_array_is_one_row():
    signature = Signature.infer(pd.DataFrame({"age": [1], "e": [[1.0, 2.0]]}))
    assert len(signature.conform({"age": 5, "e": [3.0, 4.0]})) == 1
    assert len(signature.conform({"age": [5, 6], "e": [[3.0, 4.0], [5.0, 6.0]]})) == 2


def test_lists_of_several_lengths_are_refused_by_the_name_of_their_column():
    signature = Signature.infer({"picture": [np.zeros((2, 2)), np.zeros((2, 2))], "age": [1, 2]})
    with pytest.raises(SignatureError, match="picture"):
        signature.conform({"picture": [[1.0, 2.0], [3.0]], "age": 1})


def test_an_array_fits_only_a_signature_that_came_from_one():
    made = Signature.infer(np.zeros((2, 3)))
    assert made.conform(np.ones((1, 3))).shape == (1, 3)
    with pytest.raises(SignatureError, match="columns are matched by name"):
        PEOPLE.conform(np.zeros((1, 3)))
    with pytest.raises(SignatureError, match="columns are matched by name"):
        PEOPLE.conform([[1, 2, 3]])
    with pytest.raises(SignatureError):
        made.conform(np.ones((1, 4)))


def test_absent_columns_may_be_left_out_only_on_request_and_where_nullable():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["u", None], "c": [1, 2]})
    signature = Signature.infer(frame)
    filled = signature.conform({"c": [3]}, allow_missing=True)
    assert filled.isna().iloc[0].tolist() == [True, True, False]
    with pytest.raises(SignatureError, match="'c' is missing"):
        signature.conform({"a": [1.0]}, allow_missing=True)
    with pytest.raises(SignatureError, match="'a' is missing"):
        signature.conform({"c": [3]})


def test_tables_of_other_libraries_are_taken():
    assert PEOPLE.conform(pa.table({"age": [1], "town": ["Rome"], "income": [1]})).shape == (1, 3)
    assert PEOPLE.conform([{"age": 1, "town": "Rome", "income": 1}]).shape == (1, 3)


def test_the_index_stays():
    frame = pd.DataFrame({"age": [1, 2], "income": [1.0, 2.0], "town": ["a", "b"]}, index=[7, 7])
    assert PEOPLE.conform(frame).index.tolist() == [7, 7]


def test_a_very_wide_frame_is_checked_in_good_time():
    frame = pd.DataFrame(np.zeros((2, 3000)), columns=[f"c{n}" for n in range(3000)])
    signature = Signature.infer(frame)
    assert_frame_equal(signature.conform(frame[frame.columns[::-1]]), frame)


COLUMNS = {
    "f": st.one_of(st.none(), st.floats(width=64)),
    "i": st.integers(-(2**31), 2**31),
    "b": st.booleans(),
    "s": st.one_of(st.none(), st.text(max_size=5)),
    "t": st.datetimes(dt.datetime(1900, 1, 1), dt.datetime(2200, 1, 1)),  # noqa: DTZ001 - naive on purpose
    "c": st.sampled_from(["low", "high"]),
}
ROWS = st.lists(st.fixed_dictionaries(COLUMNS), min_size=1, max_size=6)


def table(rows):
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in COLUMNS})
    return frame.astype({"i": "int64", "b": bool, "c": "category"})


@given(ROWS)
def test_conforming_twice_is_conforming_once(rows):
    signature = Signature.infer(table(rows))
    once = signature.conform(table(rows))
    assert_frame_equal(signature.conform(once), once)


@given(ROWS, st.permutations(list(COLUMNS)))
def test_the_order_of_columns_does_not_matter(rows, order):
    signature = Signature.infer(table(rows))
    assert_frame_equal(signature.conform(table(rows)[order]), signature.conform(table(rows)))


@given(ROWS)
def test_data_fit_the_signature_inferred_from_them(rows):
    frame = table(rows)
    back = Signature.infer(frame).conform(frame)
    for name in ("i", "b", "c"):
        assert back[name].tolist() == frame[name].tolist()
    assert [None if pd.isna(v) else v for v in back["s"]] == [row["s"] for row in rows]
    assert [v.to_pydatetime() for v in back["t"]] == [row["t"] for row in rows]


@given(st.text(min_size=1, max_size=20), st.integers(-5, 5))
def test_any_name_is_a_name(name, value):
    assert Signature.infer({name: [value]}).conform({name: [value]})[name].tolist() == [value]
