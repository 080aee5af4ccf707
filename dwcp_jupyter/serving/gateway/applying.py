"""Turns the state file into routes.

One state at a time is applied; the table of routes is exchanged in one step, so a request sees the former endpoint or
the new one. What was replaced goes on until the last of its requests is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.serving.batching import Queue
from dwcp_jupyter.serving.encoding import RowCodec, codec_for
from dwcp_jupyter.serving.endpoints import CompiledModel, EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.gateway.compiled import CompiledRunner, OnnxModel
from dwcp_jupyter.serving.gateway.delivery import Delivery
from dwcp_jupyter.serving.gateway.replicas import ReplicaRunner
from dwcp_jupyter.serving.gateway.routes import Route, RouteTable, Runner, new_recorder
from dwcp_jupyter.serving.prediction_log import PredictionLog
from dwcp_jupyter.serving.protocols.frames import records_frame
from dwcp_jupyter.serving.wire import Hello
from dwcp_jupyter.store import ArtifactStore
from dwcp_jupyter.supervisor.state import State

__all__ = ["Applier"]

_log = logging.getLogger("dwcp.gateway")
_IDLE_LOOK_S = 0.05


class Applier:
    """Keeps a gateway's routes as the newest state says. Lives on the event loop.

    Parameters
    ----------
    root : Path
        The workspace folder.
    publish : callable
        Puts a table of routes in force.
    executor : Executor
        For what would block the loop: loading models, waiting for the disk.
    """

    def __init__(self, *, root: Path, publish: Callable[[RouteTable], None], executor: Executor) -> None:
        self.table = RouteTable()
        self._root = root
        self._publish = publish
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._lock = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def apply(self, state: State) -> dict[str, str]:
        """Put `state` in force; return the endpoints that cannot work here, with the reason."""
        async with self._lock:
            failed: dict[str, str] = {}
            routes = []
            for record in state.endpoints:
                route = await self._route(record, failed)
                if route is not None:
                    routes.append(route)
            former, self.table = self.table, RouteTable(routes)
            await asyncio.gather(
                *(route.runner.update(state.ready(route.description.replicas)) for route in routes if _is_native(route))
            )
            for route in routes:
                name, processes = route.description.name, state.ready(route.description.replicas)
                if processes and not route.runner.ready_replicas and _is_native(route):
                    failed.setdefault(name, "its replicas run, but the gateway cannot connect to them; see its log.")
            self._publish(self.table)
            for route in former.routes:
                if route not in routes:
                    self._retire(route)
            return failed

    async def close(self) -> None:
        """Finish every route: what is on its way is answered, and the logs are written."""
        for route in self.table.routes:
            self._retire(route)
        self.table = RouteTable()
        await asyncio.gather(*self._retiring)

    def flush(self) -> None:
        """Write the predictions that are still in memory, for a reader who asks."""
        for route in self.table.routes:
            if route.writer is not None:
                route.writer.flush()

    def write_out(self) -> None:
        """Write the logs now; for the channel's thread, when the process is about to end."""
        for route in self.table.routes:
            if route.writer is not None:
                route.writer.close()

    async def _route(self, record: Mapping[str, Any], failed: dict[str, str]) -> Route | None:
        name = str(record["name"])
        current = self.table.find(name)
        try:
            description = EndpointDescription.from_json(record)
            if current is not None and current.description == description:
                return current
            return await self._new_route(description, current)
        except DwcpError as exc:
            failed[name] = str(exc)
        except Exception as exc:  # noqa: BLE001 - one endpoint that cannot be read must not cost the others
            _log.exception("endpoint %s cannot be served", name)
            failed[name] = f"{type(exc).__name__}: {exc}"
        return current  # an update that fails leaves the former generation at work

    async def _new_route(self, description: EndpointDescription, current: Route | None) -> Route:
        codec = codec_for(description.signature)
        writer = None
        if description.config.log_predictions:
            log = PredictionLog(self._root, description.model_id, description.version)
            writer = log.writer(codec, endpoint=description.name, on_gap=lambda gap: _log.warning("log: %s", gap))
        delivery = Delivery(
            self._loop,
            writer=writer,
            is_synced=description.config.log_durability == "sync",
            executor=self._executor,
        )
        is_same = current is not None and current.description.id == description.id
        return Route(
            description=description,
            codec=codec,
            runner=await self._runner(description, codec, delivery),
            recorder=current.recorder if current is not None and is_same else new_recorder(),
            writer=writer,
            facts=description.facts,
            loop=self._loop,
        )

    async def _runner(self, description: EndpointDescription, codec: RowCodec, delivery: Delivery) -> Runner:
        config = description.config
        queue = Queue(limit=config.max_queue, endpoint=description.name)
        if description.compiled is None:
            return ReplicaRunner(
                codec=codec,
                queue=queue,
                delivery=delivery,
                identity=Hello(
                    endpoint_id=description.id, generation=description.generation, sha256=description.sha256, pid=0
                ),
                max_rows=config.max_batch_rows,
                timeout_s=config.timeout_s,
            )
        model = await self._loop.run_in_executor(self._executor, _load, description, description.compiled, codec)
        return CompiledRunner(
            model, codec=codec, queue=queue, delivery=delivery, executor=self._executor, max_rows=config.max_batch_rows
        )

    def _retire(self, route: Route) -> None:
        task = self._loop.create_task(_finish(route))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


def _load(description: EndpointDescription, compiled: CompiledModel, codec: RowCodec) -> OnnxModel:
    """Read, check and warm the compiled model; in a thread."""
    onnx = ArtifactStore(description.artifacts).read(compiled.sha256)
    model = OnnxModel(onnx, layout=compiled.layout, codec=codec)
    if description.example:
        model.run(codec.from_frame(records_frame(description.example, description.signature)))
    return model


def _is_native(route: Route) -> bool:
    return route.description.mode is ExecutionMode.NATIVE


async def _finish(route: Route) -> None:
    """Close a route once nothing is on its way; requests that are still being parsed count too."""
    while route.on_their_way or not route.runner.is_idle:  # noqa: ASYNC110 - of several counters, once per update
        await asyncio.sleep(_IDLE_LOOK_S)
    await route.close()
