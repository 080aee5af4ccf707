"""Signatures as MLflow spells them: columns, or tensors without names.

Outputs are written and read where MLflow's answer is the one given here. A classifier of Keras answers with
probabilities there and with labels here, and a graph with all that it computes: of these the outputs are what the
answer to the example is, or nothing. Whatever is left out is told by a warning.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dwcp_jupyter.flavors import mlflow_keras
from dwcp_jupyter.flavors.package import PackageInfo
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["read", "written"]

_TYPES = {
    ColumnType.BOOL: "boolean",
    ColumnType.INT: "long",
    ColumnType.FLOAT: "double",
    ColumnType.STRING: "string",
    ColumnType.TIMESTAMP: "datetime",
}
_NARROW = {"int8": "integer", "int16": "integer", "int32": "integer", "float32": "float"}
_COLUMNS = {
    "boolean": (ColumnType.BOOL, "bool"),
    "integer": (ColumnType.INT, "int32"),
    "long": (ColumnType.INT, "int64"),
    "float": (ColumnType.FLOAT, "float32"),
    "double": (ColumnType.FLOAT, "float64"),
    "string": (ColumnType.STRING, "string"),
    "datetime": (ColumnType.TIMESTAMP, "timestamp"),
}
_KINDS = {"b": ColumnType.BOOL, "i": ColumnType.INT, "u": ColumnType.INT, "f": ColumnType.FLOAT, "U": ColumnType.STRING}
_ANSWERS_ALIKE = frozenset({"python_function", "sklearn", "xgboost"})
"""MLflow's kinds of model whose answer is the one given here."""
_MOST_COLUMNS = 1000


def written(info: PackageInfo, file: Path) -> dict[str, Any]:
    """Return a package's signature as MLflow writes it; `file` is its model."""
    assert info.signature is not None
    tensor = mlflow_keras.tensor(info)
    inputs = _texts(info.signature.inputs) if tensor is None else json.dumps([tensor])
    if inputs is None:
        _warn("inputs", "a column of the model has no type there, so MLflow checks none")
    return {"inputs": inputs, "outputs": _outputs(info, file), "params": None}


def read(said: Mapping[str, Any], kind: str, *, has_example: bool) -> Signature | None:
    """Return the signature that a file ``MLmodel`` says by columns; None where there is none.

    Tensors of inputs and nested types are inferred anew from the example, and so are outputs, where there is one.
    Without inputs it holds the outputs alone.

    Parameters
    ----------
    said : mapping
        The file.
    kind : str
        The kind of model that is read of it.
    """
    signature = said.get("signature")
    if not isinstance(signature, Mapping):
        return None
    try:
        inputs = tuple(_read_column(entry) for entry in json.loads(signature["inputs"]))
    except (TypeError, KeyError, ValueError):
        inputs = ()
    outputs = () if has_example else _read_outputs(signature.get("outputs"), said["flavors"], kind)
    return Signature(inputs=inputs, outputs=outputs) if inputs or outputs else None


def _outputs(info: PackageInfo, file: Path) -> str | None:
    assert info.signature is not None
    outputs: Sequence[Column] = info.signature.outputs
    if info.format == "onnx":
        outputs = _of_graph(file)
    if info.format == "keras" and info.classes is not None:
        outputs = ()
    text = _texts(outputs) if outputs else None
    if text is None and info.signature.outputs:
        names = ", ".join(column.name for column in info.signature.outputs[:12])
        _warn("outputs", f"MLflow answers otherwise than with {names}, or has no such type")
    return text


def _of_graph(file: Path) -> tuple[Column, ...]:
    """Return what MLflow answers with: all outputs of a graph, by their names; none where one is no tensor."""
    from dwcp_jupyter.flavors import onnx

    return onnx.outputs_of(file.read_bytes())


def _texts(columns: Sequence[Column]) -> str | None:
    """Return columns as JSON; None where one has no type in MLflow."""
    found = [_column(column) for column in columns]
    return None if None in found else json.dumps(found, ensure_ascii=False)


def _column(column: Column) -> dict[str, Any] | None:
    required = not column.nullable
    kind = _NARROW.get(column.dtype, _TYPES.get(column.type))
    if column.type is ColumnType.ARRAY:
        inner = "long" if column.dtype.startswith(("int", "uint")) else "double"
        inner = "string" if column.dtype == "string" else inner
        whole: dict[str, Any] = {"type": inner}
        for _ in column.shape:
            whole = {"type": "array", "items": whole}
        return {"name": column.name, "required": required, **whole}
    return None if kind is None else {"name": column.name, "required": required, "type": kind}


def _read_column(entry: Mapping[str, Any], default: str | None = None) -> Column:
    kind, dtype = _COLUMNS[entry["type"]]
    name = entry["name"] if default is None else entry.get("name", default)
    return Column(name=str(name), type=kind, dtype=dtype, nullable=not entry.get("required", True))


def _read_outputs(text: Any, flavors: Mapping[str, Any], kind: str) -> tuple[Column, ...]:
    """Return the outputs by columns; none, with a warning, where they are said and cannot be kept."""
    if text is None:
        return ()
    function = flavors.get("python_function")
    asked = function.get("predict_fn", "predict") if isinstance(function, Mapping) else "predict"
    if kind in _ANSWERS_ALIKE and asked == "predict":
        try:
            return _output_columns(json.loads(text))
        except (TypeError, KeyError, ValueError):
            pass
    _warn("outputs", f"{str(text)[:200]} are not what the model answers with here, and there is no example to ask it")
    return ()


def _output_columns(entries: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    if len(entries) == 1 and entries[0]["type"] == "tensor":
        return _of_tensor(entries[0])
    defaults = ["prediction"] if len(entries) == 1 else [f"prediction_{place}" for place in range(len(entries))]
    return tuple(_read_column(entry, default) for entry, default in zip(entries, defaults, strict=True))


def _of_tensor(entry: Mapping[str, Any]) -> tuple[Column, ...]:
    """Return the columns of a tensor of one or two dimensions, called as `tables.to_outputs` calls them."""
    import numpy as np

    dtype = np.dtype(entry["tensor-spec"]["dtype"])
    rows, *inner = entry["tensor-spec"]["shape"]
    if rows != -1 or len(inner) > 1 or not all(0 < size <= _MOST_COLUMNS for size in inner):
        raise ValueError(f"a tensor of shape {entry['tensor-spec']['shape']} is no table")
    kind = _KINDS.get(dtype.kind, ColumnType.OBJECT)
    spelled = "string" if kind is ColumnType.STRING else str(dtype)
    names = [f"prediction_{place}" for place in range(inner[0])] if inner else [str(entry.get("name", "prediction"))]
    return tuple(Column(name=name, type=kind, dtype=spelled) for name in names)


def _warn(part: str, why: str) -> None:
    warnings.warn(f"The MLflow signature's {part} were left out: {why}.", stacklevel=6)
