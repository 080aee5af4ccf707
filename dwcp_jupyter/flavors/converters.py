"""Conversion of fitted scikit-learn models to ONNX by skl2onnx."""

from __future__ import annotations

from typing import Any

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.signature import ColumnType, Signature

__all__ = ["to_onnx"]


def to_onnx(model: Any, signature: Signature, layout: str, *, is_classifier: bool) -> bytes:
    """Return `model` as a serialized ONNX graph.

    Raises
    ------
    MissingExtraError
        Without the extra ``onnx``.
    """
    skl2onnx = extras.require("skl2onnx", extra="onnx", purpose="Compiled serving")
    types = extras.require("skl2onnx.common.data_types", extra="onnx", purpose="Compiled serving")
    options = {id(model): {"zipmap": False}} if is_classifier else None
    converted = skl2onnx.convert_sklearn(
        model,
        name="model",
        initial_types=_initial_types(types, signature, layout),
        options=options,
        target_opset=_OPSET,
    )
    return bytes(converted.SerializeToString())


_OPSET = {"": 18, "ai.onnx.ml": 3}


def _initial_types(types: Any, signature: Signature, layout: str) -> list[tuple[str, Any]]:
    if layout == "matrix":
        return [("inputs", types.FloatTensorType([None, len(signature.inputs)]))]
    found = []
    for column in signature.inputs:
        if column.type not in {ColumnType.BOOL, ColumnType.INT, ColumnType.FLOAT, ColumnType.STRING}:
            raise FlavorError(f"column '{column.name}' is of type {column.type}")
        tensor = types.FloatTensorType if column.is_numeric else types.StringTensorType
        found.append((column.name, tensor([None, 1])))
    return found
