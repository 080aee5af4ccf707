"""The metadata of a workspace in another database, or in one file.

A copy is all tables as they stood at one moment, with the chain of events that explains them; it arrives whole, and the
chain is checked again where it arrived, or nothing of it stays. A backup is the same in an SQLite file, with the sum of
each table, since the chain does not cover every table. Model files are not in it: they lie under their sums in the
artifact store, where any tool copies them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, inspect, select, update

from dwcp_jupyter import config, hashing, store
from dwcp_jupyter.exceptions import IntegrityError, WorkspaceError
from dwcp_jupyter.registry import ModelRegistry
from dwcp_jupyter.rendering import Displayed, Facts, View
from dwcp_jupyter.rendering import Table as TableBlock
from dwcp_jupyter.store import Stores, Transaction, schema

__all__ = ["Copied", "backup", "copy", "restore"]

_CHUNK = 5_000
_KEPT_APART = {schema.migrations.name, schema.head.name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied(Displayed):
    """What arrived where."""

    target: str
    rows: Mapping[str, int]
    head: tuple[int, str]

    def _view(self) -> View:
        rows = [(name, count) for name, count in self.rows.items() if count]
        facts = Facts(
            {"Where": self.target, "Checkpoint": f"{self.head[0]}:{self.head[1]}", "Events": "every link holds"}
        )
        return View("Copied", [facts, TableBlock(("Table", "Rows"), rows)])


def copy(stores: Stores, url: str) -> Copied:
    """Return what was copied into the empty database `url`; see `Workspace.copy`."""
    settings = config.load(metadata_url=url, artifact_url=stores.settings.artifact_url)
    with Stores(stores.root, settings=settings, clock=stores.clock) as target:
        _refuse_full(target)
        stores.owners.claim()
        with _owning(target):
            copied, _ = _copy(stores, target)
    return copied


def backup(stores: Stores, path: str | os.PathLike[str]) -> Copied:
    """Return what was written into the new file `path`; see `Workspace.backup`."""
    file = Path(path).absolute()
    if file.exists():
        raise FileExistsError(f"'{file}' is there already. Give a new name, or remove it first.")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"There is no folder '{file.parent}'. Make it first.")
    with tempfile.TemporaryDirectory(prefix=".dwcp-backup-", dir=file.parent) as folder:
        with _in_file(Path(folder) / "backup.sqlite") as target:
            copied, sums = _copy(stores, target)
        with sqlite3.connect(Path(folder) / "backup.sqlite") as connection:
            connection.execute("CREATE TABLE backup_sums (name TEXT PRIMARY KEY, sha256 TEXT)")
            connection.executemany("INSERT INTO backup_sums VALUES (?, ?)", sums.items())
        connection.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        connection.close()
        with (Path(folder) / "backup.sqlite").open("rb") as stream:
            os.fsync(stream.fileno())
        (Path(folder) / "backup.sqlite").rename(file)
    return Copied(target=str(file), rows=copied.rows, head=copied.head)


def restore(stores: Stores, path: str | os.PathLike[str]) -> Copied:
    """Return what was restored from a backup; see `Workspace.restore`."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"There is no file '{file}'.")
    _refuse_full(stores)
    with tempfile.TemporaryDirectory(prefix="dwcp-restore-") as folder:
        twin = Path(folder) / "backup.sqlite"  # opening an older one brings its tables up to this release
        shutil.copyfile(file, twin)
        expected, summed = _sums_in(twin, file)
        with _in_file(twin) as source, _owning(stores):
            _refuse_incomplete(source, file)
            copied, _ = _copy(source, stores, expected=expected, summed=summed, called=str(file))
    return Copied(target=str(stores.root), rows=copied.rows, head=copied.head)


@contextmanager
def _in_file(path: Path) -> Iterator[Stores]:
    """Yield stores whose metadata are an SQLite file."""
    settings = config.load(metadata_url=f"sqlite:///{path}", artifact_url=str(path.parent / "artifacts"))
    with store.open(path.parent, settings=settings) as stores:
        yield stores


@contextmanager
def _owning(target: Stores) -> Iterator[None]:
    """Let the artifact store know of the target before anything there needs its files; not if nothing arrives."""
    is_new = target.owners.claim()
    try:
        yield
    except BaseException:
        if is_new:
            target.owners.withdraw()
        raise


def _refuse_incomplete(source: Stores, file: Path) -> None:
    """Return if a backup, brought up to this release, has every table and column."""
    with source.metadata.read() as connection:
        looking = inspect(connection)
        there = set(looking.get_table_names())
        for table in schema.METADATA.sorted_tables:
            found = {column["name"] for column in looking.get_columns(table.name)} if table.name in there else set()
            missing = [column.name for column in table.columns if column.name not in found]
            if missing:
                what = f"column '{missing[0]}' of its table '{table.name}'" if found else f"table '{table.name}'"
                raise WorkspaceError(
                    f"'{file}' lacks the {what}, which every backup has: it was changed after it was made. Nothing was "
                    "restored; take another backup."
                )


def _refuse_full(stores: Stores) -> None:
    if not stores.metadata.exists:
        return
    with stores.metadata.read() as connection:
        full = [t.name for t in _tables() if connection.execute(select(func.count()).select_from(t)).scalar()]
    if full:
        raise WorkspaceError(
            f"The target holds a workspace already (rows in {', '.join(full)}), which a copy would mix with this one. "
            "Give an empty database."
        )


def _tables() -> list[Table]:
    return [table for table in schema.METADATA.sorted_tables if table.name not in _KEPT_APART]


def _copy(
    source: Stores,
    target: Stores,
    *,
    expected: Mapping[str, str] | None = None,
    summed: Mapping[str, set[str]] | None = None,
    called: str = "",
) -> tuple[Copied, dict[str, str]]:
    """Return what was copied in one transaction, and the sums of the tables over the columns `summed`, or all."""
    sums: dict[str, str] = {}
    counts: dict[str, int] = {}
    with source.metadata.read() as connection, target.metadata.transaction() as tx:
        _refuse_full(target)  # again: another process may have written since
        for table in _tables():
            counts[table.name], sums[table.name] = _copy_table(
                connection, tx, table, summed=(summed or {}).get(table.name)
            )
        head = source.metadata.head()
        tx.execute(update(schema.head).where(schema.head.c.id == 1).values(seq=head[0], hash=head[1]))
        for name, sha256 in (expected or {}).items():
            if sums.get(name) != sha256:
                raise IntegrityError(
                    f"The table '{name}' in '{called}' was changed after the backup was made. Nothing was restored; "
                    "take another backup.",
                    expected=sha256,
                    actual=sums.get(name, ""),
                )
        held = ModelRegistry(target).verify(checkpoint=head)
        if not held:
            raise IntegrityError(
                f"The record does not hold: {getattr(held, 'reason', '')}. Nothing was copied; see %dwcp doctor.",
                expected=head[1],
                actual="",
            )
    return Copied(target=_shown(target), rows=counts, head=head), sums


def _shown(stores: Stores) -> str:
    return stores.metadata.url.render_as_string(hide_password=True)


def _copy_table(connection: Connection, tx: Transaction, table: Table, *, summed: set[str] | None) -> tuple[int, str]:
    """Return the number of rows that were copied, and the sum of their columns `summed`, or of all."""
    digest, count = hashlib.sha256(), 0
    columns = table.columns.keys()
    result = connection.execute(select(table).order_by(*table.primary_key.columns))
    for chunk in _chunks(result):
        rows = [dict(zip(columns, row, strict=True)) for row in chunk]
        for row in rows:
            values = [value for name, value in row.items() if summed is None or name in summed]
            digest.update(hashing.canonical_json(values))
        tx.insert(table, rows)
        count += len(rows)
    return count, digest.hexdigest()


def _chunks(result: Any) -> Iterable[Sequence[Any]]:
    while chunk := result.fetchmany(_CHUNK):
        yield chunk


def _sums_in(twin: Path, file: Path) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Return the sums that a backup says its tables have, and the columns that they had when it was made."""
    connection = sqlite3.connect(twin)
    try:
        found = dict(connection.execute("SELECT name, sha256 FROM backup_sums").fetchall())
        columns = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'"
        summed: dict[str, set[str]] = {name: set() for name in found}
        for table, column in connection.execute(columns):
            summed.setdefault(table, set()).add(column)
    except sqlite3.DatabaseError as exc:
        raise WorkspaceError(
            f"'{file}' is no whole backup of a workspace ({exc}). Give a file that %dwcp backup wrote."
        ) from exc
    finally:
        connection.close()
    known = {table.name for table in _tables()}
    if not known & set(found):
        raise WorkspaceError(f"'{file}' names no table of a workspace. Give a file that %dwcp backup wrote.")
    unsummed = sorted((known & set(summed)) - set(found))
    if unsummed:
        raise IntegrityError(
            f"'{file}' has no sum of its table '{unsummed[0]}', so it was changed after the backup was made. Nothing "
            "was restored; take another backup.",
            expected=f"a sum of '{unsummed[0]}'",
            actual="",
        )
    return found, summed
