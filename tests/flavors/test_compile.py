"""Compiled models answer as the models do, on the sample and beside it; what cannot be proved stays native."""

import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, make_classification
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, RobustScaler, StandardScaler
from sklearn.svm import SVC, LinearSVC
from xgboost import XGBClassifier, XGBRegressor

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors import Signature, Tolerance, compile_onnx, load_model, save_model
from dwcp_jupyter.flavors.compile import run
from dwcp_jupyter.flavors.onnx import open_session


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    rows = 300
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "visits": rng.integers(0, 9, rows),
            "town": rng.choice(["Rome", "Oslo", "Lima"], rows),
        }
    )
    target = np.where(frame["age"] + 8 * (frame["town"] == "Rome") > 42, "yes", "no")
    frame.loc[::7, "age"] = np.nan
    frame.loc[::9, "town"] = None
    return frame, target


def loaded(model, folder, example=None, signature=None):
    save_model(model, folder / "package", input_example=example, signature=signature)
    return load_model(folder / "package")


def answers(compilation, model, frame):
    return run(
        open_session(compilation.onnx),
        model.conform(frame),
        model.signature,
        compilation.layout,
        classes=model.info.classes,
    )


@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(20, random_state=0),
        ExtraTreesClassifier(20, random_state=0),
        GradientBoostingClassifier(n_estimators=20),
        XGBClassifier(n_estimators=20),
        XGBClassifier(n_estimators=20, base_score=0.2),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SimpleImputer(), MinMaxScaler(), LogisticRegression()),
        make_pipeline(RobustScaler(with_centering=False), LogisticRegression()),
        make_pipeline(StandardScaler(), KNeighborsClassifier()),
        make_pipeline(StandardScaler(), SVC(probability=False)),
        LinearSVC(),
    ],
    ids=lambda model: repr(model)[:60].replace("\n", ""),
)
def test_classifiers_are_compiled_and_answer_alike(model, cancer, tmp_path):
    features, target = cancer
    features = features.astype("float32").astype("float64")
    kept = loaded(model.fit(features[:400], target[:400]), tmp_path, features[:400])
    compilation = compile_onnx(kept, features[:400])
    assert compilation.onnx is not None, compilation.reason
    assert (compilation.layout, compilation.max_difference < 1e-4) == ("matrix", True)
    assert "all 400 rows" in compilation.reason
    unseen, said = kept.predict(features[400:]), answers(compilation, kept, features[400:])
    assert (said.values == unseen.values).all()
    if unseen.probabilities is not None:
        np.testing.assert_allclose(said.probabilities, unseen.probabilities, atol=1e-4)
    else:
        assert said.probabilities is None


@pytest.mark.parametrize(
    "model",
    [
        LinearRegression(),
        make_pipeline(StandardScaler(), Ridge()),
        RandomForestRegressor(20),
        GradientBoostingRegressor(n_estimators=20),
        XGBRegressor(n_estimators=20),
        XGBRegressor(n_estimators=20, objective="count:poisson"),
    ],
    ids=lambda model: repr(model)[:60].replace("\n", ""),
)
def test_regressors_are_compiled_and_answer_alike(model, diabetes, tmp_path):
    features, target = diabetes
    features = features.astype("float32").astype("float64")
    kept = loaded(model.fit(features, target), tmp_path, features)
    compilation = compile_onnx(kept, features)
    assert compilation.onnx is not None, compilation.reason
    np.testing.assert_allclose(answers(compilation, kept, features).values, kept.predict(features).values, rtol=1e-4)


def test_detectors_answer_with_values_only(cancer, tmp_path):
    features, _ = cancer
    kept = loaded(IsolationForest(n_estimators=10, random_state=0).fit(features), tmp_path)
    compilation = compile_onnx(kept, features)
    assert compilation.onnx is not None, compilation.reason
    said = answers(compilation, kept, features)
    assert said.probabilities is None
    assert (said.values == kept.predict(features).values).all()


def columns(texts, **options):
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    return ColumnTransformer([("numbers", numbers, ["age", "visits"]), ("texts", texts, ["town"])], **options)


def hot(**options):
    return OneHotEncoder(sparse_output=False, **{"handle_unknown": "ignore", **options})


@pytest.mark.parametrize(
    "texts",
    [
        hot(),
        hot(handle_unknown="error", dtype=np.float64),
        hot(handle_unknown="infrequent_if_exist", max_categories=20),
        make_pipeline(SimpleImputer(strategy="most_frequent"), hot()),
        make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), hot()),
        make_pipeline(
            SimpleImputer(strategy="most_frequent"), hot(handle_unknown="infrequent_if_exist", max_categories=20)
        ),
    ],
    ids=lambda step: repr(step)[:90].replace("\n", ""),
)
@pytest.mark.parametrize("final", [LogisticRegression(), RandomForestClassifier(20, random_state=0)])
def test_texts_missing_and_unseen_are_treated_alike(texts, final, people, tmp_path):
    frame, target = people
    kept = loaded(make_pipeline(columns(texts), final).fit(frame, target), tmp_path, frame)
    compilation = compile_onnx(kept, frame)
    assert compilation.onnx is not None, compilation.reason
    assert compilation.layout == "columns"
    towns = ["Rome", None, "", "Atlantis", "rome"]
    if isinstance(texts, OneHotEncoder) and texts.handle_unknown == "error":
        towns = ["Rome", None]
    rows = pd.DataFrame({"age": 41.5, "visits": 3, "town": pd.Series(towns, dtype=object)})
    rows.loc[len(rows)] = [np.nan, 3, "Lima"]
    said, native = answers(compilation, kept, rows), kept.predict(rows)
    assert (said.values == native.values).all()
    np.testing.assert_allclose(said.probabilities, native.probabilities, atol=1e-5)


def test_what_the_sample_does_not_show_is_tried_beside_it(people, tmp_path):
    frame, target = people
    whole = frame.dropna()
    step = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)
    model = make_pipeline(columns(step), LogisticRegression()).fit(frame, target)
    kept = loaded(model, tmp_path, signature=Signature.infer(frame))
    compilation = compile_onnx(kept, whole)
    assert compilation.onnx is None
    assert "a missing value of 'town'" in compilation.reason


def test_ties_between_votes_are_broken_as_the_model_breaks_them(tmp_path):
    for labels in ([0, 1], ["a", "b"]):
        data, target = make_classification(4000, 8, n_informative=5, flip_y=0.3, random_state=0)
        data = pd.DataFrame(data.astype(np.float32).astype(float)).rename(columns=lambda number: f"c{number}")
        target = np.array(labels)[target]
        model = ExtraTreesClassifier(20, random_state=0).fit(data[:1000], target[:1000])
        kept = loaded(model, tmp_path / str(labels[0]), data[:1000])
        compilation = compile_onnx(kept, data[:1000])
        said, native = answers(compilation, kept, data[1000:]), kept.predict(data[1000:])
        assert (native.probabilities[:, 0] == 0.5).sum() > 20
        assert said.values.tolist() == native.values.tolist()


@pytest.mark.parametrize(
    "scaler",
    [StandardScaler(), MinMaxScaler(), MinMaxScaler(clip=True), RobustScaler(), StandardScaler(with_mean=False)],
)
@pytest.mark.parametrize("final", [RandomForestClassifier(20, random_state=0), XGBClassifier(n_estimators=20)])
def test_scaled_counts_fall_on_the_same_side_of_every_threshold(scaler, final, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 40, (1500, 4)), columns=list("abcd"))
    target = (frame["a"] + rng.normal(0, 8, 1500) > frame["b"]).astype(int)
    kept = loaded(make_pipeline(scaler, final).fit(frame[:1000], target[:1000]), tmp_path, frame)
    compilation = compile_onnx(kept, frame[:1000])
    assert compilation.onnx is not None, compilation.reason
    np.testing.assert_allclose(
        answers(compilation, kept, frame[1000:]).probabilities, kept.predict(frame[1000:]).probabilities, atol=1e-5
    )


# -- what stays native, and why


def test_float64_thresholds_are_refused_with_figures(tmp_path):
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"a": np.round(rng.normal(1e6, 1, 3000), 3)})
    model = HistGradientBoostingClassifier(max_iter=30).fit(data, rng.integers(0, 2, 3000))
    kept = loaded(model, tmp_path, data)
    compilation = compile_onnx(kept, data)
    assert compilation.onnx is None
    assert "of 3000 rows" in compilation.reason
    assert "largest difference 0." in compilation.reason
    few = compile_onnx(kept, data[:50])
    assert few.onnx is None
    assert "a sample of 50 rows is too small" in few.reason


@pytest.mark.parametrize(
    ("labels", "reason"), [([False, True], "labels are False, True"), ([0.5, 1.5], "labels are 0.5, 1.5")]
)
def test_labels_that_onnx_does_not_have_are_refused(labels, reason, tmp_path):
    data = pd.DataFrame({"a": [1.0, 2, 3, 4]})
    target = np.array(labels * 2) if labels[0] is False else np.array([str(x) for x in labels * 2])
    model = LogisticRegression().fit(data, target)
    if labels[0] is not False:
        model.classes_ = np.array(labels)
    kept = loaded(model, tmp_path)
    assert reason in compile_onnx(kept, data).reason


class Own(LinearRegression):
    pass


def test_models_that_no_converter_knows_are_refused(cancer, tmp_path):
    from dwcp_jupyter.flavors.loaded import LoadedModel

    features, target = cancer
    kept = loaded(LinearRegression().fit(features, target), tmp_path)
    own = LoadedModel(Own().fit(features, target), kept.info, kept._flavor)
    compilation = compile_onnx(own, features)
    assert (compilation.onnx, compilation.layout) == (None, "")
    assert "Own cannot be converted" in compilation.reason


def test_several_outputs_are_refused(diabetes, tmp_path):
    features, target = diabetes
    kept = loaded(LinearRegression().fit(features, np.column_stack([target, target])), tmp_path)
    assert "2 values a row" in compile_onnx(kept, features).reason


def test_onnx_models_are_not_compiled_again(cancer, tmp_path):
    features, target = cancer
    kept = loaded(GradientBoostingClassifier(n_estimators=3).fit(features, target), tmp_path, features)
    graph = compile_onnx(kept, features).onnx
    assert "an ONNX model already" in compile_onnx(loaded(graph, tmp_path / "again"), features.to_numpy()).reason


def test_the_tolerance_can_be_set(cancer, tmp_path):
    features, target = cancer
    kept = loaded(make_pipeline(StandardScaler(), LogisticRegression()).fit(features, target), tmp_path, features)
    strict = compile_onnx(kept, features, tolerance=Tolerance(absolute=0.0, relative=0.0))
    assert strict.onnx is None
    assert "answers" in strict.reason


def test_a_sample_that_does_not_fit_is_an_error(cancer, tmp_path):
    features, target = cancer
    kept = loaded(RandomForestClassifier(3).fit(features, target), tmp_path)
    with pytest.raises(SignatureError):
        compile_onnx(kept, features.drop(columns="mean radius"))


@pytest.mark.parametrize("missing", ["skl2onnx", "onnxruntime"])
def test_a_missing_extra_is_a_reason_and_no_crash(missing, cancer, tmp_path, monkeypatch):
    features, target = cancer
    kept = loaded(RandomForestClassifier(3).fit(features, target), tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_Hiding(missing), *sys.meta_path])
    compilation = compile_onnx(kept, features)
    assert compilation.onnx is None
    assert f"'{missing}'" in compilation.reason
    assert "pip install 'dwcp-jupyter[onnx]'" in compilation.reason


class _Hiding:
    """Finds nothing of one library, as where it is not installed."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def test_the_same_model_gives_the_same_bytes_and_stays_as_it_was(people, cancer, tmp_path):
    frame, target = people
    model = make_pipeline(columns(hot(handle_unknown="infrequent_if_exist")), RandomForestClassifier(5)).fit(
        frame, target
    )
    kept = loaded(model, tmp_path, frame)
    before = kept.predict(frame).probabilities
    first, second = compile_onnx(kept, frame), compile_onnx(kept, frame)
    assert first == second
    np.testing.assert_array_equal(kept.predict(frame).probabilities, before)
    named = loaded(XGBClassifier(n_estimators=2).fit(*cancer), tmp_path / "xgboost")
    compile_onnx(named, cancer[0])
    assert named.native.get_booster().feature_names == list(cancer[0].columns)
