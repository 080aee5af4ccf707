"""From what should run to what does.

`Reconciler.want` takes the desired endpoints at any time; everything else follows from comparing them with the
children, again after each change. An endpoint has a desired and an active spec. Processes of both run; once all
that the desired one needs are ready, it becomes the active one and the state file shows it. What no spec needs any
more is first shown as draining, and drained when the gateways have acknowledged that. So an update has no gap, a
failed one leaves the former working, and removal is nothing special.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dwcp_jupyter.supervisor.listener import HOST, bind
from dwcp_jupyter.supervisor.process import Child, Command, Failure, Timing
from dwcp_jupyter.supervisor.reports import EndpointReport
from dwcp_jupyter.supervisor.runtime import Layout
from dwcp_jupyter.supervisor.state import (
    EndpointStatus,
    Gateway,
    ProcessState,
    ProcessStatus,
    Spec,
    State,
    read_state,
    write_state,
)

__all__ = ["Reconciler"]

_log = logging.getLogger(__name__)
_LOST_AFTER = 3
"""Failed starts in a row after which an endpoint without a working process counts as failed."""

Needs = Mapping[Command, int]
"""How many processes of each command."""


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    desired: Spec
    needs: Needs = field(default_factory=dict)
    active: Spec | None = None
    active_needs: Needs = field(default_factory=dict)
    shown_at: int = 0
    """The first sequence number whose state has the active spec."""


@dataclass(slots=True, kw_only=True)
class _Slot:
    command: Command
    index: int
    child: Child | None = None
    failure: Failure | None = None
    failures: int = 0
    retry_at: float = 0.0

    @property
    def is_ready(self) -> bool:
        return self.child is not None and self.child.status is ProcessStatus.READY


class Reconciler:
    """Keeps the processes of a workspace as its endpoints want them; lives in one event loop.

    Parameters
    ----------
    changed : callable
        Called after anything that a report or the state shows may have changed.
    """

    def __init__(self, layout: Layout, *, timing: Timing, changed: Callable[[], None]) -> None:
        self.state = read_state(layout.state)
        self._layout = layout
        self._timing = timing
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._endpoints: dict[str, _Endpoint] = {}
        self._slots: dict[tuple[Command, int], _Slot] = {}
        self._retired: dict[Child, int] = {}
        self._generations: dict[tuple[str, int], int] = {}
        self._listener: socket.socket | None = None
        self._is_scheduled = False
        self._must_publish = False
        self._checked_at = self._loop.time()

    # -- what others see

    def want(self, desired: Mapping[str, Spec]) -> None:
        """Take `desired` (endpoint name → spec, oldest first) as what should run from now on."""
        for name in self._endpoints.keys() - desired.keys():
            del self._endpoints[name]
        ordered = {}
        for name, spec in desired.items():
            endpoint = self._endpoints.get(name) or _Endpoint(desired=spec)
            endpoint.desired = spec
            ordered[name] = endpoint
        self._endpoints = ordered
        self._reconcile()

    def retry(self, names: Iterable[str]) -> None:
        """Start failed processes of these endpoints now, whatever their back-off."""
        for name in names:
            for slot in self._slots_of(self._endpoints[name].needs if name in self._endpoints else {}):
                slot.failure, slot.retry_at = None, 0.0
        self._schedule()

    def kill(self) -> None:
        """End what is left, without waiting."""
        for child in [*self._children(), *self._retired]:
            child.kill()

    @property
    def is_idle(self) -> bool:
        """Whether no process is left."""
        return not self._slots and not self._retired

    def report(self, name: str) -> EndpointReport:
        """Return how the endpoint is doing."""
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return EndpointReport(name=name, status=EndpointStatus.ABSENT, reason="no such endpoint is to run")
        status, failure = self._judge(name, endpoint)
        if failure is None:
            return EndpointReport(name=name, status=status)
        return EndpointReport(name=name, status=status, reason=failure.reason, log=failure.log)

    def reports(self) -> tuple[EndpointReport, ...]:
        """Return how each endpoint is doing, oldest first."""
        return tuple(self.report(name) for name in self._endpoints)

    async def ask(self, key: str, message: Mapping[str, Any], *, timeout_s: float) -> list[dict[str, Any]]:
        """Return the answers of all ready processes of `key`, by index."""
        children = [
            slot.child for slot in self._slots.values() if slot.command.key == key and slot.child and slot.is_ready
        ]
        answers = await asyncio.gather(*(child.ask(message, timeout_s=timeout_s) for child in children))
        return [
            {"index": child.index, "pid": child.pid, "message": dict(answer)}
            for child, answer in sorted(zip(children, answers, strict=True), key=lambda pair: pair[0].index)
        ]

    # -- the loop

    def check(self) -> None:
        """Look for children whose time is up; to be called about once a second."""
        now = self._loop.time()
        lateness_s = max(0.0, now - self._checked_at - 2 * self._timing.check_interval_s)
        self._checked_at = now
        for child in [*self._children(), *self._retired]:
            child.check(lateness_s=lateness_s)
        self._reconcile()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._reconcile)

    def _reconcile(self) -> None:
        self._is_scheduled = False
        self._resolve()
        self._collect()
        self._activate()
        self._retire()
        self._start()
        self._publish()
        self._drain()
        self._changed()

    def _resolve(self) -> None:
        """Decide which command each key means: the one that runs, if an endpoint still names it, else the oldest."""
        chosen: dict[str, Command] = {}
        running = {command for command, _ in self._slots}
        for endpoint in self._endpoints.values():
            for spec in endpoint.desired.processes:
                command = Command.of(spec)
                if spec.key not in chosen or (command in running and chosen[spec.key] not in running):
                    chosen[spec.key] = command
        for endpoint in self._endpoints.values():
            endpoint.needs = {chosen[spec.key]: max(0, spec.count) for spec in endpoint.desired.processes}

    def _collect(self) -> None:
        """Take note of children that ended."""
        for child in [child for child in self._retired if child.has_ended]:
            del self._retired[child]
        for slot in self._slots.values():
            if slot.is_ready:
                slot.failure = None
            if slot.child is not None and slot.child.has_ended:
                self._note_failure(slot, slot.child)

    def _note_failure(self, slot: _Slot, child: Child) -> None:
        now, timing = self._loop.time(), self._timing
        settled = child.ready_at is not None and now - child.ready_at >= timing.settled_s
        slot.failures = 1 if settled else slot.failures + 1
        delay_s = min(timing.longest_backoff_s, timing.first_backoff_s * 2.0 ** (slot.failures - 1))
        if slot.failures == 1 and child.ready_at is not None:
            delay_s = 0.0
        failure = child.failure or Failure(reason="it ended")
        slot.failure = replace(failure, reason=f"Process '{slot.command.key}' does not work: {failure.reason}.")
        slot.child, slot.retry_at = None, now + delay_s
        _log.warning("%s Next start in %.1f s.\n%s", slot.failure.reason, delay_s, "\n".join(failure.log))
        if delay_s:
            self._loop.call_later(delay_s, self._schedule)

    def _activate(self) -> None:
        for endpoint in self._endpoints.values():
            if endpoint.active == endpoint.desired and endpoint.active_needs == endpoint.needs:
                continue
            if all(slot.is_ready for slot in self._slots_of(endpoint.needs)) and self._has_slots(endpoint.needs):
                endpoint.active, endpoint.active_needs = endpoint.desired, endpoint.needs
                endpoint.shown_at = self.state.sequence + 1
                self._must_publish = True  # a number to be acknowledged, even if the file says the same as before

    def _wanted(self) -> dict[Command, int]:
        wanted: dict[Command, int] = {}
        for endpoint in self._endpoints.values():
            for needs in (endpoint.active_needs, endpoint.needs):
                for command, count in needs.items():
                    wanted[command] = max(count, wanted.get(command, 0))
        return wanted

    def _retire(self) -> None:
        wanted = self._wanted()
        for (command, index), slot in list(self._slots.items()):
            if index < wanted.get(command, 0):
                continue
            del self._slots[command, index]
            if slot.child is not None and not slot.child.has_ended:
                slot.child.retire()
                self._retired[slot.child] = self.state.sequence + 1

    def _start(self) -> None:
        now = self._loop.time()
        for command, count in self._wanted().items():
            for index in range(count):
                slot = self._slots.setdefault((command, index), _Slot(command=command, index=index))
                if slot.child is None and slot.retry_at <= now:
                    self._start_child(slot)
        if self._listener is not None and not any(command.listens for command, _ in self._slots):
            self._listener.close()
            self._listener = None

    def _start_child(self, slot: _Slot) -> None:
        try:
            listener = self._listen() if slot.command.listens else None
        except OSError as exc:
            slot.failures += 1
            slot.failure = Failure(reason=f"No port can be had on {HOST}: {exc}.")
            slot.retry_at = self._loop.time() + self._timing.longest_backoff_s
            return
        place = (slot.command.key, slot.index)
        self._generations[place] = self._generations.get(place, 0) + 1
        slot.child = Child(
            slot.command,
            index=slot.index,
            generation=self._generations[place],
            layout=self._layout,
            timing=self._timing,
            changed=self._schedule,
        )
        slot.child.start(listener)

    def _listen(self) -> socket.socket:
        if self._listener is None:
            self._listener = bind(self.state.gateway)
        return self._listener

    def _publish(self) -> None:
        """Write the state file if it changed, and tell the children."""
        gateway = self.state.gateway
        if self._listener is not None:
            gateway = Gateway(host=HOST, port=self._listener.getsockname()[1])
        state = State(
            sequence=self.state.sequence,
            gateway=gateway,
            endpoints=tuple(item.active.endpoint for item in self._endpoints.values() if item.active is not None),
            processes=tuple(self._process_states()),
        )
        if state == self.state and not self._must_publish:
            return
        state = replace(state, sequence=state.sequence + 1)
        try:
            write_state(self._layout.state, state)
        except OSError as exc:  # a full disk: `check` comes here again
            _log.error("The state cannot be written to '%s': %s", self._layout.state, exc)
            return
        self.state, self._must_publish = state, False
        for child in self._children():
            if child.status is ProcessStatus.READY:
                child.notify(state.sequence)

    def _process_states(self) -> list[ProcessState]:
        shown = [
            slot.child.state()
            if slot.child is not None
            else ProcessState(
                key=slot.command.key,
                index=slot.index,
                generation=self._generations.get((slot.command.key, slot.index), 0),
                pid=None,
                status=ProcessStatus.FAILED,
            )
            for slot in self._slots.values()
        ]
        shown += [child.state() for child in self._retired]
        return sorted(shown, key=lambda item: (item.key, item.index, item.generation))

    def _drain(self) -> None:
        """Drain what the gateways no longer use: gateways first, since they use the others until they end."""
        gateways_end = any(child.command.listens for child in self._retired)
        for child, sequence in self._retired.items():
            if child.is_told_to_drain or (gateways_end and not child.command.listens):
                continue
            if self._is_applied(sequence):
                child.drain()

    # -- judging

    def _is_applied(self, sequence: int) -> bool:
        """Whether every gateway that is ready has applied the state `sequence`."""
        return self.state.sequence >= sequence and all(
            child.applied >= sequence
            for child in self._children()
            if child.command.listens and child.status is ProcessStatus.READY
        )

    def _judge(self, name: str, endpoint: _Endpoint) -> tuple[EndpointStatus, Failure | None]:
        slots = self._slots_of(endpoint.needs)
        failure = next((slot.failure for slot in slots if slot.failure is not None), None)
        is_active = endpoint.active == endpoint.desired and endpoint.active_needs == endpoint.needs
        if not is_active:
            return (EndpointStatus.FAILED, failure) if failure else (EndpointStatus.STARTING, _awaited(slots))
        refused = self._refusal(name, endpoint)
        if refused is not None:
            return EndpointStatus.FAILED, refused
        if not all(slot.is_ready for slot in slots):
            is_lost = any(self._is_lost(command, count) for command, count in endpoint.needs.items())
            status = EndpointStatus.FAILED if is_lost else EndpointStatus.DEGRADED
            return status, failure or Failure(reason="A process is being replaced.")
        if not self._is_applied(endpoint.shown_at):
            return EndpointStatus.STARTING, Failure(reason="The gateways have not taken it up yet.")
        return EndpointStatus.READY, None

    def _refusal(self, name: str, endpoint: _Endpoint) -> Failure | None:
        for slot in self._slots_of(endpoint.active_needs):
            child = slot.child
            if child is not None and child.applied >= endpoint.shown_at and name in child.failed_endpoints:
                return Failure(reason=child.failed_endpoints[name])
        return None

    def _is_lost(self, command: Command, count: int) -> bool:
        """Whether no process of the command works, and new starts did not help."""
        slots = self._slots_of({command: count})
        return not any(slot.is_ready for slot in slots) and any(slot.failures >= _LOST_AFTER for slot in slots)

    def _slots_of(self, needs: Needs) -> Sequence[_Slot]:
        return [
            self._slots[command, index]
            for command, count in needs.items()
            for index in range(count)
            if (command, index) in self._slots
        ]

    def _has_slots(self, needs: Needs) -> bool:
        return len(self._slots_of(needs)) == sum(needs.values())

    def _children(self) -> Sequence[Child]:
        return [slot.child for slot in self._slots.values() if slot.child is not None]


def _awaited(slots: Sequence[_Slot]) -> Failure:
    keys = sorted({f"'{slot.command.key}'" for slot in slots if not slot.is_ready})
    return Failure(reason=f"Not ready yet: {', '.join(keys)}.")
