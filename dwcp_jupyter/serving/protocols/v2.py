"""Open Inference Protocol v2 (REST), the protocol of KServe, Triton and MLServer.

Inputs are either one tensor per column, named as the column, of shape ``[n]`` or ``[n, 1]``; or a single 2-D tensor
``[n, n_columns]`` whose columns are in the signature's order (the protocol has no names for them). Outputs are
``predictions`` and, for classifiers, ``probabilities``.

References
----------
https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError, did_you_mean
from dwcp_jupyter.flavors import Column, ColumnType, Signature
from dwcp_jupyter.serving.encoding import RowCodec
from dwcp_jupyter.serving.protocols import Answer, ParsedRequest
from dwcp_jupyter.serving.protocols.errors import MalformedRequestError, UnsupportedMediaTypeError
from dwcp_jupyter.serving.protocols.frames import columns_frame, decode_json, rows_frame

__all__ = ["OUTPUTS", "answer", "input_metadata", "output_metadata", "parse"]

OUTPUTS = ("predictions", "probabilities")
_ENCODER = msgspec.json.Encoder()
_REALS = (int, float)
_ELEMENTS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "BOOL": ((bool,), "true or false"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"), ((int,), "integers")),
    **dict.fromkeys(("FP16", "FP32", "FP64", "BF16"), (_REALS, "numbers")),
    "BYTES": ((str,), "texts"),
}
_LIMITS = {
    **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
}
_DATATYPES = {
    ColumnType.BOOL: "BOOL",
    ColumnType.INT: "INT64",
    ColumnType.FLOAT: "FP64",
    ColumnType.STRING: "BYTES",
    ColumnType.TIMESTAMP: "BYTES",
    ColumnType.ARRAY: "FP64",
    ColumnType.OBJECT: "BYTES",
}


class _Tensor(msgspec.Struct, gc=False):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]
    parameters: dict[str, Any] | None = None


class _Output(msgspec.Struct, gc=False):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct, gc=False):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


_DECODER = msgspec.json.Decoder(_Request)


def parse(body: bytes, *, content_type: str, codec: RowCodec, signature: Signature) -> ParsedRequest:
    """Return the body's rows.

    Raises
    ------
    MalformedRequestError, SignatureError, UnsupportedMediaTypeError
        Each naming what is wrong and what to send instead.
    """
    if content_type and "json" not in content_type.lower():
        raise UnsupportedMediaTypeError(
            f"Content type '{content_type}' is not served here: tensors travel as JSON. Send application/json."
        )
    try:
        request = _DECODER.decode(body)
    except msgspec.ValidationError as exc:
        raise MalformedRequestError(
            f"The request does not follow the inference protocol v2: {exc}. "
            'Send {"inputs": [{"name": …, "shape": […], "datatype": …, "data": […]}]}.'
        ) from exc
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        decode_json(body)
        raise
    outputs = None if request.outputs is None else tuple(_known_output(output.name) for output in request.outputs)
    payload, rows = _rows(request.inputs, codec, signature)
    return ParsedRequest(payload, rows, request.id, outputs)


def _known_output(name: str) -> str:
    if name not in OUTPUTS:
        raise MalformedRequestError(
            f"The model has no output '{name}'.{did_you_mean(name, OUTPUTS)} Its outputs: {', '.join(OUTPUTS)}."
        )
    return name


def _rows(tensors: list[_Tensor], codec: RowCodec, signature: Signature) -> tuple[Any, int]:
    names = codec.names
    if len(tensors) == 1 and len(tensors[0].shape) == 2 and _is_whole_table(tensors[0], names):
        tensor = tensors[0]
        data = _checked(tensor)
        rows, width = tensor.shape
        payload = codec.convert_row(data) if rows == 1 else None
        if payload is not None:
            return payload, 1
        frame = rows_frame([data[i * width : (i + 1) * width] for i in range(rows)], signature)
        return codec.from_frame(frame), rows
    columns: dict[str, list[Any]] = {}
    for tensor in tensors:
        if tensor.name in columns:
            raise SignatureError(
                f"Input '{tensor.name}' is given twice. Send each column once.", columns=(tensor.name,)
            )
        columns[tensor.name] = _column(tensor, signature)
    if columns and all(len(column) == 1 for column in columns.values()):
        payload = codec.convert_record({name: column[0] for name, column in columns.items()})
        if payload is not None:
            return payload, 1
    frame = columns_frame(columns, signature) if columns else _nothing()
    return codec.from_frame(frame), len(frame)


def _nothing() -> pd.DataFrame:
    raise SignatureError("The request holds no inputs. Send one tensor per column, or one 2-D tensor of all columns.")


def _is_whole_table(tensor: _Tensor, names: tuple[str, ...]) -> bool:
    """Return whether the tensor holds all columns. For a model of one column, its own name makes it a column."""
    if tensor.name in names:
        return False
    if tensor.shape[1] != len(names):
        raise SignatureError(
            f"Input '{tensor.name}' has the shape {tensor.shape}, but the model has {len(names)} columns and none of "
            f"that name.{did_you_mean(tensor.name, names)} Send [n, {len(names)}], or one tensor per column.",
            columns=(tensor.name,),
        )
    return True


_MOST_DIMENSIONS = 8
_LONGEST_DIMENSION = 2**40


def _column(tensor: _Tensor, signature: Signature) -> list[Any]:
    column = next((item for item in signature.inputs if item.name == tensor.name), None)
    data = _checked(tensor)
    inner = tensor.shape[1:]
    if column is not None and column.type is ColumnType.ARRAY:
        size = math.prod(inner)
        return [_nested(data[i * size : (i + 1) * size], inner) for i in range(tensor.shape[0])]
    if math.prod(inner) != 1:
        raise SignatureError(
            f"Input '{tensor.name}' has the shape {tensor.shape}; a column has the shape [n] or [n, 1].",
            columns=(tensor.name,),
        )
    return data


def _nested(data: list[Any], shape: list[int]) -> list[Any]:
    if len(shape) <= 1:
        return data
    size = math.prod(shape[1:])
    return [_nested(data[i * size : (i + 1) * size], shape[1:]) for i in range(shape[0])]


def _checked(tensor: _Tensor) -> list[Any]:
    """Return the tensor's elements, flat, in row-major order."""
    if tensor.datatype not in _ELEMENTS:
        raise MalformedRequestError(
            f"Input '{tensor.name}' has the datatype '{tensor.datatype}', which the protocol does not have."
            f"{did_you_mean(tensor.datatype.upper(), _ELEMENTS)} Datatypes: {', '.join(_ELEMENTS)}."
        )
    if not tensor.shape or any(size < 0 for size in tensor.shape):
        raise MalformedRequestError(
            f"Input '{tensor.name}' has the shape {tensor.shape}. Send [rows] or [rows, columns]."
        )
    if len(tensor.shape) > _MOST_DIMENSIONS or 0 in tensor.shape[1:]:
        raise MalformedRequestError(
            f"Input '{tensor.name}' has {len(tensor.shape)} dimensions, or one of length 0. Send at most "
            f"{_MOST_DIMENSIONS}, none of them empty."
        )
    data = tensor.data
    while data and isinstance(data[0], list):
        if not all(isinstance(part, list) for part in data):
            raise MalformedRequestError(f"Input '{tensor.name}' mixes lists and values. Nest all of its data, or none.")
        data = [element for part in data for element in part]
    if any(size >= _LONGEST_DIMENSION for size in tensor.shape):  # before a client's numbers are multiplied
        raise MalformedRequestError(
            f"Input '{tensor.name}' has {len(data)} elements, but a dimension of {_LONGEST_DIMENSION} or more."
        )
    if len(data) != math.prod(tensor.shape):
        raise MalformedRequestError(
            f"Input '{tensor.name}' has {len(data)} elements, but its shape {tensor.shape} has "
            f"{math.prod(tensor.shape)}."
        )
    _check_elements(tensor, data)
    return data


def _check_elements(tensor: _Tensor, data: list[Any]) -> None:
    kinds, wanted = _ELEMENTS[tensor.datatype]
    exact = set(map(type, data)) - {type(None)}  # null stands for a missing value; the signature judges it
    if not exact <= set(kinds):
        position = next(i for i, element in enumerate(data) if element is not None and type(element) not in kinds)
        raise SignatureError(
            f"Input '{tensor.name}' has the datatype {tensor.datatype}, but its element {position} is "
            f"{data[position]!r}. "
            f"Send {wanted}, or the datatype that fits.",
            columns=(tensor.name,),
        )
    if tensor.datatype in _LIMITS and data:
        low, high = _LIMITS[tensor.datatype]
        for element in data:
            if element is not None and not low <= element <= high:
                raise SignatureError(
                    f"Input '{tensor.name}' has the datatype {tensor.datatype}, which cannot hold {element}.",
                    columns=(tensor.name,),
                )


def answer(
    result: Answer, *, name: str, version: str, request_id: str, outputs: tuple[str, ...] | None = None
) -> bytes:
    """Return the JSON answer."""
    tensors = []
    if outputs is None or "predictions" in outputs:
        tensors.append(_output("predictions", result.predictions))
    if result.probabilities is not None and (outputs is None or "probabilities" in outputs):
        width = len(result.probabilities[0]) if result.probabilities else 0
        flat = (
            result.probabilities[0]
            if len(result.probabilities) == 1
            else [p for row in result.probabilities for p in row]
        )
        tensors.append(
            {"name": "probabilities", "datatype": "FP64", "shape": [len(result.probabilities), width], "data": flat}
        )
    return _ENCODER.encode({"model_name": name, "model_version": version, "id": request_id, "outputs": tensors})


def _output(name: str, data: list[Any]) -> dict[str, Any]:
    shape = [len(data)]
    while data and isinstance(data[0], list):  # a model with several outputs: one list per row
        shape.append(len(data[0]))
        data = [element for part in data for element in part]
    return {"name": name, "datatype": _datatype_of(data), "shape": shape, "data": data}


def _datatype_of(data: list[Any]) -> str:
    first = data[0] if data else 0.0
    if isinstance(first, bool):
        return "BOOL"
    if isinstance(first, int):
        return "INT64"
    return "FP64" if isinstance(first, float) else "BYTES"


def input_metadata(signature: Signature) -> list[dict[str, Any]]:
    """Return the protocol's description of the inputs: one tensor per column."""
    return [_described(column) for column in signature.inputs]


def output_metadata(signature: Signature, n_classes: int | None) -> list[dict[str, Any]]:
    """Return the protocol's description of the outputs."""
    columns = signature.outputs
    kind = _DATATYPES[columns[0].type] if columns else "FP64"
    inner = [len(columns)] if len(columns) > 1 else list(columns[0].shape) if columns else []
    described: list[dict[str, Any]] = [{"name": "predictions", "datatype": kind, "shape": [-1, *inner]}]
    if n_classes:
        described.append({"name": "probabilities", "datatype": "FP64", "shape": [-1, n_classes]})
    return described


def _described(column: Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "datatype": _DATATYPES[column.type],
        "shape": [-1, *column.shape],
        "parameters": {"type": str(column.type), "nullable": column.nullable},
    }
