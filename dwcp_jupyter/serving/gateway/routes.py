"""An endpoint as one gateway serves it, and the table that finds it by path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dwcp_jupyter.exceptions import EndpointNotFoundError, did_you_mean
from dwcp_jupyter.serving.batching import Item
from dwcp_jupyter.serving.encoding import RowCodec
from dwcp_jupyter.serving.endpoints import EndpointDescription
from dwcp_jupyter.serving.log_writer import LogWriter
from dwcp_jupyter.serving.metrics import Recorder, Snapshot
from dwcp_jupyter.supervisor.state import ProcessState

__all__ = ["INVOCATIONS", "V2", "Route", "RouteTable", "Runner", "new_recorder"]

V2, INVOCATIONS = 1, 2


class Runner(Protocol):
    """Runs items through a model; lives on the event loop."""

    @property
    def queued(self) -> int:
        """Requests that wait."""

    @property
    def ready_replicas(self) -> int:
        """Replicas that take requests now, as this process sees it."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""

    def submit(self, item: Item) -> None:
        """Take `item`; raises QueueFullError."""

    async def update(self, processes: Sequence[ProcessState]) -> None:
        """Use these replica processes from now on."""

    async def close(self) -> None:
        """Let go of everything."""


@dataclass(slots=True, kw_only=True, eq=False)
class Route:
    """One generation of an endpoint.

    Attributes
    ----------
    on_their_way : int
        Requests that came to this generation and are not answered yet.
    """

    description: EndpointDescription
    codec: RowCodec
    runner: Runner
    recorder: Recorder
    writer: LogWriter | None
    facts: Mapping[str, str]
    loop: asyncio.AbstractEventLoop
    on_their_way: int = 0

    def snapshot(self) -> Snapshot:
        """Return the endpoint's figures in this process."""
        return self.recorder.snapshot(queued=self.runner.queued)

    async def close(self) -> None:
        """Let go of replicas and log; nothing may be on its way."""
        await self.runner.close()
        if self.writer is not None:
            self.writer.close()


class RouteTable:
    """All routes; replaced as a whole, never changed."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes = tuple(routes)
        self._by_name = {route.description.name: route for route in self.routes}
        self._by_id = {route.description.id: route for route in self.routes}
        self.posts: dict[str, tuple[Route, int]] = {}
        """Path → route and protocol: the one look-up of a prediction."""
        for key, route in (*self._by_id.items(), *self._by_name.items()):
            version = route.description.version
            self.posts[f"/invocations/{key}"] = (route, INVOCATIONS)
            self.posts[f"/v2/models/{key}/infer"] = (route, V2)
            self.posts[f"/v2/models/{key}/versions/{version}/infer"] = (route, V2)

    def get(self, name: str, version: str | None = None) -> Route:
        """Return the route of an endpoint's name or id.

        Raises
        ------
        EndpointNotFoundError
            With the name that was probably meant.
        """
        route = self._by_name.get(name) or self._by_id.get(name)
        if route is None:
            listed = ", ".join(f"'{known}'" for known in sorted(self._by_name)[:10]) or "none"
            raise EndpointNotFoundError(
                f"No endpoint '{name}' in this workspace.{did_you_mean(name, self._by_name)} Endpoints: {listed}."
            )
        served = route.description.version
        if version is not None and version.removeprefix("v") != served:
            raise EndpointNotFoundError(
                f"The endpoint '{name}' serves version '{served}', not '{version}'. Leave the version out, or "
                "deploy that one."
            )
        return route

    def find(self, name: str) -> Route | None:
        """Return the route of an endpoint's name, or None."""
        return self._by_name.get(name)


def new_recorder() -> Recorder:
    """Return an empty recorder on the monotonic clock."""
    return Recorder(time.monotonic)
