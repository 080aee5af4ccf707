"""A gateway for tests: a child of the real supervisor that answers with what it was sent.

``/status/418`` answers with that status, ``/die`` ends the process over the request, ``/large/N`` answers with N bytes.
It demands the workspace's token, as the real gateway does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import uuid
from pathlib import Path

import sqlalchemy as sa

from dwcp_jupyter import clock, store
from dwcp_jupyter.serving.tokens import ensure_token, read_token
from dwcp_jupyter.store import schema
from dwcp_jupyter.supervisor.child import Channel


def deploy_echo(stores: store.Stores, name: str, *, lifetime: str = "server", description: dict | None = None) -> None:
    """Write the row of an endpoint whose gateway is this file."""
    argv = [sys.executable, __file__, str(stores.root)]
    spec = {
        "endpoint": {"name": name, **(description or {})},
        "processes": [{"key": "gateway", "argv": argv, "env": {}, "count": 1, "listens": True}],
    }
    now = clock.to_text(clock.utc_now())
    row = {
        "id": uuid.uuid4().hex,
        "name": name,
        "model_id": "m",
        "version_id": "v",
        "lifetime": lifetime,
        "owner": None,
        "owner_pid": None,
        "status": "starting",
        "spec": schema.dump(spec),
        "created_at": now,
        "updated_at": now,
    }
    with stores.metadata.transaction() as transaction:
        transaction.execute(sa.insert(schema.endpoints).values(row))
        transaction.record("endpoint.deployed", f"endpoint:{name}", lifetime=lifetime)
    ensure_token(stores.root)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: str) -> None:
    while head := await _head(reader):
        method, target, headers = head
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if target == "/v2/die":
            os._exit(9)
        status, answer = 200, _describe(method, target, headers, body)
        if headers.get("authorization") != f"Bearer {token}":
            status, answer = 401, b"{}"
        elif target.startswith("/v2/status/"):
            status = int(target.rpartition("/")[2])
        elif target.startswith("/v2/large/"):
            answer = b"x" * int(target.rpartition("/")[2])
        extra = "X-Echo: yes\r\nSet-Cookie: stolen=1\r\nKeep-Alive: timeout=5\r\n"
        content_type = "text/plain" if target == "/dwcp/metrics" else "application/json"
        start = (
            f"HTTP/1.1 {status} Told\r\nContent-Type: {content_type}\r\nContent-Length: {len(answer)}\r\n{extra}\r\n"
        )
        writer.write(start.encode() + answer)
        await writer.drain()
    writer.close()


async def _head(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = lines[0].split(" ")
    pairs = (line.split(": ", 1) for line in lines[1:] if line)
    return method, target, {name.lower(): value for name, value in pairs}


def _describe(method: str, target: str, headers: dict[str, str], body: bytes) -> bytes:
    record = {"method": method, "target": target, "headers": headers, "body": body[:1000].decode(), "size": len(body)}
    return json.dumps({**record, "pid": os.getpid()}).encode()


async def _serve(root: Path) -> None:
    loop, channel, ended = asyncio.get_running_loop(), Channel.from_environ(), asyncio.Event()
    token = read_token(root)
    channel.listen(
        on_state=channel.applied,
        on_ask=lambda _message: {},
        on_drain=ended.set,
        on_lost=lambda: None,
        call=loop.call_soon_threadsafe,
    )

    def beat() -> None:
        channel.beat()
        loop.call_later(0.5, beat)

    beat()
    listener = socket.socket(fileno=channel.listen_fd)
    await asyncio.start_server(lambda reader, writer: _answer(reader, writer, token), sock=listener)
    channel.ready()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
