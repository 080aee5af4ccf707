"""From rows as requests bring them to arrays as models want them.

The signature decides once, when an endpoint comes up, how its rows travel. Models whose columns are all numbers get
`PackedCodec`: a row is its bytes, rows are joined by joining bytes, and numpy reads them without a copy. All others
get `TupleCodec`. Both check names and types while the JSON is parsed, in C: that is the fast path, and it only ever
says "fits" or "look closer". Looking closer is `flavors.Signature.conform`, the one place that words what is wrong.
"""
# ruff: noqa: D102 - what each method of a codec does is said once, in `RowCodec`

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa

from dwcp_jupyter.flavors import Column, ColumnType, Signature

__all__ = ["PackedCodec", "RowCodec", "TupleCodec", "codec_for"]

Payload = Any
"""Rows in a codec's own form: bytes, or a list of tuples."""

_PACKED = {ColumnType.FLOAT: ("d", "<f8", float), ColumnType.INT: ("q", "<i8", int), ColumnType.BOOL: ("?", "?", bool)}
_SCALARS: dict[ColumnType, Any] = {
    ColumnType.FLOAT: float,
    ColumnType.INT: int,
    ColumnType.BOOL: bool,
    ColumnType.STRING: str,
}
_FLOATS = ("float32", "float64")
_MISFITS = (msgspec.MsgspecError, struct.error, UnicodeDecodeError, RecursionError, OverflowError)
"""What a row that does not plainly fit makes the parser raise; looking closer says what is wrong with it."""
_ARROW = {
    ColumnType.FLOAT: pa.float64(),
    ColumnType.INT: pa.int64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.STRING: pa.string(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.OBJECT: pa.string(),
}


class RowCodec(Protocol):
    """Carries rows of one signature. Stateless; safe for threads."""

    names: tuple[str, ...]

    def decode_record(self, body: bytes) -> Payload | None:
        """Return the one row of a JSON object that has exactly the signature's columns, else None."""

    def convert_record(self, record: Any) -> Payload | None:
        """Return the one row of a decoded JSON object, or None where it does not plainly fit."""

    def convert_row(self, row: Any) -> Payload | None:
        """Return the one row of a decoded JSON list in signature order, or None where it does not plainly fit."""

    def from_frame(self, frame: pd.DataFrame) -> Payload:
        """Return the rows of a frame that `Signature.conform` made."""

    def join(self, payloads: Sequence[Payload]) -> Payload:
        """Return all rows as one payload."""

    def count(self, payload: Payload) -> int:
        """Return the number of rows."""

    def frame(self, payload: Payload) -> pd.DataFrame:
        """Return the rows as a frame in signature order."""

    def column(self, payload: Payload, name: str) -> np.ndarray[Any, Any]:
        """Return one column, (n_rows,)."""

    def matrix(self, payload: Payload) -> np.ndarray[Any, Any]:
        """Return the rows as float32, (n_rows, n_columns)."""

    def to_wire(self, payload: Payload) -> bytes:
        """Return the rows as bytes for another process."""

    def from_wire(self, data: bytes) -> Payload:
        """Return the rows that `to_wire` wrote."""

    def arrow(self, payloads: list[Payload]) -> pa.StructArray:
        """Return the rows as the prediction log keeps them."""


def codec_for(signature: Signature) -> RowCodec:
    """Return the fastest codec that carries the signature's columns unchanged."""
    if signature.inputs and all(_is_packable(column) for column in signature.inputs):
        return PackedCodec(signature)
    return TupleCodec(signature)


def _is_packable(column: Column) -> bool:
    """NaN can stand for a missing float, but integers and booleans have nothing to stand for it."""
    return column.is_numeric and column.dtype != "uint64" and (column.type is ColumnType.FLOAT or not column.nullable)


def _python_type(column: Column) -> Any:
    """Return the type that JSON values of the column have; integers within the limits of their NumPy type."""
    kind = _SCALARS[column.type]
    if column.type is ColumnType.INT:
        limits = np.iinfo(_int_dtype(column))
        # the bounds that msgspec takes are those of int64
        kind = Annotated[int, msgspec.Meta(ge=max(int(limits.min), -(2**63)), le=min(int(limits.max), 2**63 - 1))]
    return kind | None if column.nullable else kind


def _int_dtype(column: Column) -> np.dtype[Any]:
    return np.dtype(column.dtype if column.dtype.startswith(("int", "uint")) else "int64")


def _frame_dtype(column: Column) -> np.dtype[Any]:
    """Return the type that `Signature.conform` gives the column."""
    if column.type is ColumnType.FLOAT:
        return np.dtype(column.dtype if column.dtype in _FLOATS else "float64")
    return _int_dtype(column) if column.type is ColumnType.INT else np.dtype(bool)


def _record_type(columns: Sequence[Column]) -> type[msgspec.Struct]:
    """Return a struct that parses a JSON object with exactly these columns."""
    kinds = [(f"c{i}", _python_type(column)) for i, column in enumerate(columns)]
    names = {f"c{i}": column.name for i, column in enumerate(columns)}
    return msgspec.defstruct("Record", kinds, rename=names, forbid_unknown_fields=True, gc=False)


class PackedCodec:
    """Rows of numbers as bytes, eight per number."""

    def __init__(self, signature: Signature) -> None:
        columns = signature.inputs
        self.names = tuple(column.name for column in columns)
        formats = [_PACKED[column.type] for column in columns]
        self._struct = struct.Struct("<" + "".join(code for code, _, _ in formats))
        self._is_uniform = all(column.type is ColumnType.FLOAT for column in columns)
        self._fields = [f"c{i}" for i in range(len(columns))]
        self._positions = {name: i for i, name in enumerate(self.names)}
        self._dtype = np.dtype([(field, kind) for field, (_, kind, _) in zip(self._fields, formats, strict=True)])
        self._record_type = _record_type(columns)
        self._decoder = msgspec.json.Decoder(self._record_type)
        self._row_type: Any = tuple[tuple(_python_type(column) for column in columns)]  # type: ignore[misc]
        self._frame_dtypes = {
            column.name: _frame_dtype(column)
            for column, (_, kind, _) in zip(columns, formats, strict=True)
            if _frame_dtype(column) != np.dtype(kind)
        }

    def decode_record(self, body: bytes) -> bytes | None:
        try:
            return self._struct.pack(*msgspec.structs.astuple(self._decoder.decode(body)))
        except _MISFITS:  # a null in a float column does not pack: the slow path makes NaN
            return None

    def convert_record(self, record: Any) -> bytes | None:
        try:
            return self._struct.pack(*msgspec.structs.astuple(msgspec.convert(record, self._record_type)))
        except _MISFITS:
            return None

    def convert_row(self, row: Any) -> bytes | None:
        try:
            return self._struct.pack(*msgspec.convert(row, self._row_type))
        except _MISFITS:
            return None

    def from_frame(self, frame: pd.DataFrame) -> bytes:
        if self._is_uniform:
            return np.ascontiguousarray(frame.to_numpy(dtype=np.float64, na_value=np.nan)).tobytes()
        rows = np.empty(len(frame), dtype=self._dtype)
        for field, name in zip(self._fields, self.names, strict=True):
            rows[field] = frame[name].to_numpy(dtype=self._dtype[field])
        return rows.tobytes()

    def join(self, payloads: Sequence[bytes]) -> bytes:
        return payloads[0] if len(payloads) == 1 else b"".join(payloads)

    def count(self, payload: bytes) -> int:
        return len(payload) // self._struct.size

    def frame(self, payload: bytes) -> pd.DataFrame:
        if self._is_uniform:
            frame = pd.DataFrame(self._table(payload).copy(), columns=list(self.names))
        else:
            frame = pd.DataFrame({name: self.column(payload, name) for name in self.names})
        return frame.astype(self._frame_dtypes) if self._frame_dtypes else frame

    def column(self, payload: bytes, name: str) -> np.ndarray[Any, Any]:
        position = self._positions[name]
        if self._is_uniform:
            return np.ascontiguousarray(self._table(payload)[:, position])
        rows = np.frombuffer(payload, dtype=self._dtype)
        return np.ascontiguousarray(rows[self._fields[position]])

    def matrix(self, payload: bytes) -> np.ndarray[Any, Any]:
        if self._is_uniform:
            with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused by its column
                return self._table(payload).astype(np.float32)
        rows = np.frombuffer(payload, dtype=self._dtype)
        matrix = np.empty((len(rows), len(self.names)), dtype=np.float32)
        with np.errstate(over="ignore"):
            for position, field in enumerate(self._fields):
                matrix[:, position] = rows[field]
        return matrix

    def to_wire(self, payload: bytes) -> bytes:
        return payload

    def from_wire(self, data: bytes) -> bytes:
        return data

    def arrow(self, payloads: list[bytes]) -> pa.StructArray:
        payload = self.join(payloads)
        columns = [pa.array(self.column(payload, name), from_pandas=True) for name in self.names]
        return pa.StructArray.from_arrays(columns, names=list(self.names))

    def _table(self, payload: bytes) -> np.ndarray[Any, Any]:
        return np.frombuffer(payload, dtype="<f8").reshape(-1, len(self.names))


class TupleCodec:
    """Rows of anything as tuples; a missing value is None."""

    def __init__(self, signature: Signature) -> None:
        self._signature = signature
        columns = signature.inputs
        self.names = tuple(column.name for column in columns)
        self._columns = {column.name: column for column in columns}
        self._positions = {name: i for i, name in enumerate(self.names)}
        is_scalar = all(column.type in _SCALARS and not column.shape for column in columns)
        self._record_type = _record_type(columns) if is_scalar else None
        self._decoder = msgspec.json.Decoder(self._record_type) if self._record_type is not None else None
        self._row_type: Any = tuple[tuple(_python_type(column) for column in columns)] if is_scalar else None  # type: ignore[misc]
        self._schema = pa.schema([(column.name, _arrow_type(column)) for column in columns])

    def decode_record(self, body: bytes) -> list[tuple[Any, ...]] | None:
        if self._decoder is None:
            return None
        try:
            return [msgspec.structs.astuple(self._decoder.decode(body))]
        except _MISFITS:
            return None

    def convert_record(self, record: Any) -> list[tuple[Any, ...]] | None:
        if self._record_type is None:
            return None
        try:
            return [msgspec.structs.astuple(msgspec.convert(record, self._record_type))]
        except _MISFITS:
            return None

    def convert_row(self, row: Any) -> list[tuple[Any, ...]] | None:
        if self._row_type is None:
            return None
        try:
            return [msgspec.convert(row, self._row_type)]
        except _MISFITS:
            return None

    def from_frame(self, frame: pd.DataFrame) -> list[tuple[Any, ...]]:
        return list(zip(*(_plain_list(frame[name], self._columns[name]) for name in self.names), strict=True))

    def join(self, payloads: Sequence[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        return payloads[0] if len(payloads) == 1 else [row for payload in payloads for row in payload]

    def count(self, payload: list[tuple[Any, ...]]) -> int:
        return len(payload)

    def frame(self, payload: list[tuple[Any, ...]]) -> pd.DataFrame:
        columns = list(zip(*payload, strict=True))
        frame = pd.DataFrame({name: list(values) for name, values in zip(self.names, columns, strict=True)})
        return self._signature.conform(frame)

    def column(self, payload: list[tuple[Any, ...]], name: str) -> np.ndarray[Any, Any]:
        position, column = self._positions[name], self._columns[name]
        values = [row[position] for row in payload]
        if column.type is ColumnType.FLOAT:
            return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        if column.type is ColumnType.INT and not column.nullable:
            return np.array(values, dtype=_int_dtype(column))
        if column.type is ColumnType.BOOL and not column.nullable:
            return np.array(values, dtype=bool)
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array

    def matrix(self, payload: list[tuple[Any, ...]]) -> np.ndarray[Any, Any]:
        with np.errstate(over="ignore"):
            return np.array(
                [[np.nan if value is None else value for value in row] for row in payload], dtype=np.float64
            ).astype(np.float32)

    def to_wire(self, payload: list[tuple[Any, ...]]) -> bytes:
        return msgspec.msgpack.encode(payload)  # a time without a zone travels as text, and `conform` reads it so

    def from_wire(self, data: bytes) -> list[tuple[Any, ...]]:
        return msgspec.msgpack.decode(data, type=list[tuple[Any, ...]])

    def arrow(self, payloads: list[list[tuple[Any, ...]]]) -> pa.StructArray:
        columns = list(zip(*self.join(payloads), strict=True))
        arrays = [
            pa.array(
                [None if value is None else msgspec.json.encode(value).decode() for value in values]
                if self._columns[name].type is ColumnType.OBJECT
                else list(values),
                type=self._schema.field(name).type,
                from_pandas=True,
            )
            for name, values in zip(self.names, columns, strict=True)
        ]
        return pa.StructArray.from_arrays(arrays, names=list(self.names))


def _arrow_type(column: Column) -> pa.DataType:
    if column.dtype == "uint64":
        return pa.uint64()
    if column.type is not ColumnType.ARRAY:
        return _ARROW[column.type]
    kind: pa.DataType = pa.float64()
    for _ in column.shape or (0,):
        kind = pa.list_(kind)
    return kind


def _plain_list(series: pd.Series[Any], column: Column) -> list[Any]:
    """Return a column as Python values; what is missing is None."""
    if column.type is ColumnType.TIMESTAMP:
        return [None if value is pd.NaT else value.to_pydatetime() for value in series]
    if column.type is ColumnType.ARRAY:
        return [None if value is None else np.asarray(value).tolist() for value in series]
    missing = series.isna() if column.type is not ColumnType.OBJECT else [value is None for value in series]
    return [None if absent else value for value, absent in zip(series.tolist(), missing, strict=True)]
