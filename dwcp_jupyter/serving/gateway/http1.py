"""HTTP/1.1 on httptools, one callback per request.

The parser (llhttp, in C) does what is delicate about HTTP; here a request becomes one object and its answer one write.
An application server between the two costs more than a prediction does: per request on one core, a compiled forest of
100 trees took 157 µs of the loop's thread through uvicorn and ASGI, and takes half of that here. The cost of the
decision is this file: keep-alive, pipelining, `Expect`, limits and draining are ours to get right.

A connection answers one request at a time, in order. What a client sends ahead waits, and reading pauses: it is one
read's worth at most.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast
from urllib.parse import unquote

import httptools

__all__ = ["App", "Connection", "Connections", "Header", "Limits", "Request", "Server"]

_log = logging.getLogger(__name__)

_SPARE_DESCRIPTORS = 128
"""Kept from clients for what the process itself has to open."""
MAX_HEAD_BYTES = 64 << 10
"""Path and headers together, or what comes between two parts of a body; more is answered 431."""
LINGER_S = 2.0
"""How long a client that was refused may go on sending before the connection is cut: else it would not read why."""

JSON = b"application/json"
Header = tuple[bytes, bytes]

_HEADS = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: ".encode("ascii") for status in HTTPStatus
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"\r\nconnection: close"
_KNOWN = {
    b"host": "host",
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"x-request-id": "request_id",
    b"x-entity-key": "entity",
    b"expect": "expect",
}


class Request:
    """One request; `reply` answers it, once, now or later."""

    __slots__ = (
        *("_connection", "_parts", "authorization", "body", "content_length", "content_type", "entity", "expect"),
        *("host", "is_authorized", "is_cut", "is_last", "max_body_bytes"),
        *("method", "path", "request_id", "size", "started"),
    )

    def __init__(self, connection: Connection, started: float) -> None:
        self._connection = connection
        self._parts: list[bytes] | None = None
        self.started = started
        """Monotonic seconds when its first bytes came."""
        self.method = ""
        self.path = ""
        """Decoded, without query."""
        self.host: bytes | None = None
        self.authorization = b""
        self.content_type = b""
        self.content_length = b""
        self.request_id = b""
        self.entity = b""
        self.expect = b""
        self.body = b""
        self.size = 0
        """Bytes of the body, announced or come."""
        self.max_body_bytes = 0
        self.is_authorized = False
        """For the app to remember."""
        self.is_cut = False
        """Its body is larger than the app takes, and is not there."""
        self.is_last = False
        """The connection ends with its answer."""

    def reply(
        self,
        status: int,
        content: bytes,
        *,
        request_id: bytes,
        content_type: bytes = JSON,
        headers: Iterable[Header] = (),
    ) -> None:
        """Send the answer, unless the client has gone."""
        self._connection.reply(self, status, content, request_id, content_type, headers)

    def add(self, data: bytes) -> None:
        """Take a part of the body."""
        if not self.body:
            self.body = data
        elif self._parts is None:
            self._parts = [self.body, data]
        else:
            self._parts.append(data)

    def complete(self) -> None:
        """Make one body of its parts."""
        if self._parts is not None:
            self.body = b"".join(self._parts)
            self._parts = None


class App(Protocol):
    """What answers requests. Both methods are called on the event loop."""

    def max_body_bytes(self, request: Request) -> int:
        """Return how large a body may be; called once the head is there. Negative: none is read, whatever its size."""

    def handle(self, request: Request) -> None:
        """Answer by `Request.reply`; of a request that `is_cut`, the body is missing."""


def _most_connections() -> int:
    """Return how many clients the process's limit on open files has room for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, (65_536 if soft == resource.RLIM_INFINITY else min(soft, 65_536)) - _SPARE_DESCRIPTORS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take of the server. Times in seconds.

    Attributes
    ----------
    silent_s : float
        How long a connection may be silent while it waits for no answer.
    request_s : float
        How long a request may take to arrive, from its first byte to its last; then it is answered 408.
    drain_s : float
        How long what has begun to arrive is waited for when the server ends.
    connections : int
        How many may be open; one more is answered 503.
    """

    silent_s: float = 75.0
    request_s: float = 300.0
    drain_s: float = 2.0
    connections: int = field(default_factory=_most_connections)


class Connections:
    """Those that are open."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.is_draining = False
        self._open: set[Connection] = set()
        self._closed = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether one more would be too many."""
        return len(self._open) >= self.limits.connections

    def add(self, connection: Connection) -> None:
        """Count a new one."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """Count one that is closed."""
        self._open.discard(connection)
        self._closed.set()

    def sweep(self) -> None:
        """End those that have been silent for too long and wait for no answer, and requests that never end."""
        now = time.monotonic()
        for connection in tuple(self._open):
            connection.sweep(silent_before=now - self.limits.silent_s, begun_before=now - self.limits.request_s)

    async def drain(self) -> None:
        """End each as soon as what it asked is answered; return when none is left.

        A request that is still arriving after `Limits.drain_s` is cut: nobody has begun to answer it.
        """
        self.is_draining = True
        for connection in tuple(self._open):
            connection.drain()
        until = time.monotonic() + self.limits.drain_s
        while self._open:
            self._closed.clear()
            wait_s = until - time.monotonic()
            if wait_s > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._closed.wait()
                continue
            for connection in tuple(self._open):
                connection.cut_short()
            if self._open:
                await self._closed.wait()


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, app: App, connections: Connections) -> None:
        self._app = app
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._reading: Request | None = None
        self._url = b""
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._is_filling = False
        self._ahead: deque[Request] = deque()
        self._is_busy = False
        self._is_deaf = False
        self._is_choked = False
        self._is_paused = False
        self.moved_at = time.monotonic()

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but does not inherit from it
        is_full = self._connections.is_full
        self._connections.add(self)
        if is_full:
            text = b"The gateway has as many connections as it can hold. Send the request again in a moment."
            self._write_text(503, text)
            self._end()  # without lingering, which would hold what is scarce

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client; what it asked goes on, and is answered to nobody."""
        self._transport = None
        self._reading = None
        self._ahead.clear()
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self.moved_at = time.monotonic()
        if self._is_deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # answered as if nothing had been offered; what follows is no HTTP
            self._is_deaf = True
        except httptools.HttpParserError as exc:
            self._refuse(400, f"This is no HTTP/1.1 request: {exc}.")
        else:
            if self._reading is not None and not self._is_filling:
                self._unparsed_bytes += len(data)
                self._check_head(self._unparsed_bytes)
            self._is_filling = False

    def pause_writing(self) -> None:
        """Start nothing new: the client does not read its answers."""
        self._is_choked = True

    def resume_writing(self) -> None:
        """Go on."""
        self._is_choked = False
        self._next()

    # -- the parser's side

    def on_message_begin(self) -> None:
        """Start a request."""
        self._reading = None if self._is_deaf else Request(self, self.moved_at)
        self._url = b""
        self._head_bytes = self._unparsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        self._head_bytes += len(name) + len(value)
        known, request = _KNOWN.get(name.lower()), self._reading
        if known is not None and request is not None and not request.method:  # else it comes after the body
            setattr(request, known, value)

    def on_headers_complete(self) -> None:
        """Decide whether the body is wanted."""
        self._check_head(self._head_bytes + len(self._url))
        request, parser = self._reading, self._parser
        if request is None:
            return
        self._is_filling = True
        self._unparsed_bytes = 0
        if request.host is None and parser.get_http_version() == "1.1":
            self._refuse(400, "This request of HTTP/1.1 has no Host header, and must have one.")
            return
        request.method = parser.get_method().decode("ascii")
        request.path = _path(self._url)
        request.is_last = not parser.should_keep_alive() or parser.should_upgrade()
        if request.content_length:
            request.size = int(request.content_length)  # the parser takes digits only
        request.max_body_bytes = self._app.max_body_bytes(request)
        if request.size > request.max_body_bytes:
            self._cut(request)
        elif request.expect and request.expect.lower() == b"100-continue" and not self._is_busy:
            self._write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        """Take a part of the body, if it is still wanted."""
        request = self._reading
        if request is None or self._is_deaf:
            return
        self._is_filling = True
        self._unparsed_bytes = 0
        request.add(data)
        if not request.content_length:  # chunked: its size shows only now
            request.size += len(data)
            if request.size > request.max_body_bytes:
                self._cut(request)

    def on_message_complete(self) -> None:
        """Hand the request to the app, or let it wait for its turn."""
        request, self._reading = self._reading, None
        if request is None or self._is_deaf:
            return
        request.complete()
        self._submit(request)

    # -- answers

    def reply(
        self,
        request: Request,
        status: int,
        content: bytes,
        request_id: bytes,
        content_type: bytes,
        headers: Iterable[Header],
    ) -> None:
        """Write an answer; see `Request.reply`."""
        transport = self._transport
        if transport is None:
            return
        self.moved_at = time.monotonic()
        is_last = request.is_last or (not self._ahead and (self._is_deaf or self._connections.is_draining))
        more = b"".join(b"\r\n%b: %b" % header for header in headers) if headers else b""
        transport.write(
            b"%b%b\r\ncontent-length: %d\r\nx-request-id: %b%b%b\r\n\r\n%b"
            % (
                _HEADS[status],
                content_type,
                len(content),
                request_id,
                more,
                _CLOSE if is_last else b"",
                b"" if request.method == "HEAD" else content,
            )
        )
        self._is_busy = False
        if request.is_cut:
            self._linger()
        elif is_last:
            self._end()
        elif self._ahead or self._is_paused:
            asyncio.get_running_loop().call_soon(self._next)

    def sweep(self, *, silent_before: float, begun_before: float) -> None:
        """End the connection if nothing is being answered, and it is silent or its request does not end.

        Parameters
        ----------
        silent_before, begun_before : float
            Monotonic seconds of the last byte, and of the request's first, that are too long ago.
        """
        if self._is_busy:
            return
        if self._reading is not None and self._reading.started < begun_before:
            self._refuse(408, "The request took too long to arrive.")
        elif self.moved_at <= silent_before:
            if self._is_deaf:  # it was ended already, and does not read
                self.abort()
            self._end()

    def drain(self) -> None:
        """End the connection as soon as what it asked is answered."""
        if not self._is_busy and self._reading is None and not self._ahead:
            self._end()

    def cut_short(self) -> None:
        """End the connection unless something is being answered, and what has not arrived by now with it."""
        self._reading = None
        if self._is_busy or self._ahead:
            self._is_deaf = True
        else:
            self.abort()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _submit(self, request: Request) -> None:
        if self._is_busy or self._is_choked or self._ahead:
            self._ahead.append(request)
            if not self._is_paused and self._transport is not None:
                self._is_paused = True
                self._transport.pause_reading()
            return
        self._handle(request)

    def _handle(self, request: Request) -> None:
        self._is_busy = True
        try:
            self._app.handle(request)
        except Exception:  # noqa: BLE001 - a request that cannot even be refused must not hold its connection
            _log.exception("A request could not be handled; its connection is ended.")
            self._is_busy = False
            self._ahead.clear()
            self.abort()

    def _next(self) -> None:
        """Take what was sent ahead, until the app needs time for an answer."""
        while self._ahead and not (self._is_busy or self._is_choked):
            self._handle(self._ahead.popleft())
        if self._is_paused and not self._ahead and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def _cut(self, request: Request) -> None:
        """Answer without the rest of the body, after which the connection cannot be used."""
        request.is_cut = request.is_last = True
        self._reading = None
        self._is_deaf = True
        self._submit(request)

    def _check_head(self, n_bytes: int) -> None:
        if n_bytes > MAX_HEAD_BYTES:
            self._refuse(431, f"The request's head has more than {MAX_HEAD_BYTES} bytes. Send shorter headers.")

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request, and end; behind requests that are still being answered, just end after them."""
        self._is_deaf = True
        self._reading = None
        if self._is_busy or self._ahead:
            return
        self._write_text(status, message.encode())
        self._linger()

    def _write_text(self, status: int, text: bytes) -> None:
        self._write(
            b"%btext/plain; charset=utf-8\r\ncontent-length: %d%b\r\n\r\n%b" % (_HEADS[status], len(text), _CLOSE, text)
        )

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _linger(self) -> None:
        """End the connection so that a client which is still sending can read why."""
        transport = self._transport
        if transport is None:
            return
        self._is_deaf = True
        self._ahead.clear()
        if transport.can_write_eof():
            transport.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, self._end)

    def _end(self) -> None:
        self._is_deaf = True
        self._ahead.clear()
        if self._transport is not None:
            self._transport.close()  # after what is written has been sent


class Server:
    """Serves an app on a listening socket until it is drained.

    Parameters
    ----------
    app : App
        What answers.
    limits : Limits
        What a client may take.
    """

    def __init__(self, app: App, *, limits: Limits | None = None) -> None:
        self._app = app
        self._connections = Connections(limits or Limits())
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, listener: socket.socket) -> None:
        """Take connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self._app, self._connections), sock=listener, backlog=2048
        )
        self._sweep()

    async def drain(self) -> None:
        """Take no more connections, and return when every request that came is answered."""
        if self._server is not None:
            self._server.close()
        await self._connections.drain()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        self._connections.sweep()
        self._sweeper = asyncio.get_running_loop().call_later(self._connections.limits.silent_s / 15, self._sweep)


def _path(url: bytes) -> str:
    """Return the decoded path of a request's target."""
    if url.startswith(b"/") and b"%" not in url and b"?" not in url:
        return url.decode("latin-1")
    with contextlib.suppress(httptools.HttpParserInvalidURLError):
        url = httptools.parse_url(url).path or b"/"
    return unquote(url.decode("latin-1"))
