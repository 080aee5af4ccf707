"""Columns of one kind in one form: what models, and the tables they are kept in, can take.

pandas has several types for the same values: numbers may be NumPy's, nullable, Arrow's or objects, and what is missing
NaN, None or pd.NA, which comparisons and scikit-learn trip over. Here numbers become NumPy's, with NaN for what is
missing; truth values beside missing ones become 1, 0 and NaN; text is text. What is declared a category stays one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import DataValidationError

__all__ = ["has_text", "has_times", "plain"]

_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_TIMES = {"datetime64", "datetime", "date", "time", "timedelta64", "timedelta", "period"}
_EXACT = 2**53
"""Above it, float64 has no odd numbers."""


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with plain columns.

    Raises
    ------
    DataValidationError
        For integers that cannot stand beside missing values; it names the columns.
    """
    faults: list[str] = []
    made: dict[Any, pd.Series[Any]] = {}
    for name in frame.columns:
        try:
            made[name] = _plain(frame[name])
        except OverflowError:
            faults.append(
                f"Column '{name}' holds integers beyond 2**53 beside missing values, which no number type keeps apart. "
                "Fill or drop what is missing, or turn it into text."
            )
    if faults:
        raise DataValidationError(" ".join(faults), failures=faults)
    return pd.DataFrame(made, index=frame.index, columns=frame.columns)


def has_text(values: pd.Series[Any]) -> bool:
    """Return whether a plain column holds text, as a category or not."""
    dtype = values.dtype.categories.dtype if isinstance(values.dtype, pd.CategoricalDtype) else values.dtype
    return isinstance(dtype, pd.StringDtype)


def has_times(values: pd.Series[Any]) -> bool:
    """Return whether a column holds points or spans of time."""
    return pd.api.types.infer_dtype(values, skipna=True) in _TIMES


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return _category(values)
    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind == "boolean":
        return _numbers(values) if values.isna().any() else values.astype(bool)
    if kind in _NUMBERS:
        return values if isinstance(values.dtype, np.dtype) and values.dtype != object else _numbers(values)
    if kind == "string":
        return values.astype("str")
    return values.astype(object) if isinstance(values.dtype, pd.ArrowDtype) and not has_times(values) else values


def _category(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return a category of plain values; what is no text, number or truth value is not treated as one."""
    known = _plain(pd.Series(values.cat.categories))
    if has_text(known) or pd.api.types.is_numeric_dtype(known.dtype):
        return values.cat.rename_categories(pd.Index(known))
    return _plain(values.astype(object).where(values.notna(), None))


def _numbers(values: pd.Series[Any]) -> pd.Series[Any]:
    """Return NumPy's numbers: the column's own width where it has one, float64 beside missing values."""
    is_missing = values.isna()
    dtype = getattr(values.dtype, "numpy_dtype", np.dtype(object))
    if not is_missing.any():
        is_typed = dtype.kind != "O"
        return values.astype(dtype) if is_typed else pd.to_numeric(values.astype(object).map(_native))
    present = values[~is_missing]
    if _is_whole(present) and max(abs(int(present.min())), abs(int(present.max()))) > _EXACT:
        raise OverflowError
    width = dtype if dtype.kind == "f" else np.dtype(np.float64)
    return pd.Series(values.astype(object).where(~is_missing, np.nan).to_numpy(dtype=width), index=values.index)


def _is_whole(present: pd.Series[Any]) -> bool:
    return pd.api.types.infer_dtype(present) == "integer"


def _native(value: Any) -> Any:
    """Return a Decimal as a float; other numbers as they are."""
    return value if isinstance(value, (int, float, np.number)) else float(value)
