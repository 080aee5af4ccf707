"""A child of the supervisor, as tests need it: ``worker.py gateway`` (asyncio) or ``worker.py replica`` (threads).

A gateway reads one line per connection and answers with one JSON line; ``call NAME`` goes through a replica of the
endpoint, ``wait PATH`` is answered once that file exists.
"""

import asyncio
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from dwcp_jupyter.supervisor.child import Channel


def answer_question(channel: Channel, message: dict) -> dict:
    if message.get("hang"):
        time.sleep(3600)
    if message.get("raise"):
        raise ValueError(message["raise"])
    if message.get("spawn"):
        return {"pid": subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"]).pid}
    return {"pid": os.getpid(), "env": os.environ.get("COLOUR"), "index": channel.index}


class Gateway:
    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.routes: dict[str, list[str]] = {}
        self.active: set[asyncio.Task] = set()
        self.sequence = 0
        self.drained = asyncio.Event()

    def apply(self, _sequence: int | None = None) -> None:
        state = self.channel.read_state()
        self.sequence = state.sequence
        self.routes = {
            item["name"]: [process.socket for process in state.ready(item.get("replicas", ""))]
            for item in state.endpoints
        }
        refused = {item["name"]: item["refuse"] for item in state.endpoints if "refuse" in item}
        self.channel.applied(state.sequence, failed=refused)

    async def answer(self, request: list[str]) -> dict:
        if request[0] == "call":
            reader, writer = await asyncio.open_unix_connection(self.routes[request[1]][0])
            found = json.loads(await reader.readline())
            writer.close()
            return found
        if request[0] == "wait":
            await asyncio.to_thread(wait_for, Path(request[1]))
        return {"pid": os.getpid(), "sequence": self.sequence, "endpoints": sorted(self.routes)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.active.add(asyncio.current_task())
        request = (await reader.readline()).decode().split()
        if request:
            writer.write(json.dumps(await self.answer(request)).encode() + b"\n")
        writer.close()
        self.active.discard(asyncio.current_task())

    def ask(self, message: dict):
        if message.get("later"):
            return self.answer_later(message["later"])
        return answer_question(self.channel, message)

    async def answer_later(self, value: int) -> dict:
        await asyncio.sleep(0)
        return {"later": value}

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self.apply()  # before the first connection is accepted: it may be waiting already
        server = await asyncio.start_server(self.serve, sock=socket.socket(fileno=self.channel.listen_fd))
        self.channel.listen(
            on_state=self.apply, on_ask=self.ask, on_drain=self.drained.set, call=loop.call_soon_threadsafe
        )
        self.channel.ready()
        while not self.drained.is_set():
            self.channel.beat()
            try:
                await asyncio.wait_for(self.drained.wait(), 0.2)
            except TimeoutError:
                continue
        server.close()
        await asyncio.sleep(0.1)  # connections accepted just before become tasks a few turns of the loop later
        if self.active:
            await asyncio.wait(self.active)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


def replica(channel: Channel, marks: Path) -> None:
    inbox: queue.Queue = queue.Queue()
    drained = threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(channel.socket_path)
    listener.listen(100)
    (channel.scratch_dir() / "package").write_text("half of a model")

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(json.dumps({"pid": os.getpid(), "key": channel.key}).encode() + b"\n")

    threading.Thread(target=serve, daemon=True).start()
    channel.listen(
        on_ask=partial(answer_question, channel),
        on_drain=drained.set,
        on_lost=(marks / f"lost-{os.getpid()}").touch,
        call=inbox.put,
    )
    channel.ready()
    while not drained.is_set():
        channel.beat()
        try:
            inbox.get(timeout=0.2)()
        except queue.Empty:
            continue
    (marks / f"drained-{os.getpid()}").touch()


def main() -> None:
    kind, *rest = sys.argv[1:]
    if kind == "crash":
        print("loading the model", flush=True)
        raise SystemExit("no such column: 'amount'")
    channel = Channel.from_environ()
    if kind == "refuse":
        channel.failed("The model is damaged.")
        raise SystemExit(1)
    if kind == "never":
        channel.listen()
        threading.Event().wait()
    if kind == "gateway":
        asyncio.run(Gateway(channel).run())
    else:
        replica(channel, Path(rest[0]))


if __name__ == "__main__":
    main()
