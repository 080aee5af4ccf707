"""Values as JSON has them, which knows no NaN, no infinity, and nothing of NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

__all__ = ["as_json", "no_number"]


def no_number(_value: float) -> None:
    """Return None: a figure that could not be computed is no figure."""


def as_json(value: Any, *, non_finite: Callable[[float], str | None] = no_number) -> Any:
    """Return `value` as JSON; data are named by their type and shape.

    Parameters
    ----------
    non_finite : callable
        What stands for NaN and infinities: null for results, by default; `str` for settings, where they mean something.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else non_finite(value)
    if isinstance(value, Mapping):
        return {str(key): as_json(item, non_finite=non_finite) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(item, non_finite=non_finite) for item in value]
    if hasattr(value, "item") and value.shape == ():
        return as_json(value.item(), non_finite=non_finite)
    return _as_text(value)


def _as_text(value: Any) -> str:
    if isinstance(value, (Path, datetime)):
        return str(value)
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"{type(value).__name__} of shape {tuple(shape)}"
