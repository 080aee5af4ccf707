"""The supervisor itself: holds and endpoints in, processes out.

One event loop owns everything; the metadata are visited in threads, one visit at a time. Whatever happens (a holder
comes or goes, a row or a process changes) ends in `_settle`, which decides anew which endpoints may run and whether
there is a reason to go on. With none left, the processes drain, and when the last is gone the supervisor ends.
Someone who comes while they drain finds it alive: ending is just wanting nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dwcp_jupyter import clock, config
from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.supervisor.control import ControlServer, RequestError
from dwcp_jupyter.supervisor.holds import Holder, Holds, is_alive
from dwcp_jupyter.supervisor.logs import prune
from dwcp_jupyter.supervisor.orphans import end_orphans
from dwcp_jupyter.supervisor.process import Timing
from dwcp_jupyter.supervisor.reconciler import Reconciler
from dwcp_jupyter.supervisor.reports import Applied, EndpointReport, ErrorKind, HolderReport, HoldKind, Status
from dwcp_jupyter.supervisor.runtime import Layout, Record
from dwcp_jupyter.supervisor.state import EndpointStatus, Lifetime

if TYPE_CHECKING:  # they bring SQLAlchemy, for which nobody who says hello should wait
    from dwcp_jupyter.supervisor.endpoint_table import EndpointRow, EndpointTable

__all__ = ["Supervisor"]

_FIRST_HOLDER_S = 15.0
"""How long to wait for whoever started us."""
_RELOAD_S = 5.0
"""Time between attempts to read metadata that could not be read."""
_KEPT_LOGS_S = 14 * 24 * 3600.0

_log = logging.getLogger(__name__)
_DECIDED = frozenset({EndpointStatus.READY, EndpointStatus.FAILED, EndpointStatus.ABSENT})


class Supervisor:
    """The supervisor of the workspace at `layout`; whoever makes it has the lock."""

    def __init__(self, layout: Layout, *, settings: config.Dwcp) -> None:
        self._layout = layout
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        timing = Timing(hang_timeout_s=settings.hang_timeout_s, drain_timeout_s=settings.drain_timeout_s)
        self._interval_s = timing.check_interval_s
        self._reconciler = Reconciler(layout, timing=timing, changed=self._on_change)
        self._holds = Holds(time=self._loop.time, is_alive=is_alive)
        self._control = ControlServer(self, str(layout.control))
        self._table: EndpointTable | None = None
        self._rows: list[EndpointRow] = []
        self._is_loaded = False
        self._load_again_at: float | None = None
        self._is_stopping = False
        self._first_holder_until = self._loop.time() + _FIRST_HOLDER_S
        self._visiting = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._change: asyncio.Future[None] = self._loop.create_future()
        self._over = asyncio.Event()
        self._cleaned = asyncio.Event()

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Supervise until there is no reason to; `on_ready` is called once the control socket takes connections."""
        identity = _identity(self._layout)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, lambda: self._spawn(self._end_all(keep_rows=True)))
        await self._control.start()
        Record(pid=os.getpid(), socket=str(self._layout.control)).write(self._layout.record)
        on_ready()
        _log.info("Supervisor %d of '%s' started.", os.getpid(), self._layout.root)
        prune(self._layout.root / "logs", older_than_s=_KEPT_LOGS_S)
        former = [item.pid for item in self._reconciler.state.processes if item.pid is not None]
        await end_orphans(former, state_file=self._layout.state)
        self._layout.remove_scratch()
        self._spawn(self._load())
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), self._interval_s)
            if _identity(self._layout) != identity:
                _log.warning("The workspace '%s' was removed or replaced; ending.", self._layout.root)
                self._is_stopping = True  # from now on nothing is written, which would make the folder anew
                break
            self._tick()
        await self._clean_up()

    # -- what connections ask for

    def attach(self, *, hold_id: str, kind: HoldKind, pid: int) -> Holder:
        """Count a holder in."""
        if self._is_stopping or self._over.is_set():
            raise RequestError(ErrorKind.ENDING, f"The supervisor (process {os.getpid()}) is about to end.")
        now = clock.utc_now()
        holder = Holder(id=hold_id, kind=kind, pid=pid, since=now, is_visible=is_alive(pid, now))
        self._holds.add(holder)
        self._first_holder_until = 0.0
        self._settle()
        return holder

    def detach(self, holder: Holder) -> None:
        """Count it out; what lived by it goes."""
        self._holds.remove(holder)
        self._settle()

    async def apply(self, *, wait: list[str], timeout_s: float) -> dict[str, Any]:
        """Read the endpoints anew, and return when those in `wait` are ready or failed."""
        deadline = self._loop.time() + timeout_s
        await self._refresh()
        self._reconciler.retry(wait)
        while not all(self._report(name).status in _DECIDED for name in wait):
            remaining_s = deadline - self._loop.time()
            if remaining_s <= 0:
                break
            await asyncio.wait([self._change], timeout=remaining_s)
        await self._note_statuses()
        state = self._reconciler.state
        reports = tuple(self._report(name) for name in wait)
        return Applied(endpoints=reports, gateway=state.gateway, sequence=state.sequence).to_json()

    def status(self) -> dict[str, Any]:
        """Return all that runs."""
        state = self._reconciler.state
        return Status(
            pid=os.getpid(),
            release=__version__,
            sequence=state.sequence,
            gateway=state.gateway,
            endpoints=tuple(self._report(row.name) for row in self._rows),
            processes=state.processes,
            holders=tuple(HolderReport(id=item.id, kind=item.kind, pid=item.pid) for item in self._holds.holders),
        ).to_json()

    async def ask(self, *, key: str, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the answers of the processes of `key`."""
        answers = await self._reconciler.ask(key, message, timeout_s=timeout_s)
        return {"answers": answers}

    async def stop(self) -> None:
        """End everything, and with it the endpoints that were to live until now."""
        self._spawn(self._end_all(keep_rows=False))
        await self._cleaned.wait()

    # -- endpoints

    def _report(self, name: str) -> EndpointReport:
        row = next((row for row in self._rows if row.name == name), None)
        if row is None:
            return EndpointReport(name=name, status=EndpointStatus.ABSENT, reason=f"No endpoint '{name}'.")
        if row.spec is None:
            return EndpointReport(name=name, status=EndpointStatus.FAILED, reason=row.problem)
        if row not in self._holds.runnable([row]):
            reason = f"Its lifetime is '{row.lifetime}', and whoever it lives by does not hold this workspace."
            return EndpointReport(name=name, status=EndpointStatus.ABSENT, reason=reason)
        return self._reconciler.report(name)

    def _settle(self) -> None:
        """Decide what may run, and whether to go on."""
        rows = [] if self._is_stopping else self._holds.runnable(self._rows)
        self._reconciler.want({row.name: row.spec for row in rows if row.spec is not None})
        if self._is_loaded and not self._is_stopping and self._holds.abandoned(self._rows):
            self._spawn(self._remove_abandoned())

    def _on_change(self) -> None:
        change, self._change = self._change, self._loop.create_future()
        change.set_result(None)
        if self._is_stopping:
            may_end = not self._tasks
        else:
            is_loading = not self._is_loaded and self._load_again_at is None
            waits = is_loading or self._loop.time() < self._first_holder_until or bool(self._tasks)
            may_end = not waits and not self._holds.keeps_alive(self._rows)
        if may_end and self._reconciler.is_idle:
            self._over.set()

    def _tick(self) -> None:
        for holder in self._holds.gone():
            self._control.disconnect(holder)
        self._reconciler.check()
        self._settle()
        if not self._is_loaded and self._load_again_at is not None and self._loop.time() >= self._load_again_at:
            self._load_again_at = None
            self._spawn(self._load())
        if self._is_loaded and not self._is_stopping and self._statuses_to_note():
            self._spawn(self._note_statuses())

    # -- metadata

    async def _load(self) -> None:
        """Read the endpoints for the first time; `_tick` tries again."""
        try:
            await self._refresh()
        except (DwcpError, OSError):
            _log.exception("The endpoints cannot be read; next attempt in %g s.", _RELOAD_S)
            self._load_again_at = self._loop.time() + _RELOAD_S

    async def _refresh(self) -> None:
        async with self._visiting:
            self._rows = await asyncio.to_thread(lambda: self._open_table().read())
            self._is_loaded = True
        self._settle()

    async def _remove_abandoned(self) -> None:
        async with self._visiting:
            rows = self._holds.abandoned(self._rows)
            await self._remove(rows, reason="its caller ended")
        self._settle()

    async def _remove(self, rows: list[EndpointRow], *, reason: str) -> None:
        if not rows:
            return
        try:
            await asyncio.to_thread(lambda: self._open_table().remove(rows, reason=reason))
        except (DwcpError, OSError):  # left to the next supervisor, which finds them without an owner
            _log.exception("Endpoints that ended could not be removed from the metadata.")
        self._rows = [row for row in self._rows if row not in rows]

    def _statuses_to_note(self) -> dict[str, EndpointStatus]:
        noted = {EndpointStatus.READY, EndpointStatus.FAILED}
        found = {row.name: self._report(row.name).status for row in self._rows}
        return {row.name: found[row.name] for row in self._rows if found[row.name] in noted - {row.status}}

    async def _note_statuses(self) -> None:
        async with self._visiting:
            statuses = self._statuses_to_note()
            if not statuses:
                return
            rows = [row for row in self._rows if row.name in statuses]
            try:
                await asyncio.to_thread(lambda: self._open_table().note_status(statuses, rows))
            except (DwcpError, OSError):
                _log.exception("How the endpoints are doing could not be noted.")
                return
            self._rows = [_with_status(row, statuses) for row in self._rows]

    def _open_table(self) -> EndpointTable:
        if self._table is None:
            from dwcp_jupyter.store.metadata import Metadata
            from dwcp_jupyter.supervisor.endpoint_table import EndpointTable

            self._table = EndpointTable(Metadata(self._layout.root, settings=self._settings))
        return self._table

    # -- the end

    async def _end_all(self, *, keep_rows: bool) -> None:
        if self._is_stopping:
            return
        self._is_stopping = True
        _log.info("Told to end.")
        self._control.announce({"event": "stopped"})
        if not keep_rows:
            with contextlib.suppress(DwcpError):
                await self._refresh()
            async with self._visiting:
                ending = [row for row in self._rows if row.lifetime is not Lifetime.SERVER]
                await self._remove(ending, reason="the supervisor was stopped")
        self._settle()

    async def _clean_up(self) -> None:
        self._control.refuse_new()
        self._reconciler.kill()
        self._layout.record.unlink(missing_ok=True)
        self._layout.remove_runtime()
        self._cleaned.set()
        await self._control.close()
        _log.info("Supervisor %d ended.", os.getpid())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("A step failed.", exc_info=task.exception())
        self._on_change()


def _identity(layout: Layout) -> tuple[int, int] | None:
    """Return which file the lock is: another one at its path would have another owner."""
    try:
        found = layout.lock.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _with_status(row: EndpointRow, statuses: Mapping[str, EndpointStatus]) -> EndpointRow:
    return replace(row, status=str(statuses[row.name])) if row.name in statuses else row
