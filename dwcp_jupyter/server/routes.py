"""All routes in one table, by the paths of the OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

from dwcp_jupyter.server.forwarding import Forwarder, ForwardHandler
from dwcp_jupyter.server.handlers import Context, ReadHandler

__all__ = ["FORWARDED", "READERS", "handlers"]

READERS: dict[str, str] = {
    "/api/status": "status",
    "/api/models": "models",
    "/api/models/{name}": "model",
    "/api/models/{name}/versions": "versions",
    "/api/endpoints": "endpoints",
    "/api/endpoints/{name}": "endpoint",
    "/api/endpoints/{name}/metrics": "endpoint_metrics",
    "/api/events": "events",
}
"""Path → function of `reading`."""
FORWARDED = ("/v2", "/v2/{path}", "/invocations/{path}", "/metrics", "/openapi.json")

_PARTS = {"name": r"(?P<name>[^/]+)", "path": r"(?P<path>.+)"}
_PREFIX = r"/dwcp(?:/w/(?P<workspace>[0-9a-f]{12}))?"


def handlers(context: Context, forwarder: Forwarder) -> list[tuple[str, type, dict[str, Any]]]:
    """Return tornado's handler rules, without base_url."""
    rules: list[tuple[str, type, dict[str, Any]]] = [
        (_pattern(path), ReadHandler, {"context": context, "reader": reader}) for path, reader in READERS.items()
    ]
    forwarding = {"context": context, "forwarder": forwarder}
    return [*rules, *((_pattern(path), ForwardHandler, forwarding) for path in FORWARDED)]


def _pattern(path: str) -> str:
    parts = re.split(r"\{(\w+)\}", path)
    return _PREFIX + "".join(_PARTS[part] if index % 2 else re.escape(part) for index, part in enumerate(parts))
