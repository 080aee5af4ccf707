"""The gateway's side of the talk with replicas, whatever the replica or the rows are like."""

from __future__ import annotations

import asyncio
import contextlib
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter.exceptions import SignatureError
from dwcp_jupyter.flavors import Column, ColumnType, Signature
from dwcp_jupyter.serving.batching import BatchResult, Item, Queue
from dwcp_jupyter.serving.encoding import codec_for
from dwcp_jupyter.serving.gateway import replicas
from dwcp_jupyter.serving.gateway.delivery import Delivery
from dwcp_jupyter.serving.wire import Frames, Hello, Kind, frame, pack_result
from dwcp_jupyter.supervisor.state import ProcessState, ProcessStatus

HELLO = Hello(endpoint_id="e", generation=1, sha256="0" * 64, pid=1)
SIGNATURE = Signature(inputs=(Column(name="x", type=ColumnType.OBJECT, dtype="object"),))
CODEC = codec_for(SIGNATURE)


async def answering(reader, writer):
    """Answer each batch with as many zeros, as a replica does."""
    frames = Frames()
    writer.write(frame(Kind.HELLO, 0, msgspec.msgpack.encode(HELLO)))
    while data := await reader.read(65536):
        for _, number, body in frames.feed(data):
            result = BatchResult(np.zeros(len(CODEC.from_wire(body))), None)
            writer.write(frame(Kind.RESULT, number, pack_result(result)))
    writer.close()


@contextlib.asynccontextmanager
async def running(tmp_path, replica):
    path = str(tmp_path / "r.sock")
    server = await asyncio.start_unix_server(replica, path)
    executor = ThreadPoolExecutor(1)
    loop = asyncio.get_running_loop()
    runner = replicas.ReplicaRunner(
        codec=CODEC,
        queue=Queue(limit=100, endpoint="e"),
        delivery=Delivery(loop, writer=None, is_synced=False, executor=executor),
        identity=HELLO,
        max_rows=64,
        timeout_s=10,
    )
    await runner.update([ProcessState(key="r", index=0, generation=1, pid=1, status=ProcessStatus.READY, socket=path)])
    try:
        yield runner
    finally:
        await runner.close()
        server.close()
        executor.shutdown()


def asked(runner, value):
    payload = CODEC.from_frame(pd.DataFrame({"x": pd.Series([value], dtype=object)}))
    future, now = asyncio.get_running_loop().create_future(), time.monotonic()
    runner.submit(Item(payload, 1, future, request_id="r", arrived=now, time_s=time.time(), deadline=now + 10))
    return future


def test_a_row_that_cannot_be_sent_fails_alone_and_the_replica_goes_on(tmp_path):
    async def scenario():
        async with running(tmp_path, answering) as runner:
            first, wrong, last = asked(runner, {"a": 1}), asked(runner, {"a": 2**70}), asked(runner, "text")
            assert (await first).predictions == (await last).predictions == [0.0]
            with pytest.raises(SignatureError, match="beyond 64 bits"):
                await wrong
            assert (await asked(runner, [1, 2])).predictions == [0.0]

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_replica_that_says_nothing_is_let_go_and_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(replicas, "_CONNECT_TIMEOUT_S", 0.2)
    came, gone = [], []

    async def silent(reader, writer):
        came.append(writer)
        if len(came) == 3:
            await answering(reader, writer)
            return
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        gone.append(writer)
        writer.close()

    async def scenario():
        async with running(tmp_path, silent) as runner:
            assert (await asked(runner, 1)).predictions == [0.0]
            assert len(gone) == 2

    asyncio.run(asyncio.wait_for(scenario(), 30))
