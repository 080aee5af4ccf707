"""Data of many shapes as one data frame, and a data frame as a signature wants it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError, did_you_mean
from dwcp_jupyter.flavors.signature import Column, ColumnType

__all__ = ["conform", "infer_columns", "to_frame", "to_outputs"]


def to_frame(data: Any) -> pd.DataFrame:
    """Return `data` as a data frame; a mapping of scalars is one row.

    Raises
    ------
    SignatureError
        For what is no table, or has repeated or unnamed columns.
    """
    frame = _as_frame(data)
    names = [str(name) for name in frame.columns]
    repeated = tuple(dict.fromkeys(name for name in names if names.count(name) > 1))
    if repeated:
        raise SignatureError(f"Columns repeat: {', '.join(map(repr, repeated))}. Rename them first.", columns=repeated)
    return frame.set_axis(names, axis=1) if list(frame.columns) != names else frame


def _as_frame(data: Any) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame(name="x0" if data.name is None else data.name)
    if isinstance(data, Mapping):
        is_row = not any(isinstance(value, (list, tuple, np.ndarray, pd.Series)) for value in data.values())
        return pd.DataFrame([dict(data)]) if is_row else pd.DataFrame(dict(data))
    if hasattr(data, "to_pandas"):  # Arrow, polars and DuckDB results, without importing any
        return pd.DataFrame(data.to_pandas())
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)) and data and isinstance(data[0], Mapping):
        return pd.DataFrame(list(data))
    return _from_array(data)


def _from_array(data: Any) -> pd.DataFrame:
    try:
        array = np.asarray(data)
    except ValueError as exc:
        raise SignatureError(f"The data are no table: {exc}. Pass a data frame.") from exc
    if array.ndim == 1 and array.dtype != object and array.size:
        array = array.reshape(1, -1)
    if array.ndim != 2:
        raise SignatureError(f"The data have {array.ndim} dimensions, a table has 2. Pass a data frame or a 2-D array.")
    return pd.DataFrame(array, columns=[f"x{number}" for number in range(array.shape[1])])


def to_outputs(data: Any) -> pd.DataFrame:
    """Return a model's results as a data frame."""
    if isinstance(data, (pd.DataFrame, Mapping)):
        return to_frame(data)
    if isinstance(data, pd.Series):
        return data.to_frame(name="prediction" if data.name is None else str(data.name))
    array = np.asarray(data)
    if array.ndim <= 1:
        return pd.DataFrame({"prediction": np.atleast_1d(array)})
    flat = array.reshape(len(array), -1)
    return pd.DataFrame(flat, columns=[f"prediction_{number}" for number in range(flat.shape[1])])


def infer_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    """Return the columns of a frame; nullable are those in which something is missing."""
    return tuple(_infer(str(name), frame.iloc[:, place]) for place, name in enumerate(frame.columns))


def _infer(name: str, values: pd.Series[Any]) -> Column:
    kind, shape = _kind(values)
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    text = (
        str(getattr(dtype, "numpy_dtype", dtype))
        if kind not in {ColumnType.STRING, ColumnType.TIMESTAMP}
        else str(kind)
    )
    return Column(name=name, type=kind, dtype=text.lower(), nullable=bool(values.isna().any()), shape=shape)


def _kind(values: pd.Series[Any]) -> tuple[ColumnType, tuple[int, ...]]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(values.dtype.categories)
    for test, kind in _TESTS:
        if test(values.dtype):
            return kind, ()
    present = values.dropna()
    kinds = {type(value) for value in present}
    if kinds and all(issubclass(kind, str) for kind in kinds):
        return ColumnType.STRING, ()
    if kinds and kinds <= {bool, np.bool_}:
        return ColumnType.BOOL, ()
    if kinds and kinds <= {list, tuple, np.ndarray}:
        shapes = {np.shape(value) for value in present}
        return ColumnType.ARRAY, next(iter(shapes)) if len(shapes) == 1 else (-1,)
    return ColumnType.OBJECT if kinds else ColumnType.STRING, ()


_TESTS: tuple[tuple[Any, ColumnType], ...] = (
    (pd.api.types.is_bool_dtype, ColumnType.BOOL),
    (pd.api.types.is_integer_dtype, ColumnType.INT),
    (pd.api.types.is_float_dtype, ColumnType.FLOAT),
    (pd.api.types.is_datetime64_any_dtype, ColumnType.TIMESTAMP),
    (lambda dtype: isinstance(dtype, pd.StringDtype), ColumnType.STRING),
)


def conform(columns: Sequence[Column], data: Any, *, allow_missing: bool) -> pd.DataFrame:
    """Return `data` with these columns; see `Signature.conform`."""
    names = [column.name for column in columns]
    frame = to_frame(data)
    if isinstance(data, np.ndarray) and names != list(frame.columns):
        raise SignatureError(
            f"An array of {frame.shape[1]} columns has no names, and columns are matched by name. Pass a data frame with: "
            f"{_listed(names)}."
        )
    faults: dict[str, str] = {}
    _find_misnamed(columns, frame, faults, allow_missing=allow_missing)
    if not len(frame):
        raise SignatureError("The data have no rows. Pass at least one.")
    converted = {}
    for column in columns:
        if column.name not in frame.columns:
            converted[column.name] = pd.Series(
                np.nan, index=frame.index, dtype="float64" if column.is_numeric else object
            )
            continue
        try:
            converted[column.name] = _convert(column, frame[column.name])
        except SignatureError as exc:
            faults.setdefault(column.name, str(exc))
    if faults:
        raise SignatureError(" ".join(faults.values()), columns=tuple(faults))
    return pd.DataFrame(converted, index=frame.index, columns=names)


def _find_misnamed(
    columns: Sequence[Column], frame: pd.DataFrame, faults: dict[str, str], *, allow_missing: bool
) -> None:
    names = [column.name for column in columns]
    given = list(frame.columns)
    absent = [c.name for c in columns if c.name not in given and not (allow_missing and c.nullable)]
    for name in absent:
        faults[name] = f"Column '{name}' is missing."
    for name in given:
        if name not in names:
            near = did_you_mean(name, absent) or did_you_mean(name, names)
            faults[name] = f"Column '{name}' is unknown.{near} The model takes: {_listed(names)}."


def _convert(column: Column, values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.dtype.categories.dtype)
    missing = values.isna()
    if missing.any() and not column.nullable and column.type is not ColumnType.OBJECT:
        raise SignatureError(
            f"Column '{column.name}' is missing in {int(missing.sum())} of {len(values)} rows, and the model cannot take "
            "that. Fill or drop them.",
            columns=(column.name,),
        )
    return _CONVERSIONS[column.type](column, values, missing)


def _to_float(column: Column, values: pd.Series[Any], _missing: pd.Series[bool]) -> pd.Series[Any]:
    numbers = _numbers(column, values)
    return numbers.astype("float32") if column.dtype == "float32" else numbers


def _to_int(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    numbers = _numbers(column, values)
    present = numbers[~missing]
    if not np.isfinite(present).all() or (present != np.floor(present)).any():
        bad = present[~np.isfinite(present) | (present != np.floor(present))].iloc[0]
        raise _wrong(column, bad)
    if missing.any():
        return numbers
    dtype = np.dtype(column.dtype) if column.dtype.startswith(("int", "uint")) else np.dtype("int64")
    whole = values if pd.api.types.is_integer_dtype(values.dtype) else numbers
    limits = np.iinfo(dtype)
    if len(whole) and (whole.min() < limits.min or whole.max() > limits.max):
        raise SignatureError(
            f"Column '{column.name}' holds numbers outside {dtype} ({limits.min} to {limits.max}).",
            columns=(column.name,),
        )
    return whole.astype(dtype)


def _numbers(column: Column, values: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as float64; text is no number, however it looks."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype):
        return values.astype("float64")
    for value in values.dropna():
        if not isinstance(value, (bool, int, float, np.number, np.bool_)) or isinstance(value, np.complexfloating):
            raise _wrong(column, value)
    return pd.Series(
        [np.nan if pd.isna(value) else float(value) for value in values], index=values.index, dtype="float64"
    )


def _to_bool(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    for value in values[~missing].unique():
        if not isinstance(value, (bool, np.bool_)) and not (
            isinstance(value, (int, float, np.number)) and value in (0, 1)
        ):
            raise _wrong(column, value)
    if missing.any():
        return values.astype(object).where(~missing, np.nan)
    return values.astype(bool)


def _to_string(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    for value in values[~missing].unique():
        if not isinstance(value, str):
            raise _wrong(column, value)
    return values.astype(object).where(~missing, np.nan)


def _to_timestamp(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        return values
    if any(isinstance(value, (bool, int, float, np.number)) for value in values[~missing]):
        raise _wrong(column, values[~missing].iloc[0])
    try:
        return pd.to_datetime(values)
    except (ValueError, TypeError) as exc:
        raise _wrong(column, values[~missing].iloc[0]) from exc


def _to_array(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    for value in values[~missing]:
        if np.shape(value) != column.shape and -1 not in column.shape:
            raise SignatureError(
                f"Column '{column.name}' has a value of shape {np.shape(value)}; the model takes {column.shape}.",
                columns=(column.name,),
            )
    return values


def _unchanged(_column: Column, values: pd.Series[Any], _missing: pd.Series[bool]) -> pd.Series[Any]:
    return values


_CONVERSIONS = {
    ColumnType.BOOL: _to_bool,
    ColumnType.INT: _to_int,
    ColumnType.FLOAT: _to_float,
    ColumnType.STRING: _to_string,
    ColumnType.TIMESTAMP: _to_timestamp,
    ColumnType.ARRAY: _to_array,
    ColumnType.OBJECT: _unchanged,
}


def _wrong(column: Column, value: Any) -> SignatureError:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}…"
    return SignatureError(
        f"Column '{column.name}' must be {column.type}, but holds {shown} ({type(value).__name__}).",
        columns=(column.name,),
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
