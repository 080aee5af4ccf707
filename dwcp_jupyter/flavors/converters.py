"""Conversion of fitted scikit-learn and XGBoost models to ONNX.

skl2onnx knows scikit-learn's estimators, onnxmltools XGBoost's. Some fitted steps are first said in the words that
the converters know, on a copy: a text that is missing is a text of its own (`MISSING_TEXT`), since ONNX has none.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import auditing
from dwcp_jupyter.flavors.signature import ColumnType, Signature

__all__ = ["MISSING_TEXT", "to_onnx"]

MISSING_TEXT = "\x00missing"
"""What a compiled graph is fed where a text is missing; no request's text is it by chance."""

_PURPOSE = "Compiled serving"
_OPSET = {"": 18, "ai.onnx.ml": 3}
_BY_PROBABILITY = {"sklearn.ensemble._forest", "sklearn.ensemble._bagging", "sklearn.tree._classes"}
_STEPS = 1e5
"""Steps in which probabilities count as different for a label: coarser than what float32 loses in a sum."""
_XGBOOST = ("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor")


def to_onnx(model: Any, signature: Signature, layout: str, *, has_probabilities: bool) -> bytes:
    """Return `model` as a serialized ONNX graph: float32 or text in, values and, where it has them, probabilities out.

    The same model gives the same bytes.

    Raises
    ------
    MissingExtraError
        Without the extra ``onnx``.
    FlavorError
        If a column's type has no tensor. Converters raise errors of their own for what they do not know.
    """
    skl2onnx = extras.require("skl2onnx", extra="onnx", purpose=_PURPOSE)
    types = extras.require("skl2onnx.common.data_types", extra="onnx", purpose=_PURPOSE)
    _register_scalers(skl2onnx)
    if "xgboost" in sys.modules:
        _register_xgboost(skl2onnx)
    prepared = _prepared(model)
    converted = skl2onnx.convert_sklearn(
        prepared,
        name="model",
        initial_types=_initial_types(types, signature, layout),
        options={id(prepared): {"zipmap": False}} if has_probabilities else None,
        target_opset=_OPSET,
    )
    del converted.graph.output[2 if has_probabilities else 1 :]  # scores and distances are no probabilities
    if has_probabilities and _labels_by_probability(prepared):
        _label_by_probability(converted.graph, prepared.classes_)
    return bytes(converted.SerializeToString(deterministic=True))


def _labels_by_probability(model: Any) -> bool:
    """Return whether the label is, by the model's own definition, the first of its largest probabilities."""
    while type(model).__name__ == "Pipeline":
        model = model.steps[-1][1]
    return type(model).__module__ in _BY_PROBABILITY


def _label_by_probability(graph: Any, classes: Any) -> None:
    """Let the label follow from the probabilities: summed in float32, votes that tie would be a matter of luck."""
    onnx = extras.require("onnx", extra="onnx", purpose=_PURPOSE)
    labels = np.asarray(classes)
    labels = labels.astype(object if labels.dtype.kind in "OUS" else np.int64)
    probabilities = graph.output[1].name
    graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.array(_STEPS, dtype=np.float32), "dwcp_steps"),
            onnx.numpy_helper.from_array(labels, "dwcp_labels"),
        ]
    )
    graph.node.extend(
        [
            onnx.helper.make_node("Mul", [probabilities, "dwcp_steps"], ["dwcp_scaled"]),
            onnx.helper.make_node("Round", ["dwcp_scaled"], ["dwcp_rounded"]),
            onnx.helper.make_node("ArgMax", ["dwcp_rounded"], ["dwcp_place"], axis=1, keepdims=0),
            onnx.helper.make_node("Gather", ["dwcp_labels", "dwcp_place"], ["dwcp_label"], axis=0),
        ]
    )
    kind = onnx.TensorProto.STRING if labels.dtype == object else onnx.TensorProto.INT64
    graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("dwcp_label", kind, [None]))


def _initial_types(types: Any, signature: Signature, layout: str) -> list[tuple[str, Any]]:
    if layout == "matrix":
        return [("inputs", types.FloatTensorType([None, len(signature.inputs)]))]
    found = []
    for column in signature.inputs:
        if column.type not in {ColumnType.BOOL, ColumnType.INT, ColumnType.FLOAT, ColumnType.STRING}:
            raise FlavorError(f"column '{column.name}' is of type {column.type}")
        is_text = column.type is ColumnType.STRING
        found.append((column.name, (types.StringTensorType if is_text else types.FloatTensorType)([None, 1])))
    return found


def _register_scalers(skl2onnx: Any) -> None:
    """Let scalers compute in float64, as scikit-learn does.

    Where data have few different values (counts, years), thresholds of trees fall exactly on scaled values, and the
    last bit decides.
    """
    shapes = extras.require("skl2onnx.shape_calculators.scaler", extra="onnx", purpose=_PURPOSE)
    preprocessing = extras.require("sklearn.preprocessing", extra="onnx", purpose=_PURPOSE)
    for name in _SCALERS:
        skl2onnx.update_registered_converter(
            getattr(preprocessing, name), f"Dwcp{name}", shapes.calculate_sklearn_scaler_output_shapes, _convert_scaler
        )


def _convert_scaler(scope: Any, operator: Any, container: Any) -> None:
    onnx = extras.require("onnx", extra="onnx", purpose=_PURPOSE)
    scaler = operator.raw_operator
    current = operator.inputs[0].full_name

    def add(kind: str, value: Any = None, **attributes: Any) -> None:
        nonlocal current
        inputs = [current]
        if value is not None:
            inputs.append(scope.get_unique_variable_name("scaling"))
            numbers = np.asarray(value, dtype=np.float64)
            container.add_initializer(inputs[1], onnx.TensorProto.DOUBLE, [1, len(numbers)], numbers.tolist())
        current = scope.get_unique_variable_name("scaled")
        container.add_node(kind, inputs, [current], name=scope.get_unique_operator_name(kind), **attributes)

    add("Cast", to=onnx.TensorProto.DOUBLE)
    for kind, attribute, switch in _SCALERS[type(scaler).__name__]:
        if getattr(scaler, switch, True):
            add(kind, getattr(scaler, attribute))
    if getattr(scaler, "clip", False):
        low, high = scaler.feature_range
        width = np.ones(scaler.n_features_in_)
        add("Max", low * width)
        add("Min", high * width)
    add("Cast", to=onnx.TensorProto.FLOAT)
    container.add_node(
        "Identity", [current], [operator.outputs[0].full_name], name=scope.get_unique_operator_name("end")
    )


_SCALERS = {
    "StandardScaler": (("Sub", "mean_", "with_mean"), ("Div", "scale_", "with_std")),
    "RobustScaler": (("Sub", "center_", "with_centering"), ("Div", "scale_", "with_scaling")),
    "MinMaxScaler": (("Mul", "scale_", ""), ("Add", "min_", "")),
}
"""What each scaler does to its input, in its own order: so that each result is the same to the last bit."""


def _register_xgboost(skl2onnx: Any) -> None:
    xgboost = extras.require("xgboost", extra="xgboost", purpose=_PURPOSE)
    module = "onnxmltools.convert.xgboost.operator_converters.XGBoost"
    convert = extras.require(module, extra="onnx", purpose=_PURPOSE).convert_xgboost
    shapes = extras.require("skl2onnx.common.shape_calculator", extra="onnx", purpose=_PURPOSE)
    for name in _XGBOOST:
        is_classifier = name.endswith("Classifier")
        skl2onnx.update_registered_converter(
            getattr(xgboost, name),
            name,
            shapes.calculate_linear_classifier_output_shapes
            if is_classifier
            else shapes.calculate_linear_regressor_output_shapes,
            convert,
            options={"zipmap": [True, False, "columns"], "nocl": [True, False]} if is_classifier else None,
        )


def _prepared(model: Any) -> Any:
    """Return a copy whose steps the converters know; the model itself where nothing is to be said otherwise."""
    if not any(type(part).__name__ in _REPHRASED for part in auditing.parts(model)):
        return model
    prepared = copy.deepcopy(model)
    for part in list(auditing.parts(prepared)):
        if type(part).__module__.startswith(("sklearn.", "xgboost.")) and type(part).__name__ in _REPHRASED:
            _REPHRASED[type(part).__name__](part)
    return prepared


def _rephrase_encoder(encoder: Any) -> None:
    """Name what is missing among the categories; the rare ones share a column only if there are any."""
    if not hasattr(encoder, "categories_"):
        return
    encoder.categories_ = [_named_missing(values) for values in encoder.categories_]
    rare = getattr(encoder, "_infrequent_indices", None) or [None]
    if getattr(encoder, "handle_unknown", None) == "infrequent_if_exist" and all(places is None for places in rare):
        encoder.handle_unknown = "ignore"


def _named_missing(values: Any) -> Any:
    if np.asarray(values).dtype.kind != "O" or not any(isinstance(value, str) for value in values):
        return values
    named = [value if isinstance(value, str) else MISSING_TEXT for value in values]
    return np.array(named, dtype=object)


def _rephrase_imputer(imputer: Any) -> None:
    if hasattr(imputer, "statistics_") and np.asarray(imputer.statistics_).dtype.kind in "OU":
        imputer.missing_values = MISSING_TEXT


def _rephrase_booster(model: Any) -> None:
    """Call the columns by number, as the converter wants them."""
    model.get_booster().feature_names = None


_REPHRASED: dict[str, Callable[[Any], None]] = {
    "OneHotEncoder": _rephrase_encoder,
    "OrdinalEncoder": _rephrase_encoder,
    "SimpleImputer": _rephrase_imputer,
    **dict.fromkeys(_XGBOOST, _rephrase_booster),
}
