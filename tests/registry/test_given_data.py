"""Data that people bring: for the signature, and to compare with."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import Workspace
from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.registry import ModelMetadata

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
TARGET = (FRAME["a"] > 0).astype(int)
NAMED = LogisticRegression().fit(FRAME, TARGET)


@pytest.fixture
def ws(stores):
    return Workspace(stores)


def reference(ws, name):
    found = ws.registry.reference_data(name)
    return ws.stores.frames.get(found.sha256).to_pandas()


@pytest.mark.parametrize(
    "data",
    [FRAME.to_numpy(), FRAME.to_numpy().tolist(), FRAME.to_dict("list"), FRAME.to_dict("records"),
     pa.Table.from_pandas(FRAME)],
    ids=["array", "lists", "dict", "records", "arrow"],
)  # fmt: skip
def test_training_data_of_any_kind_are_kept_by_the_names_of_the_inputs(ws, data):
    version = ws.register("churn", NAMED, data=data)
    assert version.signature.names == ("a", "b", "c")
    pd.testing.assert_frame_equal(reference(ws, "churn"), FRAME)
    ws.registry.set_reference_data("churn@1.0.0", data)
    pd.testing.assert_frame_equal(reference(ws, "churn"), FRAME)


def test_a_model_fitted_on_an_array_is_registered_with_one(ws):
    version = ws.register("np", LogisticRegression().fit(FRAME.to_numpy(), TARGET), data=FRAME.to_numpy())
    assert version.signature.names == ("x0", "x1", "x2")
    assert list(reference(ws, "np").columns) == ["x0", "x1", "x2"]


@pytest.mark.parametrize("data", ["churn.csv", 3.5, FRAME.to_numpy()[:, :2]])
def test_what_is_no_such_table_is_refused_and_nothing_registered(ws, data):
    metadata = ModelMetadata(name="churn")
    with pytest.raises(SignatureError):
        ws.registry.register_model(metadata, NAMED, input_example=FRAME, reference_data=data)
    assert ws.registry.list_models() == ()
    ws.register("churn", NAMED, data=FRAME)
    with pytest.raises(SignatureError):
        ws.registry.set_reference_data("churn@1.0.0", data)
    pd.testing.assert_frame_equal(reference(ws, "churn"), FRAME)


def test_a_framework_that_contradicts_the_model_is_refused(ws):
    with pytest.raises(FlavorError, match=r"framework='pytorch', and the model is one of sklearn\. Leave framework"):
        ws.registry.register_model(ModelMetadata(name="churn", framework="torch"), NAMED)
    assert ws.registry.list_models() == ()
    said = ModelMetadata(name="churn", framework="scikit-learn")
    assert ws.registry.register_model(said, NAMED).framework == "sklearn"
