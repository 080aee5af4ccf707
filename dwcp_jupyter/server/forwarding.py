"""Predictions under the Jupyter server's own address and authentication.

The request goes on to the workspace's gateway with that gateway's token in place of Jupyter's, which never leaves the
server. Only a workspace that this server holds is forwarded to: the supervisor behind the hold owns the gateway's port,
so the token cannot reach a stranger that took the port over. Bodies above the limit are refused before they are kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

from jupyter_server.auth.decorator import authorized
from tornado import web

from dwcp_jupyter.server.gateway_address import GatewayAddress, locate_gateway
from dwcp_jupyter.server.gateway_client import GatewayClient, Response
from dwcp_jupyter.server.handlers import Context, LimitedHandler
from dwcp_jupyter.server.statuses import GatewayDownError
from dwcp_jupyter.server.workspaces import WorkspaceEntry

__all__ = ["ForwardHandler", "Forwarder"]

_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "content-length", "host", "expect"),
    )
)
_OURS = frozenset(("authorization", "cookie", "x-xsrftoken", "origin", "referer"))
"""Secrets of the Jupyter server, and what only it judges by."""
_NOT_BACK = frozenset(("set-cookie", "server", "date", "content-type"))
_OUR_ARGUMENTS = frozenset(("token", "_xsrf", "no_track_activity"))


class Forwarder:
    """Sends requests to the gateways of all workspaces; used from one event loop."""

    def __init__(self) -> None:
        self._addresses: dict[str, Callable[[], GatewayAddress | None]] = {}
        self._clients: dict[tuple[str, int], GatewayClient] = {}

    async def send(
        self, entry: WorkspaceEntry, method: str, target: str, *, headers: list[tuple[str, str]], body: bytes
    ) -> Response:
        """Return the gateway's answer.

        Raises
        ------
        GatewayDownError
            If the workspace has none, or it does not answer.
        """
        locate = self._addresses.setdefault(entry.id, locate_gateway(entry.root))
        address = locate() if entry.hold is not None else None
        if address is None:
            raise GatewayDownError(
                "Nothing of this workspace runs in this Jupyter server. Deploy a model in a notebook: %deploy NAME."
            )
        client = self._client(address.host, address.port)
        return await client.request(
            method, target, headers=[*headers, ("Authorization", f"Bearer {address.token}")], body=body
        )

    def close(self) -> None:
        """End all connections."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _client(self, host: str, port: int) -> GatewayClient:
        if (host, port) not in self._clients:
            self._clients[host, port] = GatewayClient(host, port)
        return self._clients[host, port]


class ForwardHandler(LimitedHandler):
    """Hands a request to the gateway and its answer back."""

    def initialize(self, context: Context, forwarder: Forwarder) -> None:  # type: ignore[override]
        """Take what sends."""
        super().initialize(context)
        self._forwarder = forwarder
        self._sending: asyncio.Task[Response] | None = None
        self._is_gone = False

    @property
    def most_bytes(self) -> int:
        """What a gateway takes."""
        return self.context.max_body_bytes

    @property
    def remedy(self) -> str:
        """What to do about a body above it."""
        return "Send fewer rows at once, or raise DWCP_MAX_BODY_BYTES."

    @web.authenticated
    @authorized(action="read")  # type: ignore[untyped-decorator]
    async def get(self, **_path: str | None) -> None:
        """Forward health, metadata and figures."""
        await self._forward()

    @web.authenticated
    @authorized(action="execute")  # type: ignore[untyped-decorator]
    async def post(self, **_path: str | None) -> None:
        """Forward a prediction."""
        self.refuse_large()
        await self._forward()

    def on_connection_close(self) -> None:
        """Stop what nobody waits for any more."""
        self._is_gone = True
        if self._sending is not None:
            self._sending.cancel()
        super().on_connection_close()

    def compute_etag(self) -> str | None:
        """Answers are never the same twice."""
        return None

    async def _forward(self) -> None:
        self._sending = asyncio.ensure_future(self._send())
        try:
            response = await self._sending
        except asyncio.CancelledError:
            if not self._is_gone:
                raise
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            self.refuse(exc)
        else:
            self._hand_back(response)

    async def _send(self) -> Response:
        workspace = self.path_kwargs.get("workspace")
        known = self.context.workspaces.find(workspace)
        entry = known if known is not None else await self.in_thread(self.context.workspaces.get, workspace)
        return await self._forwarder.send(
            entry,
            str(self.request.method),
            self._target(),
            headers=self._headers_to_send(),
            body=self.body,
        )

    def _target(self) -> str:
        """Return path and query as the gateway wants them: still encoded, without what is Jupyter's."""
        raw = self.request.path
        start = len(self.base_url) - 1 + len("/dwcp")
        workspace = self.path_kwargs.get("workspace")
        path = raw[start + (len(f"/w/{workspace}") if workspace else 0) :]
        if path == "/metrics":
            path = "/dwcp/metrics"
        pairs = parse_qsl(self.request.query, keep_blank_values=True)
        query = urlencode([(key, value) for key, value in pairs if key not in _OUR_ARGUMENTS])
        return f"{path}?{query}" if query else path

    def _headers_to_send(self) -> list[tuple[str, str]]:
        named = {item.strip().lower() for item in self.request.headers.get("Connection", "").split(",")}
        dropped = _HOP_BY_HOP | _OURS | named
        return [(name, value) for name, value in self.request.headers.get_all() if name.lower() not in dropped]

    def _hand_back(self, response: Response) -> None:
        self.set_status(response.status)
        content_type = "application/json"
        for name, value in response.headers:
            lowered = name.lower()
            if lowered == "content-type":
                content_type = value
            elif lowered not in _HOP_BY_HOP and lowered not in _NOT_BACK:
                self.set_header(name, value)
        if response.status in {204, 304}:
            self.finish(set_content_type=content_type)
        else:
            self.finish(response.body, set_content_type=content_type)
