"""ONNX: a graph that ONNX Runtime runs; reading one runs no code of its own.

A graph with one two-dimensional input takes all columns as one matrix, in the signature's order; any other takes one
column an input, by name. Weights must lie in the file itself: a graph that names other files could name any.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError, SignatureError
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["FLAVOR", "open_session", "outputs_of"]

_TYPES = {
    "tensor(float)": (ColumnType.FLOAT, "float32"),
    "tensor(double)": (ColumnType.FLOAT, "float64"),
    "tensor(float16)": (ColumnType.FLOAT, "float16"),
    **{
        f"tensor({sign}int{bits})": (ColumnType.INT, f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "tensor(bool)": (ColumnType.BOOL, "bool"),
    "tensor(string)": (ColumnType.STRING, "string"),
}
_LABELS = {"tensor(int64)", "tensor(int32)", "tensor(string)", "tensor(bool)"}
_LABEL_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def open_session(model: bytes | str | Path) -> Any:
    """Return an ONNX Runtime session of one thread: requests are what runs in parallel.

    Raises
    ------
    FlavorError
        If ONNX Runtime cannot run the graph.
    """
    runtime = extras.require("onnxruntime", extra="onnx", purpose="An ONNX model")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    try:
        return runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # its errors share no class of their own
        raise FlavorError(f"ONNX Runtime cannot run the graph: {str(exc).strip()[:300]}. Export it again.") from exc


def outputs_of(graph: bytes) -> tuple[Column, ...]:
    """Return all outputs of a graph by their names; none where one is no tensor."""
    session = open_session(graph)
    given = _tensors_given(session)
    return given if len(given) == len(session.get_outputs()) else ()


class _OnnxFlavor:
    name = "onnx"
    framework = Framework.ONNX
    extensions: Mapping[str, str] = {".onnx": "onnx"}

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:
        graph = _parsed(model if path is None else path.read_bytes())
        session = model if hasattr(model, "get_inputs") else open_session(graph.SerializeToString())
        runtime = extras.require("onnxruntime", extra="onnx", purpose="An ONNX model")
        signature = _signature(session)
        is_classifier = _is_classifier(session)
        return ModelFacts(
            framework_version=runtime.__version__,
            task="classification" if is_classifier else None,
            classes=_classes(graph, session) if is_classifier else None,
            input_names=None if signature is None else signature.names,
            signature=signature,
            packages=installed("onnxruntime", "onnx"),
            detail={"ir_version": int(graph.ir_version), "producer": graph.producer_name},
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else _parsed(model).SerializeToString())
        return path.name, "onnx"

    def load(self, path: Path, info: PackageInfo) -> Any:
        data = path.read_bytes()
        _parsed(data)
        session = open_session(data)
        if info.signature is not None:
            _check_names(session, info.signature)
        return session

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        session = model if hasattr(model, "get_inputs") else open_session(_parsed(model).SerializeToString())
        answers = session.run(None, _feeds(session, frame))
        values = np.asarray(answers[0])
        values = values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
        if info.task != "classification" or len(answers) < 2:
            return Prediction(values=values)
        return Prediction(values=values, **_scores(answers[1], info.classes))


def _scores(scores: Any, classes: tuple[Any, ...] | None) -> dict[str, Any]:
    if isinstance(scores, list):  # a ZipMap gives one mapping of label to probability a row
        classes = classes or tuple(scores[0])
        table = np.asarray([[row[label] for label in classes] for row in scores], dtype=np.float32)
        return {"probabilities": table, "classes": classes}
    return {"probabilities": np.asarray(scores), "classes": classes}


def _parsed(model: Any) -> Any:
    """Return a graph whose weights lie in the file itself."""
    onnx = extras.require("onnx", extra="onnx", purpose="An ONNX model")
    if isinstance(model, bytes):
        try:
            graph = onnx.load_model_from_string(model)
        except Exception as exc:  # of the protobuf back end that is in use
            raise FlavorError(f"The file is no ONNX model: {exc}. Export it again.") from exc
    elif isinstance(model, onnx.ModelProto):
        graph = model
    else:
        raise FlavorError(
            f"A {type(model).__name__} is no ONNX model. Pass a ModelProto or its bytes, or register the .onnx file by "
            "its path."
        )
    outside = [t.name for t in _tensors(graph) if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise FlavorError(
            f"The ONNX model keeps '{outside[0]}' and {len(outside) - 1} more weights in other files, which are not "
            "read. Save it in one file: onnx.save(model, path, save_as_external_data=False)."
        )
    return graph


def _tensors(graph: Any) -> Iterator[Any]:
    """Return every tensor that a model holds, those of inner graphs too."""
    waiting = [graph.graph, *graph.functions]
    while waiting:
        part = waiting.pop()
        yield from getattr(part, "initializer", ())
        for sparse in getattr(part, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (attribute for node in part.node for attribute in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            if attribute.HasField("g"):
                waiting.append(attribute.g)
            waiting.extend(attribute.graphs)


def _is_classifier(session: Any) -> bool:
    outputs = session.get_outputs()
    if len(outputs) < 2 or outputs[0].type not in _LABELS:
        return False
    return outputs[1].type.startswith("seq(map(") or (outputs[1].type == "tensor(float)" and len(outputs[1].shape) == 2)


def _classes(graph: Any, session: Any) -> tuple[Any, ...] | None:
    """Return the labels that a node of the graph names, if as many as the graph gives probabilities."""
    width = session.get_outputs()[1].shape[-1] if session.get_outputs()[1].type.startswith("tensor") else None
    for node in reversed(graph.graph.node):
        for attribute in node.attribute:
            labels = list(attribute.strings) or list(attribute.ints)
            if attribute.name in _LABEL_ATTRIBUTES and labels and width in {None, len(labels)}:
                return tuple(label.decode() if isinstance(label, bytes) else label for label in labels)
    return None


def _is_matrix(session: Any) -> bool:
    inputs = session.get_inputs()
    return len(inputs) == 1 and len(inputs[0].shape) == 2 and inputs[0].shape[1] != 1


def _signature(session: Any) -> Signature | None:
    """Return what the graph says; None where its matrix may have any number of columns."""
    inputs = session.get_inputs()
    if not _is_matrix(session):
        columns = [_column(entry) for entry in inputs]
    elif isinstance(inputs[0].shape[1], int):
        kind, dtype = _type(inputs[0])
        columns = [Column(name=f"x{number}", type=kind, dtype=dtype) for number in range(inputs[0].shape[1])]
    else:
        return None
    return Signature(inputs=tuple(columns), outputs=_tensors_given(session))


def _tensors_given(session: Any) -> tuple[Column, ...]:
    return tuple(_column(entry) for entry in session.get_outputs() if entry.type in _TYPES)


def _check_names(session: Any, signature: Signature) -> None:
    """Refuse a signature whose columns the graph does not have."""
    inputs = session.get_inputs()
    if _is_matrix(session):
        width = inputs[0].shape[1]
        if isinstance(width, int) and width != len(signature.inputs):
            raise SignatureError(f"The signature has {len(signature.inputs)} columns, but the graph takes {width}.")
        return
    names = {entry.name for entry in inputs}
    if names != set(signature.names):
        raise SignatureError(
            f"The signature has the columns {', '.join(signature.names)}, but the graph takes "
            f"{', '.join(sorted(names))}. Name them alike.",
            columns=tuple(sorted(names ^ set(signature.names))),
        )


def _column(entry: Any) -> Column:
    kind, dtype = _type(entry)
    inner = tuple(size if isinstance(size, int) else -1 for size in entry.shape[1:])
    shape = () if inner in {(), (1,)} else inner
    return Column(name=entry.name, type=ColumnType.ARRAY if shape else kind, dtype=dtype, shape=shape)


def _type(entry: Any) -> tuple[ColumnType, str]:
    if entry.type not in _TYPES:
        raise FlavorError(
            f"'{entry.name}' of the graph has type {entry.type}, which no column has. Export the model with tensors."
        )
    return _TYPES[entry.type]


def _feeds(session: Any, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    inputs = session.get_inputs()
    if _is_matrix(session):
        return {inputs[0].name: _values(frame, inputs[0])}
    feeds = {}
    for entry in inputs:
        values = frame[entry.name]
        if _column(entry).shape:
            feeds[entry.name] = np.stack([np.asarray(value, dtype=_numpy_type(entry)) for value in values])
        else:
            feeds[entry.name] = _values(values, entry).reshape((-1, 1) if len(entry.shape) == 2 else -1)
    return feeds


def _numpy_type(entry: Any) -> Any:
    kind, dtype = _type(entry)
    return object if kind is ColumnType.STRING else dtype


def _values(data: Any, entry: Any) -> np.ndarray[Any, Any]:
    """Return columns as the graph's type; a text that is missing is empty."""
    if _type(entry)[0] is ColumnType.STRING:
        data = data.where(data.notna(), "")
    values: np.ndarray[Any, Any] = data.to_numpy(dtype=_numpy_type(entry))
    return values


FLAVOR: Flavor = _OnnxFlavor()
