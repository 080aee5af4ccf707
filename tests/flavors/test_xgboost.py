"""XGBoost's models in its own format: every answer is the native one."""

import json

import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer, load_diabetes

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.flavors import Framework, Signature, adopt_file, load_model, read_package, save_model


@pytest.fixture(scope="module")
def cancer():
    return load_breast_cancer(return_X_y=True, as_frame=True)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True, as_frame=True)


def round_trip(model, folder, example=None):
    save_model(model, folder / "package", input_example=example)
    return load_model(folder / "package", trust="none")


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, xgboost.XGBRFClassifier])
def test_classifiers_answer_exactly_as_before(kind, cancer, iris, tmp_path):
    for name, (features, target) in {"two": cancer, "three": (iris[0], iris[1].factorize()[0])}.items():
        model = kind(n_estimators=5).fit(features, target)
        loaded = round_trip(model, tmp_path / name, features)
        said = loaded.predict(features)
        np.testing.assert_array_equal(said.values, model.predict(features))
        np.testing.assert_array_equal(said.probabilities, model.predict_proba(features))
        assert said.classes == tuple(range(len(set(target))))
        assert (loaded.info.task, loaded.info.format, loaded.info.framework) == ("classification", "ubj", "xgboost")


@pytest.mark.parametrize(
    "model",
    [
        xgboost.XGBRegressor(n_estimators=5),
        xgboost.XGBRFRegressor(n_estimators=5),
        xgboost.XGBRegressor(n_estimators=5, booster="dart", rate_drop=0.3),
        xgboost.XGBRegressor(n_estimators=5, booster="gblinear"),
        xgboost.XGBRegressor(n_estimators=5, objective="count:poisson"),
    ],
    ids=lambda model: f"{type(model).__name__} {model.booster} {model.objective}",
)
def test_regressors_answer_exactly_as_before(model, diabetes, tmp_path):
    features, target = diabetes
    model.fit(features, target)
    loaded = round_trip(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(features).values, model.predict(features))
    assert loaded.info.task == "regression"


def test_rankers_answer_exactly_as_before(diabetes, tmp_path):
    features, target = diabetes
    model = xgboost.XGBRanker(n_estimators=3).fit(
        features, (target > 100).astype(int), qid=np.arange(len(target)) // 10
    )
    loaded = round_trip(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(features).values, model.predict(features))
    assert loaded.info.task is None


def test_boosters_answer_exactly_as_before(cancer, tmp_path):
    features, target = cancer
    for name, data in (("named", features), ("numbered", features.to_numpy())):
        booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(data, target), 4)
        loaded = round_trip(booster, tmp_path / name)
        given = features if name == "named" else data
        np.testing.assert_array_equal(loaded.predict(given).values, booster.predict(xgboost.DMatrix(data)))


def test_early_stopping_stays_where_it_stopped(cancer, tmp_path):
    features, target = cancer
    model = xgboost.XGBClassifier(n_estimators=200, early_stopping_rounds=2, learning_rate=1.0)
    model.fit(features[:300], target[:300], eval_set=[(features[300:], target[300:])], verbose=False)
    assert model.best_iteration < model.get_booster().num_boosted_rounds() - 1
    loaded = round_trip(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(features).probabilities, model.predict_proba(features))


def test_what_stands_for_missing_is_kept(cancer, tmp_path):
    features, target = cancer
    holes = features.mask(np.random.default_rng(0).random(features.shape) < 0.2, -1.0)
    model = xgboost.XGBClassifier(n_estimators=5, missing=-1.0).fit(holes, target)
    loaded = round_trip(model, tmp_path, holes)
    np.testing.assert_array_equal(loaded.predict(holes).probabilities, model.predict_proba(holes))


def test_missing_values_are_taken(cancer, tmp_path):
    features, target = cancer
    holes = features.mask(np.random.default_rng(0).random(features.shape) < 0.2)
    model = xgboost.XGBClassifier(n_estimators=5).fit(holes, target)
    for example in (None, holes):
        loaded = round_trip(model, tmp_path / str(example is None), example)
        np.testing.assert_array_equal(loaded.predict(holes).probabilities, model.predict_proba(holes))


def test_categories_keep_their_codes(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"size": pd.Categorical(rng.choice(list("SML"), 200), categories=list("SML")), "n": rng.random(200)}
    )
    target = (frame["size"] == "L").astype(int)
    model = xgboost.XGBClassifier(n_estimators=5, enable_categorical=True).fit(frame, target)
    loaded = round_trip(model, tmp_path, frame)
    large = [{"size": "L", "n": 0.5}]
    assert loaded.predict(large).values.tolist() == [1]
    rows = frame.astype({"size": object}).to_dict(orient="records")
    np.testing.assert_array_equal(loaded.predict(rows).probabilities, model.predict_proba(frame))


def test_several_labels_a_row_are_not_one_class(cancer, tmp_path):
    features, target = cancer
    both = np.column_stack([target, 1 - target])
    model = xgboost.XGBClassifier(n_estimators=3).fit(features, both)
    loaded = round_trip(model, tmp_path, features)
    assert loaded.info.classes is None
    np.testing.assert_array_equal(loaded.predict(features).values, model.predict(features))


def test_the_signature_comes_from_the_model(cancer, tmp_path):
    features, target = cancer
    model = xgboost.XGBClassifier(n_estimators=2).fit(features, target)
    loaded = round_trip(model, tmp_path)
    assert loaded.signature.names == tuple(features.columns)
    with pytest.raises(SignatureError, match="'mean radius' is missing"):
        loaded.predict(features.drop(columns="mean radius"))


@pytest.mark.parametrize("ending", ["ubj", "json"])
@pytest.mark.parametrize("kind", ["classifier", "three", "regressor", "ranker", "booster"])
def test_foreign_files_are_kept_byte_for_byte(ending, kind, cancer, iris, tmp_path):
    features, target = cancer if kind != "three" else (iris[0], iris[1].factorize()[0])
    model = {
        "classifier": xgboost.XGBClassifier(n_estimators=3),
        "three": xgboost.XGBClassifier(n_estimators=3),
        "regressor": xgboost.XGBRegressor(n_estimators=3),
        "ranker": xgboost.XGBRanker(n_estimators=3),
        "booster": None,
    }[kind]
    if model is None:
        model = xgboost.train({"objective": "multi:softprob", "num_class": 2}, xgboost.DMatrix(features, target), 3)
    else:
        model.fit(features, target, **({"qid": np.arange(len(target)) // 10} if kind == "ranker" else {}))
    path = tmp_path / f"model.{ending}"
    model.save_model(path)
    info = adopt_file(path, tmp_path / "package", framework=Framework.XGBOOST, trust="none")
    assert (tmp_path / "package" / info.file).read_bytes() == path.read_bytes()
    assert info.signature.names == tuple(features.columns)
    said = load_model(tmp_path / "package", trust="none").predict(features)
    if kind in {"classifier", "three"}:
        np.testing.assert_array_equal(said.probabilities, model.predict_proba(features))
    elif kind == "booster":
        np.testing.assert_array_equal(said.probabilities, model.predict(xgboost.DMatrix(features)))
    else:
        np.testing.assert_array_equal(said.values, model.predict(features))


class Mine(xgboost.XGBClassifier):
    def predict(self, *args, **kwargs):
        return super().predict(*args, **kwargs) + 1


def test_a_class_that_adds_something_is_refused_rather_than_kept_without_it(cancer, tmp_path):
    with pytest.raises(FlavorError, match="would lose what the class adds"):
        save_model(Mine(n_estimators=2).fit(*cancer), tmp_path / "package")


def test_an_unfitted_model_is_refused(tmp_path):
    with pytest.raises(FlavorError, match="not fitted"):
        save_model(xgboost.XGBClassifier(), tmp_path / "package")


@pytest.mark.parametrize("data", [b"", b"{}", b"not a model", b'{"learner": {}}'])
def test_what_is_no_model_is_refused(data, tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(data)
    with pytest.raises(FlavorError, match="cannot be read as json"):
        adopt_file(path, tmp_path / "package", framework="xgboost")
    assert not (tmp_path / "package").exists()


def test_a_description_names_no_other_class_of_the_library(cancer, tmp_path):
    save_model(xgboost.XGBClassifier(n_estimators=2).fit(*cancer), tmp_path / "package")
    path = tmp_path / "package" / "model.json"
    description = json.loads(path.read_text())
    for name in ("train", "DMatrix", "__class__", "config_context", "dask"):
        path.write_text(json.dumps({**description, "detail": {**description["detail"], "class": name}}))
        with pytest.raises(FlavorError, match="is no model"):
            load_model(tmp_path / "package")


def test_the_description_holds_the_sum_of_the_file(cancer, tmp_path):
    save_model(xgboost.XGBClassifier(n_estimators=2).fit(*cancer), tmp_path / "package")
    info = read_package(tmp_path / "package")
    assert info.sha256 == hashing.sha256_file(tmp_path / "package" / info.file)
    assert info.framework_version == xgboost.__version__
    assert Signature.from_json(info.signature.to_json()) == info.signature
