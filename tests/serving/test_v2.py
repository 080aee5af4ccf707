"""Open Inference Protocol v2: shapes, datatypes, metadata."""

from __future__ import annotations

import pytest

ROW = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
OTHER = {"sepal_length": 6.3, "sepal_width": 3.3, "petal_length": 6.0, "petal_width": 2.5}
PATH = "/v2/models/iris/infer"


def tensor(name, data, *, shape=None, datatype="FP64"):
    return {"name": name, "shape": [len(data)] if shape is None else shape, "datatype": datatype, "data": data}


def columns(*rows, **changes):
    return [tensor(name, [row[name] for row in rows], **changes) for name in rows[0]]


def post(ask, content, path=PATH):
    (response,) = ask(("POST", path, {"json": content}))
    return response


def output(answer, name):
    return next(item for item in answer["outputs"] if item["name"] == name)


@pytest.mark.parametrize("rows", [(ROW,), (ROW, OTHER)])
def test_one_tensor_per_column_is_matched_by_name(ask, rows):
    answer = post(ask, {"id": "r1", "inputs": columns(*rows)[::-1]}).json()
    assert answer["id"] == "r1"
    assert answer["model_name"] == "iris"
    assert answer["model_version"] == "1.0.0"
    predictions, probabilities = output(answer, "predictions"), output(answer, "probabilities")
    assert predictions["data"] == ["setosa", "virginica"][: len(rows)]
    assert predictions["datatype"] == "BYTES"
    assert predictions["shape"] == [len(rows)]
    assert probabilities["shape"] == [len(rows), 3]
    assert len(probabilities["data"]) == 3 * len(rows)
    assert sum(probabilities["data"]) == pytest.approx(len(rows))


def test_a_column_may_have_the_shape_n_1(ask):
    answer = post(ask, {"inputs": [tensor(n, [[v]], shape=[1, 1]) for n, v in ROW.items()]}).json()
    assert output(answer, "predictions")["data"] == ["setosa"]


@pytest.mark.parametrize("is_nested", [True, False])
@pytest.mark.parametrize("rows", [(ROW,), (ROW, OTHER)])
def test_a_2d_tensor_holds_all_columns_in_the_signatures_order(ask, rows, is_nested):
    nested = [list(row.values()) for row in rows]
    data = nested if is_nested else [value for row in nested for value in row]
    answer = post(ask, {"inputs": [tensor("anything", data, shape=[len(rows), 4], datatype="FP32")]}).json()
    assert output(answer, "predictions")["data"] == ["setosa", "virginica"][: len(rows)]


def test_only_the_outputs_that_were_asked_for_are_sent(ask):
    answer = post(ask, {"inputs": columns(ROW), "outputs": [{"name": "probabilities"}]}).json()
    assert [item["name"] for item in answer["outputs"]] == ["probabilities"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "does not follow the inference protocol"),
        ({"inputs": []}, "no inputs"),
        ({"inputs": [{"name": "a"}]}, "does not follow the inference protocol"),
        ({"inputs": columns(ROW, datatype="FLOAT")}, "which the protocol does not have"),
        ({"inputs": columns(ROW, datatype="fp32")}, "Did you mean 'FP32'?"),
        ({"inputs": columns(ROW, datatype="INT64")}, "Send integers"),
        ({"inputs": columns(ROW, datatype="BYTES")}, "Send texts"),
        ({"inputs": columns(ROW, shape=[2])}, "has 1 elements, but its shape [2] has 2"),
        ({"inputs": columns(ROW, shape=[-1])}, "Send [rows]"),
        ({"inputs": columns(ROW, shape=[])}, "Send [rows]"),
        ({"inputs": columns(ROW)[:3]}, "'petal_width' is missing"),
        ({"inputs": [*columns(ROW), tensor("colour", [1.0])]}, "'colour' is unknown"),
        ({"inputs": [*columns(ROW), tensor("petal_width", [1.0])]}, "given twice"),
        ({"inputs": [tensor("all", [1.0, 2.0, 3.0], shape=[1, 3])]}, "the model has 4 columns"),
        ({"inputs": [tensor("petal_widht", [1.0], shape=[1, 1])]}, "Did you mean 'petal_width'?"),
        ({"inputs": [*columns(ROW)[:3], tensor("petal_width", [1.0, 2.0])]}, "has 1 values"),
        ({"inputs": columns(ROW), "outputs": [{"name": "prediction"}]}, "Did you mean 'predictions'?"),
        ({"inputs": [tensor("x", [300, 1, 1, 1], shape=[1, 4], datatype="UINT8")]}, "cannot hold 300"),
        ({"inputs": [tensor("x", [[1.0, 2.0], 3.0, 4.0], shape=[1, 4])]}, "mixes lists and values"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_what_is_wrong(ask, content, said):
    response = post(ask, content)
    assert response.status_code == 400, response.text
    assert said in response.json()["error"]


def test_null_is_judged_by_the_signature(ask):
    response = post(ask, {"inputs": columns({**ROW, "petal_width": None})})
    assert response.status_code == 400
    assert response.json()["columns"] == ["petal_width"]


def test_the_version_in_the_path_must_be_the_one_that_is_served(ask):
    content = {"json": {"inputs": columns(ROW)}}
    right, prefixed, wrong = ask(
        ("POST", "/v2/models/iris/versions/1.0.0/infer", content),
        ("GET", "/v2/models/iris/versions/v1.0.0", {}),
        ("POST", "/v2/models/iris/versions/2.0.0/infer", content),
    )
    assert right.status_code == prefixed.status_code == 200
    assert wrong.status_code == 404
    assert "serves version '1.0.0'" in wrong.json()["error"]


def test_metadata_names_every_column_and_says_how_the_model_runs(ask):
    (response,) = ask(("GET", "/v2/models/iris", {}))
    answer = response.json()
    assert [item["name"] for item in answer["inputs"]] == list(ROW)
    assert {item["datatype"] for item in answer["inputs"]} == {"FP64"}
    assert answer["platform"] == "onnx_onnxv1"
    assert answer["parameters"]["execution"] == "compiled"
    assert answer["parameters"]["classes"] == ["setosa", "versicolor", "virginica"]
    assert [item["name"] for item in answer["outputs"]] == ["predictions", "probabilities"]


def test_health_and_readiness(ask):
    live, ready, model, server, version = ask(
        ("GET", "/v2/health/live", {}),
        ("GET", "/v2/health/ready", {}),
        ("GET", "/v2/models/iris/ready", {}),
        ("GET", "/v2", {}),
        ("GET", "/v2/models/iris/versions/1.0.0/ready", {}),
    )
    assert live.json() == {"live": True}
    assert ready.json() == {"ready": True}
    assert model.json() == version.json() == {"name": "iris", "ready": True}
    assert server.json()["name"] == "dwcp_jupyter"
