"""The children's side of the channel to the supervisor.

A child of the supervisor finds in its environment who it is, where the state file lies, and a socket that is
its channel: JSON lines both ways. A thread of its own reads it, so this serves children built on threads and
on asyncio alike (`Channel.listen` takes the function that carries a call into the child's loop). When the
channel ends, the supervisor is gone: the child ends at once, since nobody would ever end it.

Only whoever does the work may call `Channel.beat`: a beat from a thread of its own would say "healthy" for a
child that hangs. Standard library only: gateways and replicas import this before anything else.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from dwcp_jupyter.supervisor.state import State, read_state

__all__ = ["BEAT_INTERVAL_S", "Channel"]

BEAT_INTERVAL_S = 0.5
"""`Channel.beat` may be called as often as one likes; it sends this often at most, in seconds."""

_Ask = Callable[[dict[str, Any]], "Mapping[str, Any] | Awaitable[Mapping[str, Any]]"]


def _call_here(function: Callable[[], None]) -> None:
    function()


class Channel:
    """One child's connection to its supervisor.

    Sending is thread-safe. Received messages are handled one after the other, in the order in which they came.

    Attributes
    ----------
    key, index : str, int
        Which process of which command this is.
    runtime_dir : Path
        Private folder for sockets, with a short path.
    socket_path : str
        Where a process that does not listen binds its Unix socket.
    listen_fd : int or None
        The bound and listening TCP socket, for processes that listen.
    """

    def __init__(self, connection: socket.socket, environ: Mapping[str, str]) -> None:
        self.key = environ["DWCP_PROCESS_KEY"]
        self.index = int(environ["DWCP_PROCESS_INDEX"])
        self.runtime_dir = Path(environ["DWCP_RUNTIME_DIR"])
        self._scratch_dir = Path(environ["DWCP_SCRATCH_DIR"])
        self.socket_path = environ.get("DWCP_SOCKET", "")
        self.listen_fd = int(environ["DWCP_LISTEN_FD"]) if environ.get("DWCP_LISTEN_FD") else None
        self._state_file = Path(environ["DWCP_STATE_FILE"])
        self._connection = connection
        self._sending = threading.Lock()
        self._beaten_at = float("-inf")

    def scratch_dir(self) -> Path:
        """Return a folder for files of a moment; the supervisor removes it when this process has ended.

        Raises
        ------
        FileNotFoundError
            If the workspace is gone.
        """
        for folder in (self._scratch_dir.parent, self._scratch_dir):
            folder.mkdir(mode=0o700, exist_ok=True)
        return self._scratch_dir

    @classmethod
    def from_environ(cls, environ: MutableMapping[str, str] = os.environ) -> Channel:
        """Return this process's channel.

        The descriptors are taken out of `environ` and closed on exec, so that the child's own children
        neither see nor inherit them.

        Raises
        ------
        RuntimeError
            If this process was not started by a supervisor.
        """
        if "DWCP_CHANNEL_FD" not in environ:
            raise RuntimeError("DWCP_CHANNEL_FD is not set: this program is started by the supervisor, not by hand.")
        connection = socket.socket(fileno=int(environ["DWCP_CHANNEL_FD"]))
        connection.set_inheritable(False)
        channel = cls(connection, environ)
        if channel.listen_fd is not None:
            os.set_inheritable(channel.listen_fd, False)
        for name in ("DWCP_CHANNEL_FD", "DWCP_LISTEN_FD"):
            environ.pop(name, None)
        return channel

    def read_state(self) -> State:
        """Return the newest state."""
        return read_state(self._state_file)

    # -- to the supervisor

    def ready(self, **facts: Any) -> None:
        """Say that this process can take work."""
        self._send({"ready": True, **facts})

    def failed(self, text: str) -> None:
        """Say why this process cannot work, in one sentence for the user; then exit."""
        self._send({"failed": text})

    def beat(self) -> None:
        """Say that whoever calls is not stuck; cheap, never blocks, to be called at least once a second."""
        now = time.monotonic()
        if now - self._beaten_at < BEAT_INTERVAL_S or not self._sending.acquire(blocking=False):
            return
        try:
            self._connection.send(b'{"beat":true}\n', socket.MSG_DONTWAIT)
            self._beaten_at = now
        except OSError:  # full: the supervisor is stopped and has beats enough; closed: `listen` ends this process
            return
        finally:
            self._sending.release()

    def applied(self, sequence: int, failed: Mapping[str, str] | None = None) -> None:
        """Say that the state with this sequence number is in force here.

        Parameters
        ----------
        sequence : int
            That of the state that was read.
        failed : mapping, optional
            Endpoint name → why this process cannot serve it. Complete: an endpoint that is not named works.
        """
        self._send({"state": sequence, "failed_endpoints": dict(failed or {})})

    def _send(self, message: Mapping[str, Any]) -> None:
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):  # a closed channel ends the process, in `listen`
            self._connection.sendall(line)

    # -- from the supervisor

    def listen(
        self,
        *,
        on_state: Callable[[int], object] | None = None,
        on_ask: _Ask | None = None,
        on_drain: Callable[[], object] | None = None,
        on_lost: Callable[[], object] | None = None,
        call: Callable[[Callable[[], None]], object] = _call_here,
    ) -> None:
        """Handle messages from now on, and end this process when the supervisor is gone.

        Parameters
        ----------
        on_state : callable
            Gets the sequence number of a new state: read it by `read_state`, then say `applied`.
        on_ask : callable
            Gets a message and returns the answer, or an awaitable of it where `call` leads into an event loop. An
            exception is answered as ``{"error": text}``.
        on_drain : callable
            Finish what is in flight, then exit with 0. Without it the process ends at once.
        on_lost : callable
            Runs in the channel's thread when the supervisor is gone, just before the process ends: write out
            what must not be lost, quickly.
        call : callable
            Carries a function without arguments to where handlers may run: ``loop.call_soon_threadsafe`` for
            asyncio. By default they run in the channel's thread.
        """
        handlers = _Handlers(self._send, on_state=on_state, on_ask=on_ask, on_drain=on_drain)

        def read() -> None:
            try:
                with self._connection.makefile("rb") as lines:
                    for line in lines:
                        message = json.loads(line)
                        call(lambda message=message: handlers.handle(message))  # type: ignore[misc]
            except (OSError, RuntimeError):  # reset by a killed supervisor; or the child's own loop is closed already
                pass
            finally:
                try:
                    if on_lost is not None:
                        on_lost()
                finally:
                    os._exit(0)

        threading.Thread(target=read, name="dwcp-channel", daemon=True).start()


class _Handlers:
    """What a child does with each kind of message."""

    def __init__(
        self,
        send: Callable[[Mapping[str, Any]], None],
        *,
        on_state: Callable[[int], object] | None,
        on_ask: _Ask | None,
        on_drain: Callable[[], object] | None,
    ) -> None:
        self._send = send
        self._on_state = on_state
        self._on_ask = on_ask
        self._on_drain = on_drain
        self._pending: set[Any] = set()  # asyncio keeps only weak references to its tasks

    def handle(self, message: dict[str, Any]) -> None:
        if "state" in message and self._on_state is not None:
            self._on_state(int(message["state"]))
        elif "ask" in message:
            self._answer(message["ask"], message.get("message") or {})
        elif "drain" in message:
            self._drain()

    def _drain(self) -> None:
        if self._on_drain is None:
            os._exit(0)
        self._on_drain()

    def _answer(self, ask_id: int, message: dict[str, Any]) -> None:
        if self._on_ask is None:
            self._send({"answer": ask_id, "message": {"error": "This process answers no questions."}})
            return
        try:
            answer = self._on_ask(message)
        except Exception as exc:  # noqa: BLE001 - whatever it is, whoever asked must learn it
            self._send({"answer": ask_id, "message": _error(exc)})
            return
        if inspect.isawaitable(answer):
            self._answer_later(ask_id, answer)
        else:
            self._send({"answer": ask_id, "message": dict(answer)})

    def _answer_later(self, ask_id: int, answer: Awaitable[Mapping[str, Any]]) -> None:
        import asyncio

        def done(task: asyncio.Future[Mapping[str, Any]]) -> None:
            self._pending.discard(task)
            if task.cancelled():
                message: Mapping[str, Any] = {"error": "The question was cancelled."}
            else:
                exc = task.exception()
                message = _error(exc) if exc is not None else task.result()
            self._send({"answer": ask_id, "message": dict(message)})

        future = asyncio.ensure_future(answer)
        self._pending.add(future)
        future.add_done_callback(done)


def _error(exc: BaseException) -> dict[str, str]:
    return {"error": f"{type(exc).__name__}: {exc}"}
