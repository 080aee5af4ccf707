"""A small HTTP/1.1 client for the workspace's own gateway, on the server's event loop.

Tornado's client opens a connection per request; this one keeps a few open and parses with httptools, which makes
forwarding cost a fraction. It knows one peer, on loopback, which answers with whole bodies. There is no time-out of its
own on an answer: the gateway ends each request within its endpoint's time, and a gateway that hangs is killed by the
supervisor, which ends the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import httptools

from dwcp_jupyter.server.statuses import GatewayDownError

__all__ = ["GatewayClient", "Response"]

_MOST_IDLE = 32
_CONNECT_TIMEOUT_S = 5.0
_LONGEST_BODY_BYTES = 256 << 20

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The gateway's answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class _ConnectionLostError(Exception):
    """The stream ended before the answer was whole.

    Attributes
    ----------
    is_untouched : bool
        Whether not a byte of an answer had come.
    """

    def __init__(self, *, is_untouched: bool) -> None:
        super().__init__()
        self.is_untouched = is_untouched


class GatewayClient:
    """Connections to one gateway address; used from one event loop. `close` ends them."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._idle: deque[_Connection] = deque(maxlen=_MOST_IDLE)

    async def request(self, method: str, target: str, *, headers: Headers, body: bytes) -> Response:
        """Return the answer to one request.

        Raises
        ------
        GatewayDownError
            If nobody listens, or the gateway ended over the request.
        """
        message = _message(method, target, [("Host", f"{self.host}:{self.port}"), *headers], body)
        while (idle := self._take()) is not None:
            try:
                return await self._exchange(idle, message)
            except _ConnectionLostError as exc:
                if (
                    not exc.is_untouched
                ):  # else it was most likely closed while it lay idle; predicting twice does no harm
                    raise _died() from exc
        try:
            return await self._exchange(await self._connect(), message)
        except _ConnectionLostError as exc:
            raise _died() from exc

    def close(self) -> None:
        """End all idle connections."""
        while self._idle:
            self._idle.pop().end()

    def _take(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(_Connection, self.host, self.port)
        except OSError as exc:  # TimeoutError is one
            raise GatewayDownError(
                f"The workspace's gateway at {self.host}:{self.port} takes no connections: {exc}. It is being started "
                "again if it died; `%endpoints` shows how it is doing."
            ) from exc
        return connection

    async def _exchange(self, connection: _Connection, message: bytes) -> Response:
        try:
            response = await connection.exchange(message)
        except BaseException:  # a caller that went away too: what is on its way must not meet the next request
            connection.end()
            raise
        if connection.is_open and connection.may_be_reused:
            self._idle.append(connection)
        else:
            connection.end()
        return response


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.may_be_reused = True
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: list[tuple[str, str]] = []
        self._chunks: list[bytes] = []
        self._size = 0
        self._is_touched = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def exchange(self, message: bytes) -> Response:
        if self._transport is None or self._transport.is_closing():
            raise _ConnectionLostError(is_untouched=True)
        self._answer = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._chunks, self._size, self._is_touched = [], [], 0, False
        self._transport.write(message)
        return await self._answer

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._answer is None or self._answer.done():
            self.end()  # nobody asked
            return
        self._is_touched = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(
                GatewayDownError(
                    "What listens on the gateway's port does not speak HTTP. Restart the kernel's Jupyter server."
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._fail(_ConnectionLostError(is_untouched=not self._is_touched))

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.end()

    # -- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._size += len(body)
        if self._size > _LONGEST_BODY_BYTES:
            self._fail(
                GatewayDownError(f"The answer has more than {_LONGEST_BODY_BYTES} bytes. Send fewer rows at once.")
            )

    def on_message_complete(self) -> None:
        parser, answer = self._parser, self._answer
        if parser is None or answer is None or answer.done():
            return
        status = parser.get_status_code()
        if status < 200:  # an interim answer; the real one follows
            self._headers, self._chunks = [], []
            return
        self.may_be_reused = parser.should_keep_alive()
        answer.set_result(Response(status=status, headers=self._headers, body=b"".join(self._chunks)))


def _message(method: str, target: str, headers: Headers, body: bytes) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        *(f"{name}: {value}" for name, value in headers),
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def _died() -> GatewayDownError:
    return GatewayDownError("The workspace's gateway ended over this request. It is being started again: repeat it.")
