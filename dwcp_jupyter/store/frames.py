"""Tables of data as Parquet artifacts.

A frame is written once as Parquet with fixed settings, so that equal tables have equal bytes and are kept once, under
their sum: the sum is the data set's identity in lineage and reference data.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dwcp_jupyter.store.artifacts import Artifact, ArtifactStore

__all__ = ["FrameRef", "FrameStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRef:
    """A kept table: the SHA-256 of its Parquet bytes, its number of rows and its column names."""

    sha256: str
    rows: int
    columns: tuple[str, ...]
    size_bytes: int

    @property
    def artifact(self) -> Artifact:
        """Its bytes."""
        return Artifact(sha256=self.sha256, size_bytes=self.size_bytes)


class FrameStore:
    """Content-addressed Parquet in an `ArtifactStore`."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    def put(self, frame: Any) -> FrameRef:
        """Keep a pandas data frame (its index left out) or an Arrow table.

        Raises
        ------
        ValueError
            If column names repeat, or a column mixes types that no Parquet column can hold.
        """
        table = frame if isinstance(frame, pa.Table) else _to_table(frame)
        if len(set(table.column_names)) != table.num_columns:
            repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
            raise ValueError(f"Columns repeat: {', '.join(map(repr, repeated))}. Rename them first.")
        artifact = self._artifacts.put_bytes(_to_parquet(table))
        return FrameRef(
            sha256=artifact.sha256,
            rows=table.num_rows,
            columns=tuple(table.column_names),
            size_bytes=artifact.size_bytes,
        )

    def get(self, sha256: str) -> pa.Table:
        """Return the table, checked against its sum.

        Raises
        ------
        ArtifactNotFoundError, IntegrityError
            If it is not there, or its bytes were changed.
        """
        return pq.read_table(io.BytesIO(self._artifacts.read(sha256)))


def _to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(None), sink, compression="zstd", version="2.6")
    return sink.getvalue()


def _to_table(frame: Any) -> pa.Table:
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        _to_parquet(table.slice(0, 1))  # some types have an Arrow form only
    except (pa.ArrowException, TypeError) as exc:  # sparse columns are a TypeError
        names = ", ".join(f"'{name}' ({frame[name].dtype})" for name in frame.columns if not _is_kept(frame[[name]]))
        raise ValueError(
            f"Parquet cannot keep column {names}: values of several types, or of one that it does not have. Drop it, "
            "or turn it into numbers or text, such as by .astype(str)."
        ) from exc
    return table


def _is_kept(column: Any) -> bool:
    try:
        _to_parquet(pa.Table.from_pandas(column, preserve_index=False).slice(0, 1))
    except (pa.ArrowException, TypeError):
        return False
    return True
