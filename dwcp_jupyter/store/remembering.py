"""What was read while nobody else could write is still so.

Under DuckDB's lease this process alone can change the metadata. So the rows of a small question (which model has this
name, what do its aliases mean, what is this version) are kept until the file is given back, this process writes to
their table, or a transaction is rolled back: within a burst of calls they are asked once, where DuckDB plans each
statement anew for half a millisecond. On the other databases, which others may change at any moment, nothing is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, Table, event

__all__ = ["begin", "end", "forget", "is_on", "known", "put", "rows_of", "watch"]

_KEPT = "dwcp_remembered"
_MOST_ROWS = 2_000
"""As many rows of one table are kept at the same time."""
_INSERT = re.compile(r'INSERT INTO "(\w+)"')

_Rows = Sequence[Row[Any] | tuple[Any, ...]]


class _Known:
    """The rows that are known of one table, by statement and parameters."""

    __slots__ = ("_rows", "_size")

    def __init__(self) -> None:
        self._rows: dict[tuple[Any, ...], Any] = {}
        self._size = 0

    def get(self, key: tuple[Any, ...]) -> Any:
        return self._rows.get(key)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def keep(self, key: tuple[Any, ...], found: _Rows) -> None:
        if key in self._rows:
            self._size -= max(1, len(self._rows.pop(key)))
        size = max(1, len(found))  # to know that there is none takes room too
        if size > _MOST_ROWS:
            return
        if self._size + size > _MOST_ROWS:
            self._rows.clear()
            self._size = 0
        self._rows[key] = found
        self._size += size


_Memory = dict[str, _Known]
"""What is known by the names of tables."""


def rows_of(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any], *, table: Table
) -> Sequence[Row[Any]]:
    """Return the rows of a statement that reads `table` alone.

    Parameters
    ----------
    statement : Select
        One that is made once: it is known again by its identity.
    """
    found = known(connection, statement, parameters, table=table)
    if found is None:
        found = connection.execute(statement, parameters).all()
        put(connection, statement, parameters, found, table=table)
    return found


def known(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any], *, table: Table
) -> Sequence[Row[Any]] | None:
    """Return what `rows_of` would, without asking the database; None where that is not at hand."""
    memory: _Memory | None = connection.info.get(_KEPT)
    if memory is None or table.name not in memory:
        return None
    found: Sequence[Row[Any]] | None = memory[table.name].get((id(statement), *parameters.values()))
    return found


def put(
    connection: Connection, statement: Select[Any], parameters: Mapping[str, Any], rows: _Rows, *, table: Table
) -> None:
    """Keep rows at hand for `rows_of`: those that a write has made, or that were read by another statement."""
    memory: _Memory | None = connection.info.get(_KEPT)
    if memory is not None:
        memory.setdefault(table.name, _Known()).keep((id(statement), *parameters.values()), rows)


def is_on(connection: Connection, *, table: Table | None = None) -> bool:
    """Return whether what is read is kept at all; with a `table`, whether something of it is."""
    memory: _Memory | None = connection.info.get(_KEPT)
    return memory is not None and (table is None or bool(memory.get(table.name)))


def begin(connection: Connection) -> None:
    """Keep from now on what is read: nobody else can write until `connection` has given its file back."""
    connection.info[_KEPT] = {}


def end(connection: Connection) -> None:
    """Keep nothing from now on."""
    connection.info.pop(_KEPT, None)


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
    elif not context.compiled.statement.is_select:
        memory.clear()
