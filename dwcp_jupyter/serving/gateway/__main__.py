"""``python -m dwcp_jupyter.serving.gateway --root FOLDER``, started by the supervisor."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop

from dwcp_jupyter.serving.gateway.access_log import AccessLog
from dwcp_jupyter.serving.gateway.app import Gateway
from dwcp_jupyter.serving.gateway.applying import Applier
from dwcp_jupyter.serving.gateway.http1 import Server
from dwcp_jupyter.serving.gateway.pages import Pages
from dwcp_jupyter.serving.gateway.siblings import Siblings
from dwcp_jupyter.serving.tokens import read_token
from dwcp_jupyter.supervisor.child import BEAT_INTERVAL_S, Channel

__all__ = ["main"]

_THREADS = 4
_PARSERS = 2
_COLLECT_AFTER = (50_000, 20, 20)
"""Objects between collections: requests make many and no cycles; by default collecting takes a fifth of their time."""
_SWITCH_INTERVAL_S = 0.0005
"""How long a thread that writes logs may keep the interpreter while a request waits for it."""


def main(argv: Sequence[str] | None = None) -> None:
    """Serve until the supervisor says to drain, or is gone."""
    parser = argparse.ArgumentParser(prog="python -m dwcp_jupyter.serving.gateway", description=main.__doc__)
    parser.add_argument("--root", type=Path, required=True, help="The workspace folder.")
    arguments = parser.parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    channel = Channel.from_environ()
    uvloop.run(_serve(arguments.root, channel))


async def _serve(root: Path, channel: Channel) -> None:
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="dwcp-gateway")
    siblings = Siblings(channel.runtime_dir, channel.index)
    parsers = ThreadPoolExecutor(_PARSERS, thread_name_prefix="dwcp-parser")
    process = _Process(root, channel, executor, parsers, siblings)
    if channel.listen_fd is None:
        channel.failed("The gateway got no listening socket from the supervisor.")
        return
    listener = socket.socket(fileno=channel.listen_fd)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted sockets inherit it
    server, is_over = Server(process.gateway), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, is_over.set)
    channel.listen(
        on_state=process.on_state,
        on_ask=process.on_ask,
        on_drain=is_over.set,
        on_lost=process.write_out,
        call=loop.call_soon_threadsafe,
    )
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    await process.apply_first()  # connections wait in the listening socket meanwhile, and are not answered 404
    await server.start(listener)
    process.beat()
    channel.ready()
    await is_over.wait()
    await server.drain()
    await process.close()
    executor.shutdown(wait=False, cancel_futures=True)
    parsers.shutdown(wait=False, cancel_futures=True)


class _Process:
    """What the supervisor's messages do to a gateway."""

    def __init__(self, root: Path, channel: Channel, executor: Executor, parsers: Executor, siblings: Siblings) -> None:
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._siblings = siblings
        self._is_applied = False
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._access_log = AccessLog(root / "logs" / "access.log")
        pages = Pages(siblings=siblings.read, is_ready=lambda: self._is_applied)
        self.gateway = Gateway(
            root=root, token=read_token(root), pages=pages, access_log=self._access_log, parsers=parsers
        )
        self._applier = Applier(root=root, publish=self._publish, executor=executor)
        self._beats = 0

    def _publish(self, table: Any) -> None:
        self.gateway.table = table

    def on_state(self, sequence: int) -> None:
        """Apply the newest state, which is this one or a later one."""
        task = self._loop.create_task(self._apply(sequence))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def apply_first(self) -> None:
        """Apply the state as it is found; the supervisor sends it again once this process is ready."""
        await self._applier.apply(self._channel.read_state())
        self._is_applied = True

    async def _apply(self, sequence: int) -> None:
        self.gateway.renew_token()
        state = self._channel.read_state()
        failed = await self._applier.apply(state)
        self._channel.applied(max(sequence, state.sequence), failed)

    def on_ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Answer a question of `ModelServer`."""
        if message.get("op") == "metrics":
            return {
                route.description.id: {
                    "snapshot": route.snapshot().to_json(),
                    "ready_replicas": route.runner.ready_replicas,
                    "mode": str(route.description.mode),
                }
                for route in self._applier.table.routes
            }
        if message.get("op") == "flush":
            self._applier.flush()
            return {"flushed": True}
        return {"error": f"A gateway does not know the question '{message.get('op')}'."}

    def beat(self) -> None:
        """Tell the supervisor, from the loop itself, that the loop turns; leave the figures now and then."""
        if self._is_closed:
            return
        self._channel.beat()
        self._beats += 1
        if self._beats % 2 == 0:
            self._siblings.leave(self._applier.table)
        self._loop.call_later(BEAT_INTERVAL_S, self.beat)

    def write_out(self) -> None:
        """Write the logs; the supervisor is gone, and this process ends now."""
        self._applier.write_out()
        self._access_log.flush()
        self._siblings.remove()

    async def close(self) -> None:
        """Finish what is on its way and write the logs."""
        await self._applier.close()
        self._is_closed = True
        self._access_log.flush()
        self._siblings.remove()


if __name__ == "__main__":
    main()
