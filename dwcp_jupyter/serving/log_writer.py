"""Writes the prediction log without slowing the requests.

A request leaves its payload in a list; a thread turns what has gathered into one Arrow batch, at most a second later,
and appends it to the process's own segment. Nothing is converted on the request's way. When the disk refuses, rows are
dropped, counted, and the next batch that can be written tells of the gap: predictions go on. With
``durability='sync'`` the caller writes itself, before it answers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from dwcp_jupyter import clock
from dwcp_jupyter.serving.log_segment import Gap, GapReason, SegmentWriter

__all__ = ["FeatureEncoder", "LogWriter", "LoggedBatch", "LoggedRequest", "RecordEncoder"]

FLUSH_INTERVAL_S = 0.5
"""How long rows wait in memory; with the time it takes to write them, at most a second."""
ROTATE_ROWS = 1_000_000
"""Rows after which a segment is closed, so that it can be compacted."""
MAX_WAITING_ROWS = 200_000
"""Rows in memory above which the newest are dropped rather than let the process grow."""
SLICE_ROWS = 2_048
"""Rows converted at once: short enough that the requests' thread does not wait for the interpreter."""


class FeatureEncoder(Protocol):
    """Turns payloads, as the requests left them, into one Arrow struct array with a field per column."""

    def arrow(self, payloads: list[Any]) -> pa.StructArray:
        """Return all rows of all payloads, in order."""


class RecordEncoder:
    """For payloads that are lists of dictionaries; the columns are those of the first record, or all given ones."""

    def arrow(self, payloads: list[Any]) -> pa.StructArray:
        """Return the records as a struct array whose types are inferred."""
        records = [record for payload in payloads for record in payload]
        names = list(dict.fromkeys(name for record in records for name in record))
        columns = [pa.array([_plain(record.get(name)) for record in records], from_pandas=True) for name in names]
        return pa.StructArray.from_arrays(columns, names=names)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


class LoggedRequest(NamedTuple):
    """One request's part of a batch: `rows` rows of it. A tuple, since one is made per request."""

    request_id: str
    rows: int
    time_s: float
    """Seconds since the epoch."""
    latency_ms: float | None
    entity_key: str | None = None
    """Pseudonym, never the key itself."""


@dataclass(frozen=True, slots=True)
class LoggedBatch:
    """Rows that went through the model together."""

    payload: Any
    """What the writer's `FeatureEncoder` understands."""
    requests: Sequence[LoggedRequest]
    predictions: Any
    """(n_rows,) array."""
    probabilities: Any = None
    """(n_rows, n_classes) array or None."""


class LogWriter:
    """Appends to one version's log; thread-safe. Close it, or the last half second waits for ever.

    Parameters
    ----------
    folder : Path
        The version's folder; made at the first write.
    features : FeatureEncoder
        How payloads become columns.
    on_gap : callable, optional
        Told of each failure, e.g. to write it to the process's own log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        features: FeatureEncoder,
        endpoint: str = "",
        version: str = "",
        now: clock.Clock = clock.utc_now,
        on_gap: Callable[[Gap], object] | None = None,
    ) -> None:
        self._folder = folder
        self._features = features
        self._endpoint, self._version = endpoint, version
        self._now, self._on_gap = now, on_gap
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._waiting: list[LoggedBatch] = []
        self._waiting_rows = 0
        self._segment: SegmentWriter | None = None
        self._gap: Gap | None = None
        self._writing = threading.RLock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def append(self, batch: LoggedBatch) -> None:
        """Leave `batch` to be written soon; a few hundred nanoseconds."""
        if self._pid != os.getpid():  # a forked child writes to a segment of its own
            self._fresh()
        if self._waiting_rows >= MAX_WAITING_ROWS:
            self._miss([batch], GapReason.TOO_MANY_WAITING, "")
            return
        self._waiting.append(batch)
        self._waiting_rows += len(batch.predictions)
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def write(self, batch: LoggedBatch, *, is_synced: bool = True) -> None:
        """Write `batch` now, and wait for the disk: what ``log_durability='sync'`` promises.

        Raises
        ------
        OSError
            If it cannot be written; the gap is recorded too.
        """
        if self._pid != os.getpid():
            self._fresh()
        with self._writing:
            self._write([batch], is_synced=is_synced, is_raising=True)

    def flush(self) -> None:
        """Write what waits, in the caller's thread."""
        with self._writing:
            while self._waiting:
                batches = self._take()
                try:
                    self._write(batches, is_synced=False, is_raising=False)
                except Exception as exc:  # noqa: BLE001 - a thread that ends here would lose all that follows
                    self._miss(batches, GapReason.WRITE_FAILED, f"{type(exc).__name__}: {exc}")

    def close(self) -> None:
        """Write what waits and close the segment. A later `append` opens a new one."""
        self._closing.set()
        self._wake.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join(timeout=10)
        if not self._writing.acquire(timeout=10):  # a disk that hangs must not keep the process
            return
        try:
            self.flush()
            self._close_segment()
            self._thread = None
            self._closing.clear()
        finally:
            self._writing.release()

    def _start(self) -> None:
        with self._writing:
            if self._thread is None:
                with contextlib.suppress(OSError):  # tried again when there is something to write
                    self._open_segment()
                self._thread = threading.Thread(target=self._run, name="dwcp-prediction-log", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._closing.wait(FLUSH_INTERVAL_S)
            self._wake.clear()
            self.flush()

    def _take(self) -> list[LoggedBatch]:
        taken, rows = 0, 0
        for batch in self._waiting:
            taken, rows = taken + 1, rows + len(batch.predictions)
            if rows >= SLICE_ROWS:
                break
        batches = self._waiting[:taken]
        del self._waiting[:taken]
        self._waiting_rows -= rows
        return batches

    def _write(self, batches: list[LoggedBatch], *, is_synced: bool, is_raising: bool) -> None:
        try:
            record_batch = self._record_batch(batches)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as exc:
            if len(batches) > 1:  # one that does not fit its neighbours, or no table at all, takes none with it
                for batch in batches:
                    self._write([batch], is_synced=is_synced, is_raising=False)
                return
            self._miss(batches, GapReason.WRITE_FAILED, f"{type(exc).__name__}: {exc}")
            if is_raising:
                raise
            return
        try:
            segment, record_batch = self._segment_for(record_batch)
            segment.write(record_batch, gap=self._gap, is_synced=is_synced)
            self._gap = None
        except OSError as exc:
            self._miss(batches, GapReason.WRITE_FAILED, exc.strerror or str(exc))
            if is_raising:
                raise

    def _segment_for(self, batch: pa.RecordBatch) -> tuple[SegmentWriter, pa.RecordBatch]:
        """Return the open segment and the batch in its schema; a batch that does not fit opens a new one."""
        if self._segment is not None and self._segment.rows >= ROTATE_ROWS:
            self._close_segment()
        if self._segment is not None and self._segment.schema not in (None, batch.schema):
            fitting = _cast(batch, self._segment.schema)
            if fitting is not None:
                return self._segment, fitting
            self._close_segment()
        return self._open_segment(), batch

    def _open_segment(self) -> SegmentWriter:
        if self._segment is None:
            name = f"{self._now():%Y%m%dT%H%M%S%f}-{os.getpid()}-{secrets.token_hex(4)}.arrows"
            self._segment = SegmentWriter(self._folder / name)
        return self._segment

    def _close_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is None:
            return
        try:
            if self._gap is not None and segment.schema is not None:  # an empty batch tells of what is missing since
                segment.write(segment.schema.empty_table().combine_chunks().to_batches()[0], gap=self._gap)
                self._gap = None
            segment.close()
        except (OSError, IndexError):
            segment.abandon()

    def _miss(self, batches: list[LoggedBatch], reason: GapReason, detail: str) -> None:
        times = [request.time_s for batch in batches for request in batch.requests]
        rows = sum(len(batch.predictions) for batch in batches)
        start, end = (datetime.fromtimestamp(moment, tz=UTC) for moment in (min(times), max(times)))
        before = self._gap
        if before is not None:
            start, rows = min(start, before.start), rows + (before.rows or 0)
        self._gap = Gap(start=start, end=end, rows=rows, reason=reason, detail=detail)
        if self._on_gap is not None:
            self._on_gap(self._gap)

    def _record_batch(self, batches: list[LoggedBatch]) -> pa.RecordBatch:
        requests = [request for batch in batches for request in batch.requests]
        counts = np.array([request.rows for request in requests])
        times = np.array([request.time_s for request in requests])
        rows = int(counts.sum())
        is_single = rows == len(requests)

        def repeated(values: list[Any], kind: pa.DataType) -> pa.Array:
            array = pa.array(values, type=kind)
            return array if is_single else array.take(pa.array(np.repeat(np.arange(len(values)), counts)))

        starts = np.cumsum(counts) - counts
        columns = {
            "request_id": repeated([request.request_id for request in requests], pa.string()),
            "row": pa.array((np.arange(rows) - np.repeat(starts, counts)).astype(np.int32)),
            "time": pa.array(np.repeat((times * 1e6).astype(np.int64), counts)).cast(pa.timestamp("us", tz="UTC")),
            "endpoint": pa.repeat(pa.scalar(self._endpoint, pa.string()), rows),
            "version": pa.repeat(pa.scalar(self._version, pa.string()), rows),
            "entity_key": repeated([request.entity_key for request in requests], pa.string()),
            "features": self._features.arrow([batch.payload for batch in batches]),
            "prediction": _values(np.concatenate([np.asarray(batch.predictions) for batch in batches])),
            "probabilities": _probabilities(batches, rows),
            "latency_ms": repeated([request.latency_ms for request in requests], pa.float64()),
        }
        return pa.RecordBatch.from_pydict(columns)


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch | None:
    """Return the batch in `schema` if nothing is lost by it: an all-null column, integers among floats."""
    if [field.name for field in batch.schema.field("features").type] != [
        field.name for field in schema.field("features").type
    ]:
        return None
    try:
        return batch.cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return None


def _values(values: np.ndarray[Any, Any]) -> pa.Array:
    """Return predictions in the widest type of their kind, so that all segments of a version agree."""
    kind = values.dtype.kind
    if values.ndim > 1:  # several outputs: one list per row
        return pa.array(values.tolist())
    if kind == "b":
        return pa.array(values, type=pa.bool_())
    if kind in "iu":
        return pa.array(values, type=pa.int64())
    if kind == "f":
        return pa.array(values.astype(np.float64), type=pa.float64())
    return pa.array([_plain(value) for value in values.tolist()])


def _probabilities(batches: list[LoggedBatch], rows: int) -> pa.Array:
    kind = pa.list_(pa.float64())
    if any(batch.probabilities is None for batch in batches):
        return pa.array([row for batch in batches for row in _rows_of(batch)], type=kind)
    matrix = np.concatenate([np.asarray(batch.probabilities, dtype=np.float64) for batch in batches])
    offsets = np.arange(rows + 1, dtype=np.int32) * matrix.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(matrix).ravel()))


def _rows_of(batch: LoggedBatch) -> list[Any]:
    return [None] * len(batch.predictions) if batch.probabilities is None else np.asarray(batch.probabilities).tolist()
