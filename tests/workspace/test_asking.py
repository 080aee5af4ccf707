"""What a notebook holds becomes rows with named features, or one short error."""

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.workspace import Workspace
from dwcp_jupyter.workspace.asking import to_rows

ROW = {"a": 1.0, "b": 2.0}
FRAME = pd.DataFrame([ROW, ROW])


def rows(data):
    found = to_rows(data, lambda: ["a", "b"])
    return found.to_dict(orient="records") if isinstance(found, pd.DataFrame) else found


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (FRAME, [ROW, ROW]),
        (ROW, [ROW]),
        ([ROW, ROW], [ROW, ROW]),
        (FRAME.iloc[0], [ROW]),
        (FRAME.to_numpy(), [ROW, ROW]),
        (FRAME.to_numpy().tolist(), [ROW, ROW]),
        (np.array([1.0, 2.0]), [ROW]),
        ([1.0, 2.0], [ROW]),
        ((1.0, 2.0), [ROW]),
        (FRAME["a"], [{"a": 1.0}, {"a": 1.0}]),
        (np.array([(1.0, 2.0)], dtype=[("b", float), ("a", float)]), [{"b": 1.0, "a": 2.0}]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_data_with_a_clear_meaning_become_rows(data, expected):
    assert rows(data) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (5, "5 is no table"),
        ("five", "'five' is no table"),
        (None, "None is no table"),
        (np.zeros((2, 3)), "Columns without names: 3; inputs of the model: 2 "),
        ([ROW, 3], "Row 1 is of type 'int'"),
        ([[1], [1, 2]], "no table"),
    ],
)
def test_other_data_are_refused_in_one_sentence_or_two(data, message):
    with pytest.raises(SignatureError, match=message) as caught:
        rows(data)
    assert ".." not in str(caught.value)


def test_a_model_that_is_none_is_no_draft(tmp_path):
    with pytest.raises(FlavorError, match="'churn' is None"):
        Workspace(tmp_path / "w").register("churn", None)
    assert not (tmp_path / "w").exists()
