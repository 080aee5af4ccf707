"""Everything a gateway answers but predictions: health, metadata, metrics, OpenAPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import EndpointNotFoundError
from dwcp_jupyter.serving import openapi
from dwcp_jupyter.serving.endpoints import EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.gateway.exposition import exposition
from dwcp_jupyter.serving.gateway.routes import Route, RouteTable
from dwcp_jupyter.serving.metrics import EndpointMetrics, Snapshot
from dwcp_jupyter.serving.protocols import v2

__all__ = ["Page", "Pages", "describe"]

JSON, TEXT = b"application/json", b"text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer."""

    content: bytes
    status: int = 200
    content_type: bytes = JSON


class Pages:
    """Answers GET requests.

    Parameters
    ----------
    siblings : callable
        Returns the figures of the other gateway processes: endpoint id → snapshots.
    is_ready : callable
        Whether this process has applied a state.
    """

    def __init__(
        self, *, siblings: Callable[[], Mapping[str, Sequence[Snapshot]]], is_ready: Callable[[], bool]
    ) -> None:
        self._siblings = siblings
        self._is_ready = is_ready
        self._fixed: dict[str, Callable[[RouteTable], Page]] = {
            "/v2/health/live": lambda _: _json({"live": True}),
            "/v2/health/ready": self._ready,
            "/v2": lambda _: _json({"name": "dwcp_jupyter", "version": __version__, "extensions": []}),
            "/v2/models": lambda table: _json({"models": [route.description.name for route in table.routes]}),
            "/openapi.json": lambda table: _json(openapi.document([route.description for route in table.routes])),
            "/dwcp/metrics": self._exposition,
        }

    def find(self, path: str, table: RouteTable) -> Page:
        """Return the page at `path`.

        Raises
        ------
        EndpointNotFoundError
            If there is no such endpoint, or no such page.
        """
        fixed = self._fixed.get(path)
        if fixed is not None:
            return fixed(table)
        match path.split("/")[1:]:
            case ["v2", "models", name, *rest]:
                page = _model_page(name, rest, table)
                if page is not None:
                    return page
            case ["dwcp", "metrics", name]:
                return _json(self._metrics(table.get(name)))
        raise EndpointNotFoundError(
            f"There is nothing at '{path}'. Predictions: POST /v2/models/ENDPOINT/infer or /invocations/ENDPOINT; "
            "the rest is described at /openapi.json."
        )

    def _ready(self, _table: RouteTable) -> Page:
        return _json({"ready": self._is_ready()}, status=200 if self._is_ready() else 503)

    def _exposition(self, table: RouteTable) -> Page:
        return Page(exposition(table.routes, self._siblings()), content_type=TEXT)

    def _metrics(self, route: Route) -> dict[str, Any]:
        endpoint_id = route.description.id
        snapshots = [route.snapshot(), *self._siblings().get(endpoint_id, ())]
        return dict(
            EndpointMetrics.of(
                snapshots, endpoint_id=endpoint_id, current_replicas=_current_replicas(route, len(snapshots))
            )
        )


def _current_replicas(route: Route, n_gateways: int) -> int:
    """Return how many replicas take requests: gateways that hold the model, or connected replica processes."""
    return n_gateways if route.description.mode is ExecutionMode.COMPILED else route.runner.ready_replicas


def describe(description: EndpointDescription) -> dict[str, Any]:
    """Return the metadata of the inference protocol, and beside it why the model runs as it does."""
    compiled = description.compiled
    return {
        "name": description.name,
        "versions": [description.version],
        "platform": "onnx_onnxv1" if compiled is not None else description.framework,
        "inputs": v2.input_metadata(description.signature),
        "outputs": v2.output_metadata(
            description.signature, None if description.classes is None else len(description.classes)
        ),
        "parameters": {
            "model": f"{description.model_name}@{description.version}",
            "framework": description.framework,
            "execution": str(description.mode),
            "reason": description.reason,
            "sha256": description.sha256,
            "onnx_sha256": None if compiled is None else compiled.sha256,
            "classes": None if description.classes is None else list(description.classes),
        },
    }


def _model_page(name: str, rest: list[str], table: RouteTable) -> Page | None:
    version = None
    if rest[:1] == ["versions"] and len(rest) > 1:
        version, rest = rest[1], rest[2:]
    if rest == ["ready"]:
        return _ready(table.get(name, version))
    return _json(describe(table.get(name, version).description)) if not rest else None


def _ready(route: Route) -> Page:
    ready = route.runner.ready_replicas > 0
    return _json({"name": route.description.name, "ready": ready}, status=200 if ready else 503)


def _json(content: Any, *, status: int = 200) -> Page:
    return Page(msgspec.json.encode(content), status)
