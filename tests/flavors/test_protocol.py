"""Which flavor a model has: by its class, without importing what was not met."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import Framework, flavor_of
from dwcp_jupyter.flavors.protocol import flavor_for_file, flavor_named


def test_importing_flavors_loads_no_framework():
    code = (
        "import sys; from dwcp_jupyter import flavors;"
        "flavors.Signature, flavors.PackageInfo, flavors.Framework, flavors.flavor_of, flavors.Trust;"
        "heavy = ('numpy', 'pandas', 'sklearn', 'skops', 'xgboost', 'onnx', 'onnxruntime');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_model_of_one_framework_loads_no_other():
    code = (
        "import sys; from dwcp_jupyter import flavors; from sklearn.linear_model import Ridge;"
        "flavors.flavor_of(Ridge());"
        "print([m for m in ('xgboost', 'onnx', 'onnxruntime', 'torch', 'tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_models_are_known_by_their_classes_and_their_bases():
    from sklearn.linear_model import Ridge
    from xgboost import Booster, XGBClassifier

    class Mine(Ridge):
        pass

    assert flavor_of(Ridge()).framework is Framework.SKLEARN
    assert flavor_of(Mine()).framework is Framework.SKLEARN
    assert flavor_of(XGBClassifier()).framework is Framework.XGBOOST
    assert flavor_of(Booster()).framework is Framework.XGBOOST
    assert flavor_of(b"onnx bytes").framework is Framework.ONNX


@pytest.mark.parametrize("thing", [5, None, np.zeros(3), object()])
def test_what_no_flavor_keeps_is_named(thing):
    with pytest.raises(FlavorError, match="No flavor keeps models of type"):
        flavor_of(thing)


@pytest.mark.parametrize("path", ["model.onnx", Path("model.pkl")])
def test_a_path_in_place_of_a_model_gets_the_right_hint(path):
    with pytest.raises(FlavorError, match="adopt_file"):
        flavor_of(path)


def test_files_are_known_by_their_endings_and_the_framework_named():
    assert flavor_for_file(Path("M.PKL"), None)[0].name == "sklearn"
    assert flavor_for_file(Path("m.pkl"), Framework.XGBOOST)[0].name == "xgboost"
    assert flavor_for_file(Path("m.joblib"), "sklearn")[1] == "joblib"
    assert flavor_for_file(Path("m.json"), None)[1] == "json"
    assert flavor_for_file(Path("m.onnx"), None)[1] == "onnx"


@pytest.mark.parametrize(
    ("name", "framework"), [("m.h5", None), ("m", None), ("m.onnx", Framework.SKLEARN), ("m.skops", Framework.PYTORCH)]
)
def test_files_that_no_flavor_reads_are_refused(name, framework):
    with pytest.raises(FlavorError, match=r"cannot be kept.*Readable are"):
        flavor_for_file(Path(name), framework)


def test_an_unknown_flavor_is_refused():
    with pytest.raises(FlavorError, match="Installed: sklearn, xgboost, onnx"):
        flavor_named("../evil")


PLUGIN = """
import json
from dwcp_jupyter.flavors import Prediction
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.protocol import ModelFacts

class Constant:
    def __init__(self, value): self.value = value

class _Flavor:
    name = "plugged"
    framework = Framework.PYFUNC
    extensions = {".constant": "constant"}
    def describe(self, model, path=None): return ModelFacts(framework_version="1", input_names=("x",))
    def save(self, model, folder):
        (folder / "model.constant").write_text(json.dumps(model.value))
        return "model.constant", "constant"
    def load(self, path, info): return Constant(json.loads(path.read_text()))
    def predict(self, model, frame, info):
        import numpy as np
        return Prediction(values=np.full(len(frame), model.value))

FLAVOR = _Flavor()
"""


def test_another_package_adds_a_flavor_by_an_entry_point(tmp_path):
    (tmp_path / "plugged.py").write_text(PLUGIN)
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dwcp_jupyter.flavors]\nplugged = plugged:FLAVOR\n")
    code = (
        "import plugged; from dwcp_jupyter import flavors\n"
        "info = flavors.save_model(plugged.Constant(7), 'package')\n"
        "try: flavors.load_model('package')\n"
        "except flavors.protocol.FlavorError as exc: print(exc)\n"
        "except Exception as exc: print(type(exc).__name__)\n"
        "print(flavors.load_model('package', trust=info.sha256).predict({'x': [1.0, 2.0]}).values.tolist())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "DWCP_TRUST": "own"},
    )
    assert done.stdout.split() == ["UntrustedArtifactError", "[7,", "7]"], done.stderr
