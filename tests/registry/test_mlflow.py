"""A version goes to MLflow and back: loaded in MLflow's own environment, it answers the same."""

import json
import os
import pickle
import subprocess

import numpy as np
import pandas as pd
import pytest
import yaml

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from tests.benchmarks import environments

pytestmark = pytest.mark.timeout(900)  # the first of them installs MLflow, where it is not yet

_PREDICT = """
import json, sys
import mlflow.pyfunc, pandas as pd
frame = pd.read_parquet(sys.argv[2])
print(json.dumps(pd.DataFrame(mlflow.pyfunc.load_model(sys.argv[1]).predict(frame)).values.tolist()))
"""
_OUTPUTS = """
import json, sys
import mlflow.models
outputs = mlflow.models.get_model_info(sys.argv[1]).signature.outputs
print(json.dumps(None if outputs is None else [(c.name, str(c.type), c.required) for c in outputs]))
"""
_SAVE = """
import sys, pandas as pd, mlflow.sklearn, mlflow.xgboost
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
frame = pd.read_parquet(sys.argv[2])
target = (frame["a"] > 0).map({True: "yes", False: "no"})
encoded = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
model = make_pipeline(encoded, LogisticRegression()).fit(frame, target)
save = {"skops": {}, "pickle": {"serialization_format": "pickle"}}[sys.argv[3]]
signature = infer_signature(frame, model.predict(frame))
mlflow.sklearn.save_model(model, sys.argv[1], signature=signature, input_example=frame[:3], **save)
print("[]")
"""


@pytest.fixture
def registry(tmp_path):
    registry = ModelRegistry(tmp_path / "w")
    yield registry
    registry._stores.close()


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    columns = {"a": rng.normal(size=60), "b": rng.integers(0, 5, 60), "c": rng.choice(["x", "y"], 60)}
    return pd.DataFrame(columns)


def in_mlflow(tmp_path, script, *arguments):
    """Return what a script prints that runs where MLflow is installed and nothing of ours."""
    python = environments.ensure("mlflow").python
    environ = {
        **os.environ,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "true",
        "MLFLOW_TRACKING_URI": str(tmp_path / "runs"),
    }
    done = subprocess.run(
        [str(python), "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environ,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def pipelined(frame):
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoded = make_column_transformer((OneHotEncoder(), ["c"]), remainder="passthrough")
    target = np.where(frame["a"] + frame["b"] > 2, "yes", "no")
    return make_pipeline(encoded, RandomForestClassifier(n_estimators=10, random_state=0)).fit(frame, target)


def boosted(frame):
    import xgboost

    return xgboost.XGBRegressor(n_estimators=5).fit(frame[["a", "b"]], frame["a"] * 2)


def graph(frame):
    from skl2onnx import to_onnx
    from sklearn.linear_model import LinearRegression

    inputs = frame[["a"]].to_numpy(dtype="float32")
    return to_onnx(LinearRegression().fit(inputs, frame["a"] * 2), inputs[:1]).SerializeToString()


@pytest.mark.parametrize("make", [pipelined, boosted, graph])
def test_an_exported_version_answers_the_same_in_mlflow(registry, frame, tmp_path, make):
    inputs = {"pipelined": frame, "boosted": frame[["a", "b"]], "graph": None}[make.__name__]
    if inputs is None:
        version = registry.register_model(ModelMetadata(name="m"), make(frame))
        inputs = pd.DataFrame({version.signature.inputs[0].name: frame["a"].astype("float32")})
    else:
        registry.register_model(ModelMetadata(name="m"), make(frame), input_example=inputs)
    folder = registry.export_mlflow("m@1.0.0", tmp_path / "exported")
    inputs.to_parquet(tmp_path / "inputs.parquet")
    theirs = np.array(in_mlflow(tmp_path, _PREDICT, folder, tmp_path / "inputs.parquet"))[:, 0]
    ours = np.asarray(registry.load_model("m").predict(inputs).values).reshape(-1)
    if ours.dtype.kind == "f":
        np.testing.assert_allclose(theirs.astype(float), ours, rtol=1e-6)
    else:
        assert theirs.tolist() == ours.tolist()


def test_mlflows_own_model_is_registered_and_answers_the_same(registry, frame, tmp_path):
    frame.to_parquet(tmp_path / "frame.parquet")
    in_mlflow(tmp_path, _SAVE, tmp_path / "theirs", tmp_path / "frame.parquet", "skops")
    theirs = np.array(in_mlflow(tmp_path, _PREDICT, tmp_path / "theirs", tmp_path / "frame.parquet"))[:, 0]
    version = registry.import_mlflow(tmp_path / "theirs", ModelMetadata(name="imported"))
    assert [(c.name, str(c.type)) for c in version.signature.inputs] == [("a", "float"), ("b", "int"), ("c", "string")]
    assert version.custom_metadata["mlflow_version"]
    assert registry.load_model("imported").predict(frame).values.tolist() == theirs.tolist()
    folder = registry.export_mlflow("imported", tmp_path / "again")
    again = np.array(in_mlflow(tmp_path, _PREDICT, folder, tmp_path / "frame.parquet"))[:, 0]
    assert again.tolist() == theirs.tolist()


def test_a_pickle_of_mlflow_takes_a_decision(registry, frame, tmp_path):
    frame.to_parquet(tmp_path / "frame.parquet")
    in_mlflow(tmp_path, _SAVE, tmp_path / "theirs", tmp_path / "frame.parquet", "pickle")
    with pytest.raises(UntrustedArtifactError) as caught:
        registry.import_mlflow(tmp_path / "theirs", ModelMetadata(name="imported"))
    assert registry.list_models() == ()
    named = caught.value.sha256
    assert registry.import_mlflow(tmp_path / "theirs", ModelMetadata(name="imported"), trust=named).version == "1.0.0"
    with pytest.raises(FlavorError, match="not exported"):
        registry.export_mlflow("imported", tmp_path / "out")
    assert not (tmp_path / "out").exists()


class _Told:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("trust", [None, "own", "none", flavors.Trust(own=True), "0" * 64])
def test_a_downloaded_pickle_runs_for_nobody_who_did_not_name_its_sum(registry, tmp_path, trust):
    folder, ran = tmp_path / "theirs", tmp_path / "ran"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl, sklearn_version: 1.9.0}}")
    (folder / "model.pkl").write_bytes(pickle.dumps(_Told(ran)))
    (folder / "model.pkl").chmod(0o600)  # unpacked by this user, and nobody else's to write
    with pytest.raises(UntrustedArtifactError) as caught:
        registry.import_mlflow(folder, ModelMetadata(name="x"), trust=trust)
    assert not ran.exists()
    assert registry.list_models() == ()
    line = f"registry.import_mlflow('{folder}', metadata, trust='{caught.value.sha256}')"
    assert str(caught.value).endswith(line)


def test_a_downloaded_pickle_is_registered_by_its_sum_said_here_or_in_the_settings(
    registry, tmp_path, classifier, iris, monkeypatch
):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "MLmodel").write_text("flavors: {sklearn: {pickled_model: model.pkl, sklearn_version: 1.9.0}}")
    (folder / "model.pkl").write_bytes(pickle.dumps(classifier))
    with pytest.raises(UntrustedArtifactError) as caught:
        registry.import_mlflow(folder, ModelMetadata(name="x"))
    assert registry.import_mlflow(folder, ModelMetadata(name="x"), trust=caught.value.sha256).version == "1.0.0"
    monkeypatch.setenv("DWCP_TRUST", f"own,{caught.value.sha256}")
    assert registry.import_mlflow(folder, ModelMetadata(name="x")).version == "1.1.0"
    assert len(registry.load_model("x").predict(iris[0].head(3)).values) == 3


def test_labels_that_mlflow_would_lose_are_not_exported(registry, frame, tmp_path):
    import xgboost

    model = xgboost.XGBClassifier(n_estimators=2).fit(frame[["a", "b"]], (frame["a"] > 0).astype(int))
    registry.register_model(ModelMetadata(name="plain"), model, input_example=frame[["a", "b"]])
    assert registry.export_mlflow("plain", tmp_path / "plain").is_dir()
    with pytest.raises(FileExistsError):
        registry.export_mlflow("plain", tmp_path / "plain")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (None, "has no file 'MLmodel'"),
        ("[", "cannot be read"),
        ("just text", "cannot be read"),
        ("flavors: {}", "of the kind python_function"),
        ("flavors: {lightgbm: {data: x}}", "of the kind lightgbm"),
        ("flavors: {keras: {data: x}}", "names 'x/model.keras', which is not in"),
        ("flavors: {keras: {data: ../theirs}}", "outside its folder"),
        ("flavors: {keras: {data: x, save_exported_model: true}}", "keeps a SavedModel"),
        ("flavors: {tensorflow: {model_type: tf2-module, saved_model_dir: x}}", "keeps a SavedModel"),
        ("flavors: {sklearn: {pickled_model: ../../secret.skops}}", "outside its folder"),
        ("flavors: {sklearn: {pickled_model: /etc/passwd}}", "outside its folder"),
        ("flavors: {sklearn: {pickled_model: link.skops}}", "outside its folder"),
        ("flavors: {onnx: {data: missing.onnx}}", "not in"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_what_is_no_mlflow_model_is_refused(registry, tmp_path, said, fault):
    folder = tmp_path / "theirs"
    folder.mkdir()
    (tmp_path / "secret.skops").write_bytes(b"secret")
    (folder / "link.skops").symlink_to(tmp_path / "secret.skops")
    if said is not None:
        (folder / "MLmodel").write_text(said)
    with pytest.raises(FlavorError, match=fault):
        registry.import_mlflow(folder, ModelMetadata(name="x"))
    assert registry.list_models() == ()


def test_the_signature_and_the_example_travel(frame, tmp_path):
    flavors.save_model(pipelined(frame), tmp_path / "package", input_example=frame)
    said = yaml.safe_load((flavors.write_mlflow(tmp_path / "package", tmp_path / "out") / "MLmodel").read_text())
    columns = json.loads(said["signature"]["inputs"])
    assert [(c["name"], c["type"], c["required"]) for c in columns] == [
        ("a", "double", True),
        ("b", "long", True),
        ("c", "string", True),
    ]
    read = flavors.read_mlflow(tmp_path / "out")
    assert read.signature.names == ("a", "b", "c")
    assert len(read.example) > 0


@pytest.mark.parametrize(
    ("make", "columns", "outputs"),
    [
        (pipelined, ["a", "b", "c"], [["prediction", "DataType.string", True]]),
        (boosted, ["a", "b"], [["prediction", "DataType.float", True]]),
    ],
)
def test_mlflow_reads_the_outputs_of_an_exported_version(registry, frame, tmp_path, make, columns, outputs):
    registered = registry.register_model(ModelMetadata(name="m"), make(frame), input_example=frame[columns])
    folder = registry.export_mlflow("m@1.0.0", tmp_path / "exported")
    assert in_mlflow(tmp_path, _OUTPUTS, folder) == outputs
    back = registry.import_mlflow(folder / "MLmodel", ModelMetadata(name="back"))
    assert back.signature.outputs == registered.signature.outputs


def test_mlflows_tensor_of_outputs_becomes_a_column(registry, frame, tmp_path):
    frame.to_parquet(tmp_path / "frame.parquet")
    in_mlflow(tmp_path, _SAVE, tmp_path / "theirs", tmp_path / "frame.parquet", "skops")
    said = yaml.safe_load((tmp_path / "theirs" / "MLmodel").read_text())
    assert json.loads(said["signature"]["outputs"])[0]["type"] == "tensor"
    with_example = registry.import_mlflow(tmp_path / "theirs", ModelMetadata(name="one"))
    del said["saved_input_example_info"]
    (tmp_path / "theirs" / "MLmodel").write_text(yaml.safe_dump(said))
    without = registry.import_mlflow(tmp_path / "theirs", ModelMetadata(name="two"))
    for version, kind in ((with_example, "string"), (without, "object")):  # NumPy's type is all that MLflow says
        assert [(c.name, str(c.type)) for c in version.signature.outputs] == [("prediction", kind)]


def described(folder, *, inputs, outputs, **function):
    """Write an MLmodel that says this signature beside a fitted model."""
    known = {"python_function": {"loader_module": "mlflow.sklearn", **function}}
    known["sklearn"] = {"pickled_model": "model.skops", "sklearn_version": "1.9.0"}
    signature = {"inputs": json.dumps(inputs), "outputs": json.dumps(outputs), "params": None}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": known, "signature": signature}))


TENSOR = {"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}
DOUBLES = [{"type": "double", "name": name, "required": True} for name in ("a", "b")]


@pytest.fixture
def theirs(frame, tmp_path):
    from sklearn.linear_model import LogisticRegression

    target = (frame["a"] > 0).astype(int)
    flavors.save_model(LogisticRegression().fit(frame[["a", "b"]], target), tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ([TENSOR], [("prediction", "int", "int64")]),
        ([{"type": "long", "name": "label", "required": True}], [("label", "int", "int64")]),
        ([{"type": "double"}], [("prediction", "float", "float64")]),
        (
            [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}],
            [("prediction_0", "float", "float32"), ("prediction_1", "float", "float32")],
        ),
    ],
)
def test_outputs_are_read_where_no_example_shows_them(registry, theirs, outputs, found):
    described(theirs, inputs=DOUBLES, outputs=outputs)
    version = registry.import_mlflow(theirs, ModelMetadata(name="x"))
    assert [(c.name, str(c.type), c.dtype) for c in version.signature.outputs] == found
    described(theirs, inputs=[{**TENSOR, "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}], outputs=outputs)
    version = registry.import_mlflow(theirs, ModelMetadata(name="x"))  # by the model's own names
    assert version.signature.names == ("a", "b")
    assert [(c.name, str(c.type), c.dtype) for c in version.signature.outputs] == found


@pytest.mark.parametrize(
    ("outputs", "function"),
    [
        ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2, 3]}}], {}),
        ([{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, -1]}}], {}),
        ([{"type": "array", "items": {"type": "double"}, "name": "x"}], {}),
        ([TENSOR], {"predict_fn": "predict_proba"}),
    ],
)
def test_outputs_that_are_left_out_are_told(registry, theirs, outputs, function):
    described(theirs, inputs=DOUBLES, outputs=outputs, **function)
    with pytest.warns(UserWarning, match="signature's outputs were left out"):
        version = registry.import_mlflow(theirs, ModelMetadata(name="x"))
    assert version.signature.outputs == ()
    assert version.signature.names == ("a", "b")


def test_the_outputs_of_a_graph_are_written_by_its_own_names(registry, frame, tmp_path):
    example = frame[["a"]].astype("float32").rename(columns={"a": "X"})
    registry.register_model(ModelMetadata(name="m"), graph(frame), input_example=example)
    folder = registry.export_mlflow("m@1.0.0", tmp_path / "exported")
    assert in_mlflow(tmp_path, _OUTPUTS, folder) == [["variable", "DataType.float", True]]


@pytest.mark.parametrize("place", ["model.skops", "missing", "MLmodel/x"])
def test_a_path_to_another_file_is_refused_shortly(registry, theirs, place):
    described(theirs, inputs=DOUBLES, outputs=[TENSOR])
    with pytest.raises(FlavorError, match="has no file 'MLmodel': it is no MLflow model"):
        registry.import_mlflow(theirs / place, ModelMetadata(name="x"))
    with pytest.raises(TypeError, match=r"ModelMetadata\(name='NAME'\)"):
        registry.import_mlflow(theirs, "x")
