"""The data of a run as one data frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dwcp_jupyter.exceptions import DataValidationError, PipelineConfigError

__all__ = ["describe_source", "load"]


def load(source: Any) -> pd.DataFrame:
    """Return the data of a ``.csv`` or ``.parquet`` file, a data frame or an Arrow table; never the caller's own frame.

    Raises
    ------
    PipelineConfigError
        If the source is none of these, or there is no such file.
    DataValidationError
        If the file cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        names = [str(name) for name in source.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise DataValidationError(f"Columns repeat: {', '.join(map(repr, repeated))}. Rename them first.")
        return _dense(source.reset_index(drop=True).rename(columns=str))
    if isinstance(source, pa.Table):
        return pd.DataFrame(source.to_pandas())
    if not isinstance(source, (str, Path)):
        raise PipelineConfigError(
            f"data_source is of type {type(source).__name__}. Name a .csv or .parquet file, or give a data frame."
        )
    path = Path(source).expanduser()
    if not path.is_file():
        raise PipelineConfigError(f"There is no file '{path}' (looked in {Path.cwd()}). Correct data_source.")
    readers = {".csv": _read_csv, ".parquet": _read_parquet, ".pq": _read_parquet}
    if path.suffix.lower() not in readers:
        raise PipelineConfigError(f"'{path}' ends in '{path.suffix}'. Readable are .csv and .parquet.")
    try:
        return readers[path.suffix.lower()](path)
    except (ValueError, OSError, pa.ArrowException) as exc:  # pandas' parser errors are ValueErrors
        raise DataValidationError(f"'{path}' cannot be read: {exc}") from exc


def _dense(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without sparse columns, which no Parquet file has."""
    sparse = [str(name) for name, dtype in frame.dtypes.items() if isinstance(dtype, pd.SparseDtype)]
    return frame.assign(**{name: np.asarray(frame[name]) for name in sparse})


def describe_source(source: Any) -> str:
    """Return a short name of the source for records."""
    return Path(source).name if isinstance(source, (str, Path)) else type(source).__name__


def _read_csv(path: Path) -> pd.DataFrame:
    header = pd.read_csv(path, nrows=0, header=None, encoding="utf-8-sig")
    names = [str(name) for name in pd.read_csv(path, nrows=1, header=None, dtype=str, encoding="utf-8-sig").iloc[0]]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated and len(header.columns):
        raise ValueError(f"columns repeat: {', '.join(map(repr, repeated))}")  # pandas would rename them silently
    return pd.read_csv(path, encoding="utf-8-sig")


def _read_parquet(path: Path) -> pd.DataFrame:
    return pd.DataFrame(pq.read_table(path).to_pandas())
