"""The control socket.

One task reads each connection; requests are answered as they are done, so that a long ``apply`` holds up nothing. A
connection is a hold from its ``hello`` to its end. The socket is its user's alone, and lies in a folder that is its
user's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.supervisor.holds import Holder
from dwcp_jupyter.supervisor.reports import PROTOCOL, ErrorKind, HoldKind

__all__ = ["ControlServer", "Operations", "RequestError"]

_LONGEST_LINE_BYTES = 16 << 20
_CLOSE_TIMEOUT_S = 2.0


class RequestError(Exception):
    """A request that gets no result; the caller learns why."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Operations(Protocol):
    """What connections can ask for. All of it runs in the server's event loop; results are JSON."""

    def attach(self, *, hold_id: str, kind: HoldKind, pid: int) -> Holder:
        """Count a holder in."""

    def detach(self, holder: Holder) -> None:
        """Count it out."""

    async def apply(self, *, wait: list[str], timeout_s: float) -> dict[str, Any]:
        """Read the endpoints anew, and return when those in `wait` are ready or failed."""

    def status(self) -> dict[str, Any]:
        """Return all that runs."""

    async def ask(self, *, key: str, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Return the answers of the processes of `key`."""

    async def stop(self) -> None:
        """End everything; return when it has ended."""


class ControlServer:
    """Serves `operations` on a Unix socket."""

    def __init__(self, operations: Operations, path: str) -> None:
        self._operations = operations
        self._path = path
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def start(self) -> None:
        """Bind the socket; one that a killed supervisor left is replaced, since we have the lock."""
        self._remove_socket()
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=_LONGEST_LINE_BYTES)
        finally:
            os.umask(mask)

    def announce(self, message: Mapping[str, Any]) -> None:
        """Send `message` to everyone."""
        for connection in self._connections:
            connection.send(message)

    def disconnect(self, holder: Holder) -> None:
        """Close the connection of `holder`."""
        for connection in self._connections:
            if connection.holder is holder:
                connection.close()

    def refuse_new(self) -> None:
        """Take no more connections."""
        if self._server is not None:
            self._server.close()
        self._remove_socket()

    def _remove_socket(self) -> None:
        Path(self._path).unlink(missing_ok=True)

    async def close(self) -> None:
        """Let what is being answered be answered, then close all connections."""
        await asyncio.gather(*(connection.finish() for connection in list(self._connections)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self._operations, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._connections.discard(connection)


class _Connection:
    """One client."""

    def __init__(self, operations: Operations, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.holder: Holder | None = None
        self._operations = operations
        self._reader = reader
        self._writer = writer
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        try:
            while line := await self._reader.readline():
                request = json.loads(line)
                if request["op"] == "hello":
                    await self._answer(request)
                else:
                    task = asyncio.create_task(self._answer(request))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except (OSError, ValueError, KeyError, TypeError):
            pass  # it broke off, or does not speak our language: its connection ends here
        finally:
            for task in self._tasks:
                task.cancel()
            if self.holder is not None:
                self._operations.detach(self.holder)
            self.close()

    def send(self, message: Mapping[str, Any]) -> None:
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        self._writer.close()

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_CLOSE_TIMEOUT_S)
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(self._writer.drain(), _CLOSE_TIMEOUT_S)
        self.close()

    async def _answer(self, request: Mapping[str, Any]) -> None:
        reply: dict[str, Any] = {"id": request.get("id")}
        try:
            reply |= {"ok": True, "result": await self._result(request)}
        except RequestError as exc:
            reply |= {"ok": False, "error": {"kind": exc.kind, "message": str(exc)}}
        except DwcpError as exc:
            reply |= {"ok": False, "error": {"kind": ErrorKind.FAILED, "message": str(exc)}}
        except (KeyError, TypeError, ValueError) as exc:
            problem = f"'{request['op']}' lacks a field or has a wrong one: {type(exc).__name__}: {exc}."
            reply |= {"ok": False, "error": {"kind": ErrorKind.REQUEST, "message": problem}}
        self.send(reply)

    async def _result(self, request: Mapping[str, Any]) -> Any:
        operations, op = self._operations, request["op"]
        if op == "hello":
            return self._hello(request)
        if op == "stop":
            await operations.stop()
            return {}
        if self.holder is None:
            raise RequestError(ErrorKind.REQUEST, "The first request on a connection is 'hello'.")
        if op == "apply":
            return await operations.apply(wait=list(request["wait"]), timeout_s=float(request["timeout_s"]))
        if op == "status":
            return operations.status()
        if op == "ask":
            return await operations.ask(
                key=request["key"], message=request["message"], timeout_s=float(request["timeout_s"])
            )
        raise RequestError(ErrorKind.REQUEST, f"No operation '{op}'.")

    def _hello(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request["protocol"] != PROTOCOL:
            raise RequestError(
                ErrorKind.PROTOCOL,
                f"The supervisor (process {os.getpid()}, dwcp_jupyter {__version__}) speaks protocol {PROTOCOL}, but "
                f"dwcp_jupyter {request.get('release', 'of an unknown release')} in process {request.get('pid')} "
                f"speaks protocol {request['protocol']}. Use one release for both; `%dwcp stop` ends the running one.",
            )
        if self.holder is not None:
            raise RequestError(ErrorKind.REQUEST, "This connection has said 'hello' already.")
        self.holder = self._operations.attach(
            hold_id=str(request["hold"]), kind=HoldKind(request["kind"]), pid=int(request["pid"])
        )
        return {"pid": os.getpid(), "protocol": PROTOCOL, "release": __version__}
