"""Examples of input, by the columns that the model was fitted on."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwcp_jupyter.exceptions import PredictionError, SignatureError
from dwcp_jupyter.flavors import Framework, load_model, read_example, save_model

FRAME = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 3)), columns=["a", "b", "c"])
TARGET = (FRAME["a"] > 0).astype(int)


class Polars:
    """A frame of polars as far as it is asked: its columns are a list, and `to_pandas` leaves them."""

    columns = property(lambda _: ["a", "b", "c"])

    def to_pandas(self):
        return FRAME


def logistic():
    return LogisticRegression().fit(FRAME, TARGET)


def boosted():
    return xgboost.XGBClassifier(n_estimators=2).fit(FRAME, TARGET)


def booster():
    return xgboost.train({}, xgboost.DMatrix(FRAME, TARGET), 2)


MODELS = [logistic, boosted, booster]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    "example",
    [
        FRAME.to_numpy(),
        FRAME.to_numpy().tolist(),
        FRAME.to_dict("list"),
        FRAME.to_dict("records"),
        pa.Table.from_pandas(FRAME),
        Polars(),
        FRAME[["c", "a", "b"]],
    ],
    ids=["array", "lists", "dict", "records", "arrow", "polars", "other order"],
)
def test_tables_of_any_kind_take_the_names_and_the_order_that_the_model_was_fitted_on(tmp_path, make, example):
    info = save_model(make(), tmp_path / "package", input_example=example)
    assert info.signature.names == ("a", "b", "c")
    assert [column.name for column in info.signature.outputs] == ["prediction"]
    np.testing.assert_allclose(read_example(tmp_path / "package"), FRAME.head(5))
    assert len(load_model(tmp_path / "package").predict(FRAME).values) == len(FRAME)


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(
    ("example", "said"),
    [
        (
            FRAME.assign(y=TARGET),
            "Column 'y' is unknown. The model takes: a, b, c. Drop 'y' from the data.",
        ),
        (
            FRAME.drop(columns="b"),
            "Column 'b' is missing. The model takes: a, b, c. Pass the columns that it was fitted on.",
        ),
        (
            FRAME.rename(columns={"b": "bb"}),
            (
                "Column 'b' is missing. Column 'bb' is unknown. Did you mean 'b'? The model takes: a, b, c. "
                "Pass the columns that it was fitted on."
            ),
        ),
        (
            FRAME.assign(y=TARGET).to_numpy(),
            (
                "The data have 4 columns without names, and the model takes 3: a, b, c. Pass a data frame with these, "
                "or as many columns."
            ),
        ),
    ],
    ids=["target left in", "missing", "renamed", "array with the target"],
)
def test_other_columns_than_the_fitted_ones_are_named_with_the_remedy(tmp_path, make, example, said):
    with pytest.raises(SignatureError) as caught:
        save_model(make(), tmp_path / "package", input_example=example)
    assert str(caught.value) == said
    assert not (tmp_path / "package").exists()


def test_a_column_that_the_model_drops_may_be_missing(tmp_path):
    chosen = make_column_transformer((StandardScaler(), ["a", "b"]))
    model = make_pipeline(chosen, LogisticRegression()).fit(FRAME, TARGET)
    info = save_model(model, tmp_path / "package", input_example=FRAME[["a", "b"]])
    assert info.signature.names == ("a", "b")
    with pytest.raises(SignatureError, match="Drop 'y' from the data"):
        save_model(model, tmp_path / "other", input_example=FRAME.assign(y=TARGET))


def test_a_model_without_names_says_how_many_columns_it_takes(tmp_path):
    model = LogisticRegression().fit(FRAME.to_numpy(), TARGET)
    with pytest.raises(SignatureError, match=r"have 4 columns \(a, b, c, y\), and the model was fitted on 3\. Pass"):
        save_model(model, tmp_path / "package", input_example=FRAME.assign(y=TARGET))
    info = save_model(model, tmp_path / "package", input_example=FRAME)
    assert info.signature.names == ("a", "b", "c")


def test_what_is_no_fault_of_the_columns_stays_the_models(tmp_path):
    with pytest.raises(PredictionError, match="failed on input that fits its signature"):
        save_model(logistic(), tmp_path / "package", input_example=FRAME.assign(b=np.nan))


def test_a_framework_is_found_by_its_other_names():
    assert Framework("torch") is Framework("pytorch") is Framework.PYTORCH
    assert Framework("scikit-learn") is Framework.SKLEARN
    with pytest.raises(ValueError, match="tarch"):
        Framework("tarch")
