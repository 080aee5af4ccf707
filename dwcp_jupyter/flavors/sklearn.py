"""scikit-learn: whole pipelines in skops files, which are parsed and audited before anything is constructed.

skops trusts most of scikit-learn by itself. The rest that fitted estimators hold (trees, histogram predictors, losses)
is named here one by one: types of scikit-learn, NumPy, SciPy and XGBoost that only hold numbers, and the scores by
which its selectors choose, which compute and do nothing else. What compiled code would compute with is then checked
(`auditing`). A model with anything else in it is refused when it is saved, not when it is needed.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_array, check_is_fitted

from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import auditing, pickles, sklearn_inputs
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.skops_library import load_skops

__all__ = ["ALLOWED_FUNCTIONS", "ALLOWED_TYPES", "FLAVOR"]

ALLOWED_FUNCTIONS = frozenset(
    {
        "scipy._lib.array_api_compat.numpy._aliases.asarray",  # kept by splines
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.feature_selection._univariate_selection.r_regression",
        "sklearn.utils.validation.check_array",  # kept by histogram boosting with categories
    }
)
"""Functions that fitted estimators keep: they take arrays and return arrays, and touch nothing else."""

ALLOWED_TYPES = ALLOWED_FUNCTIONS | {
    "dwcp_jupyter.pipeline.interactions.Interactions",
    "dwcp_jupyter.pipeline.labels.LabelledClassifier",
    "functools.partial",  # of `check_array` alone, see `_strange_uses`
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",
    "scipy.sparse._csr.csr_matrix",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.CompoundKernel",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Exponentiation",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.PairwiseKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.model_selection._split.GroupKFold",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.RepeatedKFold",
    "sklearn.model_selection._split.RepeatedStratifiedKFold",
    "sklearn.model_selection._split.ShuffleSplit",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.StratifiedShuffleSplit",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "sklearn.multiclass._ConstantPredictor",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRanker",
    "xgboost.sklearn.XGBRegressor",
}
"""Types beyond those that skops trusts by itself."""


_skops = load_skops()


class _SklearnFlavor:
    name = "sklearn"
    framework = Framework.SKLEARN
    extensions: Mapping[str, str] = {".skops": "skops", **pickles.EXTENSIONS}

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:  # noqa: ARG002 - says all itself
        _check_is_model(model)
        classes = getattr(model, "classes_", None) if is_classifier(model) else None
        names = getattr(model, "feature_names_in_", None)
        signature = sklearn_inputs.signature_of(model)
        return ModelFacts(
            framework_version=sklearn.__version__,
            task="classification" if is_classifier(model) else "regression" if is_regressor(model) else None,
            classes=_labels_of(model, classes),
            input_names=None if signature is None else signature.names,
            fitted_names=None if names is None else tuple(map(str, names)),
            fitted_width=getattr(model, "n_features_in_", None),
            signature=signature,
            packages=installed("scikit-learn", "numpy", "scipy", "skops", "joblib", "xgboost", "xgboost-cpu"),
            detail={"inputs": "text" if sklearn_inputs.takes_text(model) else "array" if names is None else "frame"},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "model.skops"
        kind = type(model).__name__
        try:
            _skops.dump(model, path)
            strange = _untrusted(path) + _strange_uses(model)
        except Exception as exc:  # skops raises what the object's own reduction does
            raise FlavorError(f"This {kind} cannot be kept in the safe format skops: {exc}. {_remedy(model)}") from exc
        if strange:
            raise FlavorError(f"This {kind} holds what is not known to be safe: {', '.join(strange)}. {_remedy(model)}")
        auditing.check_content(model)
        return path.name, "skops"

    def load(self, path: Path, info: PackageInfo) -> Any:
        if info.format in pickles.FORMATS:
            return pickles.load(path)
        _refuse(_untrusted(path), path, info)
        model = _skops.load(path, trusted=sorted(ALLOWED_TYPES))
        _refuse(_strange_uses(model), path, info)
        auditing.check_content(model)
        return model

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        final, data = _last_step(model, _inputs(frame, str(info.detail.get("inputs", "frame"))))
        if not hasattr(final, "predict"):
            return Prediction(values=_dense(final.transform(data)))
        if info.classes is None or not hasattr(final, "predict_proba"):
            return Prediction(values=np.asarray(final.predict(data)), classes=info.classes)
        probabilities = np.asarray(final.predict_proba(data))
        return Prediction(values=_labels(final, data, probabilities), probabilities=probabilities, classes=info.classes)


def _last_step(model: Any, data: Any) -> tuple[Any, Any]:
    """Return a pipeline's last step and its input, so that what comes before is computed once for both answers."""
    while type(model) is Pipeline and hasattr(model.steps[-1][1], "predict"):
        data = model[:-1].transform(data) if len(model.steps) > 1 else data
        model = model.steps[-1][1]
    return model, data


def _check_is_model(model: Any) -> None:
    kind = type(model).__name__
    if not isinstance(model, BaseEstimator) or not (hasattr(model, "predict") or hasattr(model, "transform")):
        raise FlavorError(
            f"A {kind} is no model: it neither predicts nor transforms. Pass the fitted estimator itself."
        )
    try:
        check_is_fitted(model)
    except NotFittedError as exc:
        raise FlavorError(f"This {kind} is not fitted, so it cannot predict. Call its fit first.") from exc


def _labels_of(model: Any, classes: Any) -> tuple[Any, ...] | None:
    """Return a classifier's labels; None where there are several outputs, each with labels of its own."""
    if classes is None or isinstance(classes, list) or np.ndim(classes) != 1 or getattr(model, "multilabel_", False):
        return None
    return tuple(np.asarray(classes).tolist())


def _inputs(frame: pd.DataFrame, kind: str) -> Any:
    if kind == "text":
        return frame.iloc[:, 0]
    return frame if kind == "frame" else frame.to_numpy()


def _dense(values: Any) -> np.ndarray[Any, Any]:
    dense: np.ndarray[Any, Any] = np.asarray(values.toarray() if hasattr(values, "toarray") else values)
    return dense


def _labels(model: Any, data: Any, probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the labels; from the probabilities where the model itself takes them from there."""
    if type(model).__module__ in _BY_PROBABILITY:
        labels: np.ndarray[Any, Any] = np.asarray(model.classes_)[probabilities.argmax(axis=1)]
    else:
        labels = np.asarray(model.predict(data))
    return labels


_BY_PROBABILITY = {"sklearn.ensemble._forest", "sklearn.tree._classes"}


def _remedy(model: Any) -> str:
    if hasattr(model, "best_estimator_"):
        return "Keep its best_estimator_ instead."
    return (
        "Use scikit-learn's own estimators and named columns in place of classes and functions of your own, or save it "
        "as .joblib, register that file, and load it by trust."
    )


def _refuse(strange: list[str], path: Path, info: PackageInfo) -> None:
    if strange:
        raise UntrustedArtifactError(
            f"'{path.name}' holds what is not known to be safe: {', '.join(strange)}. It is not loaded. "
            "Keep the model as .joblib and load that by trust, if you know who made it.",
            sha256=info.sha256,
        )


def _strange_uses(model: Any) -> list[str]:
    """Return what is made of safe types and would not be safe to run.

    Functions with arguments set could be any, but for the one that scikit-learn itself keeps so; and a vectorizer that
    takes names of files would open what a request names.
    """
    found = []
    for part in auditing.parts(model):
        if isinstance(part, functools.partial) and part.func is not check_array:
            found.append(f"functools.partial of {getattr(part.func, '__name__', part.func)}")
        elif isinstance(part, (CountVectorizer, HashingVectorizer)) and part.input != "content":
            found.append(f"{type(part).__name__}(input={part.input!r}), which opens files that a request names")
    return found


def _untrusted(path: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UserWarning)
        return sorted(set(_skops.get_untrusted_types(file=path)) - ALLOWED_TYPES)


FLAVOR: Flavor = _SklearnFlavor()
