"""Foreign files and packages: who decided, what is kept, what is left behind."""

import pickle

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import (
    FlavorError,
    IntegrityError,
    PredictionError,
    SignatureError,
    UntrustedArtifactError,
)
from dwcp_jupyter.flavors import Signature, adopt_file, load_model, read_example, read_package, save_model


@pytest.fixture
def saved(classifier, tmp_path):
    """The same model in the files that people bring."""
    paths = {ending: tmp_path / f"model.{ending}" for ending in ("pkl", "pickle", "joblib", "skops")}
    for ending in ("pkl", "pickle"):
        paths[ending].write_bytes(pickle.dumps(classifier))
    joblib.dump(classifier, paths["joblib"])
    skops.io.dump(classifier, paths["skops"])
    for path in paths.values():
        path.chmod(0o600)
    return paths


@pytest.mark.parametrize("ending", ["pkl", "pickle", "joblib", "skops"])
def test_foreign_files_are_kept_byte_for_byte_and_described(saved, classifier, iris, tmp_path, ending):
    path = saved[ending]
    decisions = []
    info = adopt_file(path, tmp_path / "package", framework="sklearn", on_trust=decisions.append)
    kept = tmp_path / "package" / info.file
    assert kept.read_bytes() == path.read_bytes()
    assert info.sha256 == hashing.sha256_file(path)
    assert info.signature.names == tuple(iris[0].columns)
    assert (info.classes, info.task, info.is_safe) == (tuple(classifier.classes_), "classification", ending == "skops")
    assert [d.sha256 for d in decisions] == ([] if ending == "skops" else [info.sha256])
    loaded = load_model(tmp_path / "package", trust=info.sha256)
    np.testing.assert_allclose(loaded.predict(iris[0]).probabilities, classifier.predict_proba(iris[0]))


class Marking:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        import os

        return os.mkdir, (self.marker,)


@pytest.mark.parametrize("ending", ["pkl", "pickle", "joblib"])
@pytest.mark.parametrize("trust", ["none", "f" * 64, None])
def test_an_untrusted_file_runs_nothing_and_leaves_nothing(tmp_path, ending, trust):
    marker = tmp_path / "was here"
    path = tmp_path / f"model.{ending}"
    path.write_bytes(pickle.dumps(Marking(marker)))
    path.chmod(0o666 if trust is None else 0o600)
    decisions = []
    with pytest.raises(UntrustedArtifactError) as caught:
        adopt_file(path, tmp_path / "package", trust=trust, on_trust=decisions.append)
    total = hashing.sha256_file(path)
    assert f"flavors.adopt_file('{path}', directory, trust='{total}')" in str(caught.value)
    assert not marker.exists()
    assert not (tmp_path / "package").exists()
    assert decisions == []


def test_the_decision_is_told_before_the_file_is_loaded(tmp_path):
    marker = tmp_path / "was here"
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Marking(marker)))
    path.chmod(0o600)

    def recorded(decision):
        assert not marker.exists()
        raise RuntimeError("the event could not be written")

    with pytest.raises(RuntimeError, match="could not be written"):
        adopt_file(path, tmp_path / "package", on_trust=recorded)
    assert not marker.exists()


def test_a_package_is_no_file_that_the_user_named(saved, tmp_path):
    info = adopt_file(saved["pkl"], tmp_path / "package")
    with pytest.raises(UntrustedArtifactError) as caught:
        load_model(tmp_path / "package", call="registry.load_model('churn@1.0.0', trust='{sha256}')")
    assert f"registry.load_model('churn@1.0.0', trust='{info.sha256}')" in str(caught.value)
    decisions = []
    load_model(tmp_path / "package", trust=info.sha256, on_trust=decisions.append)
    assert [(d.sha256, d.granted) for d in decisions] == [(info.sha256, True)]


def test_safe_formats_need_no_decision(saved, tmp_path):
    adopt_file(saved["skops"], tmp_path / "package", trust="none", on_trust=pytest.fail)
    load_model(tmp_path / "package", trust="none", on_trust=pytest.fail)


def test_changed_bytes_are_refused_naming_both_sums(classifier, tmp_path):
    info = save_model(classifier, tmp_path / "package")
    path = tmp_path / "package" / info.file
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(IntegrityError) as caught:
        load_model(tmp_path / "package")
    assert caught.value.expected == info.sha256
    assert caught.value.actual == hashing.sha256_file(path)
    assert caught.value.expected in str(caught.value)
    assert caught.value.actual in str(caught.value)
    path.unlink()
    with pytest.raises(IntegrityError, match="no such file"):
        load_model(tmp_path / "package")


def test_a_pickle_of_xgboost_is_read_as_one(iris, tmp_path):
    model = XGBClassifier(n_estimators=2).fit(iris[0], iris[1].factorize()[0])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(model))
    path.chmod(0o600)
    for framework in ("xgboost", "sklearn"):
        info = adopt_file(path, tmp_path / framework, framework=framework)
        said = load_model(tmp_path / framework, trust=info.sha256).predict(iris[0])
        np.testing.assert_array_equal(said.probabilities, model.predict_proba(iris[0]))


@pytest.mark.parametrize("thing", [{"weights": [1, 2]}, "text", RandomForestClassifier()])
def test_a_pickle_that_holds_no_fitted_model_is_refused(thing, tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(thing))
    path.chmod(0o600)
    with pytest.raises(FlavorError, match=r"no model|not fitted"):
        adopt_file(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_folder_in_use_is_left_alone(classifier, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        save_model(classifier, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_example_is_kept_and_tried(classifier, iris, tmp_path):
    features, _ = iris
    info = save_model(classifier, tmp_path / "package", input_example=features)
    kept = read_example(tmp_path / "package")
    assert kept.equals(features.head(5))
    assert [c.name for c in info.signature.outputs] == ["prediction"]
    assert read_package(tmp_path / "package") == info


def test_signature_and_example_must_agree(classifier, iris, tmp_path):
    signature = Signature.infer(iris[0])
    with pytest.raises(SignatureError, match="'petal_width' is missing"):
        save_model(
            classifier, tmp_path / "package", signature=signature, input_example=iris[0].drop(columns="petal_width")
        )
    assert not (tmp_path / "package").exists()


def test_a_models_failure_carries_its_cause(iris, tmp_path):
    features, species = iris
    model = LogisticRegression(max_iter=500).fit(features, species)
    holes = Signature.infer(features.mask(features > 100).assign(petal_width=np.nan))
    save_model(model, tmp_path / "package", signature=holes)
    loaded = load_model(tmp_path / "package")
    with pytest.raises(PredictionError, match="NaN") as caught:
        loaded.predict(features.assign(petal_width=np.nan))
    assert isinstance(caught.value.__cause__, ValueError)


def test_versions_of_what_matters_are_kept(classifier, tmp_path):
    import platform

    import sklearn

    info = save_model(classifier, tmp_path / "package")
    assert info.framework_version == info.packages["scikit-learn"] == sklearn.__version__
    assert info.packages["numpy"] == np.__version__
    assert info.python == platform.python_version()
