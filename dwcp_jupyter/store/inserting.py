"""Many rows by one statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table, insert

__all__ = ["insert_rows"]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, each with a value for every column of `table`.

    DuckDB takes as long for a statement of one row as for a dozen, and runs one for each row where rows are given as
    parameters; so it gets the columns as lists.
    """
    if connection.dialect.name == "duckdb" and len(rows) > 1:
        columns = tuple([row[name] for row in rows] for name in table.columns.keys())  # noqa: SIM118
        connection.exec_driver_sql(_by_columns(table), columns)
    elif rows:
        connection.execute(_by_rows(table), rows)


@cache
def _by_columns(table: Table) -> str:
    names = table.columns.keys()
    quoted = ", ".join(f'"{name}"' for name in names)
    return f'INSERT INTO "{table.name}" ({quoted}) SELECT {", ".join("unnest(?)" for _ in names)}'


@cache
def _by_rows(table: Table) -> Insert:
    return insert(table)
