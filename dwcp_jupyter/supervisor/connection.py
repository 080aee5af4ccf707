"""One connection to the control socket, from the client's side, blocking."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor.reports import ErrorKind
from dwcp_jupyter.supervisor.runtime import Layout, read_record

__all__ = ["Connection", "IsEnding", "NotThere", "connect", "greet"]


class NotThere(Exception):  # noqa: N818 - a state of the world, not an error: it leads to starting one
    """No supervisor takes connections."""


class IsEnding(NotThere):
    """The one that is there is about to end."""


class Connection:
    """A stream of JSON lines. One thread may receive while others send, if those take turns."""

    def __init__(self, stream: socket.socket) -> None:
        self._stream = stream
        self._received = b""

    def send(self, message: Mapping[str, Any]) -> None:
        """Send `message`."""
        self._stream.sendall(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def receive(self, *, timeout_s: float | None = None) -> dict[str, Any] | None:
        """Return the next message, or None at the end of the stream, however that came."""
        self._stream.settimeout(timeout_s)
        while b"\n" not in self._received:
            try:
                block = self._stream.recv(1 << 16)
            except TimeoutError:
                raise
            except OSError:
                return None
            if not block:
                return None
            self._received += block
        line, _, self._received = self._received.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        return message

    def end(self) -> None:
        """End the stream for both sides; a thread that receives gets None."""
        with contextlib.suppress(OSError):
            self._stream.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self._stream.close()

    def abandon(self) -> None:
        """Give back a forked child's copy of the descriptor; the parent's stream goes on."""
        with contextlib.suppress(OSError):
            os.close(self._stream.detach())


def connect(layout: Layout, *, timeout_s: float) -> Connection:
    """Return a connection to the supervisor's socket, as yet without a hello.

    Raises
    ------
    NotThere
        If no process listens.
    SupervisorError
        If one listens and takes no connection.
    """
    record = read_record(layout.record)
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.settimeout(timeout_s)
    try:
        stream.connect(record.socket if record else str(layout.control))
    except (TimeoutError, BlockingIOError) as exc:
        stream.close()
        raise _hung(layout, timeout_s) from exc
    except OSError as exc:
        stream.close()
        raise NotThere from exc
    return Connection(stream)


def greet(layout: Layout, hello: Mapping[str, Any], *, timeout_s: float) -> Connection:
    """Return a connection that said `hello` and was welcome.

    Raises
    ------
    NotThere
        If no supervisor is there, or it is about to end.
    SupervisorError
        If it does not answer, or speaks another version of the protocol.
    """
    connection = connect(layout, timeout_s=timeout_s)
    try:
        connection.send({"id": 0, "op": "hello", **hello})
        reply = connection.receive(timeout_s=timeout_s)
    except TimeoutError as exc:
        connection.close()
        raise _hung(layout, timeout_s) from exc
    except OSError as exc:
        connection.close()
        raise NotThere from exc
    if reply is not None and reply.get("ok"):
        return connection
    connection.close()
    if reply is None:
        raise NotThere
    error = reply.get("error") or {}
    if error.get("kind") in (ErrorKind.ENDING, None):
        raise IsEnding
    raise SupervisorError(str(error["message"]))


def _hung(layout: Layout, timeout_s: float) -> SupervisorError:
    record = read_record(layout.record)
    pid = record.pid if record else "PID"
    return SupervisorError(
        f"The supervisor of '{layout.root}' (process {pid}) does not answer within {timeout_s:g} s. It may be stopped: "
        f"continue it with `kill -CONT {pid}`, or end it with `kill -KILL {pid}`; another one is then started."
    )
