"""One file of the prediction log: an Arrow IPC stream that one process appends to.

The writer holds a file lock for as long as it may still write, so that anybody can tell a segment in use from one
whose writer is gone, whatever became of process ids since. A batch is made in memory and written by one call; a batch
that fails to be written whole is cut off again, so what lies before it stays readable. A closed segment ends with the
stream's end mark: one without it, that nobody holds, was left by a process that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import pyarrow as pa

from dwcp_jupyter import clock

__all__ = ["Gap", "GapReason", "SegmentWriter", "read_segment", "segment_is_in_use"]

_END_MARK = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_GAP_KEY = b"dwcp.gap"


class GapReason(StrEnum):
    """Why rows are missing from the log."""

    KILLED = "killed"
    """The process ended without closing its segment: up to a second of rows may be missing, their number unknown."""
    WRITE_FAILED = "write_failed"
    """The rows could not be written, e.g. on a full disk."""
    TOO_MANY_WAITING = "too_many_waiting"
    """The disk was slower than the requests for so long that rows were dropped to keep serving."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A hole in the log.

    Attributes
    ----------
    start, end : datetime
        The missing rows' times lie between these; `end` is None where it is not known.
    rows : int or None
        How many are missing; None where it is not known.
    segment : str
        The file that tells of it.
    """

    start: datetime
    end: datetime | None
    rows: int | None
    reason: GapReason
    detail: str = ""
    segment: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return {
            "start": clock.to_text(self.start),
            "end": None if self.end is None else clock.to_text(self.end),
            "rows": self.rows,
            "reason": str(self.reason),
            "detail": self.detail,
            "segment": self.segment,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Gap:
        """Return the gap that `to_json` wrote."""
        return cls(
            start=clock.from_text(record["start"]),
            end=None if record["end"] is None else clock.from_text(record["end"]),
            rows=record["rows"],
            reason=GapReason(record["reason"]),
            detail=record["detail"],
            segment=record["segment"],
        )


class _Collector:
    """A file in memory whose content is taken away after each batch."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to give back."""

    def take(self) -> bytes:
        data, self._parts = b"".join(self._parts), []
        return data


class SegmentWriter:
    """Appends record batches of one schema, that of the first, to a new file. Not thread-safe.

    The file is there, empty, from the start: a process that is killed before it wrote anything leaves a trace.

    Raises
    ------
    OSError
        From the constructor and from `write`, if the file cannot be made or written; what was written before stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.schema: pa.Schema | None = None
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unlocked = path.with_name(f"{path.name}.tmp")
        self._descriptor = os.open(unlocked, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlocked.rename(path)  # under its name it is locked from the first moment
        self._collector = _Collector()
        self._stream: Any = None
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._size_bytes

    def write(self, batch: pa.RecordBatch, *, gap: Gap | None = None, is_synced: bool = False) -> None:
        """Append `batch`; with `gap`, what is missing before it. `is_synced` waits for the disk."""
        metadata = None if gap is None else pa.KeyValueMetadata({_GAP_KEY: json.dumps(gap.to_json()).encode()})
        if self._stream is None:
            self._stream = pa.ipc.new_stream(pa.PythonFile(self._collector, mode="w"), batch.schema)
        self._stream.write_batch(batch, custom_metadata=metadata)
        try:
            self._append(self._collector.take())
        except OSError:
            if not self._size_bytes:  # not even the schema got there: the next batch writes it again
                self._stream = None
            raise
        self.schema = batch.schema
        if is_synced:
            os.fdatasync(self._descriptor) if hasattr(os, "fdatasync") else os.fsync(self._descriptor)
        self.rows += batch.num_rows

    def close(self) -> None:
        """Write the end mark and give the lock back. Idempotent; errors of the disk are those of `write`."""
        if self._descriptor < 0:
            return
        try:
            if self._size_bytes:
                self._append(_END_MARK)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the file as it is, without the end mark; one without content is removed."""
        if self._descriptor >= 0:
            if not self._size_bytes:
                self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        view, written = memoryview(data), 0
        try:
            while written < len(view):
                written += os.write(self._descriptor, view[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._size_bytes)
            os.lseek(self._descriptor, self._size_bytes, os.SEEK_SET)
            raise
        self._size_bytes += written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def segment_is_in_use(path: Path) -> bool:
    """Return whether a live process may still append to the segment.

    Raises
    ------
    FileNotFoundError
        If it was compacted meanwhile.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_segment(path: Path) -> tuple[pa.Table | None, list[Gap]]:
    """Return every whole batch of the segment as one table, and the gaps it tells of.

    A torn tail is dropped. None where not even the schema was written.
    """
    in_use = segment_is_in_use(path)
    data = path.read_bytes()
    table, gaps = _read_stream(data)
    gaps = [Gap.from_json({**record, "segment": path.name}) for record in gaps]
    if not in_use and not data.endswith(_END_MARK):
        gaps.append(_killed(path, table))
    return table, gaps


def _read_stream(data: bytes) -> tuple[pa.Table | None, list[Any]]:
    batches, gaps = [], []
    try:
        reader = pa.ipc.open_stream(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError):
        return None, []
    for batch, metadata in _whole_batches(reader):
        batches.append(batch)
        if metadata is not None and _GAP_KEY in metadata:
            gaps.append(json.loads(metadata[_GAP_KEY]))
    return pa.Table.from_batches(batches, schema=reader.schema), gaps


def _whole_batches(reader: Any) -> Iterator[tuple[pa.RecordBatch, Any]]:
    while True:
        try:
            yield reader.read_next_batch_with_custom_metadata()
        except (StopIteration, pa.ArrowInvalid, OSError):
            return


def _killed(path: Path, table: pa.Table | None) -> Gap:
    if table is not None and table.num_rows:
        start = table.column("time")[-1].as_py()
    else:
        start = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC) - timedelta(seconds=1)
    return Gap(start=start, end=None, rows=None, reason=GapReason.KILLED, segment=path.name)
