"""ONNX: a graph that ONNX Runtime runs; reading one runs no code of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["FLAVOR", "open_session"]

_TYPES = {
    "tensor(float)": (ColumnType.FLOAT, "float32"),
    "tensor(double)": (ColumnType.FLOAT, "float64"),
    "tensor(int64)": (ColumnType.INT, "int64"),
    "tensor(int32)": (ColumnType.INT, "int32"),
    "tensor(bool)": (ColumnType.BOOL, "bool"),
    "tensor(string)": (ColumnType.STRING, "string"),
}


def open_session(model: bytes | str | Path) -> Any:
    """Return an ONNX Runtime session of one thread: requests are what runs in parallel."""
    runtime = extras.require("onnxruntime", extra="onnx", purpose="An ONNX model")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class _OnnxFlavor:
    name = "onnx"
    framework = Framework.ONNX
    extensions: Mapping[str, str] = {".onnx": "onnx"}

    def describe(self, model: Any) -> ModelFacts:
        session = model if hasattr(model, "get_inputs") else open_session(_serialized(model))
        runtime = extras.require("onnxruntime", extra="onnx", purpose="An ONNX model")
        signature = _signature(session)
        outputs = session.get_outputs()
        is_classifier = len(outputs) == 2 and outputs[0].type in {"tensor(int64)", "tensor(string)"}
        return ModelFacts(
            framework_version=runtime.__version__,
            task="classification" if is_classifier else None,
            input_names=signature.names,
            signature=signature,
            packages=installed("onnxruntime", "onnx"),
            detail={"matrix": _is_matrix(session)},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        data = _serialized(model)
        open_session(data)
        path = folder / "model.onnx"
        path.write_bytes(data)
        return path.name, "onnx"

    def load(self, path: Path, info: PackageInfo) -> Any:
        return open_session(path)

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        session = model if hasattr(model, "get_inputs") else open_session(_serialized(model))
        answers = session.run(None, _feeds(session, frame))
        values = np.asarray(answers[0])
        values = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
        if len(answers) < 2:
            return Prediction(values=values)
        return _classified(values, answers[1], info)


def _classified(values: np.ndarray[Any, Any], scores: Any, info: PackageInfo) -> Prediction:
    if isinstance(scores, list):  # a ZipMap gives one mapping of label to probability a row
        classes = tuple(scores[0]) if scores else info.classes
        table = np.asarray([[row[label] for label in classes or ()] for row in scores], dtype=np.float32)
        return Prediction(values=values, probabilities=table, classes=classes)
    return Prediction(values=values, probabilities=np.asarray(scores), classes=info.classes)


def _serialized(model: Any) -> bytes:
    if isinstance(model, bytes):
        return model
    if hasattr(model, "SerializeToString"):
        return bytes(model.SerializeToString())
    raise FlavorError(
        f"A {type(model).__name__} is no ONNX model. Pass a ModelProto, or register the .onnx file by its path."
    )


def _is_matrix(session: Any) -> bool:
    inputs = session.get_inputs()
    return len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] != 1


def _signature(session: Any) -> Signature:
    inputs = session.get_inputs()
    if _is_matrix(session):
        kind, dtype = _type(inputs[0])
        width = inputs[0].shape[1]
        if not isinstance(width, int):
            raise FlavorError(f"Input '{inputs[0].name}' has no fixed number of columns. Give a signature.")
        columns = [Column(name=f"x{number}", type=kind, dtype=dtype) for number in range(width)]
    else:
        columns = [_column(entry) for entry in inputs]
    return Signature(inputs=tuple(columns))


def _column(entry: Any) -> Column:
    kind, dtype = _type(entry)
    inner = tuple(size if isinstance(size, int) else -1 for size in entry.shape[1:])
    shape = () if inner in {(), (1,)} else inner
    return Column(name=entry.name, type=ColumnType.ARRAY if shape else kind, dtype=dtype, shape=shape)


def _type(entry: Any) -> tuple[ColumnType, str]:
    if entry.type not in _TYPES:
        raise FlavorError(
            f"Input '{entry.name}' has type {entry.type}, which no column has. Export the model with tensors."
        )
    return _TYPES[entry.type]


def _feeds(session: Any, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    inputs = session.get_inputs()
    if _is_matrix(session):
        return {inputs[0].name: frame.to_numpy(dtype=_TYPES[inputs[0].type][1])}
    feeds = {}
    for entry in inputs:
        dtype: Any = object if entry.type == "tensor(string)" else _TYPES[entry.type][1]
        column = frame[entry.name]
        values = (
            np.stack([np.asarray(v, dtype=dtype) for v in column])
            if len(entry.shape) > 2 or _column(entry).shape
            else None
        )
        if values is None:
            values = column.to_numpy(dtype=dtype)
            values = values.reshape(-1, 1) if len(entry.shape) == 2 else values
        feeds[entry.name] = values
    return feeds


FLAVOR: Flavor = _OnnxFlavor()
