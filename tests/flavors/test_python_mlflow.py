"""A function goes to MLflow and back: there nothing of this package is installed, and here its sum is the same."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import xgboost
import yaml
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import adopt_file, load_model, read_package, save_model, write_mlflow
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from tests.benchmarks import environments

FRAME = pd.DataFrame({"amount": np.linspace(-2, 2, 40), "zone": np.arange(40) % 2})
linear = LogisticRegression().fit(FRAME, FRAME["amount"] > 0.3)
trees = xgboost.XGBRegressor(n_estimators=3).fit(FRAME, FRAME["amount"])
rates = pd.Series([0.5, 2.0], name="rate")
shift = np.array([1.0, 2.0])

_ASK = """
import json, sys
import mlflow.pyfunc, pandas as pd
frame = pd.read_parquet(sys.argv[-1])
answers = [list(mlflow.pyfunc.load_model(path).predict(frame)) for path in sys.argv[1:-1]]
print(json.dumps({"answers": [list(map(float, answer)) for answer in answers], "ours": "dwcp_jupyter" in sys.modules}))
"""


def score(frame):
    both = linear.predict_proba(frame)[:, 1] + trees.predict(frame)
    return both * frame["zone"].map(rates).to_numpy() + shift[0]


def rule(frame):
    return (frame["amount"] > 0).astype(int)


@pytest.mark.timeout(900)  # the first of these tests installs MLflow, where it is not yet
def test_exported_functions_answer_alike_in_mlflow(tmp_path):
    for function in (score, rule):
        save_model(function, tmp_path / function.__name__, input_example=FRAME)
        write_mlflow(tmp_path / function.__name__, tmp_path / f"{function.__name__}-mlflow")
    foreign = tmp_path / "rules.py"
    foreign.write_text("def predict(frame):\n    return frame['amount'] * 3\n")
    foreign.chmod(0o600)
    adopt_file(foreign, tmp_path / "foreign", input_example=FRAME)
    write_mlflow(tmp_path / "foreign", tmp_path / "foreign-mlflow")
    FRAME.to_parquet(tmp_path / "frame.parquet")
    folders = [str(tmp_path / f"{name}-mlflow") for name in ("score", "rule", "foreign")]
    python = environments.ensure("mlflow").python
    environ = {**os.environ, "MLFLOW_TRACKING_URI": str(tmp_path / "runs")}
    done = subprocess.run(
        [str(python), "-c", _ASK, *folders, str(tmp_path / "frame.parquet")],
        capture_output=True, text=True, cwd=tmp_path, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["ours"] is False
    np.testing.assert_allclose(said["answers"][0], score(FRAME), rtol=1e-6)
    assert said["answers"][1] == rule(FRAME).tolist()
    np.testing.assert_allclose(said["answers"][2], FRAME["amount"] * 3)


def test_an_exported_function_needs_nothing_of_this_package(tmp_path):
    save_model(score, tmp_path / "package", input_example=FRAME)
    folder = write_mlflow(tmp_path / "package", tmp_path / "out")
    conf = yaml.safe_load((folder / "MLmodel").read_text())["flavors"]["python_function"]
    FRAME.to_parquet(tmp_path / "frame.parquet")
    code = (
        "import importlib, json, sys, pandas as pd; sys.modules['dwcp_jupyter'] = None; sys.path.insert(0, sys.argv[1]);"
        "model = importlib.import_module(sys.argv[2])._load_pyfunc(sys.argv[3]);"
        "print(json.dumps(list(map(float, model.predict(pd.read_parquet(sys.argv[4]), None)))))"
    )
    arguments = [folder / conf["code"], conf["loader_module"], folder / conf["data"], tmp_path / "frame.parquet"]
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(json.loads(done.stdout), score(FRAME))
    assert {"scikit-learn", "skops"} <= {line.partition("==")[0] for line in (folder / "requirements.txt").open()}


def test_a_function_comes_back_from_mlflow_with_its_sum_and_takes_a_decision(tmp_path):
    registry = ModelRegistry(tmp_path / "w")
    try:
        registry.register_model(ModelMetadata(name="score"), score, input_example=FRAME)
        folder = registry.export_mlflow("score", tmp_path / "out")
        with pytest.raises(UntrustedArtifactError) as caught:
            registry.import_mlflow(folder, ModelMetadata(name="back"))
        assert "'function.zip' of the model in" in str(caught.value)
        assert "is a function kept by its source, with SHA-256" in str(caught.value)
        there = read_package(registry.fetch("score", tmp_path / "package"))
        assert caught.value.sha256 == there.sha256
        registry.import_mlflow(folder, ModelMetadata(name="back"), trust=there.sha256)
        loaded = registry.load_model("back", trust=there.sha256)
        np.testing.assert_array_equal(loaded.predict(FRAME).values, score(FRAME))
        assert loaded.info.framework == "python_function"
    finally:
        registry._stores.close()


def test_a_function_that_asks_a_loaded_package_is_not_exported(tmp_path):
    save_model(linear, tmp_path / "linear", input_example=FRAME)
    champion = load_model(tmp_path / "linear")

    def asking(frame):
        return champion.predict(frame).probabilities[:, 1]

    save_model(asking, tmp_path / "package", input_example=FRAME)
    with pytest.raises(FlavorError, match=r"asks 'champion', a loaded package .*champion\.native"):
        write_mlflow(tmp_path / "package", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_file_goes_as_it_is(tmp_path):
    info = save_model(rule, tmp_path / "package")
    folder = write_mlflow(tmp_path / "package", tmp_path / "out")
    assert (folder / "function.zip").read_bytes() == (tmp_path / "package" / "function.zip").read_bytes()
    assert [path.name for path in (folder / "code").iterdir()] == [f"dwcp_function_{info.sha256[:12]}.py"]
    assert zipfile.is_zipfile(folder / "function.zip")
