from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dwcp_jupyter.server import gateway_client
from dwcp_jupyter.server.gateway_client import GatewayClient
from dwcp_jupyter.server.statuses import GatewayDownError

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-One: 1\r\n\r\nhi"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Peer:
    """A real server on loopback that answers each request with the next of `answers`; None ends the connection."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def __aenter__(self) -> GatewayClient:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.client = GatewayClient("127.0.0.1", self._server.sockets[0].getsockname()[1])
        return self.client

    async def __aexit__(self, *_error: Any) -> None:
        self.client.close()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            self.requests.append(head + await reader.readexactly(length))
            answer = self.answers.pop(0)
            if answer is None:
                writer.transport.abort()
                return
            writer.write(answer)
            if b"Connection: close" in answer:
                writer.close()
                return


async def get(client: GatewayClient) -> gateway_client.Response:
    return await client.request("GET", "/x", headers=[("A", "b")], body=b"")


async def test_connections_are_kept_and_used_again() -> None:
    peer = Peer(OK, OK, OK)
    async with peer as client:
        answers = [await get(client) for _ in range(3)]
    assert peer.connections == 1
    assert [(item.status, item.body, item.headers) for item in answers] == [
        (200, b"hi", [("Content-Length", "2"), ("X-One", "1")])
    ] * 3


async def test_a_request_is_sent_whole() -> None:
    peer = Peer(OK)
    async with peer as client:
        await client.request("POST", "/v2/a%2Fb?x=1", headers=[("Content-Type", "application/json")], body=b"{}")
        port = client.port
    assert peer.requests == [
        f"POST /v2/a%2Fb?x=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Content-Length: 2\r\n\r\n{}".encode()
    ]


async def test_simultaneous_requests_take_connections_of_their_own() -> None:
    peer = Peer(*[OK] * 8)
    async with peer as client:
        answers = await asyncio.gather(*(get(client) for _ in range(8)))
    assert {item.body for item in answers} == {b"hi"}
    assert peer.connections == 8


async def test_chunked_interim_and_closing_answers_are_understood() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" + OK
    closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbye"
    peer = Peer(chunked, interim, closing, OK)
    async with peer as client:
        assert [(await get(client)).body for _ in range(4)] == [b"abcde", b"hi", b"bye", b"hi"]
    assert peer.connections == 2


async def test_a_connection_that_was_closed_while_idle_is_replaced_unseen() -> None:
    peer = Peer(OK, None, OK)
    async with peer as client:
        await get(client)
        assert (await get(client)).body == b"hi"


async def test_a_gateway_that_dies_over_a_fresh_request_is_told() -> None:
    async with Peer(None) as client:
        with pytest.raises(GatewayDownError, match="ended over this request"):
            await get(client)


async def test_half_an_answer_is_no_answer() -> None:
    async with Peer(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf") as client:
        with pytest.raises(GatewayDownError):
            await get(client)


async def test_what_is_not_http_is_refused() -> None:
    async with Peer(b"SSH-2.0-OpenSSH_9.2\r\n") as client:
        with pytest.raises(GatewayDownError, match="does not speak HTTP"):
            await get(client)


async def test_nobody_listening_is_told() -> None:
    async with Peer() as client:
        pass
    with pytest.raises(GatewayDownError, match="takes no connections"):
        await get(client)


async def test_an_answer_beyond_the_limit_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_client, "_LONGEST_BODY_BYTES", 1)
    async with Peer(OK) as client:
        with pytest.raises(GatewayDownError, match="more than 1 bytes"):
            await get(client)


async def test_a_caller_that_goes_away_does_not_leave_its_answer_to_the_next_one() -> None:
    arrived = asyncio.Event()

    class Slow(Peer):
        async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.connections == 0:
                self.connections += 1
                await reader.readuntil(b"\r\n\r\n")
                arrived.set()
                await reader.read()
                return
            await super()._serve(reader, writer)

    peer = Slow(OK)
    async with peer as client:
        first = asyncio.ensure_future(get(client))
        await arrived.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await get(client)).body == b"hi"
    assert peer.connections == 2
