"""Bring the tables of an older workspace up to this release.

Migrations are numbered functions, applied once each and in order, in one transaction under the lease. A fresh
workspace runs them all too; so a migration looks at what is there before it adds a table or a column, and a fresh and a
migrated workspace end up alike (which a test compares). None drops, renames or tightens a column: DuckDB refuses
that for tables with an index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Column, Connection, insert, select, text
from sqlalchemy.schema import CreateTable

from dwcp_jupyter import clock, events
from dwcp_jupyter.exceptions import SchemaTooNewError
from dwcp_jupyter.store import schema

__all__ = ["MIGRATIONS", "is_founded", "migrate"]


def _create_tables(connection: Connection) -> None:
    for table in schema.METADATA.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))  # to look what is there costs DuckDB half a second
    if connection.execute(select(schema.head.c.id)).first() is None:
        connection.execute(insert(schema.head).values(id=1, seq=0, hash=events.GENESIS))


def _add_governance(connection: Connection) -> None:
    for table in (schema.policies, schema.evidence, schema.approvals, schema.decisions, schema.trash):
        connection.execute(CreateTable(table, if_not_exists=True))


def _add_tracking(connection: Connection) -> None:
    connection.execute(CreateTable(schema.run_metrics, if_not_exists=True))
    _add_text(connection, schema.runs.c.tags)


def _add_places(connection: Connection) -> None:
    _add_text(connection, schema.endpoints.c.place)


def _add_text(connection: Connection, column: Column[Any]) -> None:
    """Add a column of text, unless a new workspace has it from its first step."""
    if not _has_column(connection, column.table.name, column.name):
        connection.execute(text(f"ALTER TABLE {column.table.name} ADD COLUMN {column.name} TEXT"))


MIGRATIONS: tuple[tuple[int, Callable[[Connection], None]], ...] = (
    (1, _create_tables),
    (2, _add_governance),
    (3, _add_tracking),
    (4, _add_places),
)


def migrate(connection: Connection, *, now: clock.Clock) -> None:
    """Apply what is missing; the caller holds the write transaction.

    Raises
    ------
    SchemaTooNewError
        If the workspace knows migrations that this release does not.
    """
    applied = _applied(connection)
    newest = max(applied, default=0)
    if newest > schema.SCHEMA_VERSION:
        raise SchemaTooNewError(
            f"The workspace has schema {newest}, this release knows {schema.SCHEMA_VERSION}: it was written by a newer "
            "dwcp_jupyter. Upgrade with: pip install --upgrade dwcp-jupyter"
        )
    for number, step in MIGRATIONS:
        if number not in applied:
            step(connection)
            connection.execute(
                insert(schema.migrations).values(
                    number=number, name=step.__name__.lstrip("_"), applied_at=clock.to_text(now())
                )
            )


def is_founded(connection: Connection) -> bool:
    """Return whether the database holds a workspace."""
    if connection.in_transaction():
        return _has_migrations(connection)
    with connection.begin():
        return _has_migrations(connection)


def _applied(connection: Connection) -> set[int]:
    if not _has_migrations(connection):
        return set()
    return set(connection.execute(select(schema.migrations.c.number)).scalars())


def _has_migrations(connection: Connection) -> bool:
    """Return whether the table is there; SQLAlchemy's inspector would cost DuckDB tens of milliseconds."""
    is_there = text(_SQLITE if connection.dialect.name == "sqlite" else _STANDARD)
    return connection.execute(is_there, {"name": schema.migrations.name}).first() is not None


def _has_column(connection: Connection, table: str, column: str) -> bool:
    is_there = text(_SQLITE_COLUMN if connection.dialect.name == "sqlite" else _STANDARD_COLUMN)
    return connection.execute(is_there, {"name": table, "column": column}).first() is not None


_SQLITE_COLUMN = "SELECT 1 FROM pragma_table_info(:name) WHERE name = :column"
_STANDARD_COLUMN = (
    "SELECT 1 FROM information_schema.columns "
    "WHERE table_schema = current_schema() AND table_name = :name AND column_name = :column"
)
_SQLITE = "SELECT 1 FROM sqlite_master WHERE name = :name"
_STANDARD = "SELECT 1 FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = :name"
