"""Whether the numbers inside a model that was read can be computed with.

skops proves that a file holds only types that were named; it cannot prove that their content is sound. Compiled code of
scikit-learn and SciPy follows the indices in trees, neighbour trees, splines and sparse matrices without looking at
their bounds, so a crafted file could crash the process or read foreign memory. Each such part is checked here, between
reading and the first prediction.

See https://github.com/scikit-learn/scikit-learn/pull/34558.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from dwcp_jupyter.exceptions import IntegrityError

__all__ = ["check_content", "parts"]

_MODULES = ("sklearn", "scipy")
_Array = np.ndarray[Any, Any]


def check_content(model: Any) -> None:
    """Refuse a model that compiled code would compute out of bounds with.

    Raises
    ------
    IntegrityError
        It says which part is unsound.
    """
    for part in parts(model):
        for cls in type(part).__mro__:
            check = _CHECKS.get(cls.__name__) if cls.__module__.startswith(_MODULES) else None
            if check is not None and not _passes(check, part):
                raise IntegrityError(
                    f"The model's {type(part).__name__} is damaged: its indices point outside its own data. It is not "
                    "used. Save the model again.",
                    expected="indices within bounds",
                    actual=type(part).__name__,
                )


def parts(model: Any) -> Iterator[Any]:
    """Return the model and everything in it that is an object of a library, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if id(part) in seen or isinstance(part, (str, bytes, int, float, type(None))):
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            waiting.extend(part)
        elif isinstance(part, np.ndarray):
            waiting.extend(part.ravel().tolist() if part.dtype == object else [])
        else:
            yield part
            waiting.extend(getattr(part, "__dict__", {}).values())


def _passes(check: Callable[[Any], bool], part: Any) -> bool:
    try:
        return bool(check(part))
    except (AttributeError, LookupError, TypeError, ValueError):  # not even shaped like one
        return False


def _within(values: _Array, limit: int) -> bool:
    return not values.size or bool(values.min() >= 0 and values.max() < limit)


def _is_forward(left: _Array, right: _Array, is_leaf: _Array) -> bool:
    """Return whether each inner node's children come after it: then every way down ends."""
    here = np.flatnonzero(~is_leaf)
    count = len(is_leaf)
    return all(bool((child[here] > here).all()) and _within(child[here], count) for child in (left, right))


def _tree(tree: Any) -> bool:
    nodes = tree.__getstate__()["nodes"]
    is_leaf = nodes["left_child"] == -1
    return (
        len(nodes) == tree.node_count > 0
        and _is_forward(nodes["left_child"], nodes["right_child"], is_leaf)
        and _within(nodes["feature"][~is_leaf], tree.n_features)
    )


def _takes(estimator: Any, n_features: int) -> bool:
    return not hasattr(estimator, "tree_") or bool(estimator.tree_.n_features == n_features)


def _decision_tree(model: Any) -> bool:
    return not hasattr(model, "tree_") or _takes(model, model.n_features_in_)


def _ensemble(model: Any) -> bool:
    """Forests and boosting hand their input to the trees unchecked."""
    trees = np.ravel(np.asarray(getattr(model, "estimators_", ()), dtype=object))
    return all(_takes(tree, model.n_features_in_) for tree in trees)


def _boosting(model: Any) -> bool:
    if not hasattr(model, "estimators_"):
        return True
    return _ensemble(model) and model.estimators_.ndim == 2 and model.estimators_.shape[1] == _outputs(model)


def _outputs(model: Any) -> int:
    """Return how many trees a round of boosting has: one a class, of which two need but one."""
    classes = len(getattr(model, "classes_", ()))
    return classes if classes > 2 else 1


def _bagging(model: Any) -> bool:
    if not hasattr(model, "estimators_"):
        return True
    pairs = zip(model.estimators_, model.estimators_features_, strict=True)
    return all(_within(np.asarray(f), model.n_features_in_) and _takes(tree, len(f)) for tree, f in pairs)


def _histogram_tree(predictor: Any) -> bool:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"].astype(bool)
    by_category = nodes[~is_leaf & nodes["is_categorical"].astype(bool)]
    bitsets = min(len(predictor.raw_left_cat_bitsets), len(predictor.binned_left_cat_bitsets))
    return (
        len(nodes) > 0
        and _is_forward(nodes["left"].astype(np.int64), nodes["right"].astype(np.int64), is_leaf)
        and _within(by_category["bitset_idx"], bitsets)
    )


def _histogram_boosting(model: Any) -> bool:
    if not hasattr(model, "_predictors"):
        return True
    is_categorical = np.asarray(model._bin_mapper.is_categorical_).astype(bool)
    for predictor in (one for rounds in model._predictors for one in rounds):
        inner = predictor.nodes[~predictor.nodes["is_leaf"].astype(bool)]
        by_category = inner["feature_idx"][inner["is_categorical"].astype(bool)]
        if not _within(inner["feature_idx"], len(is_categorical)) or not is_categorical[by_category].all():
            return False
    return (
        len(is_categorical) == model._n_features == model.n_features_in_
        and all(len(rounds) == _outputs(model) for rounds in model._predictors)
        and np.size(model._baseline_prediction) == _outputs(model)
    )


def _neighbour_tree(tree: Any) -> bool:
    state = tree.__getstate__()
    data, order, nodes, bounds = (np.asarray(part) for part in state[:4])
    starts, ends, is_leaf = nodes["idx_start"], nodes["idx_end"], nodes["is_leaf"].astype(bool)
    weights = state[12]
    return (
        len(order) == len(data)
        and _within(order, len(data))
        and bool((starts >= 0).all() and (starts <= ends).all() and (ends <= len(data)).all())
        and bool((2 * np.flatnonzero(~is_leaf) + 2 < len(nodes)).all())
        and int(state[6]) == len(nodes) > 0
        and bounds.shape[1:] == (len(nodes), data.shape[1])
        and (type(tree).__name__.startswith("Ball") or len(bounds) == 2)
        and (weights is None or len(weights) == len(data))
    )


def _spline(spline: Any) -> bool:
    type(spline)(spline.t, spline.c, spline.k)
    return True


def _sparse(matrix: Any) -> bool:
    matrix.check_format(full_check=True)
    return True


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "Tree": _tree,
    "BaseDecisionTree": _decision_tree,
    "BaseForest": _ensemble,
    "BaseGradientBoosting": _boosting,
    "BaseBagging": _bagging,
    "TreePredictor": _histogram_tree,
    "BaseHistGradientBoosting": _histogram_boosting,
    "BinaryTree64": _neighbour_tree,
    "BinaryTree32": _neighbour_tree,
    "BSpline": _spline,
    "_cs_matrix": _sparse,
}
