"""ONNX graphs: named inputs, labels and probabilities, and nothing read from outside the file."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.flavors import ColumnType, Framework, Signature, adopt_file, load_model, save_model
from dwcp_jupyter.flavors.onnx import open_session

OPSETS = {"": 18, "ai.onnx.ml": 3}


def graph_of(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def value(name, kind=TensorProto.FLOAT, shape=(None, 1)):
    return helper.make_tensor_value_info(name, kind, list(shape))


def adding(*names):
    return graph_of(
        [helper.make_node("Sum", list(names), ["total"])], [value(name) for name in names], [value("total")]
    )


@pytest.fixture(scope="module")
def forest(iris):
    return RandomForestClassifier(5, random_state=0).fit(iris[0].to_numpy(), iris[1])


def converted(model, width, **options):
    return convert_sklearn(
        model, initial_types=[("x", FloatTensorType([None, width]))], options={id(model): options}, target_opset=OPSETS
    )


@pytest.mark.parametrize("zipmap", [True, False, "columns"])
def test_classifiers_answer_with_labels_probabilities_and_classes(forest, iris, tmp_path, zipmap):
    data = iris[0].to_numpy()
    info = save_model(converted(forest, 4, zipmap=zipmap), tmp_path / "package")
    loaded = load_model(tmp_path / "package", trust="none")
    said = loaded.predict(data.astype(np.float32))
    assert (said.values == forest.predict(data)).mean() > 0.99
    if zipmap == "columns":
        assert said.probabilities is None
        return
    assert info.task == "classification"
    assert info.classes == said.classes == tuple(forest.classes_)
    np.testing.assert_allclose(said.probabilities, forest.predict_proba(data), atol=1e-5)


def test_labels_of_numbers_stay_numbers(iris, tmp_path):
    model = LogisticRegression(max_iter=500).fit(iris[0].to_numpy(), iris[1].factorize()[0])
    save_model(converted(model, 4, zipmap=False), tmp_path / "package")
    loaded = load_model(tmp_path / "package")
    assert loaded.info.classes == (0, 1, 2)
    assert loaded.predict(iris[0].to_numpy()).values.dtype == np.int64


def test_answers_are_those_of_the_runtime(forest, iris, tmp_path):
    graph = converted(forest, 4, zipmap=False)
    data = iris[0].to_numpy(dtype=np.float32)
    native = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"x": data})
    for name, model in {"graph": graph, "bytes": graph.SerializeToString()}.items():
        save_model(model, tmp_path / name)
        said = load_model(tmp_path / name).predict(data)
        np.testing.assert_array_equal(said.values, native[0])
        np.testing.assert_array_equal(said.probabilities, native[1])


def test_a_foreign_file_is_kept_byte_for_byte(forest, tmp_path):
    path = tmp_path / "their model.onnx"
    path.write_bytes(converted(forest, 4, zipmap=True).SerializeToString())
    info = adopt_file(path, tmp_path / "package", framework=Framework.ONNX, trust="none")
    assert (tmp_path / "package" / info.file).read_bytes() == path.read_bytes()
    assert (info.classes, info.signature.names) == (tuple(forest.classes_), ("x0", "x1", "x2", "x3"))
    assert [c.dtype for c in info.signature.inputs] == ["float32"] * 4


def test_columns_are_fed_by_name(tmp_path):
    frame = pd.DataFrame({"n": [1.0, 2, 3, 4], "town": ["Rome", "Oslo", "Rome", "Lima"]})
    columns = ColumnTransformer([("hot", OneHotEncoder(handle_unknown="ignore"), ["town"])], remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(frame, [1.0, 2, 3, 4])
    types = [("n", FloatTensorType([None, 1])), ("town", StringTensorType([None, 1]))]
    save_model(convert_sklearn(model, initial_types=types, target_opset=OPSETS), tmp_path / "package")
    loaded = load_model(tmp_path / "package")
    assert {c.name: str(c.type) for c in loaded.signature.inputs} == {"n": "float", "town": "string"}
    said = loaded.predict(frame[["town", "n"]])
    np.testing.assert_allclose(said.values, model.predict(frame), atol=1e-4)
    assert said.values.shape == (4,)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.FLOAT, "float32"),
        (TensorProto.DOUBLE, "float64"),
        (TensorProto.INT64, "int64"),
        (TensorProto.INT32, "int32"),
        (TensorProto.UINT8, "uint8"),
        (TensorProto.BOOL, "bool"),
        (TensorProto.STRING, "string"),
    ],
)
@pytest.mark.parametrize("shape", [(None,), (None, 1)])
def test_each_type_of_input_is_a_type_of_column(kind, dtype, shape, tmp_path):
    graph = graph_of([helper.make_node("Identity", ["a"], ["b"])], [value("a", kind, shape)], [value("b", kind, shape)])
    save_model(graph, tmp_path / "package")
    loaded = load_model(tmp_path / "package")
    (column,) = loaded.signature.inputs
    assert (column.name, column.dtype, column.shape) == ("a", dtype, ())
    given = {"string": ["u", "v"], "bool": [True, False]}.get(dtype, [1, 2])
    assert loaded.predict({"a": given}).values.tolist() == given


def test_tensors_are_columns_of_arrays(tmp_path):
    graph = graph_of(
        [helper.make_node("ReduceSum", ["image"], ["total"], keepdims=0, noop_with_empty_axes=0)],
        [value("image", shape=(None, 3, 4))],
        [value("total", shape=())],
    )
    graph.graph.node[0].input.append("axes")
    graph.graph.initializer.append(numpy_helper.from_array(np.array([1, 2]), "axes"))
    graph.graph.output[0].CopyFrom(value("total", shape=(None,)))
    save_model(graph, tmp_path / "package")
    loaded = load_model(tmp_path / "package")
    (column,) = loaded.signature.inputs
    assert (column.type, column.shape, column.dtype) == (ColumnType.ARRAY, (3, 4), "float32")
    assert loaded.predict(np.ones((2, 3, 4))).values.tolist() == [12, 12]
    assert loaded.predict({"image": [np.ones((3, 4)).tolist()]}).values.tolist() == [12]
    with pytest.raises(SignatureError, match="shape"):
        loaded.predict(np.ones((2, 4, 3)))


def test_a_matrix_of_any_width_waits_for_a_signature(tmp_path):
    graph = graph_of(
        [helper.make_node("Identity", ["a"], ["b"])],
        [value("a", shape=(None, None))],
        [value("b", shape=(None, None))],
    )
    assert save_model(graph, tmp_path / "without").signature is None
    info = save_model(graph, tmp_path / "with", input_example={"u": [1.0], "v": [2.0]})
    assert info.signature.names == ("u", "v")
    assert load_model(tmp_path / "with").predict({"v": 2.0, "u": 1.0}).values.tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize("names", [("a", "c"), ("a",), ("a", "b", "c")])
def test_a_signature_that_the_graph_does_not_have_is_refused(names, tmp_path):
    signature = Signature.infer(dict.fromkeys(names, 1.0))
    with pytest.raises(SignatureError, match="the graph takes a, b"):
        save_model(adding("a", "b"), tmp_path / "package", signature=signature)
    assert not (tmp_path / "package").exists()


def test_a_matrix_and_a_signature_of_another_width_are_refused(forest, tmp_path):
    with pytest.raises(SignatureError, match="takes 4"):
        save_model(converted(forest, 4, zipmap=False), tmp_path / "package", signature=Signature.infer({"a": 1.0}))


def test_weights_in_other_files_are_refused(tmp_path):
    weight = numpy_helper.from_array(np.ones(1, dtype=np.float32), "w")
    (tmp_path / "secret").write_bytes(np.ones(1, dtype=np.float32).tobytes())
    onnx.external_data_helper.set_external_data(weight, location="../secret")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    add = helper.make_node("Add", ["a", "w"], ["b"])
    graph = graph_of([add], [value("a")], [value("b")], [weight])
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    with pytest.raises(FlavorError, match="in other files"):
        adopt_file(path, tmp_path / "package")
    inner = helper.make_graph(
        [helper.make_node("Identity", ["w"], ["r"])], "then", [], [value("r", shape=(1,))], initializer=[weight]
    )
    branch = helper.make_node("If", ["c"], ["b"], then_branch=inner, else_branch=inner)
    nested = graph_of([branch], [value("c", TensorProto.BOOL, (1,))], [value("b", shape=(1,))])
    with pytest.raises(FlavorError, match="in other files"):
        save_model(nested, tmp_path / "nested")
    constant = graph_of([helper.make_node("Constant", [], ["b"], value=weight)], [], [value("b", shape=(1,))])
    with pytest.raises(FlavorError, match="in other files"):
        save_model(constant, tmp_path / "constant")


@pytest.mark.parametrize("data", [b"", b"not a graph", b"\x80\x04."])
def test_what_is_no_graph_is_refused(data, tmp_path):
    with pytest.raises(FlavorError):
        save_model(data, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_graph_with_unknown_operators_is_refused(tmp_path):
    graph = graph_of([helper.make_node("Nonsense", ["a"], ["b"])], [value("a")], [value("b")])
    with pytest.raises(FlavorError, match="cannot run the graph"):
        save_model(graph, tmp_path / "package")


def test_sessions_use_one_thread(forest):
    options = open_session(converted(forest, 4).SerializeToString()).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
