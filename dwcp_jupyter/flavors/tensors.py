"""Columns as the tensors that a network takes, and its outputs as one array.

A network with one two-dimensional input takes all columns as one matrix, in the signature's order. Any other takes one
column an input, by name; a column of arrays (images, sequences) is stacked. This holds for Keras models and for
SavedModels alike, so they are told apart by `TensorInput` alone. NumPy is all that is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["TensorInput", "check_columns", "chunks", "feeds", "joined", "signature_of"]

_Array = np.ndarray[Any, Any]
_CHUNK_ROWS = 4096
_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInput:
    """One input of a network.

    Attributes
    ----------
    shape : tuple of int
        Of one sample; -1 stands for any size.
    dtype : str
        As NumPy names it; ``"string"`` for text.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, shape: Sequence[int | None], dtype: str) -> TensorInput:
        """Return the input of a tensor whose shape counts samples first; brain floats are fed as float32."""
        inner = tuple(-1 if size is None else int(size) for size in shape[1:])
        return cls(name=name, shape=inner, dtype="float32" if dtype == "bfloat16" else dtype)

    @property
    def is_text(self) -> bool:
        """Whether it takes text."""
        return self.dtype == "string"


def signature_of(inputs: Sequence[TensorInput]) -> Signature | None:
    """Return the columns that the inputs themselves say; None where one has a type that no column has."""
    kinds = [_kind(entry.dtype) for entry in inputs]
    if len(inputs) == 1 and len(inputs[0].shape) == 1 and inputs[0].shape[0] > 1 and kinds[0] is not None:
        columns = [Column(name=f"x{n}", type=kinds[0], dtype=inputs[0].dtype) for n in range(inputs[0].shape[0])]
        return Signature(inputs=tuple(columns))
    columns = []
    for entry, kind in zip(inputs, kinds, strict=True):
        if kind is None:
            return None
        shape = () if entry.shape in {(), (1,)} else entry.shape
        columns.append(
            Column(name=entry.name, type=ColumnType.ARRAY if shape else kind, dtype=entry.dtype, shape=shape)
        )
    return Signature(inputs=tuple(columns))


def _kind(dtype: str) -> ColumnType | None:
    if dtype in {"string", "bool"}:
        return ColumnType(dtype)
    if re.fullmatch(r"u?int(8|16|32|64)", dtype):
        return ColumnType.INT
    return ColumnType.FLOAT if re.fullmatch(r"float(16|32|64)", dtype) else None


def check_columns(inputs: Sequence[TensorInput], signature: Signature) -> None:
    """Refuse a signature whose columns the inputs do not have.

    Raises
    ------
    SignatureError
        It names the columns.
    """
    if _is_matrix(inputs, signature.names, [column.type is ColumnType.ARRAY for column in signature.inputs]):
        width = inputs[0].shape[0]
        if width not in {-1, len(signature.inputs)}:
            raise SignatureError(f"The signature has {len(signature.inputs)} columns, but the model takes {width}.")
        return
    names = {entry.name for entry in inputs}
    if len(inputs) > 1 and names != set(signature.names):
        raise _misnamed(names, signature.names)
    if len(inputs) == 1 and len(signature.inputs) > 1:
        raise SignatureError(
            f"The signature has {len(signature.inputs)} columns, but the model takes one array a sample, of shape "
            f"{inputs[0].shape}. Pass one column of arrays, or an array of samples.",
            columns=signature.names,
        )


def _misnamed(names: set[str], given: Sequence[str]) -> SignatureError:
    return SignatureError(
        f"The columns are {', '.join(given)}, but the model's inputs are {', '.join(sorted(names))}. Name them alike.",
        columns=tuple(sorted(names ^ set(given))),
    )


def _is_matrix(inputs: Sequence[TensorInput], names: Sequence[str], is_array: Sequence[bool]) -> bool:
    if len(inputs) != 1 or len(inputs[0].shape) != 1:
        return False
    return not (len(names) == 1 and is_array[0])


def feeds(inputs: Sequence[TensorInput], frame: pd.DataFrame) -> list[_Array]:
    """Return one array an input, in their order; text as objects.

    Raises
    ------
    SignatureError
        If the columns are not those of the inputs, or do not hold what they take.
    """
    names = [str(name) for name in frame.columns]
    is_array = [isinstance(frame.iloc[0, place], (np.ndarray, list, tuple)) for place in range(len(names))]
    if _is_matrix(inputs, names, is_array):
        if inputs[0].shape[0] not in {-1, len(names)}:
            raise SignatureError(f"The model takes {inputs[0].shape[0]} columns, and was given {len(names)}.")
        return [_typed(frame, inputs[0])]
    if len(inputs) == 1 and len(names) == 1:
        return [_one(frame.iloc[:, 0], inputs[0], is_array=is_array[0])]
    expected = {entry.name for entry in inputs}
    if expected != set(names):
        raise _misnamed(expected, names)
    return [_one(frame[entry.name], entry, is_array=is_array[names.index(entry.name)]) for entry in inputs]


def _one(values: pd.Series[Any], entry: TensorInput, *, is_array: bool) -> _Array:
    if not is_array:
        column = _typed(values, entry)
        return column.reshape(-1, 1) if len(entry.shape) == 1 else column
    arrays = [np.asarray(value) for value in values]
    if len({array.shape for array in arrays}) > 1:
        raise SignatureError(
            f"Column '{values.name}' has arrays of several shapes, which make no tensor. Pad them to one length, or "
            "predict rows of one length together.",
            columns=(str(values.name),),
        )
    return _typed(np.stack(arrays), entry, name=str(values.name))


def _typed(data: Any, entry: TensorInput, *, name: str | None = None) -> _Array:
    """Return data as the input's type; a text that is missing is empty, and no fraction becomes an integer."""
    if entry.is_text:
        return _text(data)
    column = name or (str(data.name) if isinstance(data, pd.Series) else None)
    given = _numbers(data if isinstance(data, np.ndarray) else data.to_numpy(), column)
    typed: _Array = given.astype(entry.dtype)
    if typed.dtype.kind in "iu" and given.dtype.kind == "f" and not np.array_equal(typed, given):
        raise SignatureError(
            f"{_holds(column)} numbers that are no {entry.dtype}, which the model takes. Round them, and fill what is "
            "missing.",
            columns=() if column is None else (column,),
        )
    return typed


def _numbers(given: _Array, column: str | None) -> _Array:
    """Return an array of numbers; text is no number, however it looks, and neither is a time."""
    if given.dtype == object and not any(isinstance(value, str) for value in given.ravel()):
        given = given.astype(np.float64)
    if given.dtype.kind not in "biuf":
        raise SignatureError(
            f"{_holds(column)} what is no number, and the model takes numbers. Encode it first, or inside the model "
            "by one of Keras's preprocessing layers.",
            columns=() if column is None else (column,),
        )
    return given


def _holds(column: str | None) -> str:
    return "The data hold" if column is None else f"Column '{column}' holds"


def _text(data: Any) -> _Array:
    if isinstance(data, np.ndarray):
        return data.astype(object)
    filled: _Array = data.where(data.notna(), "").to_numpy(dtype=object)
    return filled


def chunks(fed: Sequence[_Array]) -> list[list[_Array]]:
    """Return the arrays cut into as many rows as a network can take at once without much memory."""
    count = len(fed[0])
    row_bytes = max(1, sum(array.nbytes for array in fed) // count)
    rows = max(1, min(_CHUNK_ROWS, _CHUNK_BYTES // row_bytes))
    return [[array[start : start + rows] for array in fed] for start in range(0, count, rows)]


def joined(outputs: Sequence[_Array]) -> _Array:
    """Return a network's outputs as one array: one column is a vector, several outputs are columns side by side."""
    if len(outputs) > 1:
        return np.concatenate([output.reshape(len(output), -1) for output in outputs], axis=1)
    values = outputs[0]
    return values.reshape(-1) if values.ndim == 2 and values.shape[1] == 1 else values
