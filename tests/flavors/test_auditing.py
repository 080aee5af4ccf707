"""Parts of models that compiled code would follow out of bounds are found before they are used."""

import numpy as np
import pytest
import skops.io
from scipy.interpolate import BSpline
from scipy.sparse import csr_matrix
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from dwcp_jupyter.exceptions import IntegrityError
from dwcp_jupyter.flavors import load_model, save_model
from dwcp_jupyter.flavors.auditing import check_content


@pytest.fixture(scope="module")
def flowers(iris):
    return iris[0].iloc[::3], iris[1].iloc[::3]


SOUND = [
    DecisionTreeClassifier(),
    DecisionTreeClassifier(max_leaf_nodes=4, ccp_alpha=0.01),
    RandomForestClassifier(3),
    BaggingClassifier(n_estimators=3, max_features=0.5),
    IsolationForest(n_estimators=3, max_features=0.5),
    GradientBoostingClassifier(n_estimators=2),
    HistGradientBoostingClassifier(max_iter=2),
    KNeighborsClassifier(algorithm="ball_tree"),
    KNeighborsClassifier(algorithm="kd_tree"),
    SplineTransformer(n_knots=3),
]


@pytest.mark.parametrize("model", SOUND, ids=lambda model: type(model).__name__)
def test_fitted_models_are_sound(model, flowers):
    check_content(model.fit(*flowers))
    check_content([{"deep": (model,)}])


def altered(tree, **columns):
    """Give a tree other nodes, as a crafted file could."""
    state = tree.__getstate__()
    for name, values in columns.items():
        state["nodes"][name] = values(state["nodes"][name])
    tree.__setstate__(state)


def put(place, value):
    def change(values):
        values[place] = value
        return values

    return change


ATTACKS = {
    "child beyond the end": {"left_child": put(0, 10**6)},
    "child before the start": {"right_child": put(0, -7)},
    "child that is its parent": {"left_child": put(0, 0)},
    "feature beyond the columns": {"feature": put(0, 10**6)},
    "negative feature": {"feature": put(0, -5)},
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize(
    "model", [DecisionTreeClassifier(), RandomForestClassifier(3), GradientBoostingClassifier(n_estimators=2)]
)
def test_trees_that_lead_out_of_bounds_are_refused(model, attack, flowers):
    model.fit(*flowers)
    tree = model if hasattr(model, "tree_") else np.ravel(np.asarray(model.estimators_, dtype=object))[-1]
    altered(tree.tree_, **attack)
    with pytest.raises(IntegrityError, match="Tree is damaged"):
        check_content(make_pipeline(StandardScaler(), model))


@pytest.mark.parametrize(
    "model", [RandomForestClassifier(3), ExtraTreesRegressor(3), GradientBoostingClassifier(n_estimators=2)]
)
def test_trees_of_wider_data_are_refused(model, flowers):
    features, species = flowers
    target = species.factorize()[0]
    model.fit(features, target)
    wide = type(model)(**model.get_params()).fit(np.tile(features.to_numpy(), 5), target)
    model.estimators_ = wide.estimators_
    with pytest.raises(IntegrityError):
        check_content(model)


def test_boosting_with_more_trees_a_round_than_classes_is_refused(flowers):
    model = GradientBoostingClassifier(n_estimators=2).fit(*flowers)
    model.estimators_ = np.tile(model.estimators_, (1, 2))
    with pytest.raises(IntegrityError):
        check_content(model)


@pytest.mark.parametrize(
    ("name", "value"),
    [("left", 10**6), ("right", 0), ("feature_idx", 10**6), ("feature_idx", -1), ("is_categorical", 1)],
)
def test_histogram_trees_that_lead_out_of_bounds_are_refused(name, value, flowers):
    model = HistGradientBoostingClassifier(max_iter=2).fit(*flowers)
    model._predictors[0][0].nodes[name][0] = value
    with pytest.raises(IntegrityError):
        check_content(model)


@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize("part", ["order", "start", "end", "leaf", "width"])
def test_neighbour_trees_that_lead_out_of_bounds_are_refused(kind, part):
    tree = kind(np.random.default_rng(0).normal(size=(100, 3)), leaf_size=5)
    state = list(tree.__getstate__())
    state = [value.copy() if isinstance(value, np.ndarray) else value for value in state]
    if part == "order":
        state[1][0] = 10**6
    elif part == "width":
        state[3] = state[3][:, :, :1].copy()
    else:
        name, value = {"start": ("idx_start", -1), "end": ("idx_end", 10**6), "leaf": ("is_leaf", 0)}[part]
        state[2][name][-1] = value
    bad = kind.__new__(kind)
    bad.__setstate__(tuple(state))
    check_content(tree)
    with pytest.raises(IntegrityError):
        check_content([bad])


def test_splines_and_sparse_matrices_of_the_wrong_shape_are_refused():
    spline = BSpline(np.arange(8.0), np.ones(4), 3)
    check_content(spline)
    spline.k = 50
    with pytest.raises(IntegrityError):
        check_content(spline)
    matrix = csr_matrix(np.eye(3))
    check_content(matrix)
    matrix.indices[0] = 10**6
    with pytest.raises(IntegrityError):
        check_content(matrix)


def test_a_crafted_file_is_refused_when_it_is_loaded(flowers, tmp_path):
    import json

    from dwcp_jupyter import hashing

    model = RandomForestClassifier(3).fit(*flowers)
    save_model(model, tmp_path / "package")
    altered(model.estimators_[1].tree_, left_child=put(0, 10**6))
    path = tmp_path / "package" / "model.skops"
    skops.io.dump(model, path)
    description = json.loads((tmp_path / "package" / "model.json").read_text())
    (tmp_path / "package" / "model.json").write_text(json.dumps({**description, "sha256": hashing.sha256_file(path)}))
    with pytest.raises(IntegrityError, match="Tree is damaged"):
        load_model(tmp_path / "package")
