"""From rows of a data frame to the tensors that a module's ``forward`` takes, and back.

Columns of numbers are one matrix, in the signature's order and the model's floating type; so is one column of arrays,
such as images, stacked. Where ``forward`` takes several tensors, each is the column of its name. Rows whose arrays have
several lengths, as texts do, are answered in groups of one length.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from dwcp_jupyter.exceptions import FlavorError, PredictionError, SignatureError
from dwcp_jupyter.flavors.signature import Column, ColumnType
from dwcp_jupyter.flavors.torch.program import TensorInput

__all__ = ["NUMPY", "alternatives", "answers", "called", "check_columns", "inputs_for", "parameters_of"]

NUMPY: dict[torch.dtype, np.dtype[Any]] = {
    torch.float16: np.dtype("float16"),
    torch.bfloat16: np.dtype("float32"),
    torch.float32: np.dtype("float32"),
    torch.float64: np.dtype("float64"),
    torch.uint8: np.dtype("uint8"),
    torch.int8: np.dtype("int8"),
    torch.int16: np.dtype("int16"),
    torch.int32: np.dtype("int32"),
    torch.int64: np.dtype("int64"),
    torch.bool: np.dtype("bool"),
}
"""NumPy's types for those of tensors that rows can be."""
_Array = np.ndarray[Any, Any]


def parameters_of(module: Any) -> list[tuple[str, bool]]:
    """Return the names of what ``forward`` takes, and whether it must be given; none where it takes anything."""
    if isinstance(module, torch.jit.ScriptModule):
        arguments = module.forward.schema.arguments[1:]  # type: ignore[attr-defined]
        return [(argument.name, not argument.has_default_value()) for argument in arguments]
    found = inspect.signature(module.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in found):
        return []
    return [
        (parameter.name, parameter.default is parameter.empty)
        for parameter in found
        if parameter.kind is not parameter.VAR_KEYWORD
    ]


def inputs_for(module: Any, columns: Sequence[Column]) -> tuple[TensorInput, ...]:
    """Return the tensors that a module takes, made of these columns.

    Raises
    ------
    FlavorError
        If a column is no number, or the columns are not what ``forward`` takes.
    """
    _check_numbers(columns)
    parameters = parameters_of(module)
    required = [name for name, is_required in parameters if is_required]
    floating = next((tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()), torch.float32)
    names = [column.name for column in columns]
    is_by_name = len(names) > 1 and set(required) <= set(names) <= {name for name, _ in parameters}
    if is_by_name or len(required) > 1:
        if not is_by_name:
            raise FlavorError(
                f"The model's forward takes {', '.join(required)}, and the columns are {_listed(names)}. Name a column "
                "for each."
            )
        by_name = {column.name: column for column in columns}
        return tuple(_as_given(by_name[name], name, floating) for name, _ in parameters if name in by_name)
    name = (parameters or [("x", True)])[0][0]
    if any(column.type is ColumnType.ARRAY for column in columns):
        if len(columns) > 1:
            raise FlavorError(
                f"The model's forward takes one tensor, '{name}', and the columns {_listed(names)} hold arrays. Keep "
                "one column of arrays, or let forward take one tensor for each by its name."
            )
        return (_as_given(columns[0], name, floating),)
    return (TensorInput(name=name, dtype=floating, shape=(len(columns),)),)


def alternatives(inputs: Sequence[TensorInput], columns: Sequence[Column]) -> list[tuple[TensorInput, ...]]:
    """Return the same inputs as floating numbers, and, of columns of integers, as the integers that embeddings want."""
    floating = next((entry.dtype for entry in inputs if entry.dtype.is_floating_point), torch.float32)
    kinds = [floating]
    if all(column.type is ColumnType.INT or column.dtype.startswith(("int", "uint")) for column in columns):
        kinds.append(torch.int64)
    others = [tuple(replace(entry, dtype=kind) for entry in inputs) for kind in kinds]
    return [other for other in others if other != tuple(inputs)]


def check_columns(inputs: Sequence[TensorInput], columns: Sequence[Column]) -> None:
    """Refuse columns that a model does not take.

    Raises
    ------
    FlavorError, SignatureError
    """
    _check_numbers(columns)
    if len(inputs) > 1:
        _check_names(inputs, [column.name for column in columns])
        return
    if any(column.type is ColumnType.ARRAY for column in columns) and len(columns) > 1:
        raise SignatureError(f"The signature has {len(columns)} columns, but the model takes one of arrays.")
    shape = inputs[0].shape or ()
    is_matrix = len(shape) == 1 and columns[0].type is not ColumnType.ARRAY
    if is_matrix and shape[0] not in {-1, len(columns)}:
        raise SignatureError(f"The signature has {len(columns)} columns, but the model takes {shape[0]}.")


def called(module: Any, inputs: Sequence[TensorInput]) -> Callable[..., Any]:
    """Return what calls a module with tensors in this order; by their names, where there are several."""
    if len(inputs) == 1:
        return module  # type: ignore[no-any-return]
    names = [entry.name for entry in inputs]
    return lambda *tensors: module(**dict(zip(names, tensors, strict=True)))


def answers(function: Callable[..., Any], inputs: Sequence[TensorInput], frame: pd.DataFrame) -> _Array:
    """Return what a function of tensors answers to rows, shape (n_samples,) or (n_samples, n_outputs, …).

    Raises
    ------
    SignatureError
        If values are missing where a tensor has no place for that.
    PredictionError
        If the answer is not one for each row.
    """
    found = [(rows, _answer(function(*tensors), len(rows))) for rows, tensors in _groups(frame, inputs)]
    if len(found) == 1:
        return found[0][1]
    shapes = {answer.shape[1:] for _, answer in found}
    if len(shapes) > 1:
        raise PredictionError(f"The model gave answers of several shapes, {', '.join(map(str, sorted(shapes)))}.")
    together = np.concatenate([answer for _, answer in found])
    order = np.concatenate([rows for rows, _ in found])
    return together[np.argsort(order)]


def _as_given(column: Column, name: str, floating: torch.dtype) -> TensorInput:
    """Return a tensor of the column's own kind: indices stay integers, and bytes, as of images, are numbers."""
    is_index = column.dtype in {"int32", "int64"}
    dtype = torch.bool if column.dtype == "bool" else torch.int64 if is_index else floating
    return TensorInput(name=name, dtype=dtype, shape=column.shape)


def _check_numbers(columns: Sequence[Column]) -> None:
    strange = [
        column
        for column in columns
        if not column.is_numeric and not (column.type is ColumnType.ARRAY and column.dtype not in {"string", "object"})
    ]
    if strange:
        said = ", ".join(f"'{column.name}' ({column.type})" for column in strange[:3])
        raise FlavorError(
            f"The columns {said} are no numbers, and a model of PyTorch takes tensors. Encode them first, as a "
            "scikit-learn pipeline does, or leave them out of input_example=."
        )


def _check_names(inputs: Sequence[TensorInput], names: Sequence[str]) -> None:
    wanted = [entry.name for entry in inputs]
    if set(wanted) != set(names):
        raise SignatureError(
            f"The columns are {_listed(names)}, but the model takes {_listed(wanted)}. Name them alike.",
            columns=tuple(sorted(set(names) ^ set(wanted))),
        )


def _groups(frame: pd.DataFrame, inputs: Sequence[TensorInput]) -> Iterator[tuple[_Array, list[torch.Tensor]]]:
    """Yield the numbers of rows that fit into one tensor, and the tensors."""
    everything = np.arange(len(frame))
    if len(inputs) == 1 and (frame.shape[1] != 1 or not _holds_arrays(frame.iloc[:, 0])):
        yield everything, [_matrix(frame, inputs[0])]
        return
    if len(inputs) > 1:
        _check_names(inputs, list(frame.columns))
    columns = [frame[entry.name] if len(inputs) > 1 else frame.iloc[:, 0] for entry in inputs]
    values = [_cells(column, entry) for column, entry in zip(columns, inputs, strict=True)]
    shapes = [tuple(np.shape(cell) for cell in row) for row in zip(*values, strict=True)]
    for shape in dict.fromkeys(shapes):
        rows = np.array([row for row, found in enumerate(shapes) if found == shape])
        stacked = (np.stack([cells[row] for row in rows]) for cells in values)
        yield rows, [_tensor(array, entry) for array, entry in zip(stacked, inputs, strict=True)]


def _holds_arrays(values: pd.Series[Any]) -> bool:
    return values.dtype == object and any(isinstance(value, (np.ndarray, list, tuple)) for value in values.head(1))


def _matrix(frame: pd.DataFrame, entry: TensorInput) -> torch.Tensor:
    _refuse_missing(frame, entry)
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 does not hold is infinite to the model
        array = frame.to_numpy(dtype=NUMPY[entry.dtype])
    return _tensor(array[:, 0] if entry.shape == () else array, entry)


def _cells(values: pd.Series[Any], entry: TensorInput) -> list[_Array]:
    _refuse_missing(values.to_frame(), entry)
    return [np.asarray(value, dtype=NUMPY[entry.dtype]) for value in values]


def _refuse_missing(frame: pd.DataFrame, entry: TensorInput) -> None:
    """NaN is a floating number, which a model may know; integers and arrays have nothing to stand for it."""
    is_number = entry.dtype.is_floating_point
    for name in frame.columns[[not is_number or dtype.kind == "O" for dtype in frame.dtypes]]:
        if missing := int(frame[name].isna().sum()):
            raise SignatureError(
                f"Column '{name}' is missing in {missing} of {len(frame)} rows, and the model cannot take that. Fill "
                "or drop them.",
                columns=(str(name),),
            )


def _tensor(array: _Array, entry: TensorInput) -> torch.Tensor:
    if entry.shape is not None:
        shape = array.shape[1:]
        if len(shape) != len(entry.shape) or any(n not in {-1, m} for n, m in zip(entry.shape, shape, strict=True)):
            raise SignatureError(
                f"'{entry.name}' has rows of shape {shape}; the model takes {entry.shape}.", columns=(entry.name,)
            )
    return torch.from_numpy(np.array(array)).to(entry.dtype)  # a copy: the model may change it


def _answer(answer: Any, rows: int) -> _Array:
    answer = _only(answer)
    if answer.is_complex():
        raise FlavorError("The model answers with complex numbers, which no answer holds. Return their parts.")
    if not answer.dim() or len(answer) != rows:
        raise PredictionError(
            f"The model gave an answer of shape {tuple(answer.shape)} to {rows} rows. Its forward must keep the first "
            "dimension: squeeze(-1) in place of squeeze()."
        )
    plain = answer.detach().cpu()
    values: _Array = (plain.float() if plain.dtype in {torch.float16, torch.bfloat16} else plain).numpy()
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _only(answer: Any) -> torch.Tensor:
    """Return the one tensor of an answer; what else it holds is None."""
    if isinstance(answer, torch.Tensor):
        return answer
    parts = answer if isinstance(answer, Mapping) else dict(enumerate(answer)) if isinstance(answer, tuple) else {}
    present = {name: part for name, part in parts.items() if part is not None}
    found = next(iter(present.values()), None)
    if len(present) == 1 and isinstance(found, torch.Tensor):
        return found
    what = f" of {_listed([repr(name) for name in present])}" if present else ""
    raise FlavorError(
        f"The model answers with a {type(answer).__name__}{what}, and a row has one answer. Wrap it in a module whose "
        "forward returns the one tensor to be served."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
