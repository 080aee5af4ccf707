"""Columns of any pandas type train, serve and are monitored alike, or are refused by name with a remedy."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import DataValidationError, PipelineError
from dwcp_jupyter.monitoring import compare
from dwcp_jupyter.pipeline import MLPipeline, PipelineConfig
from dwcp_jupyter.pipeline.plain import plain

ROWS = 200


def repeated(*values, dtype=object):
    return pd.Series(list(values) * (ROWS // len(values)), dtype=dtype)


NUMBERS = {
    "Float64": repeated(1.5, None, 2.5, 3.5, dtype="Float64"),
    "Int64": repeated(1, None, 2, 3, dtype="Int64"),
    "numbers with NA": repeated(1.0, pd.NA, 2, 3),
    "decimals": repeated(Decimal("1.5"), None, Decimal(2), Decimal(3)),
    "Arrow integers": repeated(1, None, 2, 3, dtype=pd.ArrowDtype(pa.int64())),
    "boolean": repeated(True, None, False, True, dtype="boolean"),
    "truth values with None": repeated(True, None, False, True),
    "Arrow truth values": repeated(True, None, False, True, dtype=pd.ArrowDtype(pa.bool_())),
    "sparse": pd.Series(pd.arrays.SparseArray([0.0, 1.0, np.nan, 0.0] * (ROWS // 4))),
}
CATEGORIES = {
    "string": repeated("a", None, "b", "c", dtype="string"),
    "text with NA": repeated("a", pd.NA, "b", "c"),
    "Arrow text": repeated("a", None, "b", "c", dtype=pd.ArrowDtype(pa.string())),
    "integer categories": pd.Series(pd.Categorical([1, None, 2, 3] * (ROWS // 4))),
    "truth value categories": pd.Series(pd.Categorical([True, None, False, True] * (ROWS // 4))),
    "categories of string": repeated("a", None, "b", "c", dtype="string").astype("category"),
}
STRUCTURES = {
    "lists after a None": pd.Series([None] + [[1, 2]] * (ROWS - 1)),
    "Arrow lists": repeated([1], None, [2, 3], [4], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
}


@pytest.fixture
def run(stores, tmp_path):
    def run(frame, **fields):
        values = {
            "model_class": "RandomForest",
            "model_params": {"n_estimators": 5},
            "cross_validation_folds": 2,
            **fields,
        }
        config = PipelineConfig(name="p", data_source=frame, target_column="y", output_dir=tmp_path / "out", **values)
        return MLPipeline(config, stores).run()

    return run


def table(values):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"x": values, "z": rng.normal(size=ROWS), "y": rng.normal(size=ROWS)})


@pytest.mark.parametrize("model_class", ["RandomForest", "Ridge"])
@pytest.mark.parametrize("kind", NUMBERS | CATEGORIES)
def test_a_column_trains_serves_and_is_monitored_whatever_its_type(run, kind, model_class):
    frame = table((NUMBERS | CATEGORIES)[kind])
    done = run(frame, model_class=model_class, model_params={})
    model = flavors.load_model(done.package_dir)
    column = model.signature.inputs[0]
    assert (column.name, column.nullable) == ("x", True)
    raw = frame[["x", "z"]]
    answers = model.predict(raw).values
    assert (answers == model.predict(plain(raw)).values).all()
    assert (answers[:4] == model.predict(raw.head(4).to_dict("records")).values).all()
    compared = compare(done.reference[["x", "z"]], raw)
    assert compared.notes == ()
    assert not any(drift.is_drifted for drift in compared.columns)


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_become_floats_with_nan(kind):
    made = plain(NUMBERS[kind].to_frame("x"))["x"]
    assert made.dtype == np.float64
    assert made.isna().tolist() == NUMBERS[kind].isna().tolist()


def test_types_without_missing_values_stay_exact():
    frame = pd.DataFrame(
        {
            "large": pd.array([2**53 + 1, 1], dtype="Int64"),
            "small": pd.array([1, 2], dtype="Int8"),
            "flag": pd.array([True, False], dtype="boolean"),
            "object": pd.Series([2**62 + 1, 1], dtype=object),
            "single": np.array([0.5, 1], dtype="float32"),
        }
    )
    made = plain(frame)
    assert made.dtypes.astype(str).tolist() == ["int64", "int8", "bool", "int64", "float32"]
    assert made.astype(object).to_numpy().tolist() == frame.astype(object).to_numpy().tolist()


@pytest.mark.parametrize("kind", STRUCTURES)
def test_structures_are_left_out(run, kind):
    done = run(table(STRUCTURES[kind]))
    assert any("'x' is left out: its values are structures" in line for line in done.logs)


@pytest.mark.parametrize(
    "values",
    [repeated(1, "a"), repeated(1.0, [1, 2]), pd.Series(np.arange(ROWS) * 1j), pd.Series(pd.cut(np.arange(ROWS), 5))],
    ids=["mixed", "lists after a number", "complex", "intervals"],
)
def test_a_column_that_cannot_be_kept_is_named_with_a_remedy(run, values):
    with pytest.raises(
        PipelineError, match=r"cannot keep column 'x' \(\w+\).*Drop it, or turn it into numbers or text"
    ):
        run(table(values))


def test_integers_that_floats_would_change_are_refused_by_name(run):
    with pytest.raises(
        DataValidationError, match=r"'x' holds integers beyond 2\*\*53 beside missing values.*turn it into"
    ):
        run(table(repeated(2**53 + 1, None, 2, 3, dtype="Int64")))


@pytest.mark.parametrize(
    ("target", "classes"),
    [
        (repeated(True, None, False, True), (False, True)),
        (repeated(True, None, False, True, dtype="boolean"), (False, True)),
        (repeated("a", None, "b", "c", dtype="string"), ("a", "b", "c")),
        (repeated(1, pd.NA, 2, 3), (1, 2, 3)),
        (pd.Series(pd.Categorical([1, None, 2, 3] * (ROWS // 4))), (1, 2, 3)),
    ],
    ids=["truth values with None", "boolean", "string", "numbers with NA", "categories"],
)
def test_a_target_of_any_type_gives_its_own_values(run, target, classes):
    frame = table(np.arange(ROWS) / 2).assign(y=target)
    done = run(frame)
    model = flavors.load_model(done.package_dir)
    assert model.info.classes == classes
    assert set(model.predict(frame[["x", "z"]]).values.tolist()) <= set(classes)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (repeated([1], [2]), "'y' holds no classes"),
        (repeated([1], [2], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), "'y' holds no classes"),
        (pd.Series(pd.Categorical([1.5, 2.5] * (ROWS // 2))), "'y' holds fractions"),
    ],
    ids=["lists", "Arrow lists", "fractions"],
)
def test_a_target_without_classes_is_refused(run, target, message):
    with pytest.raises(DataValidationError, match=message):
        run(table(np.arange(ROWS) / 2).assign(y=target))
