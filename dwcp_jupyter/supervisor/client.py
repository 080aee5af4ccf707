"""Hold the supervisor of a workspace.

A `Hold` is one connection to the control socket: while it is open the supervisor lives. A thread reads it; when the
stream ends though nobody closed it, the supervisor died, and the thread attaches anew, starting one if no other
holder was faster. A forked child drops its copy of the connection, so that it cannot keep alive what its parent
held.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import threading
import time
import uuid
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from dwcp_jupyter import config
from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor.connection import Connection, IsEnding, NotThere, greet
from dwcp_jupyter.supervisor.launch import launch
from dwcp_jupyter.supervisor.reports import PROTOCOL, Answer, Applied, ErrorKind, HoldKind, Status
from dwcp_jupyter.supervisor.runtime import Layout

if TYPE_CHECKING:
    from dwcp_jupyter.store import Stores

__all__ = ["Hold", "hold"]

_ATTACH_TIMEOUT_S = 60.0
_ANSWER_TIMEOUT_S = 15.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_SLACK_S = 10.0
"""How much longer than its own time-out a request may take until it counts as lost."""
_REPEATABLE = frozenset({"apply", "status"})
"""Requests that may be sent again when the supervisor died over them."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Request:
    message: dict[str, Any]
    is_sent: bool = False
    reply: dict[str, Any] | None = None
    error: SupervisorError | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def is_repeatable(self) -> bool:
        return not self.is_sent or self.message["op"] in _REPEATABLE

    def fail(self, error: SupervisorError) -> None:
        self.error = error
        self.done.set()


class Hold:
    """A live claim on a workspace's supervisor; thread-safe, and a context manager that closes it.

    While a hold is open the supervisor lives, and is started again if it dies. After somebody stopped it on purpose
    it stays ended until this hold's next request.

    Parameters
    ----------
    root : path
        The workspace folder.
    kind : HoldKind or str
        What the holder is. An ``observer`` neither starts nor keeps a supervisor.
    environ : mapping, optional
        The environment of a supervisor that is started; this process's by default.
    answer_timeout_s : float
        Longest wait for a supervisor to say hello, or to start, in seconds.

    Attributes
    ----------
    id : str
        Goes into the column ``owner`` of the endpoints that live by this hold.

    Raises
    ------
    SupervisorError
        If there is no workspace, or its supervisor cannot be started or spoken to.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        kind: HoldKind | str = HoldKind.CALLER,
        environ: Mapping[str, str] | None = None,
        answer_timeout_s: float = _ANSWER_TIMEOUT_S,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.kind = HoldKind(kind)
        self.root = Path(root).absolute()
        self._answer_timeout_s = answer_timeout_s
        self._environ = dict(os.environ if environ is None else environ)
        self._layout = Layout.of(self.root)
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._closing = threading.Event()
        self._was_stopped = False
        self._broken: SupervisorError | None = None
        self._connection: Connection | None = None
        self._reader: threading.Thread | None = None
        self._attach()
        _HOLDS.add(self)

    # -- requests

    def apply(self, wait: Sequence[str] = (), *, timeout_s: float = 60.0) -> Applied:
        """Have the endpoints read anew, and return when those named in `wait` are ready or failed, or time is up."""
        result = self.request("apply", answer_timeout_s=timeout_s + _SLACK_S, wait=list(wait), timeout_s=timeout_s)
        return Applied.from_json(result)

    def status(self) -> Status:
        """Return all that runs."""
        return Status.from_json(self.request("status"))

    def ask(self, key: str, message: Mapping[str, Any], *, timeout_s: float = 5.0) -> tuple[Answer, ...]:
        """Return the answers of all ready processes of `key` to `message`, by index; empty if there are none."""
        fields = {"key": key, "message": dict(message), "timeout_s": timeout_s}
        result = self.request("ask", answer_timeout_s=timeout_s + _SLACK_S, **fields)
        return tuple(Answer(**item) for item in result["answers"])

    def request(self, op: str, *, answer_timeout_s: float = 30.0, **fields: Any) -> dict[str, Any]:
        """Return the supervisor's result of one operation.

        Raises
        ------
        SupervisorError
            If it refuses, does not answer in time, or died over it.
        """
        if os.getpid() != self._pid:
            raise SupervisorError(
                f"This hold belongs to process {self._pid}, and does not work in its fork {os.getpid()}. Take another "
                "one there with supervisor.hold()."
            )
        number = next(self._ids)
        request = _Request(message={"id": number, "op": op, **fields})
        with self._lock:
            self._require_open()
            self._requests[number] = request
            self._submit(request)
        try:
            if not request.done.wait(answer_timeout_s):
                raise SupervisorError(
                    f"The supervisor of '{self.root}' did not answer '{op}' within {answer_timeout_s:g} s. What it "
                    f"does is in '{self._layout.log}'."
                )
        finally:
            with self._lock:
                self._requests.pop(number, None)
        if request.error is not None:
            raise request.error
        return _result(request.reply or {})

    def close(self) -> None:
        """Let go. What lives by this hold is ended; with the last hold gone, the supervisor ends."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closing.set()
            if self._connection is not None:
                self._connection.end()
        if self._reader is not None and self._reader is not threading.current_thread():
            self._reader.join(self._answer_timeout_s)
        _HOLDS.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Hold({str(self.root)!r}, kind={str(self.kind)!r})"

    # -- attaching

    def _require_open(self) -> None:
        if self._closing.is_set():
            raise SupervisorError(f"This hold on '{self.root}' is closed. Take another one with supervisor.hold().")
        if self._broken is not None:
            raise self._broken
        if self._was_stopped:
            self._attach()

    def _attach(self) -> None:
        self._connection = self._greet_or_launch()
        self._was_stopped = False
        self._reader = threading.Thread(target=self._read, name="dwcp-hold", daemon=True)
        self._reader.start()

    def _greet_or_launch(self) -> Connection:
        hello = {"protocol": PROTOCOL, "release": __version__, "hold": self.id, "kind": self.kind, "pid": self._pid}
        deadline = time.monotonic() + _ATTACH_TIMEOUT_S
        while time.monotonic() < deadline and not self._closing.is_set():
            if not self.root.is_dir():
                raise SupervisorError(f"There is no workspace at '{self.root}'. Make one with `%dwcp init`.")
            try:
                return greet(self._layout, hello, timeout_s=self._answer_timeout_s)
            except IsEnding:
                is_taken = True
            except NotThere as exc:
                if self.kind is HoldKind.OBSERVER:
                    raise SupervisorError(f"No supervisor runs for '{self.root}'.") from exc
                is_taken = not launch(self._layout, self._environ, timeout_s=self._answer_timeout_s)
            if is_taken:
                self._closing.wait(_FIRST_PAUSE_S)
        raise SupervisorError(
            f"The supervisor of '{self.root}' takes no connections, though its lock '{self._layout.lock}' is held. "
            "Look for the process that holds it with `fuser` or `lsof`, and end it."
        )

    def _submit(self, request: _Request) -> None:
        """Send it if there is a connection; the reader notices one that breaks, and sends again."""
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.send(request.message)
                request.is_sent = True

    # -- the thread that reads

    def _read(self) -> None:
        while True:
            connection = self._connection
            if connection is None:
                return
            while (message := connection.receive()) is not None:
                self._dispatch(message)
            if not self._lose(connection) or not self._reattach():
                return

    def _dispatch(self, message: dict[str, Any]) -> None:
        if message.get("event") == "stopped":
            self._was_stopped = True
            return
        with self._lock:
            request = self._requests.get(message.get("id", 0))
        if request is not None:
            request.reply = message
            request.done.set()

    def _lose(self, connection: Connection) -> bool:
        """Take note that the stream ended; return whether to attach anew."""
        with self._lock:
            connection.close()
            self._connection = None
            if self._closing.is_set() or self._was_stopped or self.kind is HoldKind.OBSERVER:
                ended = SupervisorError(f"The supervisor of '{self.root}' ended before it answered.")
                self._broken = ended if self.kind is HoldKind.OBSERVER else None
                self._fail_requests(ended, list(self._requests.values()))
                return False
            lost = SupervisorError(
                f"The supervisor of '{self.root}' died over this request. Another one is being started."
            )
            self._fail_requests(lost, [item for item in self._requests.values() if not item.is_repeatable])
            return True

    def _fail_requests(self, error: SupervisorError, requests: Sequence[_Request]) -> None:
        for request in requests:
            if not request.done.is_set():
                request.fail(error)

    def _reattach(self) -> bool:
        """Attach anew, as often as it takes; return False if that is no longer wanted, or the workspace is gone."""
        pause_s = random.uniform(0, _FIRST_PAUSE_S)  # noqa: S311 - so that holders do not all start one at once
        while not self._closing.wait(pause_s):
            try:
                connection = self._greet_or_launch()
            except SupervisorError as exc:
                if not self.root.is_dir():
                    with self._lock:
                        self._broken = exc
                        self._fail_requests(exc, list(self._requests.values()))
                    return False
                pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))
                continue
            with self._lock:
                self._connection = connection
                if self._closing.is_set():
                    connection.end()
                for request in self._requests.values():
                    self._submit(request)
            return True
        return False

    def _abandon(self) -> None:
        """In a forked child: let go of the parent's connection, touching no lock, which a thread may have held."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abandon()


_HOLDS: weakref.WeakSet[Hold] = weakref.WeakSet()
"""Those of this process. Global, since the operating system's fork is: a fork must find them."""


def _abandon_all() -> None:
    for item in list(_HOLDS):
        item._abandon()


os.register_at_fork(after_in_child=_abandon_all)


def hold(stores: Stores, kind: HoldKind | str = HoldKind.CALLER) -> Hold:
    """Return a hold on the supervisor of this workspace; one is started if there is none.

    Parameters
    ----------
    stores : Stores
        Those of the workspace. Their settings are the supervisor's, if it is started now.
    kind : HoldKind or str
        ``server``, ``caller``, ``detached`` or ``observer``.

    Raises
    ------
    SupervisorError
        If there is no workspace, or its supervisor cannot be started or spoken to.
    """
    return Hold(stores.root, kind=kind, environ={**os.environ, **config.export(stores.settings)})


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    if reply.get("ok"):
        return dict(reply["result"])
    error = reply.get("error") or {}
    raise SupervisorError(str(error.get("message", f"The supervisor's answer cannot be read ({ErrorKind.FAILED}).")))
