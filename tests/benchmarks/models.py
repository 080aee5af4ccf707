"""The models that every contender serves: one training, files for all of them, and the answers they must give.

breast_cancer (569 rows of 30 floats), a random forest of 100 trees of depth 10 and a logistic regression. Peers get
the estimator fitted on plain arrays, the form their documentation uses and the faster one; ours is fitted on named
columns, since it checks requests by name. Same seed and rows, so both give the same probabilities.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

MODELS = {"forest": "random forest (100 trees, depth 10)", "logistic": "logistic regression"}
_ROWS_SENT = 64
#: float32 inputs and sums against float64: what a correct answer may differ by.
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One model as files, the rows sent to it and the right answers.

    Attributes
    ----------
    rows : list of list of float
        Rows of the test part, shape (64, 30).
    expected : list of float
        Probability of class 1 of each row, by scikit-learn.
    """

    name: str
    joblib: Path
    onnx: Path
    columns: tuple[str, ...]
    rows: list[list[float]]
    expected: list[float]


def split() -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, pd.Series]:
    """Return training and test columns and labels, the same at each call."""
    data = load_breast_cancer(as_frame=True)
    return train_test_split(data.data, data.target, test_size=0.3, random_state=0, stratify=data.target)


def estimator(name: str) -> Any:
    """Return the unfitted model `name`."""
    if name == "forest":
        return RandomForestClassifier(n_estimators=100, max_depth=10, random_state=0)
    return LogisticRegression(max_iter=10_000)


def prepare(name: str, folder: Path) -> Prepared:
    """Train the model `name` for the peers and write its files into `folder`."""
    train, test, labels, _ = split()
    model = estimator(name).fit(train.to_numpy(), labels.to_numpy())
    rows = test.to_numpy()[:_ROWS_SENT]
    paths = folder / f"{name}.joblib", folder / f"{name}.onnx"
    joblib.dump(model, paths[0])
    sample = train.to_numpy()[:1].astype(np.float32)
    paths[1].write_bytes(to_onnx(model, sample, options={id(model): {"zipmap": False}}).SerializeToString())
    return Prepared(
        name=name,
        joblib=paths[0],
        onnx=paths[1],
        columns=tuple(train.columns),
        rows=rows.tolist(),
        expected=model.predict_proba(rows)[:, 1].tolist(),
    )


def bodies(prepared: Prepared, form: str) -> tuple[bytes, ...]:
    """Return one JSON request a row, in the form a contender documents.

    `rows` {"rows": [[…]]}, `row` {"row": […]}, `split` MLflow's dataframe_split with column names, `v2` one tensor
    of the Open Inference Protocol, `features` a dictionary by column name.
    """
    make = _FORMS[form]
    return tuple(json.dumps(make(prepared.columns, row), separators=(",", ":")).encode() for row in prepared.rows)


_FORMS = {
    "rows": lambda _, row: {"rows": [row]},
    "row": lambda _, row: {"row": row},
    "split": lambda columns, row: {"dataframe_split": {"columns": list(columns), "data": [row]}},
    "features": lambda columns, row: dict(zip(columns, row, strict=True)),
    "v2": lambda _, row: {
        "inputs": [{"name": "rows", "shape": [1, len(row)], "datatype": "FP64", "data": row}],
        "outputs": [{"name": "predict_proba"}],
    },
}
