"""One child: started, listened to, drained, ended.

A `Child` is one start of one command; a replacement is another `Child`. Its status only moves forward: starting,
ready, draining, ended. It says by a callback that something changed, and leaves every decision to the reconciler.
Each child leads a process group of its own, so that what it started ends with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dwcp_jupyter.supervisor.logs import ProcessLog
from dwcp_jupyter.supervisor.runtime import Layout
from dwcp_jupyter.supervisor.state import ProcessSpec, ProcessState, ProcessStatus

__all__ = ["Child", "Command", "Failure", "Timing"]

_LONGEST_LINE_BYTES = 64 << 20
_LAST_WORDS_S = 2.0
"""How long a child that says it failed may take to exit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the supervisor is, in seconds."""

    hang_timeout_s: float = 10.0
    drain_timeout_s: float = 30.0
    first_backoff_s: float = 0.25
    longest_backoff_s: float = 30.0
    settled_s: float = 10.0
    """A process that was ready for this long starts its back-off anew when it dies."""

    @property
    def check_interval_s(self) -> float:
        """How often to look for children whose time is up."""
        return min(1.0, self.hang_timeout_s / 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What a process runs: equal commands can stand for each other."""

    key: str
    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    listens: bool
    ready_timeout_s: float = field(compare=False)

    @classmethod
    def of(cls, spec: ProcessSpec) -> Command:
        """Return the command of `spec`."""
        env = tuple(sorted(spec.env.items()))
        return cls(key=spec.key, argv=spec.argv, env=env, listens=spec.listens, ready_timeout_s=spec.ready_timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a process does not work, and the last lines it wrote."""

    reason: str
    log: tuple[str, ...] = ()


class Child:
    """One start of one process.

    Attributes
    ----------
    status : ProcessStatus
        FAILED means ended, for whatever reason.
    failure : Failure or None
        Why it ended, unless it was told to.
    applied : int
        Highest sequence number of a state that it has acknowledged.
    failed_endpoints : mapping
        Endpoint name → why this process cannot serve it, as of its last acknowledgement.
    """

    def __init__(
        self,
        command: Command,
        *,
        index: int,
        generation: int,
        layout: Layout,
        timing: Timing,
        changed: Callable[[], None],
    ) -> None:
        self.command = command
        self.index = index
        self.generation = generation
        self.status = ProcessStatus.STARTING
        self.pid: int | None = None
        self.failure: Failure | None = None
        self.applied = 0
        self.failed_endpoints: Mapping[str, str] = {}
        self.ready_at: float | None = None
        self.is_told_to_drain = False
        self._layout = layout
        self._timing = timing
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + command.ready_timeout_s
        self._log = ProcessLog(layout.process_log(command.key, index))
        token = secrets.token_hex(3)
        self._socket = "" if command.listens else str(layout.process_socket(command.key, index, token))
        self._scratch = layout.process_scratch(command.key, index, token)
        self._writer: asyncio.StreamWriter | None = None
        self._asks: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self._ask_ids = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    def state(self) -> ProcessState:
        """Return this process as the state file shows it."""
        return ProcessState(
            key=self.command.key,
            index=self.index,
            generation=self.generation,
            pid=self.pid,
            status=self.status,
            socket=self._socket,
        )

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone."""
        return self.status is ProcessStatus.FAILED

    # -- life

    def start(self, listener: socket.socket | None) -> None:
        """Start the process; what comes of it shows in `status`."""
        self._task = self._loop.create_task(self._run(listener))

    async def _run(self, listener: socket.socket | None) -> None:
        try:
            process, reader = await self._spawn(listener)
        except (OSError, ValueError) as exc:  # ValueError: a NUL in a command line
            self._end(Failure(reason=f"'{self.command.argv[0]}' cannot be started: {exc}"))
            return
        self.pid = process.pid
        if self.status is ProcessStatus.DRAINING:  # retired while it was being started
            self._signal(signal.SIGKILL)
        self._changed()
        reading = self._loop.create_task(self._read(reader))
        code = await process.wait()
        self._signal(signal.SIGKILL)  # what it started and left behind
        await asyncio.wait([reading], timeout=1.0)
        reading.cancel()
        self._end(Failure(reason=_describe(code)))

    async def _spawn(self, listener: socket.socket | None) -> tuple[asyncio.subprocess.Process, asyncio.StreamReader]:
        ours, theirs = socket.socketpair()
        with theirs:
            passed = [theirs.fileno(), *([listener.fileno()] if listener else [])]
            log = self._log.open()
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.command.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=self._environ(theirs, listener),
                    cwd=self._layout.root,
                    pass_fds=passed,
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(log)
        reader, self._writer = await asyncio.open_unix_connection(sock=ours, limit=_LONGEST_LINE_BYTES)
        return process, reader

    def _environ(self, channel: socket.socket, listener: socket.socket | None) -> dict[str, str]:
        environ = {
            **os.environ,
            **dict(self.command.env),
            "DWCP_PROCESS_KEY": self.command.key,
            "DWCP_PROCESS_INDEX": str(self.index),
            "DWCP_STATE_FILE": str(self._layout.state),
            "DWCP_RUNTIME_DIR": str(self._layout.runtime),
            "DWCP_SCRATCH_DIR": str(self._scratch),
            "DWCP_CHANNEL_FD": str(channel.fileno()),
        }
        if listener is not None:
            environ["DWCP_LISTEN_FD"] = str(listener.fileno())
        else:
            environ["DWCP_SOCKET"] = self._socket
        return environ

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._handle(json.loads(line))
        except ConnectionError:
            return  # it was killed; its exit says the rest
        except (ValueError, KeyError, TypeError) as exc:
            self.fail(f"it sent what is no message of the channel: {exc}")

    def _handle(self, message: dict[str, Any]) -> None:
        if self.status is ProcessStatus.READY:
            self._deadline = self._loop.time() + self._timing.hang_timeout_s
        if "beat" in message:
            return
        if "answer" in message:
            future = self._asks.pop(message["answer"], None)
            if future is not None and not future.done():
                future.set_result(message["message"])
        elif "ready" in message:
            self._become_ready()
        elif "failed" in message:
            self.failure = Failure(reason=str(message["failed"]))
            self._deadline = min(self._deadline, self._loop.time() + _LAST_WORDS_S)
        elif "state" in message:
            self.applied = max(self.applied, int(message["state"]))
            self.failed_endpoints = dict(message.get("failed_endpoints") or {})
            self._changed()

    def _become_ready(self) -> None:
        if self.status is ProcessStatus.STARTING:
            self.status = ProcessStatus.READY
            self.ready_at = self._loop.time()
            self._deadline = self.ready_at + self._timing.hang_timeout_s
            self._changed()

    def _end(self, failure: Failure) -> None:
        if self.status is not ProcessStatus.DRAINING:
            self.failure = replace(self.failure or failure, log=self._log.tail())
        self.status = ProcessStatus.FAILED
        self.pid = None
        if self._writer is not None:
            self._writer.close()
        if self._socket:
            with contextlib.suppress(OSError):
                Path(self._socket).unlink()
        self._layout.remove_scratch(self._scratch)
        for future in self._asks.values():
            if not future.done():
                future.set_result({"error": "The process ended before it answered."})
        self._asks.clear()
        self._changed()

    # -- what the reconciler tells it

    def notify(self, sequence: int) -> None:
        """Say that there is a new state."""
        self._send({"state": sequence})

    def retire(self) -> None:
        """Take it out of the work; it is shown as draining from now on. One that never worked is ended at once."""
        if self.status is ProcessStatus.STARTING:
            self.status = ProcessStatus.DRAINING
            self.is_told_to_drain = True
            self._deadline = self._loop.time()
            self._signal(signal.SIGKILL)
        elif self.status is ProcessStatus.READY:
            self.status = ProcessStatus.DRAINING
            self._deadline = self._loop.time() + 2 * self._timing.drain_timeout_s

    def drain(self) -> None:
        """Tell it to finish what is in flight and exit; it is ended when that takes too long."""
        self.is_told_to_drain = True
        self._deadline = self._loop.time() + self._timing.drain_timeout_s
        self._send({"drain": True})

    def fail(self, reason: str) -> None:
        """End it, since it does not work."""
        if self.failure is None:
            self.failure = Failure(reason=reason)
        self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """End it now."""
        self._signal(signal.SIGKILL)

    def check(self, *, lateness_s: float) -> None:
        """End it if its time is up.

        Parameters
        ----------
        lateness_s : float
            By how much the supervisor itself was held up since the last check: time that is not the child's fault.
        """
        self._deadline += lateness_s
        if self.has_ended or self._loop.time() < self._deadline:
            return
        if self.status is ProcessStatus.STARTING:
            self.fail(f"it was not ready within {self.command.ready_timeout_s:g} s")
        elif self.status is ProcessStatus.READY:
            self.fail(f"it gave no sign of life for {self._timing.hang_timeout_s:g} s")
        elif self.is_told_to_drain:
            self._signal(signal.SIGKILL)
        else:
            self.drain()

    async def ask(self, message: Mapping[str, Any], *, timeout_s: float) -> Mapping[str, Any]:
        """Return its answer, or ``{"error": text}`` if it gives none in time."""
        ask_id = next(self._ask_ids)
        future: asyncio.Future[Mapping[str, Any]] = self._loop.create_future()
        self._asks[ask_id] = future
        self._send({"ask": ask_id, "message": dict(message)})
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return {"error": f"No answer within {timeout_s:g} s."}
        finally:
            self._asks.pop(ask_id, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a zombie's group
                os.killpg(self.pid, number)


def _describe(code: int) -> str:
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"it was ended by signal {-code}"
