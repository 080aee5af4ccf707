"""What kind of values a column holds, and so how it can be compared.

The reference decides. Identifiers and free text differ in every row, and times only move on: a test of them would
always alarm and never mean anything, so they are named and left out. A number with few values, such as 0 and 1, is a
category.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Content", "Kind", "Values", "kind_of", "values_of"]

_FEW_VALUES = 5
_MANY_VALUES = 50
_ID_SHARE = 0.5
_TEXT_LENGTH = 32
_INFERRED = {
    "boolean": "bool", "integer": "number", "floating": "number", "mixed-integer-float": "number", "decimal": "number",
    "string": "string", "categorical": "string", "bytes": "other", "empty": "empty",
    "datetime": "time", "datetime64": "time", "date": "time", "time": "time", "timedelta": "time",
    "timedelta64": "time", "period": "time",
}  # fmt: skip


class Kind(StrEnum):
    """How a column is compared."""

    NUMBER = "number"
    CATEGORY = "category"
    IDENTIFIER = "identifier"
    TEXT = "text"
    TIME = "time"
    OTHER = "other"
    """Lists, dictionaries, bytes, or several types in one column."""
    EMPTY = "empty"
    """No value at all."""

    @property
    def is_testable(self) -> bool:
        """Whether its distribution can be compared."""
        return self in {Kind.NUMBER, Kind.CATEGORY}


class Content(StrEnum):
    """The type of a column's values, whatever its dtype."""

    BOOL = "bool"
    NUMBER = "number"
    STRING = "string"
    TIME = "time"
    OTHER = "other"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The values of one column that can be compared.

    Attributes
    ----------
    present : ndarray of float64 or pandas.Series, shape (n_present,)
        An array for numbers and truth values, else the series without its missing rows.
    n_missing : int
        Rows without a value; infinities count as missing.
    """

    content: Content
    present: Any
    n_missing: int
    is_declared_category: bool = False

    @property
    def rows(self) -> int:
        """All rows."""
        return int(self.present.size) + self.n_missing

    @property
    def missing_share(self) -> float:
        """Share of rows without a value; 0 without rows."""
        return self.n_missing / self.rows if self.rows else 0.0


def values_of(series: pd.Series[Any]) -> Values:
    """Return the comparable values of a column."""
    is_category = isinstance(series.dtype, pd.CategoricalDtype)
    present = series.dropna()
    if is_category:  # what is missing went first: integers have no place for it
        present = present.astype(series.cat.categories.dtype)
    content = _content(present)
    values: Any = present
    if content in {Content.BOOL, Content.NUMBER}:
        try:
            array = present.to_numpy(dtype=np.float64)
        except OverflowError:  # whole numbers beyond every float
            return Values(content=Content.OTHER, present=present, n_missing=len(series) - len(present))
        values = array[np.isfinite(array)]
    n_missing = len(series) - int(values.size)
    return Values(content=content, present=values, n_missing=n_missing, is_declared_category=is_category)


def _content(present: pd.Series[Any]) -> Content:
    if not len(present):
        return Content.EMPTY
    if pd.api.types.is_bool_dtype(present.dtype):
        return Content.BOOL
    if pd.api.types.is_numeric_dtype(present.dtype):
        return Content.OTHER if pd.api.types.is_complex_dtype(present.dtype) else Content.NUMBER
    if isinstance(present.dtype, pd.StringDtype):
        return Content.STRING
    return Content(_INFERRED.get(pd.api.types.infer_dtype(present, skipna=True), "other"))


def kind_of(values: Values) -> Kind:
    """Return how a reference column is compared."""
    match values.content:
        case Content.EMPTY:
            return Kind.EMPTY
        case Content.BOOL:
            return Kind.CATEGORY
        case Content.TIME:
            return Kind.TIME
        case Content.NUMBER:
            return Kind.CATEGORY if values.is_declared_category else _kind_of_numbers(values.present)
        case Content.STRING:
            return Kind.CATEGORY if values.is_declared_category else _kind_of_strings(values.present)
        case _:
            return Kind.OTHER


def _kind_of_numbers(present: NDArray[Any]) -> Kind:
    if not present.size:
        return Kind.EMPTY
    if _has_few_values(present):
        return Kind.CATEGORY
    return Kind.IDENTIFIER if _counts_rows(present) else Kind.NUMBER


def _has_few_values(present: NDArray[Any]) -> bool:
    """Look at the first rows before all of them: most columns answer there."""
    head = np.unique(present[:1000])
    return head.size <= _FEW_VALUES and np.unique(present).size <= _FEW_VALUES


def _counts_rows(present: NDArray[Any]) -> bool:
    """Return whether these are whole numbers that never repeat and either rise all along or leave few gaps."""
    n = present.size
    if n < _MANY_VALUES or not np.all(present[:1000] == np.floor(present[:1000])):
        return False
    if not np.all(present == np.floor(present)):
        return False
    steps = np.diff(present)
    if bool(np.all(steps > 0)) or bool(np.all(steps < 0)):
        return True
    return float(np.ptp(present)) < 3 * n and np.unique(present).size == n


def _kind_of_strings(present: pd.Series[Any]) -> Kind:
    distinct = present.unique()
    if len(distinct) <= max(_MANY_VALUES, _ID_SHARE * present.size):
        return Kind.CATEGORY
    sample = distinct[:1000]
    is_long = np.mean([len(text) for text in sample]) > _TEXT_LENGTH
    has_words = np.mean([" " in text.strip() for text in sample]) > _ID_SHARE
    return Kind.TEXT if is_long or has_words else Kind.IDENTIFIER
