"""Which database keeps the metadata, how a process connects to it, and what its errors mean."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from dwcp_jupyter.exceptions import LeaseTimeoutError, SettingError, WorkspaceError
from dwcp_jupyter.extras import require
from dwcp_jupyter.store import interrupting
from dwcp_jupyter.store.combining import Spool
from dwcp_jupyter.store.connections import Connections
from dwcp_jupyter.store.leased import LeasedConnections
from dwcp_jupyter.store.pooled import PooledConnections

__all__ = ["connections_to", "explained", "file_of", "url_of"]

_PAGE_ROWS = 1_000
"""Up to this size DuckDB finds the rows of a page before it reads their columns."""


def url_of(root: Path, setting: str) -> sa.URL:
    """Return the URL that the setting `metadata_url` means for a workspace.

    Raises
    ------
    SettingError
        If it is none, or names a database in which metadata cannot lie.
    """
    if not setting or setting == "duckdb":
        return sa.URL.create("duckdb", database=str(root / "metadata.duckdb"))
    if setting == "sqlite":
        return sa.URL.create("sqlite", database=str(root / "metadata.sqlite"))
    try:
        url = sa.make_url(setting)
    except sa.exc.ArgumentError as exc:
        raise SettingError(
            f"metadata_url='{_without_password(setting)}' is no database URL. Use 'sqlite', sqlite:///path/file, or "
            "postgresql://user@host/database."
        ) from exc
    if url.drivername in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in _FACTORIES:
        raise SettingError(
            f"metadata_url names '{url.get_backend_name()}'. Metadata can lie in: {', '.join(sorted(_FACTORIES))}."
        )
    return url


def file_of(url: sa.URL) -> Path | None:
    """Return the file that a database is, or None for a server."""
    return Path(url.database) if url.get_backend_name() in {"duckdb", "sqlite"} and url.database else None


def _shown(url: sa.URL) -> str:
    """Return a file's path, or a URL without its password."""
    return str(file_of(url) or url.render_as_string(hide_password=True))


def _without_password(text: str) -> str:
    """Return what was meant for a URL without what stands before its last ``@``."""
    head, at, tail = text.rpartition("@")
    return f"{head.partition('//')[0]}//…@{tail}" if at else text


def _duckdb(url: sa.URL, root: Path, timeout_s: float) -> Connections:
    if sys.platform == "win32":
        raise WorkspaceError(
            "DuckDB metadata need POSIX file locks. On Windows set DWCP_METADATA_URL to a PostgreSQL URL."
        )
    if "?" in str(root):
        raise WorkspaceError(
            f"DuckDB cannot keep a file below '{root}': it takes what follows '?' for an option. Rename that folder, "
            "or set DWCP_METADATA_URL=sqlite."
        )
    with interrupting.held():  # a library that is stopped while it is imported stays broken
        for library in ("duckdb", "pandas"):  # DuckDB imports pandas with its first parameter: not under the lease
            importlib.import_module(library)
    lock, spool = root / "metadata.lock", root / "run" / "spool"
    if url.database and Path(url.database).absolute().parent != root.absolute():  # others may name that file too
        lock, spool = Path(f"{url.database}.lock"), Path(f"{url.database}.spool")
    return LeasedConnections(
        url,
        lock_path=lock,
        timeout_s=timeout_s,
        spool=Spool(spool),
        connect_args={"config": {"threads": 1, "late_materialization_max_rows": _PAGE_ROWS}},
    )


def _pooled(url: sa.URL, _root: Path, timeout_s: float) -> Connections:
    if url.drivername == "postgresql+psycopg":
        require("psycopg", extra="postgres", purpose="Metadata on PostgreSQL")
    try:
        return PooledConnections(url, timeout_s=timeout_s)
    except ModuleNotFoundError as exc:
        raise SettingError(
            f"metadata_url='{_shown(url)}' needs the driver '{exc.name}', which is not installed. Install it, or use "
            "postgresql:// with: pip install 'dwcp-jupyter[postgres]'"
        ) from exc
    except sa.exc.NoSuchModuleError as exc:
        raise SettingError(
            f"metadata_url='{_shown(url)}' names a driver that SQLAlchemy does not know: {exc}."
        ) from exc


_FACTORIES: dict[str, Callable[[sa.URL, Path, float], Connections]] = {
    "duckdb": _duckdb,
    "sqlite": _pooled,
    "postgresql": _pooled,
}


def connections_to(url: sa.URL, root: Path, timeout_s: float) -> Connections:
    """Return the connections to the database of a workspace; none is opened yet.

    Raises
    ------
    WorkspaceError
        If DuckDB cannot be used there.
    SettingError, MissingExtraError
        If its driver is not installed.
    """
    return _FACTORIES[url.get_backend_name()](url, root, timeout_s)


@contextmanager
def explained(url: sa.URL, timeout_s: float) -> Iterator[None]:
    """Translate what a database says when it is busy, full, damaged or refuses.

    Raises
    ------
    LeaseTimeoutError, WorkspaceError
    """
    try:
        yield
    except DBAPIError as exc:
        reason = str(exc.orig).strip().splitlines()[0] if exc.orig is not None and str(exc.orig).strip() else str(exc)
        lowered = reason.lower()
        if any(sign in lowered for sign in _BUSY):
            raise LeaseTimeoutError(path=_shown(url), holder_pid=None, waited_s=timeout_s) from exc
        if isinstance(exc, sa.exc.IntegrityError):
            raise
        if url.get_backend_name() == "postgresql" and isinstance(exc, sa.exc.OperationalError):
            raise WorkspaceError(
                f"The metadata at '{_shown(url)}' cannot be reached: {reason}. A change that was being committed may "
                "be kept or not: look at the server and DWCP_METADATA_URL, then at %audit, and repeat what is missing."
            ) from exc
        if url.get_backend_name() == "postgresql" and any(sign in lowered for sign in _REFUSED):
            raise WorkspaceError(
                f"The database does not let {url.username or 'this role'} do that: {reason}. Nothing of this change "
                "was kept. Act in your own name, or ask the owner of the database."
            ) from exc
        if any(sign in lowered for sign in _UNUSABLE):
            raise WorkspaceError(
                f"The metadata at '{_shown(url)}' cannot be used: {reason}. "
                "Nothing of this change was kept. Free space or mend the file (or restore a copy), then repeat."
            ) from exc
        raise
    except RuntimeError as exc:
        if interrupting.is_interruption(exc):
            raise KeyboardInterrupt from exc
        raise


_REFUSED = ("row-level security", "permission denied", "must be owner")
_BUSY = ("database is locked", "lock timeout")
_UNUSABLE = (
    *("no space", "disk", "i/o error", "io error", "file too large", "permission", "readonly", "read-only"),
    *("not a valid duckdb", "not a database", "malformed", "corrupt"),
)
