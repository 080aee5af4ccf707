"""Sends batches to the processes that hold a model.

Each ready replica has one connection and works on one batch at a time; what arrives meanwhile waits, and goes together
to whichever is free first. When a replica dies, its batch goes once more to another: a prediction changes nothing, so
asking twice is safe. A replica that the supervisor drains gets no new batch and finishes its last one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from dwcp_jupyter.exceptions import PredictionError, SignatureError
from dwcp_jupyter.serving.batching import Item, Queue, Timekeeper, late
from dwcp_jupyter.serving.encoding import RowCodec
from dwcp_jupyter.serving.gateway.delivery import Delivery
from dwcp_jupyter.serving.protocols.errors import NotReadyError
from dwcp_jupyter.serving.wire import FrameError, Frames, Hello, Kind, ReplicaError, frame, unpack_result
from dwcp_jupyter.supervisor.state import ProcessState

__all__ = ["ReplicaRunner"]

_log = logging.getLogger("dwcp.gateway")
_CONNECT_TIMEOUT_S = 5.0
_RECONNECT_S = 0.2
MAX_ATTEMPTS = 2


class _Connection(asyncio.Protocol):
    """One replica, over its Unix socket."""

    def __init__(self, runner: ReplicaRunner, socket: str) -> None:
        self.socket = socket
        self.items: list[Item] = []
        self.payload: Any = None
        self.is_retired = False
        """It gets no new batch."""
        self.hello: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._runner = runner
        self._frames = Frames()
        self._transport: asyncio.WriteTransport | None = None
        self._number = 0

    @property
    def is_free(self) -> bool:
        return not self.items and not self.is_retired and self._transport is not None and self.hello.done()

    def send(self, items: list[Item], payload: Any, body: bytes) -> None:
        assert self._transport is not None
        data = frame(Kind.PREDICT, self._number + 1, body)  # first of all: it raises if there are too many rows
        self._number += 1
        self.items, self.payload = items, payload
        self._transport.write(data)

    def retire(self) -> None:
        """Close once nothing is on its way."""
        self.is_retired = True
        if not self.items:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's transports are none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            for kind, number, body in self._frames.feed(data):
                self._received(kind, number, body)
        except (FrameError, msgspec.MsgspecError, ValueError) as exc:
            _log.warning("the replica at %s sent what is no frame: %s", self.socket, exc)
            self.abort()

    def _received(self, kind: Kind, number: int, body: bytes) -> None:
        if kind is Kind.HELLO:
            if not self.hello.done():
                self.hello.set_result(msgspec.msgpack.decode(body, type=Hello))
            return
        if number != self._number or not self.items:
            raise FrameError(f"an answer to batch {number}, which nobody waits for")
        items, payload = self.items, self.payload
        self.items, self.payload = [], None
        if kind is Kind.RESULT:
            self._runner.finished(items, payload, unpack_result(body))
        else:
            self._runner.refused(items, msgspec.msgpack.decode(body, type=ReplicaError))
        if self.is_retired:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if not self.hello.done():
            self.hello.set_exception(exc or ConnectionResetError("The replica closed the connection."))
            self.hello.exception()  # seen: nobody may be waiting for it any more
        items, self.items = self.items, []
        self._runner.lost(self, items)


class ReplicaRunner:
    """Batches requests through the replicas of one endpoint, on the event loop."""

    def __init__(
        self, *, codec: RowCodec, queue: Queue, delivery: Delivery, identity: Hello, max_rows: int, timeout_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._codec = codec
        self._queue = queue
        self._delivery = delivery
        self._identity = identity
        self._max_rows = max_rows
        self._timekeeper = Timekeeper(self._loop, interval_s=min(0.25, timeout_s / 4), error=self._late)
        self._wanted: set[str] = set()
        self._connections: dict[str, _Connection] = {}
        self._retired: set[_Connection] = set()
        self._is_scheduled = False
        self._is_closed = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def queued(self) -> int:
        """Requests that wait for a free replica."""
        return len(self._queue)

    @property
    def ready_replicas(self) -> int:
        """Replicas that take batches."""
        return sum(not connection.is_retired and connection.hello.done() for connection in self._connections.values())

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._queue and not any(item.items for item in (*self._connections.values(), *self._retired))

    def submit(self, item: Item) -> None:
        """Take `item`.

        Raises
        ------
        QueueFullError
            If too many wait already.
        """
        self._queue.put(item)
        self._timekeeper.watch(item)
        self._schedule()

    async def update(self, processes: Sequence[ProcessState]) -> None:
        """Use exactly these processes; returns when all of them are connected, or could not be within 5 s."""
        self._wanted = {process.socket for process in processes}
        for socket, connection in list(self._connections.items()):
            if socket not in self._wanted:
                del self._connections[socket]
                self._retired.add(connection)
                connection.retire()
        new = [socket for socket in self._wanted if socket not in self._connections]
        await asyncio.gather(*(self._connect(socket) for socket in new))

    async def close(self) -> None:
        """Let go of all replicas; what waits is failed."""
        self._is_closed = True
        self._wanted = set()
        for item in self._queue.drain():
            item.fail(NotReadyError("The endpoint was removed while the request waited."))
        for connection in (*self._connections.values(), *self._retired):
            connection.retire()
        for task in list(self._tasks):
            task.cancel()

    # -- from the connections

    def finished(self, items: list[Item], payload: Any, result: Any) -> None:
        """Answer a batch; its replica is free."""
        self._delivery.deliver(items, payload, result)
        self._schedule()

    def refused(self, items: list[Item], error: ReplicaError) -> None:
        """Run a batch that failed again one by one, so that one request's rows do not fail its neighbours'."""
        if len(items) > 1:
            for item in items:
                item.is_alone = True
            self._queue.put_back([item for item in items if not item.future.done()])
        else:
            items[0].fail(_error_of(error))
        self._schedule()

    def lost(self, connection: _Connection, items: list[Item]) -> None:
        """Send the batch of a dead replica once more, and look for its successor."""
        self._retired.discard(connection)
        if self._connections.get(connection.socket) is connection:
            del self._connections[connection.socket]
            if connection.socket in self._wanted:
                self._start(self._reconnect(connection.socket))
        again = []
        for item in items:
            item.is_alone = item.is_alone or len(items) > 1  # one of them may be what the model dies of
            item.attempts += 1
            if item.attempts < MAX_ATTEMPTS:
                again.append(item)
            else:
                item.fail(
                    PredictionError(
                        "The replica died while it answered, and so did the one that was asked again. If the "
                        "model needs "
                        "more memory than there is, or crashes on these rows, the log in the workspace's logs/ "
                        "folder says so."
                    )
                )
        self._queue.put_back([item for item in again if not item.future.done()])
        self._schedule()

    # -- inside

    def _late(self, item: Item) -> Exception:
        if self.ready_replicas:
            return late(item)
        return NotReadyError(
            "No replica of the endpoint is running now; one is being started. Send the request again in a "
            "moment, or look at "
            "%endpoints and the workspace's logs/ folder."
        )

    def _schedule(self) -> None:
        if not self._is_scheduled and self._queue:
            self._is_scheduled = True
            self._loop.call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._is_scheduled = False
        for connection in self._connections.values():
            while connection.is_free:
                items = self._queue.take(self._max_rows)
                if not items:
                    return
                self._send(connection, items)

    def _send(self, connection: _Connection, items: list[Item]) -> None:
        """Send a batch; one that cannot be sent goes one by one, so that only what is at fault fails."""
        try:
            payload = self._codec.join([item.payload for item in items])
            connection.send(items, payload, self._codec.to_wire(payload))
        except Exception as exc:  # noqa: BLE001 - whoever waits must get an answer
            if len(items) == 1:
                items[0].fail(_unsendable(exc))
                return
            for item in items:
                item.is_alone = True
            self._queue.put_back([item for item in items if not item.future.done()])

    async def _connect(self, socket: str) -> None:
        connection = _Connection(self, socket)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await self._loop.create_unix_connection(lambda: connection, socket)
                hello = await connection.hello
        except (OSError, TimeoutError, msgspec.MsgspecError) as exc:
            connection.abort()
            _log.warning("no connection to the replica at %s: %s", socket, exc)
            if socket in self._wanted and not self._is_closed:
                self._start(self._reconnect(socket))
            return
        identity = self._identity
        if (hello.endpoint_id, hello.generation, hello.sha256) != (
            identity.endpoint_id,
            identity.generation,
            identity.sha256,
        ):
            _log.error("the process at %s holds another model than the endpoint's", socket)
            connection.abort()
            return
        if socket not in self._wanted or socket in self._connections:
            connection.abort()
            return
        self._connections[socket] = connection
        self._schedule()

    async def _reconnect(self, socket: str) -> None:
        await asyncio.sleep(_RECONNECT_S)
        if socket in self._wanted and socket not in self._connections:
            await self._connect(socket)

    def _start(self, work: Any) -> None:
        if self._is_closed:
            work.close()
            return
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _unsendable(exc: Exception) -> Exception:
    if isinstance(exc, OverflowError):
        return SignatureError(f"The rows hold a number beyond 64 bits: {exc}. Send it as a text, or as a float.")
    if not isinstance(exc, FrameError):
        _log.error("rows could not be sent to a replica", exc_info=exc)
    return PredictionError(f"The rows cannot be sent to the model: {exc}")


def _error_of(error: ReplicaError) -> Exception:
    if error.is_input:
        return SignatureError(error.message, columns=error.columns)
    return PredictionError(f"The model failed on input that fits its signature: {error.kind}: {error.message}")
