"""The endpoints in the metadata, as the supervisor sees them.

Rows are written by whoever deploys; the supervisor reads them, notes how they are doing, and removes those whose
owner is gone. Each call is one short visit, made in a thread: the metadata may be in use by another process
meanwhile.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.supervisor.state import EndpointStatus, Lifetime, Spec

__all__ = ["EndpointRow", "EndpointTable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRow:
    """One endpoint that somebody deployed.

    Attributes
    ----------
    owner, owner_pid : str, int
        The hold that deployed it, and its process; for the lifetime ``caller``.
    spec : Spec or None
        None if what was written cannot be read; `problem` says why.
    """

    id: str
    name: str
    model_id: str
    version_id: str
    lifetime: Lifetime
    owner: str | None
    owner_pid: int | None
    status: str
    updated_at: datetime
    spec: Spec | None
    problem: str = ""


class EndpointTable:
    """Reads and writes the endpoints of one workspace; every method blocks, for a short time as a rule."""

    def __init__(self, metadata: Metadata) -> None:
        self._metadata = metadata

    def read(self) -> list[EndpointRow]:
        """Return the endpoints that are served from this workspace folder, oldest first."""
        table = schema.endpoints
        query = sa.select(table).order_by(table.c.created_at, table.c.id)
        if self._metadata.is_shared:  # those of other machines have supervisors there
            query = query.where(table.c.place == self._metadata.place)
        with _readable(), self._metadata.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [_row(row) for row in rows]

    def remove(self, rows: Iterable[EndpointRow], *, reason: str) -> None:
        """Remove `rows`, unless another owner took one over meanwhile; each removal is an event."""
        table = schema.endpoints
        with _readable(), self._metadata.transaction() as transaction:
            for row in rows:
                same = (table.c.id == row.id) & (table.c.updated_at == clock.to_text(row.updated_at))
                if transaction.execute(sa.select(table.c.id).where(same)).first() is None:
                    continue
                transaction.execute(sa.delete(table).where(same))
                needed = schema.artifact_references
                transaction.execute(sa.delete(needed).where(needed.c.owner == f"endpoint:{row.id}"))
                transaction.record(
                    "endpoint.removed",
                    f"endpoint:{row.name}",
                    id=row.id,
                    model_id=row.model_id,
                    version_id=row.version_id,
                    reason=reason,
                )

    def note_status(self, statuses: Mapping[str, EndpointStatus], rows: Iterable[EndpointRow]) -> None:
        """Note how the endpoints are doing (name → status). No event: it is an observation, not a decision."""
        table = schema.endpoints
        with _readable(), self._metadata.transaction() as transaction:
            for row in rows:
                same = (table.c.id == row.id) & (table.c.updated_at == clock.to_text(row.updated_at))
                transaction.execute(sa.update(table).where(same).values(status=str(statuses[row.name])))


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """Give the databases' own errors the one name that the supervisor knows."""
    try:
        yield
    except sa.exc.SQLAlchemyError as exc:
        raise WorkspaceError(f"The endpoints in the metadata cannot be read or written: {exc}") from exc


def _row(row: sa.RowMapping) -> EndpointRow:
    spec, lifetime, problem = None, Lifetime.SERVER, ""
    try:
        lifetime = Lifetime(row["lifetime"])
        spec = Spec.from_json(json.loads(row["spec"]))
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        problem = f"Its description in the metadata cannot be read ({type(exc).__name__}: {exc}). Deploy it again."
    return EndpointRow(
        id=row["id"],
        name=row["name"],
        model_id=row["model_id"],
        version_id=row["version_id"],
        lifetime=lifetime,
        owner=row["owner"],
        owner_pid=row["owner_pid"],
        status=row["status"],
        updated_at=clock.from_text(row["updated_at"]),
        spec=spec,
        problem=problem,
    )
