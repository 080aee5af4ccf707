"""scikit-learn models in skops files: exact after a round trip, refused where they could run code."""

import functools
import importlib
import inspect
import os
import pickle
import types
import warnings

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import (
    calibration,
    cluster,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_approximation,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    random_projection,
    svm,
    tree,
)
from sklearn.base import BaseEstimator, ClassifierMixin, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, WhiteKernel
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from xgboost import XGBClassifier, XGBRegressor

from dwcp_jupyter.exceptions import FlavorError, PredictionError, SignatureError, UntrustedArtifactError
from dwcp_jupyter.flavors import ColumnType, Signature, load_model, save_model
from dwcp_jupyter.flavors.sklearn import ALLOWED_FUNCTIONS, ALLOWED_TYPES

FOREST = ensemble.RandomForestClassifier(10, random_state=0)
TREE = tree.DecisionTreeClassifier(random_state=0)

CLASSIFIERS = [
    FOREST,
    TREE,
    ensemble.AdaBoostClassifier(n_estimators=5),
    ensemble.BaggingClassifier(n_estimators=5, max_features=0.5),
    ensemble.ExtraTreesClassifier(10),
    ensemble.GradientBoostingClassifier(n_estimators=5),
    ensemble.HistGradientBoostingClassifier(max_iter=5),
    ensemble.StackingClassifier([("a", FOREST), ("b", linear_model.LogisticRegression(max_iter=300))], cv=2),
    ensemble.VotingClassifier([("a", FOREST), ("b", naive_bayes.GaussianNB())], voting="soft"),
    calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2),
    calibration.CalibratedClassifierCV(FOREST, method="isotonic", cv=2),
    discriminant_analysis.LinearDiscriminantAnalysis(),
    discriminant_analysis.QuadraticDiscriminantAnalysis(),
    dummy.DummyClassifier(),
    gaussian_process.GaussianProcessClassifier(ConstantKernel() * RBF() + Matern()),
    linear_model.LogisticRegression(max_iter=500),
    linear_model.LogisticRegressionCV(Cs=2, max_iter=500, cv=2),
    linear_model.RidgeClassifier(),
    linear_model.SGDClassifier(loss="log_loss", random_state=0),
    linear_model.SGDClassifier(loss="modified_huber", random_state=0),
    linear_model.Perceptron(),
    model_selection.GridSearchCV(TREE, {"max_depth": [1, 2]}, cv=2),
    model_selection.RandomizedSearchCV(TREE, {"max_depth": [1, 2]}, cv=model_selection.StratifiedKFold(2), n_iter=2),
    multiclass.OneVsRestClassifier(linear_model.LogisticRegression()),
    multiclass.OneVsOneClassifier(svm.LinearSVC()),
    multiclass.OutputCodeClassifier(TREE, random_state=0),
    naive_bayes.GaussianNB(),
    naive_bayes.MultinomialNB(),
    neighbors.KNeighborsClassifier(),
    neighbors.KNeighborsClassifier(algorithm="ball_tree", metric="manhattan"),
    neighbors.KNeighborsClassifier(algorithm="brute"),
    neighbors.NearestCentroid(),
    neural_network.MLPClassifier((4,), max_iter=30),
    neural_network.MLPClassifier((4,), max_iter=30, solver="sgd"),
    svm.LinearSVC(),
    svm.SVC(),
    svm.NuSVC(),
    XGBClassifier(n_estimators=3),
]
REGRESSORS = [
    ensemble.RandomForestRegressor(10),
    ensemble.ExtraTreesRegressor(10),
    ensemble.GradientBoostingRegressor(n_estimators=5),
    ensemble.GradientBoostingRegressor(n_estimators=5, loss="huber"),
    ensemble.HistGradientBoostingRegressor(max_iter=5),
    ensemble.HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
    ensemble.HistGradientBoostingRegressor(max_iter=5, loss="quantile", quantile=0.9),
    ensemble.VotingRegressor([("a", linear_model.Ridge()), ("b", tree.DecisionTreeRegressor())]),
    ensemble.StackingRegressor([("a", linear_model.Ridge())], cv=2),
    gaussian_process.GaussianProcessRegressor(RBF() + WhiteKernel()),
    linear_model.LinearRegression(),
    linear_model.Ridge(),
    linear_model.RidgeCV(),
    linear_model.Lasso(),
    linear_model.LassoCV(cv=2),
    linear_model.ElasticNet(),
    linear_model.BayesianRidge(),
    linear_model.HuberRegressor(),
    linear_model.PoissonRegressor(),
    linear_model.TweedieRegressor(power=1.5),
    linear_model.GammaRegressor(),
    linear_model.QuantileRegressor(),
    linear_model.RANSACRegressor(random_state=0),
    linear_model.SGDRegressor(),
    linear_model.TheilSenRegressor(max_subpopulation=50),
    neighbors.KNeighborsRegressor(weights="distance"),
    neural_network.MLPRegressor(hidden_layer_sizes=(4,), max_iter=30),
    svm.SVR(),
    svm.LinearSVR(),
    tree.DecisionTreeRegressor(ccp_alpha=1.0),
    tree.ExtraTreeRegressor(),
    TransformedTargetRegressor(linear_model.Ridge(), func=np.log1p, inverse_func=np.expm1),
    XGBRegressor(n_estimators=3),
]
TRANSFORMERS = [
    decomposition.PCA(2),
    decomposition.TruncatedSVD(2),
    decomposition.FastICA(2, random_state=0),
    decomposition.NMF(2, max_iter=400),
    feature_selection.SelectKBest(k=2),
    feature_selection.SelectKBest(feature_selection.mutual_info_classif, k=2),
    feature_selection.SelectPercentile(feature_selection.chi2),
    feature_selection.SelectFromModel(TREE),
    feature_selection.RFE(linear_model.LogisticRegression(max_iter=300), n_features_to_select=2),
    feature_selection.RFECV(TREE, cv=2),
    feature_selection.VarianceThreshold(),
    impute.SimpleImputer(),
    impute.KNNImputer(),
    kernel_approximation.Nystroem(n_components=5, random_state=0),
    kernel_approximation.RBFSampler(random_state=0),
    preprocessing.FunctionTransformer(np.log1p),
    preprocessing.KBinsDiscretizer(3, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
    preprocessing.MinMaxScaler(),
    preprocessing.Normalizer(),
    preprocessing.OneHotEncoder(handle_unknown="ignore"),
    preprocessing.OrdinalEncoder(),
    preprocessing.PolynomialFeatures(2),
    preprocessing.PowerTransformer(),
    preprocessing.QuantileTransformer(n_quantiles=20),
    preprocessing.RobustScaler(),
    preprocessing.SplineTransformer(n_knots=3),
    preprocessing.StandardScaler(),
    preprocessing.TargetEncoder(cv=2),
    random_projection.GaussianRandomProjection(2, random_state=0),
    random_projection.SparseRandomProjection(2, random_state=0),
]
OTHERS = [
    cluster.KMeans(2, n_init=1),
    cluster.MiniBatchKMeans(2, n_init=1),
    cluster.AffinityPropagation(),
    cluster.MeanShift(),
    ensemble.IsolationForest(n_estimators=5),
    ensemble.IsolationForest(n_estimators=5, max_features=0.5),
    neighbors.LocalOutlierFactor(novelty=True),
    svm.OneClassSVM(),
]


def label(model):
    return str(model).replace("\n", "")[:50]


@pytest.fixture(scope="module")
def flowers(iris):
    """A third of iris: enough to fit on, quick to fit."""
    features, species = iris
    return features.iloc[::3], species.iloc[::3]


def round_trip(model, folder, example=None):
    save_model(model, folder / "package", input_example=example)
    return load_model(folder / "package")


def assert_same(said, before):
    """Rows in another layout may be summed in another order: nothing else may differ."""
    np.testing.assert_allclose(said, before, rtol=1e-11, atol=1e-13)


def dense(table):
    return table.toarray() if hasattr(table, "toarray") else table


def fitted(model, data, target):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(data, target)


@pytest.mark.parametrize("model", CLASSIFIERS, ids=label)
def test_classifiers_answer_exactly_as_before(model, flowers, tmp_path):
    features, species = flowers
    target = species if not isinstance(model, XGBClassifier) else species.factorize()[0]
    fitted(model, features, target)
    loaded = round_trip(model, tmp_path, features)
    said = loaded.predict(features)
    assert (said.values == model.predict(features)).all()
    assert said.classes == tuple(np.asarray(model.classes_).tolist()) == loaded.info.classes
    assert loaded.info.task == "classification"
    if hasattr(model, "predict_proba"):
        np.testing.assert_array_equal(loaded.native.predict_proba(features), model.predict_proba(features))
        assert_same(said.probabilities, model.predict_proba(features))
    else:
        assert said.probabilities is None


@pytest.mark.parametrize("model", REGRESSORS, ids=label)
def test_regressors_answer_exactly_as_before(model, tmp_path):
    features, target = load_diabetes(return_X_y=True, as_frame=True)
    features, target = features[:80], target[:80]
    fitted(model, features, target)
    loaded = round_trip(model, tmp_path, features)
    np.testing.assert_array_equal(loaded.native.predict(features), model.predict(features))
    assert_same(loaded.predict(features).values, model.predict(features))
    assert (loaded.info.task, loaded.info.classes) == ("regression", None)


@pytest.mark.parametrize("model", TRANSFORMERS, ids=label)
def test_transformers_answer_exactly_as_before(model, flowers, tmp_path):
    features, species = flowers
    fitted(model, features, species)
    loaded = round_trip(model, tmp_path, features)
    before, after = (np.asarray(pd.DataFrame(dense(m.transform(features)))) for m in (model, loaded.native))
    np.testing.assert_array_equal(after, before)
    if not hasattr(model, "predict"):
        assert_same(loaded.predict(features).values, before)


@pytest.mark.parametrize("model", OTHERS, ids=label)
def test_clusterings_and_detectors_answer_exactly_as_before(model, flowers, tmp_path):
    features, _ = flowers
    fitted(model, features, None)
    np.testing.assert_array_equal(round_trip(model, tmp_path).predict(features).values, model.predict(features))


def mixed(rows=120):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, rows),
            "income": rng.normal(1000, 300, rows),
            "town": rng.choice(["Rome", "Oslo", "Lima"], rows),
            "visits": rng.integers(0, 5, rows),
        }
    )
    target = np.where(frame["age"] + 5 * (frame["town"] == "Rome") > 41, "yes", "no")
    frame.loc[::7, "age"] = np.nan
    frame.loc[::11, "town"] = None
    return frame, target


def preparation(**encoder):
    numbers = make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    texts = make_pipeline(
        impute.SimpleImputer(strategy="most_frequent"),
        preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False, **encoder),
    )
    return ColumnTransformer(
        [("numbers", numbers, ["age", "income"]), ("texts", texts, ["town"])], remainder="passthrough"
    )


@pytest.mark.parametrize(
    "model",
    [
        FOREST,
        ensemble.GradientBoostingClassifier(n_estimators=10),
        ensemble.HistGradientBoostingClassifier(max_iter=10),
        linear_model.LogisticRegression(max_iter=500),
        svm.SVC(),
    ],
    ids=label,
)
def test_whole_pipelines_answer_exactly_as_before(model, tmp_path):
    frame, target = mixed()
    whole = fitted(Pipeline([("prepare", preparation()), ("model", model)]), frame, target)
    loaded = round_trip(whole, tmp_path, frame)
    said = loaded.predict(frame[frame.columns[::-1]])
    assert (said.values == whole.predict(frame)).all()
    if said.probabilities is not None:
        np.testing.assert_array_equal(said.probabilities, whole.predict_proba(frame))
    assert {c.name: (str(c.type), c.nullable) for c in loaded.signature.inputs} == {
        "age": ("float", True),
        "income": ("float", False),
        "town": ("string", True),
        "visits": ("int", False),
    }


@pytest.mark.parametrize("labels", [["no", "yes"], [0, 1], [False, True], [0.0, 1.0], [-1, 1]])
def test_labels_keep_their_types(labels, tmp_path):
    data = pd.DataFrame({"a": [1.0, 2, 3, 4]})
    model = linear_model.LogisticRegression().fit(data, np.array(labels * 2))
    loaded = round_trip(model, tmp_path)
    assert loaded.info.classes == tuple(labels)
    assert type(loaded.info.classes[0]) is type(labels[0])
    assert loaded.predict(data).values.tolist() == model.predict(data).tolist()


def test_several_outputs_have_no_one_set_of_classes(iris, tmp_path):
    features, species = iris
    both = np.column_stack([species, species])
    for model in (FOREST, multioutput.MultiOutputClassifier(linear_model.LogisticRegression(max_iter=500))):
        loaded = round_trip(fitted(model, features, both), tmp_path / type(model).__name__, features)
        assert loaded.info.classes is None
        assert loaded.predict(features).values.shape == (len(features), 2)


def test_models_fitted_on_arrays_take_named_columns(iris, tmp_path):
    features, species = iris
    model = FOREST.fit(features.to_numpy(), species)
    loaded = round_trip(model, tmp_path)
    assert loaded.signature.names == ("x0", "x1", "x2", "x3")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (loaded.predict(features.to_numpy()).values == model.predict(features.to_numpy())).all()
    with pytest.raises(SignatureError, match="'x0' is missing"):
        loaded.predict(features)


@pytest.mark.parametrize(
    "prepare",
    [TfidfVectorizer(), CountVectorizer(), FeatureUnion([("a", TfidfVectorizer()), ("b", CountVectorizer())])],
)
def test_models_of_text_take_one_column_of_texts(prepare, tmp_path):
    texts = ["good film", "bad film", "good play", "bad play"] * 5
    model = make_pipeline(prepare, linear_model.LogisticRegression()).fit(texts, ["up", "down"] * 10)
    loaded = round_trip(model, tmp_path, texts)
    (column,) = loaded.signature.inputs
    assert (column.name, column.type) == ("text", ColumnType.STRING)
    assert loaded.predict({"text": ["a good one", "a bad one"]}).values.tolist() == ["up", "down"]
    assert loaded.predict(["a good one"]).values.tolist() == ["up"]


def test_categories_come_back_for_models_that_compute_with_them(tmp_path):
    frame, target = mixed()
    frame = frame.assign(town=frame["town"].astype("category"))
    model = ensemble.HistGradientBoostingClassifier(max_iter=10).fit(frame, target)
    loaded = round_trip(model, tmp_path, frame)
    plain = frame.astype({"town": object}).to_dict(orient="records")
    np.testing.assert_array_equal(loaded.predict(plain).probabilities, model.predict_proba(frame))
    loaded.predict({"age": 1.0, "income": 1.0, "town": "Atlantis", "visits": 1})
    again = round_trip(model, tmp_path / "without example")
    np.testing.assert_array_equal(again.predict(frame).probabilities, model.predict_proba(frame))


def test_none_and_nan_stay_what_they_were_to_the_encoder(tmp_path):
    data = pd.DataFrame({"a": pd.Series(["u", "v", None, "u"], dtype=object)})
    model = make_pipeline(preprocessing.OneHotEncoder(), linear_model.LogisticRegression()).fit(data, [0, 0, 1, 0])
    loaded = round_trip(model, tmp_path, data)
    np.testing.assert_array_equal(
        loaded.predict({"a": [None, "u"]}).probabilities, model.predict_proba(data.iloc[[2, 0]])
    )


def test_without_an_example_the_model_says_what_it_takes(tmp_path):
    frame, target = mixed()
    frame["sure"] = True
    whole = Pipeline([("prepare", preparation()), ("model", FOREST)]).fit(frame, target)
    found = {c.name: (str(c.type), c.nullable) for c in round_trip(whole, tmp_path).signature.inputs}
    assert found["age"] == ("float", True)
    assert found["town"] == ("string", True)
    assert found["visits"][0] == "float"
    loaded = load_model(tmp_path / "package")
    assert (loaded.predict(frame).values == whole.predict(frame)).all()


def test_what_encoders_met_is_what_columns_are(tmp_path):
    data = pd.DataFrame(
        {"a": ["x", "y", "x", "y"], "b": [1, 2, 1, 2], "c": [0.1, 0.2, 0.3, 0.4], "d": ["p", "q", "p", "q"]}
    )
    prepare = ColumnTransformer(
        [
            ("hot", preprocessing.OneHotEncoder(), [0, 1]),
            ("order", preprocessing.OrdinalEncoder(), slice("d", "d")),
            ("drop", "drop", ["c"]),
        ]
    )
    model = make_pipeline(prepare, FOREST).fit(data, [0, 1, 0, 1])
    found = {c.name: str(c.type) for c in round_trip(model, tmp_path).signature.inputs}
    assert found == {"a": "string", "b": "int", "c": "object", "d": "string"}


# -- what is refused


class OwnModel(ClassifierMixin, BaseEstimator):
    def fit(self, data, target):
        self.classes_ = np.unique(target)
        return self

    def predict(self, data):
        return np.repeat(self.classes_[0], len(data))


class OwnStep(TransformerMixin, BaseEstimator):
    def fit(self, data, target=None):
        self.fitted_ = True
        return self

    def transform(self, data):
        return data


def shout(data):
    return data


@pytest.mark.parametrize(
    "model",
    [
        OwnModel(),
        make_pipeline(OwnStep(), linear_model.LogisticRegression()),
        make_pipeline(preprocessing.FunctionTransformer(shout), FOREST),
        make_pipeline(preprocessing.FunctionTransformer(lambda data: data), FOREST),
        make_pipeline(preprocessing.FunctionTransformer(os.system, validate=False), FOREST),
        cluster.Birch(n_clusters=2),
    ],
    ids=["own model", "own step", "function", "lambda", "system", "unsupported"],
)
def test_what_is_not_known_to_be_safe_is_refused_with_a_remedy(model, iris, tmp_path):
    features, species = iris
    if "os.system" not in repr(model) and "system" not in repr(model):
        fitted(model, features, species)
    else:
        model.steps[1][1].fit(features, species)
    with pytest.raises(FlavorError, match=r"\.joblib"):
        save_model(model, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_search_with_a_scorer_of_its_own_points_to_its_best_model(iris, tmp_path):
    search = model_selection.GridSearchCV(TREE, {"max_depth": [1]}, cv=2, scoring="accuracy").fit(*iris)
    with pytest.raises(FlavorError, match="best_estimator_"):
        save_model(search, tmp_path / "package")
    save_model(search.best_estimator_, tmp_path / "package")


@pytest.mark.parametrize("model", [FOREST.__class__(), make_pipeline(preprocessing.StandardScaler(), TREE.__class__())])
def test_an_unfitted_model_is_refused(model, tmp_path):
    with pytest.raises(FlavorError, match="not fitted"):
        save_model(model, tmp_path / "package")


def test_what_neither_predicts_nor_transforms_is_no_model(tmp_path):
    from sklearn.utils import Bunch

    for thing in (Bunch(a=1), cluster.DBSCAN(), model_selection.KFold()):
        with pytest.raises(FlavorError, match="no model"):
            save_model(thing, tmp_path / "package")


def test_a_model_that_fails_on_its_own_example_is_refused(iris, tmp_path):
    features, species = iris
    model = linear_model.LogisticRegression(max_iter=500).fit(features, species)
    with pytest.raises(PredictionError, match="failed on input that fits its signature"):
        save_model(model, tmp_path / "package", input_example=features.assign(petal_width=np.nan))
    assert not (tmp_path / "package").exists()


# -- what is allowed


def test_the_allow_list_names_things_of_known_libraries_only():
    for name in ALLOWED_TYPES - ALLOWED_FUNCTIONS:
        module, _, kind = name.rpartition(".")
        assert module.partition(".")[0] in {"sklearn", "numpy", "scipy", "xgboost", "dwcp_jupyter", "functools"}
        if importlib.util.find_spec(module) is None:
            continue  # of another release of the library
        found = getattr(importlib.import_module(module), kind, None)
        assert found is None or isinstance(found, type), name


def test_the_functions_allowed_are_scores_and_conversions_only():
    for name in ALLOWED_FUNCTIONS:
        module, _, kind = name.rpartition(".")
        found = getattr(importlib.import_module(module), kind)
        assert inspect.isfunction(found) or callable(found)
        assert name.startswith(("sklearn.feature_selection.", "sklearn.utils.validation.", "scipy._lib."))


# -- hostile files


class Evil:
    def __init__(self, marker):
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


def replaced(folder, write):
    """Let another file take the model's place, with a description that agrees."""
    import json

    from dwcp_jupyter import hashing

    path = folder / "model.skops"
    path.unlink()
    write(path)
    description = json.loads((folder / "model.json").read_text())
    description["sha256"] = hashing.sha256_file(path)
    (folder / "model.json").write_text(json.dumps(description))
    return description


@pytest.fixture
def kept(classifier, tmp_path):
    save_model(classifier, tmp_path / "package")
    return tmp_path / "package"


def hostile_skops(path, marker):
    """A skops file whose model holds a function that would leave the marker."""
    step = preprocessing.FunctionTransformer(types.FunctionType)
    step.func = os.mkdir
    step.kw_args = {"path": str(marker)}
    skops.io.dump(make_pipeline(step, linear_model.LogisticRegression()), path)


@pytest.mark.parametrize("trust", [None, "own"])
def test_a_skops_file_with_a_function_is_refused_and_runs_nothing(kept, tmp_path, trust):
    marker = tmp_path / "was here"
    replaced(kept, lambda path: hostile_skops(path, marker))
    with pytest.raises(UntrustedArtifactError, match="mkdir"):
        load_model(kept, trust=trust)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("format_", "flavor"),
    [
        ("skops", "sklearn"),
        ("pickle", "sklearn"),
        ("joblib", "sklearn"),
        ("onnx", "sklearn"),
        ("json", "sklearn"),
        ("ubj", "xgboost"),
    ],
)
def test_a_pickle_runs_nothing_whatever_its_description_says(kept, tmp_path, format_, flavor):
    import json

    marker = tmp_path / "was here"
    description = replaced(kept, lambda path: path.write_bytes(pickle.dumps(Evil(marker))))
    (kept / "model.json").write_text(json.dumps({**description, "format": format_, "flavor": flavor}))
    with pytest.raises((UntrustedArtifactError, FlavorError)):
        load_model(kept)
    with pytest.raises((UntrustedArtifactError, FlavorError)):
        load_model(kept, trust="none")
    assert not marker.exists()


def test_the_pickle_would_have_run(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "was here")))
    assert (tmp_path / "was here").exists()


def test_a_function_with_arguments_set_is_refused(kept, tmp_path):
    step = preprocessing.FunctionTransformer(functools.partial(np.power, 2.0)).fit([[1.0]])
    with pytest.raises(FlavorError, match=r"functools\.partial of power"):
        save_model(step, tmp_path / "other")
    replaced(kept, lambda path: skops.io.dump(step, path))
    with pytest.raises(UntrustedArtifactError, match=r"functools\.partial of power"):
        load_model(kept)


@pytest.mark.parametrize("kind", [TfidfVectorizer, CountVectorizer, HashingVectorizer])
@pytest.mark.parametrize("source", ["filename", "file"])
def test_a_vectorizer_that_would_open_files_is_refused(kept, tmp_path, kind, source):
    model = make_pipeline(kind(), linear_model.LogisticRegression()).fit(["good film", "bad film"], [0, 1])
    model.steps[0][1].input = source
    with pytest.raises(FlavorError, match="opens files that a request names"):
        save_model(model, tmp_path / "other")
    replaced(kept, lambda path: skops.io.dump(model, path))
    with pytest.raises(UntrustedArtifactError, match="opens files that a request names"):
        load_model(kept)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"\x80\x04."])
def test_a_damaged_file_is_an_error_of_ours(kept, data):
    replaced(kept, lambda path: path.write_bytes(data))
    with pytest.raises(FlavorError, match="cannot be read as skops"):
        load_model(kept)


def test_signatures_given_are_kept_as_given(classifier, iris, tmp_path):
    signature = Signature.infer(iris[0].astype("float32"), ["a"])
    save_model(classifier, tmp_path / "package", signature=signature)
    assert load_model(tmp_path / "package").signature == signature


def test_isotonic_regression_keeps_its_interpolation(tmp_path):
    model = isotonic.IsotonicRegression(out_of_bounds="clip").fit([1.0, 2, 3], [1.0, 3, 2])
    loaded = round_trip(model, tmp_path)
    np.testing.assert_array_equal(loaded.predict(np.array([[0.0], [2.5]])).values, model.predict([0.0, 2.5]))


@pytest.mark.parametrize("marker", [None, np.nan])
def test_truth_values_beside_missing_ones_are_encoded_as_when_the_model_was_fitted(tmp_path, marker):
    frame = pd.DataFrame({"x": pd.Series([True, marker, False, True] * 10, dtype=object)})
    target = [0, 1, 1, 0] * 10
    model = make_pipeline(preprocessing.OneHotEncoder(handle_unknown="ignore"), tree.DecisionTreeClassifier())
    save_model(model.fit(frame, target), tmp_path / "m", input_example=frame)
    for data in (frame, frame.astype("boolean"), {"x": [True, None, False, True] * 10}):
        assert load_model(tmp_path / "m").predict(data).values.tolist() == target
