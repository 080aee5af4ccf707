"""Frames are kept whole and once."""

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter import store
from dwcp_jupyter.exceptions import IntegrityError


@pytest.fixture
def stores(tmp_path):
    with store.open(tmp_path / "w") as opened:
        yield opened


def test_a_frame_comes_back_with_types_nulls_and_unicode(stores):
    frame = pd.DataFrame(
        {
            "größe": [1.5, np.nan, -np.inf],
            "n": pd.array([1, None, 3], dtype="Int64"),
            "when": pd.to_datetime(["2026-01-01", None, "2026-03-01"], utc=True),
            "text": ["a", None, "ж"],
            "flag": [True, False, True],
        }
    )
    ref = stores.frames.put(frame)
    assert (ref.rows, ref.columns) == (3, tuple(frame.columns))
    back = stores.frames.get(ref.sha256).to_pydict()
    assert back["text"] == ["a", None, "ж"]
    assert back["n"] == [1, None, 3]
    assert back["größe"][0] == 1.5
    assert back["größe"][2] == -np.inf


def test_equal_frames_have_one_sum_whatever_their_index(stores):
    frame = pd.DataFrame({"a": range(1000), "b": np.random.default_rng(0).normal(size=1000)})
    assert stores.frames.put(frame) == stores.frames.put(frame.set_axis(range(5, 1005)))


def test_an_empty_frame_keeps_its_columns(stores):
    ref = stores.frames.put(pd.DataFrame({"a": pd.Series(dtype="float64")}))
    assert ref.rows == 0
    assert stores.frames.get(ref.sha256).column_names == ["a"]


def test_repeated_columns_are_refused(stores):
    with pytest.raises(ValueError, match=r"repeat|Duplicate"):
        stores.frames.put(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_a_column_of_mixed_types_is_named(stores):
    with pytest.raises(ValueError, match="mixed"):
        stores.frames.put(pd.DataFrame({"mixed": [1, "a", object()]}))


@pytest.mark.parametrize(
    "values", [pd.cut(range(4), 2), [1j] * 4, pd.arrays.SparseArray([0.0] * 4)], ids=["intervals", "complex", "sparse"]
)
def test_a_column_that_parquet_does_not_have_is_named_with_a_remedy(stores, values):
    with pytest.raises(ValueError, match=r"cannot keep column 'odd' .*turn it into numbers or text"):
        stores.frames.put(pd.DataFrame({"fine": [1, 2, 3, 4], "odd": values}))


def test_a_changed_frame_is_refused(stores):
    ref = stores.frames.put(pd.DataFrame({"a": [1]}))
    path = stores.root / "artifacts" / "sha256" / ref.sha256[:2] / ref.sha256[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError):
        stores.frames.get(ref.sha256)
