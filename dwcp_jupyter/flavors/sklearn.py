"""scikit-learn: whole pipelines in skops files, which are parsed and audited before anything is constructed.

skops trusts most of scikit-learn by itself. The rest that fitted estimators hold (trees, histogram predictors, losses)
is named here one by one: types of scikit-learn, NumPy, SciPy and XGBoost that only hold numbers, and the scores by
which its selectors choose, which compute and do nothing else.
A model with anything else in it is refused when it is saved, not when it is needed.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import skops.io
from sklearn.base import is_classifier, is_regressor

from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction

__all__ = ["ALLOWED_TYPES", "FLAVOR"]

ALLOWED_TYPES = frozenset(
    {
        "numpy.dtype",
        "scipy.interpolate._bsplines.BSpline",
        "scipy.sparse._csr.csr_matrix",
        "sklearn._loss.loss.HalfTweedieLossIdentity",
        "sklearn.calibration._CalibratedClassifier",
        "sklearn.calibration._SigmoidCalibration",
        "sklearn.cluster._bisect_k_means._BisectingTree",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.feature_selection._mutual_info.mutual_info_classif",
        "sklearn.feature_selection._mutual_info.mutual_info_regression",
        "sklearn.feature_selection._univariate_selection.chi2",
        "sklearn.feature_selection._univariate_selection.f_classif",
        "sklearn.feature_selection._univariate_selection.f_regression",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.gaussian_process.kernels.ConstantKernel",
        "sklearn.gaussian_process.kernels.DotProduct",
        "sklearn.gaussian_process.kernels.Matern",
        "sklearn.gaussian_process.kernels.Product",
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.gaussian_process.kernels.RationalQuadratic",
        "sklearn.gaussian_process.kernels.Sum",
        "sklearn.gaussian_process.kernels.WhiteKernel",
        "sklearn.metrics._dist_metrics.EuclideanDistance64",
        "sklearn.metrics._dist_metrics.ManhattanDistance64",
        "sklearn.metrics._dist_metrics.MinkowskiDistance64",
        "sklearn.neighbors._ball_tree.BallTree",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        "sklearn.tree._tree.Tree",
        "xgboost.core.Booster",
        "xgboost.sklearn.XGBClassifier",
        "xgboost.sklearn.XGBRFClassifier",
        "xgboost.sklearn.XGBRFRegressor",
        "xgboost.sklearn.XGBRanker",
        "xgboost.sklearn.XGBRegressor",
    }
)
"""Types beyond those that skops trusts by itself."""


class _SklearnFlavor:
    name = "sklearn"
    framework = Framework.SKLEARN
    extensions: Mapping[str, str] = {".skops": "skops", ".pkl": "pickle", ".pickle": "pickle", ".joblib": "joblib"}

    def describe(self, model: Any) -> ModelFacts:
        classes = getattr(model, "classes_", None) if is_classifier(model) else None
        names = getattr(model, "feature_names_in_", None)
        count = getattr(model, "n_features_in_", None)
        if names is None and count is not None:
            names = [f"x{number}" for number in range(int(count))]
        return ModelFacts(
            framework_version=sklearn.__version__,
            task="classification" if is_classifier(model) else "regression" if is_regressor(model) else None,
            classes=None if classes is None or isinstance(classes, list) else tuple(np.asarray(classes).tolist()),
            input_names=None if names is None else tuple(map(str, names)),
            packages=installed("scikit-learn", "numpy", "scipy", "skops", "xgboost", "xgboost-cpu"),
            detail={"names_columns": getattr(model, "feature_names_in_", None) is not None},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "model.skops"
        kind = type(model).__name__
        try:
            skops.io.dump(model, path)
            strange = _untrusted(path)
        except Exception as exc:  # skops raises what the object's own reduction does
            raise FlavorError(f"This {kind} cannot be kept in the safe format skops: {exc}. {_REMEDY}") from exc
        if strange:
            raise FlavorError(f"This {kind} holds types that are not known to be safe: {', '.join(strange)}. {_REMEDY}")
        return path.name, "skops"

    def load(self, path: Path, info: PackageInfo) -> Any:
        if info.format == "skops":
            strange = _untrusted(path)
            if strange:
                raise UntrustedArtifactError(
                    f"'{path.name}' holds types that are not known to be safe: {', '.join(strange)}. It is not "
                    f"loaded. {_REMEDY}",
                    sha256=info.sha256,
                )
            return skops.io.load(path, trusted=sorted(ALLOWED_TYPES))
        import joblib

        return joblib.load(path)  # reads plain pickles too; its trust was decided by the caller

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        data = frame if info.detail.get("names_columns", True) else frame.to_numpy()
        if info.classes is None or not hasattr(model, "predict_proba"):
            return Prediction(values=np.asarray(model.predict(data)), classes=info.classes)
        probabilities = np.asarray(model.predict_proba(data))
        return Prediction(values=_labels(model, data, probabilities), probabilities=probabilities, classes=info.classes)


def _labels(model: Any, data: Any, probabilities: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the labels; from the probabilities where the model would take them from there too."""
    final = model.steps[-1][1] if hasattr(model, "steps") else model
    if type(final).__module__.startswith(_BY_PROBABILITY):
        classes: np.ndarray[Any, Any] = np.asarray(model.classes_)
        return classes[probabilities.argmax(axis=1)]
    labels: np.ndarray[Any, Any] = np.asarray(model.predict(data))
    return labels


_BY_PROBABILITY = ("sklearn.ensemble._forest", "sklearn.tree", "sklearn.linear_model._logistic")
_REMEDY = "Use scikit-learn's own estimators, or keep it as .joblib and load that by trust."


def _untrusted(path: Path) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UserWarning)
        return sorted(set(skops.io.get_untrusted_types(file=path)) - ALLOWED_TYPES)


FLAVOR: Flavor = _SklearnFlavor()
