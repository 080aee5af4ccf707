"""All routes in one table, by the paths of the OpenAPI document."""

from __future__ import annotations

import re
from typing import Any

from dwcp_jupyter.server.forwarding import Forwarder, ForwardHandler
from dwcp_jupyter.server.handlers import ApiHandler, Context

__all__ = ["API", "FORWARDED", "handlers"]

API: dict[str, dict[str, str]] = {
    "/api/status": {"GET": "reading.status"},
    "/api/models": {"GET": "reading.models"},
    "/api/models/{name}": {"GET": "reading.model"},
    "/api/models/{name}/versions": {"GET": "reading.versions"},
    "/api/models/{name}/versions/{version}/promote": {"POST": "changing.promote"},
    "/api/models/{name}/versions/{version}/lineage": {"GET": "tracing.lineage"},
    "/api/models/{name}/rollback": {"POST": "changing.rollback"},
    "/api/models/{name}/aliases/{alias}": {"PUT": "changing.set_alias", "DELETE": "changing.remove_alias"},
    "/api/models/{name}/history": {"GET": "tracing.history"},
    "/api/comparisons": {"GET": "tracing.comparisons", "POST": "tracing.compare"},
    "/api/approvals": {"GET": "approving.approvals", "POST": "approving.request"},
    "/api/approvals/{approval}": {"GET": "approving.approval"},
    "/api/approvals/{approval}/approve": {"POST": "approving.approve"},
    "/api/approvals/{approval}/reject": {"POST": "approving.reject"},
    "/api/policies/{target}": {
        "GET": "approving.policy",
        "PUT": "approving.set_policy",
        "DELETE": "approving.remove_policy",
    },
    "/api/endpoints": {"GET": "reading.endpoints"},
    "/api/endpoints/{name}": {"GET": "reading.endpoint"},
    "/api/endpoints/{name}/metrics": {"GET": "reading.endpoint_metrics"},
    "/api/events": {"GET": "reading.events"},
}
"""Path → HTTP method → the function that answers, as ``module.function``."""
FORWARDED = ("/v2", "/v2/{path}", "/invocations/{path}", "/metrics", "/openapi.json")

_PREFIX = r"/dwcp(?:/w/(?P<workspace>[0-9a-f]{12}))?"


def handlers(context: Context, forwarder: Forwarder) -> list[tuple[str, type, dict[str, Any]]]:
    """Return tornado's handler rules, without base_url."""
    rules: list[tuple[str, type, dict[str, Any]]] = [
        (_pattern(path), ApiHandler, {"context": context, "functions": functions}) for path, functions in API.items()
    ]
    forwarding = {"context": context, "forwarder": forwarder}
    return [*rules, *((_pattern(path), ForwardHandler, forwarding) for path in FORWARDED)]


def _pattern(path: str) -> str:
    parts = re.split(r"\{(\w+)\}", path)
    return _PREFIX + "".join(_part(part) if index % 2 else re.escape(part) for index, part in enumerate(parts))


def _part(name: str) -> str:
    return f"(?P<{name}>{'.+' if name == 'path' else '[^/]+'})"
