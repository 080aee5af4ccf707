"""Arrays and frames that a function looks things up in, as files that are data: NumPy's own format and Parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import FlavorError

__all__ = ["read_table", "write_table"]

_VALUES = "values"


def write_table(value: Any, folder: Path) -> dict[str, Any]:
    """Return what the file's reader must know, after the table was written into `folder` and read back.

    Raises
    ------
    FlavorError
        If it would come back as something else; as the end of a sentence.
    """
    said: dict[str, Any] = {"file": "table.npy", "kind": "array"}
    if not isinstance(value, np.ndarray):
        said = {"file": "table.parquet", "kind": "frame"}
    if isinstance(value, pd.Series):
        said |= {"kind": "series", "name": value.name}
    try:
        _write(value, folder / said["file"])
        is_same = isinstance(said.get("name"), str | None) and _is_same(value, read_table(folder, said))
    except (ValueError, TypeError, OSError) as exc:  # NumPy: objects; pandas, Arrow: types that Parquet has not
        raise FlavorError(f"it holds what its file cannot: {exc}. Use columns of numbers, text or times.") from exc
    if not is_same:
        raise FlavorError(
            "it would not come back as it is. Use columns named by text, of numbers, text or times, and a plain index."
        )
    return said


def _write(value: Any, path: Path) -> None:
    if isinstance(value, np.ndarray):
        np.save(path, np.asarray(value), allow_pickle=False)
    else:
        frame = value.to_frame(name=_VALUES) if isinstance(value, pd.Series) else value
        frame.to_parquet(path)


def read_table(folder: Path, said: Mapping[str, Any]) -> Any:
    """Return the table that `write_table` wrote."""
    if said["kind"] == "array":
        return np.load(folder / "table.npy", allow_pickle=False)
    frame = pd.read_parquet(folder / "table.parquet")
    return frame[_VALUES].rename(said["name"]) if said["kind"] == "series" else frame


def _is_same(value: Any, found: Any) -> bool:
    if isinstance(value, np.ndarray):
        return type(value) is np.ndarray and value.dtype == found.dtype and value.tobytes() == found.tobytes()
    kinds = (value.dtypes, found.dtypes) if isinstance(value, pd.DataFrame) else ([value.dtype], [found.dtype])
    if type(value) not in {pd.DataFrame, pd.Series} or list(kinds[0]) != list(kinds[1]):
        return False
    is_same_index = value.index.dtype == found.index.dtype and value.index.names == found.index.names
    return is_same_index and bool(value.equals(found))
