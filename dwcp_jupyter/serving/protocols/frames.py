"""From decoded JSON to the endpoint's rows, by way of a data frame that the signature judges."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pandas as pd

from dwcp_jupyter.exceptions import SignatureError, did_you_mean
from dwcp_jupyter.flavors import ColumnType, Signature
from dwcp_jupyter.serving.protocols.errors import MalformedRequestError

_EXACT = 2**53
"""Above it, float64 has no odd numbers."""

__all__ = ["columns_frame", "csv_frame", "decode_json", "records_frame", "rows_frame"]

_DECODER = msgspec.json.Decoder()


def decode_json(body: bytes) -> Any:
    """Return the decoded body.

    Raises
    ------
    MalformedRequestError
        If it is no JSON, saying where.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as exc:
        detail = "it is empty" if not body else str(exc)
        raise MalformedRequestError(
            f"The request's body is not valid JSON: {detail}. NaN and Infinity are not JSON; send null for a "
            "missing value."
        ) from exc


def records_frame(records: Sequence[Any], signature: Signature) -> pd.DataFrame:
    """Return rows given as one dictionary each.

    Raises
    ------
    MalformedRequestError, SignatureError
        For what is no dictionary, and for a column that only some of the rows have.
    """
    _not_empty(records)
    for position, record in enumerate(records):
        if not isinstance(record, Mapping):
            raise MalformedRequestError(
                f"Row {position} is {_kind(record)}, not an object of column names and values, as row 0 is."
            )
    names = dict.fromkeys(name for record in records for name in record)
    for name in names:
        without = next((position for position, record in enumerate(records) if name not in record), None)
        if without is not None:
            known = [column.name for column in signature.inputs]
            remedy = "" if name in known else f" The model has no such column.{did_you_mean(name, known)}"
            raise SignatureError(
                f"Column '{name}' is missing in row {without}, though other rows have it.{remedy} "
                "Send every column in every row, null where a value is missing.",
                columns=(name,),
            )
    return _conform({name: [record[name] for record in records] for name in names}, len(records), signature)


def columns_frame(columns: Mapping[str, Any], signature: Signature) -> pd.DataFrame:
    """Return rows given as one list per column; a bare value stands for one row.

    Raises
    ------
    MalformedRequestError, SignatureError
        If the lists differ in length, or do not fit the signature.
    """
    by_name = {column.name: column for column in signature.inputs}
    values = {}
    for name, column in columns.items():
        is_one_value = not isinstance(column, list) or (
            name in by_name
            and by_name[name].type is ColumnType.ARRAY
            and bool(column)
            and not isinstance(column[0], list)
        )
        values[name] = [column] if is_one_value else column
    lengths = {name: len(column) for name, column in values.items()}
    if len(set(lengths.values())) > 1:
        shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise SignatureError(
            f"Column '{shortest}' has {lengths[shortest]} values, but column '{longest}' has {lengths[longest]}. "
            "Send one value per row in every column.",
            columns=(shortest, longest),
        )
    rows = next(iter(lengths.values()), 0)
    _not_empty(range(rows))
    return _conform(values, rows, signature)


def rows_frame(rows: Sequence[Any], signature: Signature, names: Sequence[str] | None = None) -> pd.DataFrame:
    """Return rows given as one list each, named by `names`, else in the signature's order.

    Raises
    ------
    MalformedRequestError, SignatureError
        If a row has another number of values, or a name stands twice.
    """
    _not_empty(rows)
    columns = [column.name for column in signature.inputs] if names is None else list(names)
    twice = next((name for name, count in Counter(columns).items() if count > 1), None)
    if twice is not None:
        raise SignatureError(f"Column '{twice}' is named twice. Send each column once.", columns=(twice,))
    if len(columns) == 1 and not any(isinstance(row, list) for row in rows):
        rows = [[row] for row in rows]
    for position, row in enumerate(rows):
        if not isinstance(row, list):
            raise MalformedRequestError(f"Row {position} is {_kind(row)}, not a list of {len(columns)} values.")
        if len(row) != len(columns):
            expected = f"{len(columns)} columns" + (
                " were named" if names is not None else " are in the model's signature"
            )
            raise SignatureError(
                f"Row {position} has {len(row)} values, but {expected}: {_enumerated(columns)}.",
                columns=tuple(columns[len(row) :]),
            )
    return _conform(
        {name: [row[position] for row in rows] for position, name in enumerate(columns)}, len(rows), signature
    )


def _check_first_row(body: bytes) -> None:
    """Refuse surplus cells in the first row, which pandas would take for an index; of later rows it says so itself."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(body), encoding="utf-8-sig", newline=""), skipinitialspace=True)
    header, row = next((line for line in lines if line), []), next((line for line in lines if line), [])
    if len(row) > len(header):
        raise ValueError(f"its first row has {len(row)} cells, more than its header, {len(header)}")


def csv_frame(body: bytes, signature: Signature) -> pd.DataFrame:
    """Return rows given as CSV text with a header line.

    Raises
    ------
    MalformedRequestError
        If it cannot be parsed.
    """
    texts = {
        column.name: "string" for column in signature.inputs if column.type in (ColumnType.STRING, ColumnType.TIMESTAMP)
    }
    try:
        _check_first_row(body)
        frame = pd.read_csv(io.BytesIO(body), dtype=texts, skipinitialspace=True)
    except (csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as exc:
        raise MalformedRequestError(
            f"The request's body is not readable as CSV: {exc}. Send a header line with the column names, then "
            "one line per row."
        ) from exc
    _not_empty(frame)
    for name in texts:
        if name in frame:
            frame[name] = frame[name].astype(object).where(frame[name].notna(), None)
    return signature.conform(frame)


def _conform(values: Mapping[str, list[Any]], rows: int, signature: Signature) -> pd.DataFrame:
    types = {column.name: column.type for column in signature.inputs}
    series = {name: _series(column, types.get(name)) for name, column in values.items()}
    return signature.conform(pd.DataFrame(series, index=range(rows)))


def _series(values: list[Any], kind: ColumnType | None) -> pd.Series[Any]:
    """Return a column; a null among numbers becomes NaN, everything else is left for the signature to judge."""
    numbers = kind in (ColumnType.FLOAT, ColumnType.INT) and all(
        value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
    )
    if numbers and any(isinstance(value, int) and not -_EXACT <= value <= _EXACT for value in values):
        return pd.Series(values, dtype=object)  # which keeps every digit for the signature to judge
    if numbers and None in values:
        return pd.Series([float("nan") if value is None else value for value in values], dtype="float64")
    return pd.Series(values) if numbers else pd.Series(values, dtype=object).infer_objects()


def _not_empty(rows: Any) -> None:
    if not len(rows):
        raise SignatureError("The request holds no rows. Send at least one.")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")


def _enumerated(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
