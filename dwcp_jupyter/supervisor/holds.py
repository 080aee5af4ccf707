"""Who holds the supervisor, and which endpoints may run because of it.

A hold is a control connection. An endpoint of lifetime ``server`` runs while a server holds, one of lifetime
``caller`` while the hold that deployed it is there, a ``detached`` one always. After a restart of the supervisor,
owners come back by themselves: an endpoint whose owner's process lives is kept for a while until it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import psutil

from dwcp_jupyter.supervisor.reports import HoldKind
from dwcp_jupyter.supervisor.state import Lifetime

if TYPE_CHECKING:  # it brings SQLAlchemy, for which the start of the supervisor need not wait
    from dwcp_jupyter.supervisor.endpoint_table import EndpointRow

__all__ = ["Holder", "Holds", "is_alive"]

REATTACH_S = 60.0
"""How long an owner whose process lives may take to come back, in seconds."""
_CLOCK_SLACK_S = 2.0
"""By how much the operating system's start times may be off."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holder:
    """One control connection.

    Attributes
    ----------
    is_visible : bool
        Whether its process could be seen when it came; one in another container cannot.
    """

    id: str
    kind: HoldKind
    pid: int
    since: datetime
    is_visible: bool = True


class Holds:
    """The holders of one supervisor.

    Parameters
    ----------
    time : callable
        Monotonic seconds.
    is_alive : callable
        Whether the process with this pid is there and is as old as the given moment.
    """

    def __init__(self, *, time: Callable[[], float], is_alive: Callable[[int, datetime], bool]) -> None:
        self._time = time
        self._is_alive = is_alive
        self._holders: list[Holder] = []
        self._closed: set[str] = set()
        self._missed_since: dict[str, float] = {}

    def add(self, holder: Holder) -> None:
        """Count `holder` in."""
        self._holders.append(holder)
        self._closed.discard(holder.id)
        self._missed_since.pop(holder.id, None)

    def remove(self, holder: Holder) -> None:
        """Count `holder` out: it closed, or its process ended."""
        self._holders.remove(holder)
        if not any(other.id == holder.id for other in self._holders):
            self._closed.add(holder.id)

    @property
    def holders(self) -> Sequence[Holder]:
        """All connections, oldest first."""
        return tuple(self._holders)

    def gone(self) -> list[Holder]:
        """Return the holders whose process ended, though something keeps their connection open."""
        return [
            holder for holder in self._holders if holder.is_visible and not self._is_alive(holder.pid, holder.since)
        ]

    def abandoned(self, rows: Iterable[EndpointRow]) -> list[EndpointRow]:
        """Return the ``caller`` endpoints whose owner is gone."""
        return [row for row in rows if row.lifetime is Lifetime.CALLER and self._is_abandoned(row)]

    def runnable(self, rows: Iterable[EndpointRow]) -> list[EndpointRow]:
        """Return the endpoints that may run now."""
        return [row for row in rows if self._may_run(row)]

    def keeps_alive(self, rows: Iterable[EndpointRow]) -> bool:
        """Whether there is a reason to go on."""
        if any(holder.kind is not HoldKind.OBSERVER for holder in self._holders):
            return True
        return any(row.lifetime is not Lifetime.SERVER and self._may_run(row) for row in rows)

    def _may_run(self, row: EndpointRow) -> bool:
        if row.lifetime is Lifetime.SERVER:
            return any(holder.kind is HoldKind.SERVER for holder in self._holders)
        return row.lifetime is Lifetime.DETACHED or not self._is_abandoned(row)

    def _is_abandoned(self, row: EndpointRow) -> bool:
        owner = row.owner or ""
        if any(holder.id == owner for holder in self._holders):
            return False
        if owner in self._closed or row.owner_pid is None or not self._is_alive(row.owner_pid, row.updated_at):
            return True
        since = self._missed_since.setdefault(owner, self._time())
        return self._time() - since > REATTACH_S


def is_alive(pid: int, since: datetime) -> bool:
    """Return whether process `pid` is there, and was there at `since` (numbers are used again)."""
    try:
        process = psutil.Process(pid)
        return bool(
            process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= since.timestamp() + _CLOCK_SLACK_S
        )
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # another user's process, or one that cannot be looked at: it is there
        return True
