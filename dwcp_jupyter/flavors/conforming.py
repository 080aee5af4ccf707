"""A data frame as a signature wants it, or every reason why it is not.

Conversions that lose nothing are made: integers to floats, whole floats to integers in range, 0 and 1 to booleans and
back, ISO 8601 text to times. Text is never read as a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError, did_you_mean
from dwcp_jupyter.flavors import tables
from dwcp_jupyter.flavors.signature import Column, ColumnType

__all__ = ["conform", "find_misnamed", "listed"]

_LARGEST = int(np.finfo(np.float64).max)
_EXACT = 2**53
"""Above it, float64 has no odd numbers."""


def conform(columns: Sequence[Column], data: Any, *, allow_missing: bool) -> pd.DataFrame:
    """Return `data` with these columns; see `Signature.conform`."""
    frame = _named(columns, data)
    optional = {column.name for column in columns if allow_missing and column.nullable}
    misnamed = find_misnamed([column.name for column in columns], frame, optional=optional)
    faults = dict(misnamed)
    converted: dict[str, Any] = {}
    for column in columns:
        if column.name not in frame.columns:
            converted[column.name] = _absent(column, frame.index)
            continue
        try:
            converted[column.name] = _convert(column, frame[column.name])
        except SignatureError as exc:
            faults[column.name] = str(exc)
    sentences = list(faults.values())
    if not len(frame):
        sentences.append("The data have no rows. Pass at least one.")
    if sentences:
        if misnamed:
            sentences.append(f"The model takes: {listed([column.name for column in columns])}.")
        raise SignatureError(" ".join(sentences), columns=tuple(faults))
    return pd.DataFrame(converted, index=frame.index, columns=list(converted))


def _named(columns: Sequence[Column], data: Any) -> pd.DataFrame:
    names = [column.name for column in columns]
    only = columns[0] if len(columns) == 1 else None
    if only is not None and only.type is ColumnType.ARRAY and isinstance(data, np.ndarray) and data.ndim > 1:
        return pd.DataFrame({only.name: list(data)})
    if isinstance(data, Mapping) and any(column.type is ColumnType.ARRAY for column in columns):
        data = _arrays_as_values(columns, data)
    frame = tables.to_frame(data)
    if isinstance(data, (np.ndarray, list)) and not tables.has_names(data) and list(frame.columns) != names:
        if only is not None and frame.shape[1] == 1:
            return frame.set_axis(names, axis=1)
        raise SignatureError(
            f"An array of {frame.shape[1]} columns has no names, and columns are matched by name. Pass a data frame "
            f"with: {listed(names)}."
        )
    return frame


def _rank(value: Any) -> int:
    """Return how many dimensions a value has; one for lists of several lengths, which is what they are: a list."""
    try:
        return np.ndim(value)
    except ValueError:
        return 1


def _arrays_as_values(columns: Sequence[Column], data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a mapping whose arrays, where they are one row's values, stand in a list of one."""
    by_name = {column.name: column for column in columns}
    arrays = [n for n in data if n in by_name and by_name[n].type is ColumnType.ARRAY]
    others = [value for name, value in data.items() if name not in arrays]
    is_row = not any(tables.is_sequence(value) for value in others)
    if not is_row or not all(_rank(data[name]) == len(by_name[name].shape) for name in arrays):
        return {name: list(value) if name in arrays else value for name, value in data.items()}
    return {name: [value] for name, value in data.items()}


def find_misnamed(names: Sequence[str], frame: pd.DataFrame, *, optional: Set[str] = frozenset()) -> dict[str, str]:
    """Return a sentence for each column that is missing, unless it is optional, or is none of `names`."""
    given, known = set(frame.columns), set(names)
    absent = [name for name in names if name not in given and name not in optional]
    faults = {name: f"Column '{name}' is missing." for name in absent}
    for name in frame.columns:
        if name not in known:
            faults[name] = f"Column '{name}' is unknown.{did_you_mean(name, absent) or did_you_mean(name, known)}"
    return faults


def _absent(column: Column, index: Any) -> Any:
    if column.categories is not None:
        return pd.Series(pd.Categorical([None] * len(index), categories=list(column.categories)), index=index)
    if column.type is ColumnType.TIMESTAMP:
        return pd.Series(pd.NaT, index=index, dtype=_time_dtype(column) or "datetime64[us]")
    if column.type in {ColumnType.INT, ColumnType.FLOAT}:
        return pd.Series(np.nan, index=index, dtype=column.dtype if column.type is ColumnType.FLOAT else "float64")
    return pd.Series([_missing_marker(column)] * len(index), index=index, dtype=object)


def _missing_marker(column: Column) -> Any:
    is_none = column.type is ColumnType.ARRAY or column.dtype == "object"
    return None if is_none else np.nan


def _convert(column: Column, values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object if values.isna().any() else values.dtype.categories.dtype)
    elif isinstance(values.dtype, pd.SparseDtype):
        values = pd.Series(np.asarray(values), index=values.index)
    missing = values.isna()
    if missing.any() and not column.nullable and column.type is not ColumnType.OBJECT:
        raise SignatureError(
            f"Column '{column.name}' is missing in {int(missing.sum())} of {len(values)} rows, and the model cannot "
            "take that. Fill or drop them.",
            columns=(column.name,),
        )
    converted = _CONVERSIONS[column.type](column, values, missing)
    return converted if column.categories is None else _categorical(column, converted)


def _categorical(column: Column, values: pd.Series[Any]) -> pd.Series[Any]:
    """Return values with the categories the model knows first, so that their codes stay; new ones come last."""
    known = list(column.categories or ())
    new = [value for value in dict.fromkeys(values.dropna()) if value not in known]
    return pd.Series(pd.Categorical(values, categories=known + new), index=values.index)


def _to_float(column: Column, values: pd.Series[Any], _missing: pd.Series[bool]) -> pd.Series[Any]:
    numbers = _numbers(column, values)
    with np.errstate(over="ignore"):
        narrow = pd.Series(numbers.to_numpy().astype(column.dtype), index=values.index)
    too_large = np.isinf(narrow) & ~np.isinf(numbers)
    if too_large.any():
        raise SignatureError(
            f"Column '{column.name}' holds {numbers[too_large].iloc[0]!r}, too large for {column.dtype}.",
            columns=(column.name,),
        )
    return narrow


def _to_int(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    dtype = np.dtype(column.dtype)
    limits = np.iinfo(dtype)
    whole = _wholes(column, values[~missing])
    if whole.size and (int(whole.min()) < limits.min or int(whole.max()) > limits.max):
        raise SignatureError(
            f"Column '{column.name}' holds numbers outside {dtype} ({limits.min} to {limits.max}).",
            columns=(column.name,),
        )
    if not missing.any():
        return pd.Series(whole.astype(dtype), index=values.index)
    if whole.size and max(-int(whole.min()), int(whole.max())) > _EXACT:
        raise SignatureError(
            f"Column '{column.name}' holds integers beyond 2**53 beside missing values, which float64 "
            "cannot keep apart.",
            columns=(column.name,),
        )
    numbers = np.full(len(values), np.nan)
    numbers[(~missing).to_numpy()] = whole
    return pd.Series(numbers, index=values.index)


def _wholes(column: Column, present: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """Return values that are integers, however they are kept."""
    if pd.api.types.is_integer_dtype(present.dtype) or pd.api.types.is_bool_dtype(present.dtype):
        dtype: Any = present.dtype
        return present.to_numpy(dtype=getattr(dtype, "numpy_dtype", dtype))
    if pd.api.types.is_float_dtype(present.dtype):
        numbers = present.to_numpy(dtype="float64")
        wrong = ~np.isfinite(numbers) | (numbers != np.floor(numbers))
        if wrong.any():
            raise _wrong(column, numbers[wrong][0].item())
        return numbers
    for value in present:
        if not tables.is_number(value) or value in (np.inf, -np.inf) or int(value) != value:
            raise _wrong(column, value)
    return np.array([int(value) for value in present], dtype=object)


def _numbers(column: Column, values: pd.Series[Any]) -> pd.Series[Any]:
    """Return values as float64; text is no number, however it looks."""
    if pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype):
        return pd.Series(values.to_numpy(dtype="float64", na_value=np.nan), index=values.index)
    present = values.notna()
    for value in values[present]:
        if not tables.is_number(value):
            raise _wrong(column, value)
    try:
        numbers = [float(value) if there else np.nan for value, there in zip(values, present, strict=True)]
    except OverflowError as exc:
        raise _wrong(column, next(v for v in values[present] if isinstance(v, int) and abs(v) > _LARGEST)) from exc
    return pd.Series(numbers, index=values.index, dtype="float64")


def _to_bool(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    for value in values[~missing].tolist():
        if not (tables.is_number(value) and value in (0, 1)):
            raise _wrong(column, value)
    if not missing.any():
        return values.astype(bool)
    flags = [_missing_marker(column) if absent else bool(v) for v, absent in zip(values, missing, strict=True)]
    return pd.Series(flags, index=values.index, dtype=object)


def _to_string(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    for value in values[~missing]:
        if not isinstance(value, str):
            raise _wrong(column, value)
    return values.astype(object).where(~missing, _missing_marker(column))


def _to_timestamp(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    if not pd.api.types.is_datetime64_any_dtype(values.dtype):
        present = values[~missing]
        if any(tables.is_number(value) for value in present):
            raise _wrong(column, present.iloc[0])
        try:
            values = pd.to_datetime(values, format="ISO8601", utc=_mixes_zones(present))
        except (ValueError, TypeError, OverflowError) as exc:
            raise _wrong(column, present.iloc[0]) from exc
    target = _time_dtype(column)
    if target is None:
        return values
    zone = getattr(target, "tz", None)
    if values.dt.tz is None and zone is not None:
        values = values.dt.tz_localize("UTC")
    elif values.dt.tz is not None and zone is None:
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    try:
        return values.astype(target)
    except (pd.errors.OutOfBoundsDatetime, OverflowError) as exc:
        raise _wrong(column, next(iter(values[~missing]))) from exc


def _mixes_zones(present: pd.Series[Any]) -> bool:
    """Return whether the times need one zone: two offsets do not go into one column."""
    offsets = {getattr(value, "tzinfo", None) for value in present if not isinstance(value, str)}
    texts = {str(value)[19:].lstrip("0123456789.,") for value in present if isinstance(value, str)}
    return len(offsets) > 1 or len(texts) > 1 or (bool(offsets) and bool(texts))


def _time_dtype(column: Column) -> Any:
    return pd.api.types.pandas_dtype(column.dtype) if column.dtype.startswith("datetime64[") else None


def _to_array(column: Column, values: pd.Series[Any], missing: pd.Series[bool]) -> pd.Series[Any]:
    found: list[Any] = [None if absent else _one_array(column, v) for v, absent in zip(values, missing, strict=True)]
    made = np.empty(len(found), dtype=object)
    for place, array in enumerate(found):
        made[place] = array
    return pd.Series(made, index=values.index)


def _one_array(column: Column, value: Any) -> Any:
    try:
        array = np.asarray(value)
        fits = array.dtype.kind == "U" if column.dtype == "string" else array.dtype.kind in "biuf" or not array.size
        typed = array.astype(object) if column.dtype in {"string", "object"} else array.astype(column.dtype)
    except (ValueError, TypeError, OverflowError) as exc:
        raise _wrong(column, value) from exc
    if (not fits and column.dtype != "object") or _is_rounded(array, typed):
        raise _wrong(column, value)
    shape = column.shape
    if len(array.shape) != len(shape) or any(n not in {-1, m} for n, m in zip(shape, array.shape, strict=True)):
        raise SignatureError(
            f"Column '{column.name}' has a value of shape {array.shape}; the model takes {shape}.",
            columns=(column.name,),
        )
    return typed


def _is_rounded(array: Any, typed: Any) -> bool:
    """Return whether fractions became integers."""
    return array.dtype.kind == "f" and typed.dtype.kind in "iub" and not np.array_equal(array, typed)


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


def listed(names: Sequence[str]) -> str:
    """Return names as a message shows them."""
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
