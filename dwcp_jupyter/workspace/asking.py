"""What can be asked of an endpoint, from whatever a notebook holds.

A frame and dictionaries name their features; an array and rows of plain values do not, and take the names of the
model's inputs by their order, where there are as many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors.tables import to_frame

__all__ = ["to_rows"]


def to_rows(data: Any, inputs: Callable[[], Sequence[str]]) -> pd.DataFrame | list[dict[str, Any]]:
    """Return `data` as rows with named features.

    Parameters
    ----------
    data : object
        A data frame, a dictionary or a Series indexed by names (one row), a sequence of dictionaries, an array or rows
        of values, shape (n_rows, n_inputs) or (n_inputs,).
    inputs : callable
        Returns the names of the model's inputs in order; asked only where they are needed.

    Raises
    ------
    SignatureError
        For what is no table, or has another number of columns than the model has inputs.
    """
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, Mapping):
        return [dict(data)]
    if isinstance(data, pd.Series) and all(isinstance(name, str) for name in data.index):
        return [{str(name): value for name, value in data.items()}]
    if _is_sequence(data) and any(isinstance(row, Mapping) for row in data):
        return [_row(row, place) for place, row in enumerate(data)]
    frame = to_frame(data)
    return _named(frame, inputs()) if _is_unnamed(data) else frame


def _is_sequence(data: Any) -> bool:
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes))


def _row(row: Any, place: int) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise SignatureError(
            f"Row {place} is of type '{type(row).__name__}', where others are dictionaries. Write all alike."
        )
    return dict(row)


def _is_unnamed(data: Any) -> bool:
    """Return whether the columns of `data` have no names of their own."""
    if isinstance(data, pd.Series):
        return data.name is None
    return _is_sequence(data) or getattr(getattr(data, "dtype", None), "names", ()) is None


def _named(frame: pd.DataFrame, inputs: Sequence[str]) -> pd.DataFrame:
    if len(frame) and frame.shape[1] != len(inputs):
        raise SignatureError(
            f"Columns without names: {frame.shape[1]}; inputs of the model: {len(inputs)} ({', '.join(inputs[:12])}"
            f"{', …' if len(inputs) > 12 else ''}). Pass a data frame, or as many columns."
        )
    return frame.set_axis(list(inputs), axis=1) if len(frame) else frame
