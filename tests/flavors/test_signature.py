"""What a model takes: inferred from data of every shape, and readable without pandas."""

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors import Column, ColumnType, Signature


def kinds(data):
    return {c.name: (str(c.type), c.dtype, c.nullable) for c in Signature.infer(data).inputs}


def test_each_type_of_a_frame_is_found():
    frame = pd.DataFrame(
        {
            "flag": [True, False],
            "count": np.array([1, 2], dtype="int32"),
            "size": np.array([1, 2], dtype="uint8"),
            "ratio": np.array([0.5, 1], dtype="float32"),
            "holes": [0.5, np.nan],
            "town": ["Rome", None],
            "when": pd.to_datetime(["2026-01-01", None]),
            "there": pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True),
            "maybe": pd.array([1, None], dtype="Int64"),
            "perhaps": pd.array([True, None], dtype="boolean"),
            "anything": [{"a": 1}, [2]],
        }
    )
    found = kinds(frame)
    assert found["flag"] == ("bool", "bool", False)
    assert found["count"] == ("int", "int32", False)
    assert found["size"] == ("int", "uint8", False)
    assert found["ratio"] == ("float", "float32", False)
    assert found["holes"] == ("float", "float64", True)
    assert found["town"] == ("string", "string", True)
    assert found["when"][0] == "timestamp"
    assert found["when"][2]
    assert found["there"][1].endswith(", UTC]")
    assert found["maybe"] == ("int", "int64", True)
    assert found["perhaps"] == ("bool", "bool", True)
    assert found["anything"][0] == "object"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], ("int", "int64", True)),
        ([1, 2.5], ("float", "float64", False)),
        ([Decimal("1.5"), Decimal(2)], ("float", "float64", False)),
        ([True, None], ("bool", "object", True)),
        ([True, np.nan], ("bool", "bool", True)),
        (["a", None], ("string", "object", True)),
        (["a", np.nan], ("string", "string", True)),
        ([dt.date(2026, 1, 1), None], ("timestamp", "timestamp", True)),
        ([1, "a"], ("object", "object", False)),
        ([True, 2], ("object", "object", False)),
        ([None, None], ("object", "object", True)),
        ([2**70, 1], ("object", "object", False)),
        ([1j], ("object", "object", False)),
    ],
)
def test_columns_of_objects_are_judged_by_their_values(values, expected):
    assert kinds(pd.DataFrame({"x": pd.Series(values, dtype=object)}))["x"] == expected


def test_categories_keep_their_values_and_order():
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["S", "L", None], categories=["S", "M", "L"], ordered=True),
            "grade": pd.Categorical([1, 2, 1]),
            "bin": pd.cut([1, 2, 3], 2),
        }
    )
    size, grade, band = Signature.infer(frame).inputs
    assert (size.type, size.categories, size.nullable) == (ColumnType.STRING, ("S", "M", "L"), True)
    assert (grade.type, grade.categories, grade.is_numeric) == (ColumnType.INT, (1, 2), False)
    assert band.categories is None


def test_arrow_types_are_those_of_their_values():
    frame = pa.table({"n": [1, 2], "t": ["a", None], "f": [1.5, None]}).to_pandas(types_mapper=pd.ArrowDtype)
    assert kinds(frame) == {
        "n": ("int", "int64", False),
        "t": ("string", "string", True),
        "f": ("float", "float64", True),
    }
    assert kinds(pa.table({"n": [1, 2], "t": ["a", None]})) == {
        "n": ("int", "int64", False),
        "t": ("string", "string", True),
    }


def test_columns_of_an_array_are_called_as_scikit_learn_calls_them():
    assert Signature.infer(np.zeros((3, 12))).names == tuple(f"x{n}" for n in range(12))


def test_a_tensor_is_one_column_of_arrays():
    (column,) = Signature.infer(np.zeros((3, 28, 28), dtype="float32")).inputs
    assert (column.name, column.type, column.dtype, column.shape) == ("x0", ColumnType.ARRAY, "float32", (28, 28))


def test_lists_of_numbers_are_arrays_with_a_shape():
    frame = pd.DataFrame({"same": [[1.0, 2.0], [3.0, 4.0]], "ragged": [[1], [1, 2]]})
    same, ragged = Signature.infer(frame).inputs
    assert (same.type, same.dtype, same.shape) == (ColumnType.ARRAY, "float64", (2,))
    assert (ragged.dtype, ragged.shape) == ("int64", (-1,))


def test_texts_without_a_name_are_one_column():
    assert kinds(["good film", "bad film"]) == {"text": ("string", "string", False)}


def test_rows_and_columns_and_one_row_are_tables_alike():
    expected = {"a": ("int", "int64", False), "b": ("string", "string", False)}
    for data in ([{"a": 1, "b": "x"}], {"a": [1], "b": ["x"]}, {"a": 1, "b": "x"}, pa.table({"a": [1], "b": ["x"]})):
        assert kinds(data) == expected


def test_outputs_are_named():
    assert [c.name for c in Signature.infer({"a": [1]}, [0]).outputs] == ["prediction"]
    assert [c.name for c in Signature.infer({"a": [1]}, np.zeros((1, 2))).outputs] == ["prediction_0", "prediction_1"]
    assert [c.name for c in Signature.infer({"a": [1]}, pd.Series([1], name="y")).outputs] == ["y"]


@pytest.mark.parametrize("data", [5, "text", np.zeros(()), {"a": [1, 2], "b": [1]}, [[1, 2], [3]]])
def test_what_is_no_table_is_refused(data):
    with pytest.raises(SignatureError, match="no table"):
        Signature.infer(data)


def test_a_sparse_matrix_is_refused_with_a_remedy():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(SignatureError, match="toarray"):
        Signature.infer(sparse.eye(3))


def test_repeated_names_are_refused_all_at_once():
    with pytest.raises(SignatureError) as caught:
        Signature.infer(pd.DataFrame([[1, 2, 3, 4]], columns=["a", "b", "a", "b"]))
    assert caught.value.columns == ("a", "b")
    with pytest.raises(SignatureError):
        Signature.infer(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    column = Column(name="a", type=ColumnType.INT, dtype="int64")
    with pytest.raises(SignatureError):
        Signature(inputs=(column, column))


@pytest.mark.parametrize(
    ("kind", "dtype"), [("int", "int7"), ("int", "float64"), ("float", "float128"), ("float", "f8")]
)
def test_a_dtype_that_the_type_cannot_have_is_refused(kind, dtype):
    with pytest.raises(SignatureError, match="cannot have dtype"):
        Column(name="x", type=ColumnType(kind), dtype=dtype)


def test_json_comes_back_as_it_was():
    frame = pd.DataFrame(
        {
            "größe \n'x'": [1.5, np.nan],
            "日本": ["a", None],
            "c": pd.Categorical(["u", "v"]),
            "e": [[1, 2], [3, 4]],
            "t": pd.to_datetime(["2026-01-01", "2026-01-02"]),
        }
    )
    signature = Signature.infer(frame, [0.5, 1.5])
    assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature


def test_reading_a_signature_loads_no_pandas():
    code = (
        "import sys; from dwcp_jupyter.flavors import Signature;"
        "Signature.from_json({'inputs': [{'name': 'a', 'type': 'int', 'dtype': 'int64', 'nullable': False}]});"
        "print('pandas' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_fractions_are_not_cut_to_fit_an_array_of_integers():
    signature = Signature.infer(pd.DataFrame({"codes": [[1, 2], [3, 4]]}))
    assert signature.conform({"codes": [1.0, 2.0]})["codes"][0].tolist() == [1, 2]
    with pytest.raises(SignatureError, match="codes"):
        signature.conform({"codes": [1.5, 2.0]})
