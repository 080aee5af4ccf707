"""Data of many shapes as one data frame, and the columns that it has."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors.signature import Column, ColumnType

__all__ = ["has_names", "infer_columns", "is_number", "is_sequence", "to_frame", "to_named_frame", "to_outputs"]


def to_frame(data: Any) -> pd.DataFrame:
    """Return `data` as a data frame; a mapping of scalars is one row.

    Raises
    ------
    SignatureError
        For what is no table, or has repeated columns.
    """
    try:
        frame = _as_frame(data)
    except SignatureError:
        raise
    except (ValueError, TypeError) as exc:  # pandas: lists of several lengths, ragged arrays
        raise SignatureError(f"The data are no table: {str(exc).rstrip('.')}. Pass a data frame.") from exc
    names = [str(name) for name in frame.columns]
    repeated = tuple(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise SignatureError(f"Columns repeat: {', '.join(map(repr, repeated))}. Rename them first.", columns=repeated)
    return frame.set_axis(names, axis=1) if list(frame.columns) != names else frame


def to_named_frame(data: Any, names: Sequence[str] | None) -> pd.DataFrame:
    """Return `data` as a data frame; columns without names of their own take `names`, by their order.

    Raises
    ------
    SignatureError
        For what is no table, and for another number of columns without names.
    """
    frame = to_frame(data)
    if not names or has_names(data) or list(frame.columns) == list(names):
        return frame
    if frame.shape[1] != len(names):
        shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise SignatureError(
            f"The data have {frame.shape[1]} columns without names, and the model takes {len(names)}: {shown}. Pass a "
            "data frame with these, or as many columns."
        )
    return frame.set_axis(list(names), axis=1)


def has_names(data: Any) -> bool:
    """Return whether the columns of `data` have names of their own, as those of arrays and lists of rows have not."""
    if isinstance(data, np.ndarray):
        return bool(data.dtype.names)
    if isinstance(data, pd.Series):
        return data.name is not None
    return not isinstance(data, (list, tuple)) or (bool(data) and isinstance(data[0], Mapping))


def _as_frame(data: Any) -> pd.DataFrame:
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, pd.Series):
        return data.to_frame(name="x0" if data.name is None else data.name)
    if isinstance(data, Mapping):
        is_row = not any(is_sequence(value) for value in data.values())
        return pd.DataFrame([dict(data)]) if is_row else pd.DataFrame(dict(data))
    for method in ("to_pandas", "to_df"):  # Arrow, polars and DuckDB results, without importing any
        if hasattr(data, method):
            return pd.DataFrame(getattr(data, method)())
    if hasattr(data, "toarray"):
        raise SignatureError("A sparse matrix has no named columns. Pass some rows of it as .toarray().")
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)) and data and isinstance(data[0], Mapping):
        return pd.DataFrame(list(data))
    return _from_array(np.asarray(data))


def _from_array(array: np.ndarray[Any, Any]) -> pd.DataFrame:
    if array.dtype.names:
        return pd.DataFrame(array)
    if array.ndim == 0:
        raise SignatureError(f"{array.item()!r:.80} is no table. Pass a data frame or a 2-D array.")
    if array.ndim == 1 and array.size and all(isinstance(value, str) for value in array):
        return pd.DataFrame({"text": array.astype(object)})
    if array.ndim == 1:
        array = array.reshape(min(1, array.size), -1)
    if array.ndim > 2:
        return pd.DataFrame({"x0": list(array)})
    frame = pd.DataFrame(array, columns=[f"x{number}" for number in range(array.shape[1])])
    return frame.infer_objects() if array.dtype == object else frame


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
    nullable = bool(values.isna().any())
    if isinstance(values.dtype, pd.CategoricalDtype):
        column = _infer(name, pd.Series(values.dtype.categories))
        is_plain = column.is_numeric or column.type is ColumnType.STRING
        categories = tuple(values.dtype.categories.tolist()) if is_plain else None
        return replace(column, nullable=nullable, categories=categories)
    kind, dtype, shape = _by_dtype(values) or _by_values(values)
    return Column(name=name, type=kind, dtype=dtype, nullable=nullable, shape=shape)


_Kind = tuple[ColumnType, str, tuple[int, ...]]


def _by_dtype(values: pd.Series[Any]) -> _Kind | None:
    """Return what the column's type says; None where it says nothing."""
    dtype: Any = values.dtype
    if isinstance(dtype, pd.SparseDtype):
        dtype = dtype.subtype
    if pd.api.types.is_bool_dtype(dtype):
        return ColumnType.BOOL, "bool", ()
    if pd.api.types.is_integer_dtype(dtype):
        return ColumnType.INT, str(_plain_dtype(dtype)), ()
    if pd.api.types.is_float_dtype(dtype):
        return ColumnType.FLOAT, str(_plain_dtype(dtype)) if _plain_dtype(dtype).itemsize <= 8 else "float64", ()
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return ColumnType.TIMESTAMP, _time_type(values), ()
    if isinstance(dtype, pd.StringDtype) or (isinstance(dtype, pd.ArrowDtype) and pd.api.types.is_string_dtype(dtype)):
        return ColumnType.STRING, "string", ()
    return None


def _plain_dtype(dtype: Any) -> np.dtype[Any]:
    plain: np.dtype[Any] = np.dtype(getattr(dtype, "numpy_dtype", dtype))
    return plain


def _time_type(values: pd.Series[Any]) -> str:
    zone = values.dt.tz
    unit = values.dt.unit
    return f"datetime64[{unit}]" if zone is None else f"datetime64[{unit}, {zone}]"


def _by_values(values: pd.Series[Any]) -> _Kind:
    """Return what the values of an object column have in common."""
    present = values.dropna()
    kinds = {type(value) for value in present}
    if kinds and kinds <= {list, tuple, np.ndarray}:
        return _of_arrays(present)
    for test, kind in _TESTS:
        if kinds and all(map(test, kinds)):
            if kind is ColumnType.INT and not (-(2**63) <= min(present) <= max(present) < 2**63):
                break
            return kind, _dtype_of(kind, values), ()
    return ColumnType.OBJECT, "object", ()


def _is_kind_of(*classes: type, but: tuple[type, ...] = ()) -> Callable[[type], bool]:
    return lambda kind: issubclass(kind, classes) and not issubclass(kind, but)


_TESTS: tuple[tuple[Callable[[type], bool], ColumnType], ...] = (
    (_is_kind_of(str), ColumnType.STRING),
    (_is_kind_of(bool, np.bool_), ColumnType.BOOL),
    (_is_kind_of(int, np.integer, but=(bool,)), ColumnType.INT),
    (_is_kind_of(int, float, Decimal, np.integer, np.floating, but=(bool,)), ColumnType.FLOAT),
    (_is_kind_of(dt.date, np.datetime64), ColumnType.TIMESTAMP),
)


def _dtype_of(kind: ColumnType, values: pd.Series[Any]) -> str:
    if kind in {ColumnType.STRING, ColumnType.BOOL}:  # what was missing in fitting is what the model knows as missing
        absent = values[values.isna()]
        return "object" if len(absent) and all(value is None for value in absent) else str(kind)
    return {ColumnType.INT: "int64", ColumnType.FLOAT: "float64"}.get(kind, str(kind))


def _of_arrays(present: pd.Series[Any]) -> _Kind:
    try:
        arrays = [np.asarray(value) for value in present]
    except ValueError:  # ragged
        return ColumnType.OBJECT, "object", ()
    dtype = np.result_type(*{array.dtype for array in arrays})
    ranks = {array.ndim for array in arrays}
    if dtype.kind not in "biufU" or len(ranks) > 1:
        return ColumnType.OBJECT, "object", ()
    sizes = zip(*(array.shape for array in arrays), strict=True)
    shape = tuple(size[0] if len(set(size)) == 1 else -1 for size in sizes)
    return ColumnType.ARRAY, "string" if dtype.kind == "U" else str(dtype), shape


def is_number(value: Any) -> bool:
    """Return whether `value` is one real number; text is none, however it looks."""
    real = isinstance(value, (bool, int, float, Decimal, np.bool_, np.integer, np.floating))
    return real and not isinstance(value, complex)


def is_sequence(value: Any) -> bool:
    """Return whether `value` holds values in order, as a column does."""
    return pd.api.types.is_list_like(value, allow_sets=False) and not isinstance(value, Mapping)
