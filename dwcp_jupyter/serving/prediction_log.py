"""What every endpoint was asked and answered, kept per model version.

Each process appends to a segment of its own under ``predictions/<model id>/<version>/``; `PredictionLog.compact`
turns closed segments into Parquet. One reader unites both, drops a torn tail, and knows the gaps: a process that was
killed leaves a segment without an end, a full disk is told of by the batch that follows it. The input columns are the
fields of the struct ``features``, so that no column's name can clash with the log's own.

================  ==============================================================================================
column            content
================  ==============================================================================================
request_id, row   the request, and the row's position within it
time              when it arrived, UTC
endpoint          the endpoint's name; empty where the caller logged by itself
version           the model's version
entity_key        pseudonym of whom the row is about, where the caller said so
features          struct, one field per input column, the values as they came
prediction        the model's answer
probabilities     list, one per class, where the model has them
latency_ms        from the request's arrival to the answer, milliseconds
================  ==============================================================================================
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dwcp_jupyter import clock
from dwcp_jupyter.serving.log_segment import Gap, GapReason, read_segment, segment_is_in_use
from dwcp_jupyter.serving.log_writer import FeatureEncoder, LoggedBatch, LoggedRequest, LogWriter, RecordEncoder

__all__ = ["Compaction", "Gap", "GapReason", "PredictionLog", "Pseudonyms"]

_SOURCES_KEY, _GAPS_KEY = b"dwcp.segments", b"dwcp.gaps"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What one compaction did."""

    segments: int
    rows: int
    path: Path | None


class PredictionLog:
    """The log of one model version: writer and reader.

    Parameters
    ----------
    root : Path
        The workspace folder.
    model_id, version : str
        Whose log.

    Notes
    -----
    Any number of processes may write and read at once; one compaction at a time does the work, others return at once.
    """

    def __init__(
        self, root: str | os.PathLike[str], model_id: str, version: str, *, now: clock.Clock = clock.utc_now
    ) -> None:
        self.folder = Path(root) / "predictions" / model_id / version
        self.model_id, self.version = model_id, version
        self._now = now
        self._pseudonyms = Pseudonyms(root)
        self._records: LogWriter | None = None

    # -- writing

    def writer(self, features: FeatureEncoder, *, endpoint: str = "", **options: Any) -> LogWriter:
        """Return a writer for payloads that `features` understands; the caller closes it."""
        return LogWriter(
            self.folder, features=features, endpoint=endpoint, version=self.version, now=self._now, **options
        )

    def log(
        self,
        features: Mapping[str, Any],
        prediction: Any,
        *,
        probabilities: Sequence[float] | None = None,
        latency_ms: float | None = None,
        request_id: str | None = None,
        entity: str | None = None,
        moment: datetime | None = None,
    ) -> str:
        """Append one prediction that was made elsewhere, and return its request id.

        Parameters
        ----------
        entity : str, optional
            Whom the row is about; kept as a pseudonym only.
        moment : datetime, optional
            When it was made; now by default.
        """
        if self._records is None:
            self._records = self.writer(RecordEncoder())
        request = LoggedRequest(
            request_id=request_id or secrets.token_hex(16),
            rows=1,
            time_s=(moment or self._now()).timestamp(),
            latency_ms=latency_ms,
            entity_key=None if entity is None else self._pseudonyms(entity),
        )
        self._records.append(
            LoggedBatch(
                payload=[dict(features)],
                requests=(request,),
                predictions=np.array([prediction]),
                probabilities=None if probabilities is None else np.array([probabilities]),
            )
        )
        return request.request_id

    def flush(self) -> None:
        """Write what `log` left in memory."""
        if self._records is not None:
            self._records.flush()

    def close(self) -> None:
        """Write what `log` left in memory and close the segment."""
        if self._records is not None:
            self._records.close()
            self._records = None

    # -- reading

    def read(self, *, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        """Return all whole rows with ``since <= time < until``, oldest first; no columns if there are none."""
        self.flush()
        tables = self._tables()
        if not tables:
            return pa.table({})
        table = _united(tables)
        if since is not None:
            table = table.filter(pc.greater_equal(table["time"], pa.scalar(since, pa.timestamp("us", tz="UTC"))))
        if until is not None:
            table = table.filter(pc.less(table["time"], pa.scalar(until, pa.timestamp("us", tz="UTC"))))
        return table.sort_by([("time", "ascending"), ("row", "ascending")])

    def features(self, *, since: datetime | None = None, until: datetime | None = None) -> pa.Table:
        """Return the input columns alone, one column each, in the order of `read`."""
        table = self.read(since=since, until=until)
        if not table.num_columns:
            return table
        struct = table["features"].combine_chunks()
        if isinstance(struct, pa.ChunkedArray):
            struct = pa.concat_arrays(struct.chunks) if struct.num_chunks else pa.array([], type=struct.type)
        return pa.Table.from_arrays(struct.flatten(), names=[field.name for field in struct.type])

    def query(self, sql: str) -> pa.Table:
        """Return the result of a SELECT over the table ``predictions``, run by DuckDB.

        Examples
        --------
        ``log.query("SELECT prediction, avg(features.amount) FROM predictions GROUP BY prediction")``
        """
        self.flush()
        for _ in range(_ATTEMPTS):
            try:
                return self._query(sql)
            except (FileNotFoundError, duckdb.IOException):  # compacted between listing and reading
                continue
        return self._query(sql)

    def gaps(self) -> tuple[Gap, ...]:
        """Return every known hole in the log, oldest first."""
        self.flush()
        parquet, segments = self._files()
        gaps = [gap for path in parquet for gap in _gaps_of(path)]
        for path in segments:
            with contextlib.suppress(FileNotFoundError):
                gaps += read_segment(path)[1]
        return tuple(sorted(gaps, key=lambda gap: gap.start))

    # -- compaction

    def compact(self) -> Compaction:
        """Turn the segments that nobody writes any more into one Parquet file; their gaps go with them.

        A reader sees each row once at every moment, and a kill at any moment loses none: the Parquet file names its
        sources, which count no more once it is there.
        """
        nothing = Compaction(segments=0, rows=0, path=None)
        if not self.folder.is_dir():
            return nothing
        with _only_one(self.folder / "compaction.lock") as is_mine:
            if not is_mine:
                return nothing
            closed = [path for path in self._files()[1] if not segment_is_in_use(path)]
            if not closed:
                self._sweep()
                return nothing
            compaction = self._write_parquet(closed)
            self._sweep()
            return compaction

    def _write_parquet(self, segments: list[Path]) -> Compaction:
        tables, gaps = [], []
        for path in segments:
            table, found = read_segment(path)
            gaps += found
            if table is not None and table.num_columns:
                tables.append(table)
        table = _united(tables).sort_by("time") if tables else pa.table({})
        metadata = {
            _SOURCES_KEY: json.dumps([path.name for path in segments]).encode(),
            _GAPS_KEY: json.dumps([gap.to_json() for gap in gaps]).encode(),
        }
        target = self.folder / f"{segments[0].stem}.parquet"
        temporary = target.with_suffix(".parquet.tmp")
        pq.write_table(table.replace_schema_metadata(metadata), temporary, compression="zstd")
        with temporary.open("rb") as stream:
            os.fchmod(stream.fileno(), 0o600)
            os.fsync(stream.fileno())
        temporary.replace(target)
        return Compaction(segments=len(segments), rows=table.num_rows, path=target)

    def _sweep(self) -> None:
        """Remove segments that a Parquet file holds, and what a killed compaction left."""
        held = {name for path in self.folder.glob("*.parquet") for name in _sources_of(path)}
        for path in [*(self.folder / name for name in held), *self.folder.glob("*.parquet.tmp")]:
            path.unlink(missing_ok=True)

    def _files(self) -> tuple[list[Path], list[Path]]:
        """Return the Parquet files, and the segments that none of them holds.

        Segments are listed first: one that is compacted meanwhile is then seen in the Parquet file.
        """
        segments = sorted(self.folder.glob("*.arrows"))
        parquet = sorted(self.folder.glob("*.parquet"))
        held = {name for path in parquet for name in _sources_of(path)}
        return parquet, [path for path in segments if path.name not in held]

    def _tables(self) -> list[pa.Table]:
        for attempt in range(_ATTEMPTS):
            parquet, segments = self._files()
            try:
                tables = [pq.read_table(path).replace_schema_metadata(None) for path in parquet]
                tables += [table for path in segments if (table := read_segment(path)[0]) is not None]
            except FileNotFoundError:
                if attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(0.01)
                continue
            return [table for table in tables if table.num_columns]
        raise AssertionError  # the loop returns or raises

    def _query(self, sql: str) -> pa.Table:
        parquet, segments = self._files()
        parquet = [path for path in parquet if pq.read_schema(path).names]
        tables = [table for path in segments if (table := read_segment(path)[0]) is not None and table.num_columns]
        schemas = [pq.read_schema(path).remove_metadata() for path in parquet] + [table.schema for table in tables]
        if len({schema.to_string() for schema in schemas}) > 1:  # one type for each column is found in memory
            tables += [pq.read_table(path).replace_schema_metadata(None) for path in parquet]
            parquet = []
        with duckdb.connect() as connection:
            sources = []
            if parquet:
                names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in parquet)
                sources.append(f"SELECT * FROM read_parquet([{names}])")  # noqa: S608 - quoted above
            if tables or not parquet:
                connection.register("open_segments", _united(tables) if tables else _EMPTY)
                sources.append("SELECT * FROM open_segments")
            connection.execute(f"CREATE TEMP VIEW predictions AS {' UNION ALL BY NAME '.join(sources)}")
            return connection.execute(sql).to_arrow_table()


def _united(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables; a column that is a number here and a text there becomes a text.

    What `PredictionLog.log` is given decides the types, and nothing obliges a caller to give the same ones for ever.
    """
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.concat_tables(_agreeing(list(tables)), promote_options="permissive")


def _agreeing(tables: list[pa.Table]) -> list[pa.Table]:
    for name in dict.fromkeys(name for table in tables for name in table.column_names):
        holders = [position for position, table in enumerate(tables) if name in table.column_names]
        arrays = _of_one_type([tables[position][name].combine_chunks() for position in holders])
        for position, array in zip(holders, arrays, strict=True):
            table = tables[position]
            tables[position] = table.set_column(table.column_names.index(name), name, array)
    return tables


def _of_one_type(arrays: list[Any]) -> list[Any]:
    """Return arrays whose types can be united, struct by struct and field by field."""
    try:
        pa.unify_schemas([pa.schema([("x", array.type)]) for array in arrays], promote_options="permissive")
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        pass
    else:
        return arrays
    if not all(pa.types.is_struct(array.type) for array in arrays):
        return [_text(array) for array in arrays]
    tables = _agreeing([pa.Table.from_arrays(array.flatten(), names=[f.name for f in array.type]) for array in arrays])
    return [table.to_struct_array().combine_chunks() for table in tables]


def _text(array: Any) -> Any:
    if pa.types.is_nested(array.type):
        values = [None if value is None else json.dumps(value, default=str) for value in array.to_pylist()]
        return pa.array(values, type=pa.string())
    return array.cast(pa.string())


_EMPTY = pa.schema(
    [
        ("request_id", pa.string()),
        ("row", pa.int32()),
        ("time", pa.timestamp("us", tz="UTC")),
        ("endpoint", pa.string()),
        ("version", pa.string()),
        ("entity_key", pa.string()),
        ("prediction", pa.float64()),
        ("probabilities", pa.list_(pa.float64())),
        ("latency_ms", pa.float64()),
    ]
).empty_table()


class Pseudonyms:
    """Names under which entities appear in a workspace's logs: keyed hashes, so they cannot be guessed.

    The key lies in the workspace, 0600, made at the first use; without it nobody can tell whom a row is about.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = Path(root)
        self._key: bytes | None = None

    def __call__(self, entity: str) -> str:
        """Return the pseudonym of `entity`, 32 hex digits."""
        if self._key is None:
            self._key = _pseudonym_key(self._root)
        return hmac.new(self._key, entity.encode(), hashlib.sha256).hexdigest()[:32]


def _pseudonym_key(root: Path) -> bytes:
    path = root / "predictions" / "pseudonyms.key"
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(32))
    finally:
        os.close(descriptor)
    try:
        os.link(temporary, path)  # whoever is first wins; everybody reads the winner's
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_bytes()


def _metadata_of(path: Path) -> dict[bytes, bytes]:
    try:
        return pq.read_schema(path).metadata or {}
    except FileNotFoundError:
        return {}


def _sources_of(path: Path) -> list[str]:
    return list(json.loads(_metadata_of(path).get(_SOURCES_KEY, b"[]")))


def _gaps_of(path: Path) -> list[Gap]:
    return [Gap.from_json(record) for record in json.loads(_metadata_of(path).get(_GAPS_KEY, b"[]"))]


@contextlib.contextmanager
def _only_one(path: Path) -> Any:
    import fcntl

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
