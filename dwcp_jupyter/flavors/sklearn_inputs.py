"""What a fitted scikit-learn model knows of its input columns, for models that come without an example.

Encoders remember the values they met, imputers that something was missing, vectorizers take texts; whatever nobody
encodes reaches the model as it is, so it is a number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags

from dwcp_jupyter.flavors import tables
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["signature_of", "takes_text"]

_VECTORIZERS = {CountVectorizer, HashingVectorizer, TfidfVectorizer}


def takes_text(model: Any) -> bool:
    """Return whether the model's input is one column of texts, which its vectorizers want without a frame."""
    return type(_first(model)) in _VECTORIZERS


def signature_of(model: Any) -> Signature | None:
    """Return the inputs that a fitted model was made for, or None where it does not say how many."""
    if takes_text(model):
        return Signature(inputs=(Column(name="text", type=ColumnType.STRING, dtype="string"),))
    names = getattr(model, "feature_names_in_", None)
    count = getattr(model, "n_features_in_", None)
    if names is None and count is None:
        return None
    names = [f"x{number}" for number in range(int(count or 0))] if names is None else list(map(str, names))
    columns = _columns(model, names)
    return Signature(inputs=tuple(columns))


def _first(model: Any) -> Any:
    while isinstance(model, (Pipeline, FeatureUnion)):
        model = (model.steps if isinstance(model, Pipeline) else model.transformer_list)[0][1]
    return model


def _columns(model: Any, names: Sequence[str]) -> list[Column]:
    """Return the columns that a model, or the step of one, takes under these names."""
    if isinstance(model, Pipeline):
        return _of_pipeline(model, names)
    if isinstance(model, FeatureUnion) and model.transformer_list:
        return _columns(model.transformer_list[0][1], names)
    if isinstance(model, ColumnTransformer):
        return _of_branches(model, names)
    if type(model) in _VECTORIZERS:
        return [Column(name=name, type=ColumnType.STRING, dtype="string") for name in names]
    remembered = _remembered(model, len(names))
    if remembered is not None:
        return [_of_values(name, values) for name, values in zip(names, remembered, strict=True)]
    nullable = hasattr(model, "__sklearn_tags__") and bool(get_tags(model).input_tags.allow_nan)
    return [Column(name=name, type=ColumnType.FLOAT, dtype="float64", nullable=nullable) for name in names]


def _of_pipeline(model: Pipeline, names: Sequence[str]) -> list[Column]:
    steps = [step for _, step in model.steps if step is not None and not isinstance(step, str)]
    if not steps:
        return _columns(None, names)
    is_imputer = hasattr(steps[0], "missing_values") and len(steps) > 1
    if not is_imputer:
        return _columns(steps[0], names)
    kept = getattr(steps[0], "get_feature_names_out", None)
    same = kept is not None and len(kept(np.asarray(names, dtype=object))) == len(names)
    inner = _columns(steps[1] if same else None, names)
    return [replace(column, nullable=True) for column in inner]


def _of_branches(model: ColumnTransformer, names: Sequence[str]) -> list[Column]:
    found: dict[str, Column] = {}
    for _, step, where in model.transformers_:
        chosen = _chosen(where, names)
        if isinstance(step, str) and step == "drop":
            made = [Column(name=name, type=ColumnType.OBJECT, dtype="object", nullable=True) for name in chosen]
        else:
            made = _columns(None if isinstance(step, str) else step, chosen)
        for column in made:
            if column.name not in found or found[column.name].type is ColumnType.OBJECT:
                found[column.name] = column
    return [found[name] if name in found else _columns(None, [name])[0] for name in names]


def _chosen(where: Any, names: Sequence[str]) -> list[str]:
    """Return the names that a branch selects: by name, place, mask or slice."""
    if isinstance(where, (str, int, np.integer)):
        where = [where]
    if isinstance(where, slice):
        frame = pd.DataFrame(columns=list(names))
        by_name = isinstance(where.start, str) or isinstance(where.stop, str)
        return list((frame.loc[:, where] if by_name else frame.iloc[:, where]).columns)
    where = list(where)
    if where and all(isinstance(entry, (bool, np.bool_)) for entry in where):
        return [name for name, taken in zip(names, where, strict=True) if taken]
    return [str(entry) if isinstance(entry, str) else names[int(entry)] for entry in where]


def _remembered(model: Any, width: int) -> Sequence[Any] | None:
    """Return the values that an encoder or a histogram model met, one array a column; None for other steps."""
    values = getattr(model, "categories_", None)
    if isinstance(values, list) and len(values) == width:
        return values
    preprocessor = getattr(model, "_preprocessor", None)
    mask = getattr(model, "is_categorical_", None)
    if preprocessor is None or mask is None:
        return None
    met = iter(preprocessor.named_transformers_["encoder"].categories_)
    return [pd.Categorical(list(next(met))) if is_category else np.array([0.5, np.nan]) for is_category in mask]


def _of_values(name: str, values: Any) -> Column:
    series = pd.Series(values if isinstance(values, pd.Categorical) else np.asarray(values))
    return tables.infer_columns(series.infer_objects().to_frame(name))[0]
