"""What a database is called among those that share an artifact store.

Two databases must never be taken for one, or the files of one would be freed by the other. So the name holds all that
tells them apart: the machine, for a file or a server on it, the place there, and the moment at which the database was
made. One database that is reached by two names counts as two, which frees nothing.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, text

from dwcp_jupyter import hashing
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.filesystems import Place
from dwcp_jupyter.store.metadata import Metadata

__all__ = ["Owner", "beside", "identify", "is_at_home"]

_FILES = ("metadata.duckdb", "metadata.sqlite")
"""What the database of a workspace folder is called."""
_FOLDER = "artifacts"
"""What the artifact store in a workspace folder is called."""
_HERE = {"", "localhost", "127.0.0.1", "::1"}
_WHERE_TABLES_LIE = text(
    "SELECT current_database(), CAST(CAST(relnamespace AS regnamespace) AS text) FROM pg_class "
    "WHERE oid = CAST('schema_migrations' AS regclass)"
)
"""The search path begins with a schema of their own for some roles, and the tables lie behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A database that keeps files in a store.

    Attributes
    ----------
    id : str
        Of its record.
    name : str
        For people: where it lies, without users and passwords.
    since : datetime or None
        When its record was written.
    is_beside : bool
        Whether it is known by its file beside the store, and not by a record.
    """

    id: str
    name: str
    since: datetime | None = None
    is_beside: bool = False

    @property
    def called(self) -> str:
        """Name, id and time in one line."""
        since = "" if self.since is None else f", since {self.since:%Y-%m-%d}"
        return f"'{self.name}'" if self.is_beside else f"'{self.name}' ({self.id[:8]}{since})"


def identify(metadata: Metadata) -> Owner:
    """Return what `metadata`, which must exist, is called."""
    file = _file(metadata)
    with metadata.read() as connection:
        founded = connection.execute(select(func.min(schema.migrations.c.applied_at))).scalar()
        place = f"{socket.gethostname()}:{file}" if file is not None else _server(connection, metadata)
    name = f"{metadata.dialect} {place}"
    return Owner(id=hashing.sha256_bytes(hashing.canonical_json([name, founded]))[:32], name=name)


def is_at_home(place: Place, metadata: Metadata) -> bool:
    """Return whether database and store lie in the workspace folder, where each workspace has its own."""
    file, root = _file(metadata), metadata.root.resolve()
    if file is None or not place.is_local:
        return False
    return file.parent == root and file.name in _FILES and Path(place.base).resolve() == root / _FOLDER


def beside(place: Place, metadata: Metadata) -> list[Owner]:
    """Return the databases of the workspace folder in which a store lies, without `metadata` itself."""
    if not place.is_local:
        return []
    folder, own = Path(place.base).resolve(), _file(metadata)
    if folder.name != _FOLDER:
        return []
    files = [folder.parent / name for name in _FILES]
    found = [file for file in files if file.exists() and file != own]
    return [Owner(id=f"beside:{file.name}", name=str(file), is_beside=True) for file in found]


def _file(metadata: Metadata) -> Path | None:
    if metadata.dialect not in {"duckdb", "sqlite"} or not metadata.url.database:
        return None
    return Path(metadata.url.database).resolve()


def _server(connection: Connection, metadata: Metadata) -> str:
    """Return host, port, database and schema as the connection has them, whatever named them to it."""
    database, schema_name = connection.execute(_WHERE_TABLES_LIE).one()
    said: Any = getattr(connection.connection.driver_connection, "info", None)
    host = str(getattr(said, "host", None) or metadata.url.host or "")
    port = getattr(said, "port", None) or metadata.url.port or 5432
    if host in _HERE or host.startswith("/"):
        host = f"{socket.gethostname()}:{host}"
    return f"{host}:{port}/{database}/{schema_name}"
