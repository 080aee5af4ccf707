"""Save a scikit-learn model in MLflow's format: `mlflow_save.py MODEL.joblib FOLDER`; run by the peer's interpreter."""

from __future__ import annotations

import sys

import joblib
import mlflow.sklearn

mlflow.sklearn.save_model(
    joblib.load(sys.argv[1]), sys.argv[2], pyfunc_predict_fn="predict_proba", serialization_format="cloudpickle"
)
