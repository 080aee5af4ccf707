"""What was read while nobody else could write is still so.

Under DuckDB's lease this process alone can change the metadata. So the rows of a small question (which model has this
name, what do its aliases mean) are kept until the file is given back, this process writes to their table, or a
transaction is rolled back: within a burst of calls they are asked once, where DuckDB plans each statement anew for half
a millisecond. On the other databases, which others may change at any moment, nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, Table, event

__all__ = ["begin", "forget", "put", "rows_of", "watch"]

_KEPT = "dwcp_remembered"
_MOST_ROWS = 2_000
"""As many rows of one table are kept at the same time."""
_INSERT = re.compile(r'INSERT INTO "(\w+)"')

_Rows = Sequence[Row[Any] | tuple[Any, ...]]
_Memory = dict[str, dict[tuple[Any, ...], Any]]
"""Rows by the table that they were read from, and by statement and parameters."""


def rows_of(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any], *, table: Table
) -> Sequence[Row[Any]]:
    """Return the rows of a statement that reads `table` alone.

    Parameters
    ----------
    statement : Select
        One that is made once: it is known again by its identity.
    """
    memory: _Memory | None = connection.info.get(_KEPT)
    if memory is None:
        return connection.execute(statement, parameters).all()
    key = (id(statement), *parameters.values())
    known = memory.setdefault(table.name, {})
    if key not in known:
        found: Sequence[Row[Any]] = connection.execute(statement, parameters).all()
        if sum(map(len, known.values())) + len(found) > _MOST_ROWS:
            known.clear()
        if len(found) > _MOST_ROWS:
            return found
        known[key] = found
    kept: Sequence[Row[Any]] = known[key]
    return kept


def put(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any], rows: _Rows, *, table: Table
) -> None:
    """Keep what `rows_of` would read after a write of `rows`."""
    memory: _Memory | None = connection.info.get(_KEPT)
    if memory is not None:
        memory.setdefault(table.name, {})[id(statement), *parameters.values()] = rows


def begin(connection: Connection) -> None:
    """Keep from now on what is read: nobody else can write until `connection` has given its file back."""
    connection.info[_KEPT] = {}


def forget(connection: Connection) -> None:
    """Keep nothing of what was read so far, for instance since it was read after a write that is rolled back."""
    memory: _Memory | None = connection.info.get(_KEPT)
    if memory is not None:
        memory.clear()


def watch(engine: Engine) -> None:
    """Forget the rows of a table with each statement that writes to it."""
    event.listen(engine, "before_cursor_execute", _forget_written)


def _forget_written(connection: Connection, _cursor: Any, statement: str, *rest: Any) -> None:
    _parameters, context, _is_many = rest
    memory: _Memory | None = connection.info.get(_KEPT)
    if not memory:
        return
    if context.compiled is None:
        written = _INSERT.match(statement)
        if written is not None:
            memory.pop(written[1], None)
        elif not statement.startswith("SELECT"):
            memory.clear()
    elif context.isinsert or context.isupdate or context.isdelete:
        memory.pop(context.compiled.compile_state.dml_table.name, None)
    elif context.isddl:
        memory.clear()
