"""MLflow's formats, the guide's dictionaries, and what is said of input that does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
OTHER = {"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}
NAMES = list(ROW)
PATH = "/invocations/iris"


def post(ask, content, **options):
    (response,) = ask(("POST", PATH, {"json": content, **options}))
    return response


def refused(ask, content, status=400):
    response = post(ask, content)
    assert response.status_code == status, response.text
    return response.json()


TWO_ROWS = [
    pytest.param([ROW, OTHER], id="a list of dictionaries"),
    pytest.param({"dataframe_records": [ROW, OTHER]}, id="dataframe_records"),
    pytest.param(
        {"dataframe_split": {"columns": NAMES, "data": [list(ROW.values()), list(OTHER.values())]}},
        id="dataframe_split",
    ),
    pytest.param(
        {"dataframe_split": {"columns": NAMES[::-1], "data": [list(ROW.values())[::-1], list(OTHER.values())[::-1]]}},
        id="dataframe_split, reordered",
    ),
    pytest.param({"instances": [ROW, OTHER]}, id="instances of dictionaries"),
    pytest.param({"instances": [list(ROW.values()), list(OTHER.values())]}, id="instances of lists"),
    pytest.param({"inputs": {name: [ROW[name], OTHER[name]] for name in NAMES[::-1]}}, id="inputs by column"),
    pytest.param({"inputs": [list(ROW.values()), list(OTHER.values())]}, id="inputs by row"),
]


@pytest.mark.parametrize("content", TWO_ROWS)
def test_every_format_of_mlflow_gives_the_models_own_answers(ask, classifier, content):
    response = post(ask, content)
    assert response.status_code == 200, response.text
    answer = response.json()
    frame = [[row[name] for name in NAMES] for row in (ROW, OTHER)]
    assert answer["predictions"] == ["setosa", "virginica"]
    import pandas as pd

    expected = classifier.predict_proba(pd.DataFrame(frame, columns=NAMES))
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        ROW,
        dict(reversed(ROW.items())),
        [ROW],
        {"dataframe_records": [ROW]},
        {"dataframe_split": {"columns": NAMES, "data": [list(ROW.values())]}},
        {"dataframe_split": {"data": [list(ROW.values())]}},
        {"instances": [list(ROW.values())]},
        {"inputs": ROW},
        {"inputs": {name: [value] for name, value in ROW.items()}},
    ],
)
def test_one_row_is_one_answer_in_every_format(ask, content):
    answer = post(ask, content).json()
    assert answer["predictions"] == ["setosa"]
    assert answer["model_version"] == "1.0.0"
    assert answer["latency_ms"] > 0


def test_csv_with_a_header_is_matched_by_name(ask):
    text = "petal_width,petal_length,sepal_width,sepal_length\n0.2,1.4,3.5,5.1\n2.5,6.0,3.3,6.3\n"
    (response,) = ask(("POST", PATH, {"content": text, "headers": {"Content-Type": "text/csv"}}))
    assert response.json()["predictions"] == ["setosa", "virginica"]


def test_a_whole_number_where_a_float_is_expected_is_taken(ask):
    assert post(ask, {**ROW, "sepal_length": 5}).status_code == 200


def test_a_missing_column_is_named(ask):
    answer = refused(ask, {name: value for name, value in ROW.items() if name != "petal_width"})
    assert answer["columns"] == ["petal_width"]
    assert "'petal_width' is missing" in answer["error"]


def test_an_unknown_column_is_named_with_the_one_that_was_meant(ask):
    answer = refused(ask, {**{k: v for k, v in ROW.items() if k != "petal_width"}, "petal_widht": 0.2})
    assert set(answer["columns"]) == {"petal_width", "petal_widht"}
    assert "Did you mean 'petal_width'?" in answer["error"]


def test_an_extra_column_is_refused_by_name(ask):
    answer = refused(ask, {**ROW, "colour": "blue"})
    assert answer["columns"] == ["colour"]


@pytest.mark.parametrize("value", ["5.1", [5.1], {"a": 1}])
def test_a_value_of_the_wrong_type_is_refused_by_column(ask, value):
    answer = refused(ask, {**ROW, "sepal_length": value})
    assert answer["columns"] == ["sepal_length"]


def test_a_null_where_the_model_cannot_take_it_is_refused_by_column(ask):
    answer = refused(ask, {**ROW, "sepal_width": None})
    assert answer["columns"] == ["sepal_width"]
    assert refused(ask, [ROW, {**ROW, "sepal_width": None}])["columns"] == ["sepal_width"]


def test_nan_is_not_json_and_the_remedy_is_said(ask):
    body = json.dumps({**ROW, "sepal_width": float("nan")})
    (response,) = ask(("POST", PATH, {"content": body, "headers": {"Content-Type": "application/json"}}))
    assert response.status_code == 400
    assert "send null" in response.json()["error"]


def test_a_number_too_large_for_float32_is_refused_by_column(ask):
    answer = refused(ask, {**ROW, "petal_length": 1e300})
    assert answer["columns"] == ["petal_length"]


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"dataframe_records": []},
        {"instances": []},
        {"inputs": []},
        {"dataframe_split": {"columns": NAMES, "data": []}},
        {"inputs": {name: [] for name in NAMES}},
    ],
)
def test_no_rows_are_refused(ask, content):
    assert "no rows" in refused(ask, content)["error"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("text", "not an object or a list"),
        (5, "not an object or a list"),
        ({"dataframe_split": [1]}, "'dataframe_split' must hold"),
        ({"dataframe_split": {"columns": [1], "data": [[1]]}}, "as a list of texts"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1, 2]]}}, "Row 0 has 2 values"),
        ({"dataframe_split": {"columns": [*NAMES[:3], NAMES[0]], "data": [[1, 2, 3, 4]]}}, "named twice"),
        ({"instances": ROW}, "'instances' must be a list"),
        ({"instances": [ROW, [1, 2, 3, 4]]}, "Row 1 is a list"),
        ({"inputs": 5}, "'inputs' must be"),
        ({"inputs": {**{name: [1.0] for name in NAMES}, "petal_width": [1.0, 2.0]}}, "has 1 values"),
        ({"instances": [ROW], "inputs": [ROW]}, "Send one of them"),
        ({"instances": [ROW], "parms": {}}, "Did you mean 'params'?"),
        ({"instances": [ROW], "params": {"a": 1}}, "takes no 'params'"),
        ([ROW, {k: v for k, v in ROW.items() if k != "petal_width"}], "missing in row 1"),
        ([ROW, {**ROW, "petal": 1}], "'petal' is missing in row 0"),
    ],
)
def test_what_is_malformed_is_refused_with_what_is_wrong(ask, content, said):
    assert said in refused(ask, content)["error"]


def test_an_empty_body_and_broken_json_are_refused(ask):
    headers = {"Content-Type": "application/json"}
    empty, broken, deep = ask(
        ("POST", PATH, {"content": b"", "headers": headers}),
        ("POST", PATH, {"content": b'{"sepal_length": ', "headers": headers}),
        ("POST", PATH, {"content": b"[" * 100_000, "headers": headers}),
    )
    assert empty.status_code == broken.status_code == deep.status_code == 400
    assert "it is empty" in empty.json()["error"]


def test_another_content_type_is_refused_with_those_that_are_taken(ask):
    (response,) = ask(("POST", PATH, {"content": b"x", "headers": {"Content-Type": "application/x-protobuf"}}))
    assert response.status_code == 415
    assert "application/json" in response.json()["error"]
