"""Rows survive every form they travel in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors import Column, ColumnType, Signature
from dwcp_jupyter.serving.encoding import PackedCodec, TupleCodec, codec_for
from dwcp_jupyter.serving.protocols.invocations import parse

MIXED = Signature(
    inputs=(
        Column(name="a b", type=ColumnType.FLOAT, dtype="float64", nullable=True),
        Column(name="n", type=ColumnType.INT, dtype="int64"),
        Column(name="small", type=ColumnType.INT, dtype="int8"),
        Column(name="flag", type=ColumnType.BOOL, dtype="bool"),
        Column(name="f", type=ColumnType.FLOAT, dtype="float32"),
    ),
    outputs=(),
)
ANY = Signature(
    inputs=(
        Column(name="x", type=ColumnType.FLOAT, dtype="float64", nullable=True),
        Column(name="town", type=ColumnType.STRING, dtype="string", nullable=True),
        Column(name="n", type=ColumnType.INT, dtype="int64", nullable=True),
        Column(name="when", type=ColumnType.TIMESTAMP, dtype="timestamp"),
        Column(name="vector", type=ColumnType.ARRAY, dtype="object", shape=(3,)),
        Column(name="thing", type=ColumnType.OBJECT, dtype="object", nullable=True),
    ),
    outputs=(),
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
rows = st.fixed_dictionaries(
    {
        "a b": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "n": st.integers(-(2**63), 2**63 - 1),
        "small": st.integers(-128, 127),
        "flag": st.booleans(),
        "f": numbers,
    }
)


def parsed(content, signature):
    codec = codec_for(signature)
    return codec, parse(json.dumps(content).encode(), content_type="", codec=codec, signature=signature)


def test_numbers_travel_packed_and_everything_else_as_tuples():
    assert isinstance(codec_for(MIXED), PackedCodec)
    assert isinstance(codec_for(ANY), TupleCodec)


@given(given_rows=st.lists(rows, min_size=1, max_size=5))
def test_packed_rows_give_the_frame_that_the_signature_gives(given_rows):
    codec, request = parsed(given_rows, MIXED)
    assert codec.count(request.payload) == request.rows == len(given_rows)
    expected = MIXED.conform(pd.DataFrame(given_rows))
    again = codec.from_wire(codec.to_wire(request.payload))
    pd.testing.assert_frame_equal(codec.frame(again), expected)


@given(row=rows)
def test_the_fast_path_and_the_careful_path_agree(row):
    codec = codec_for(MIXED)
    fast = codec.decode_record(json.dumps(row).encode())
    careful = codec.from_frame(MIXED.conform(pd.DataFrame([row])))
    if row["a b"] is None:
        assert fast is None
    else:
        assert fast == careful == codec.convert_record(row) == codec.convert_row([row[name] for name in codec.names])


@pytest.mark.parametrize("n", [2**53 + 1, -(2**63), 2**63 - 1])
def test_the_log_keeps_integers_exactly(n):
    codec, request = parsed({"a b": 1.5, "n": n, "small": 1, "flag": True, "f": 0.1}, MIXED)
    (logged,) = codec.arrow([request.payload]).to_pylist()
    assert logged == {"a b": 1.5, "n": n, "small": 1, "flag": True, "f": 0.1}


@pytest.mark.parametrize("change", [{"small": 128}, {"small": 1.5}, {"flag": "yes"}, {"n": "1"}, {"n": None}])
def test_what_a_column_cannot_hold_is_refused_not_wrapped(change):
    row = {"a b": 1.5, "n": 1, "small": 1, "flag": True, "f": 0.1, **change}
    with pytest.raises(SignatureError) as caught:
        parsed(row, MIXED)
    assert caught.value.columns == tuple(change)


def test_times_arrays_and_objects_reach_the_model_as_they_were_sent():
    row = {
        "x": None,
        "town": None,
        "n": None,
        "when": "2026-01-02T03:04:05",
        "vector": [1, 2, 3],
        "thing": {"a": [1, None]},
    }
    other = {**row, "x": 1.5, "town": "Ulm", "n": 3, "thing": None}
    codec, request = parsed([row, other], ANY)
    frame = codec.frame(codec.from_wire(codec.to_wire(request.payload)))
    assert frame["when"].tolist() == [pd.Timestamp("2026-01-02T03:04:05")] * 2
    assert frame["town"].tolist()[1] == "Ulm"
    assert pd.isna(frame["town"].iloc[0])
    assert [list(value) for value in frame["vector"]] == [[1, 2, 3]] * 2
    assert frame["thing"].iloc[0] == {"a": [1, None]}
    logged = codec.arrow([request.payload]).to_pylist()
    assert logged[0]["when"] == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert logged[0]["x"] is None
    assert logged[1]["n"] == 3
    assert json.loads(logged[0]["thing"]) == {"a": [1, None]}


def test_a_time_with_a_zone_keeps_its_moment():
    row = {"x": 1, "town": "Ulm", "n": 1, "when": "2026-01-02T03:04:05+02:00", "vector": [1, 2, 3], "thing": 5}
    codec, request = parsed(row, ANY)
    frame = codec.frame(codec.from_wire(codec.to_wire(request.payload)))
    assert frame["when"].iloc[0] == pd.Timestamp("2026-01-02T01:04:05", tz="UTC")


def test_a_missing_float_is_nan_for_the_model_and_null_in_the_log():
    codec, request = parsed({"a b": None, "n": 1, "small": 1, "flag": False, "f": 1}, MIXED)
    assert np.isnan(codec.matrix(request.payload)[0, 0])
    assert codec.arrow([request.payload]).to_pylist()[0]["a b"] is None
