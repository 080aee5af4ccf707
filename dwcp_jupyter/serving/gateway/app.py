"""Answers the requests of one gateway process.

A prediction takes one dictionary look-up, one comparison of the token, one parse, and one future; everything else
(metadata, health, metrics, errors) is a slower path that need not be fast. What takes long to parse is parsed in a
thread, so that it does not hold up the requests beside it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from concurrent.futures import Executor
from pathlib import Path

from dwcp_jupyter.exceptions import DwcpError, WorkspaceError
from dwcp_jupyter.serving.batching import Item
from dwcp_jupyter.serving.gateway.access_log import AccessLog
from dwcp_jupyter.serving.gateway.http1 import Header, Request
from dwcp_jupyter.serving.gateway.pages import Page, Pages
from dwcp_jupyter.serving.gateway.routes import INVOCATIONS, Route, RouteTable
from dwcp_jupyter.serving.prediction_log import Pseudonyms
from dwcp_jupyter.serving.protocols import Answer, ParsedRequest, invocations, v2
from dwcp_jupyter.serving.protocols.errors import (
    BodyTooLargeError,
    MalformedRequestError,
    MethodError,
    UnauthorizedError,
    error_answer,
)
from dwcp_jupyter.serving.tokens import TokenCheck, read_token

__all__ = ["Gateway"]

_log = logging.getLogger("dwcp.gateway")
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
_MAX_ID = 128
_TOKEN_LOOK_S = 1.0
"""How often a wrong token makes the gateway look whether there is a new one."""
_SMALL_BODY_BYTES = 64 << 10
"""What is read, and thrown away, of a body that nobody asked for."""
_LARGE_BODY_BYTES = 64 << 10
"""Above it a body is parsed in a thread: about a millisecond's work."""
_monotonic, _now = time.monotonic, time.time


class _Prediction:
    """One request on its way through a model; called with its future once that is done."""

    __slots__ = ("_gateway", "_outputs", "_protocol", "_request", "_request_id", "_route", "_rows")

    def __init__(self, gateway: Gateway, request: Request, route: Route, protocol: int) -> None:
        self._gateway = gateway
        self._request = request
        self._route = route
        self._protocol = protocol
        self._request_id = ""
        self._rows = 0
        self._outputs: tuple[str, ...] | None = None

    def submit(self, request_id: str) -> None:
        """Parse the request and hand it to the model."""
        request, route = self._request, self._route
        self._request_id = request_id
        route.recorder.in_flight += 1
        route.on_their_way += 1
        try:
            if request.is_cut:
                raise _too_large(request.size, route.description.config.max_body_bytes)
            if len(request.body) > _LARGE_BODY_BYTES:
                parsing = route.loop.run_in_executor(self._gateway.parsers, self._parse)
                parsing.add_done_callback(self._parsed)
            else:
                self._enqueue(self._parse())
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            self._fail(exc)

    def _parse(self) -> ParsedRequest:
        parse = invocations.parse if self._protocol is INVOCATIONS else v2.parse
        return parse(
            self._request.body,
            content_type=self._request.content_type.decode("latin-1"),
            codec=self._route.codec,
            signature=self._route.description.signature,
        )

    def _parsed(self, parsing: asyncio.Future[ParsedRequest]) -> None:
        try:
            self._enqueue(parsing.result())
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - as in submit
            self._fail(exc)

    def _enqueue(self, parsed: ParsedRequest) -> None:
        request, route = self._request, self._route
        self._rows = parsed.rows
        self._outputs = parsed.outputs
        if parsed.request_id is not None:
            self._request_id = parsed.request_id
        future = route.loop.create_future()
        item = Item(
            parsed.payload,
            parsed.rows,
            future,
            request_id=self._request_id,
            arrived=request.started,
            time_s=_now(),
            deadline=request.started + route.description.config.timeout_s,
            entity_key=self._gateway.pseudonym(request.entity) if request.entity else None,
        )
        route.runner.submit(item)
        future.add_done_callback(self)

    def __call__(self, future: asyncio.Future[Answer]) -> None:
        """Answer the request with what the model said."""
        route, request_id = self._route, self._request_id
        try:
            answer = future.result()
            if self._protocol is INVOCATIONS:
                latency_ms = (_monotonic() - self._request.started) * 1e3
                content = invocations.answer(answer, facts=route.facts, request_id=request_id, latency_ms=latency_ms)
            else:
                description = route.description
                content = v2.answer(
                    answer,
                    name=description.name,
                    version=description.version,
                    request_id=request_id,
                    outputs=self._outputs,
                )
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - as in submit
            self._fail(exc)
        else:
            self._reply(200, content)

    def _fail(self, exc: BaseException) -> None:
        status, headers, content = _failure(exc, self._request_id)
        self._reply(status, content, headers)

    def _reply(self, status: int, content: bytes, headers: list[Header] | None = None) -> None:
        request, route = self._request, self._route
        route.recorder.in_flight -= 1
        route.on_their_way -= 1
        ended = _monotonic()
        latency_s = ended - request.started
        route.recorder.observe(latency_s, status, self._rows, ended)
        if route.description.config.access_log:
            self._gateway.write_line(request, status, latency_s, self._rows, self._request_id)
        request.reply(status, content, request_id=_header_value(self._request_id), headers=headers or ())


class Gateway:
    """Answers every request of one gateway process; the table of routes is exchanged as a whole.

    Parameters
    ----------
    root : Path
        The workspace folder.
    pages : Pages
        Everything but predictions.
    access_log : AccessLog or None
        None writes no lines.
    parsers : Executor
        Where large bodies are parsed.
    """

    def __init__(
        self, *, root: Path, token: str, pages: Pages, access_log: AccessLog | None, parsers: Executor
    ) -> None:
        self.table = RouteTable()
        self._pseudonyms = Pseudonyms(root)
        self.parsers = parsers
        self._root = root
        self._is_token = TokenCheck(token)
        self._token_looked_at = _monotonic()
        self._pages = pages
        self._access_log = access_log
        self._id_prefix = secrets.token_hex(6)
        self._id_count = 0

    def max_body_bytes(self, request: Request) -> int:
        """Return the limit of the endpoint that is asked; little where no endpoint is."""
        request.is_authorized = self._is_token(request.authorization) or (
            bool(request.authorization) and self._is_new_token(request.authorization)
        )
        found = self.table.posts.get(request.path) if request.method == "POST" else None
        if found is None or not request.is_authorized:
            return _SMALL_BODY_BYTES
        return found[0].description.config.max_body_bytes

    def handle(self, request: Request) -> None:
        """Answer one request."""
        request_id = _printable(request.request_id) if request.request_id else ""
        if not request_id:
            self._id_count += 1
            request_id = f"{self._id_prefix}-{self._id_count:x}"
        found = self.table.posts.get(request.path) if request.method == "POST" else None
        if found is None or not request.is_authorized:
            self._page(request, request_id)
            return
        _Prediction(self, request, *found).submit(request_id)

    def renew_token(self) -> None:
        """Read the workspace's token again; without one that can be read, the former stays."""
        self._token_looked_at = _monotonic()
        try:
            self._is_token = TokenCheck(read_token(self._root))
        except (OSError, WorkspaceError, UnicodeDecodeError) as exc:
            _log.warning("the token stays as it was: %s", exc)

    def _is_new_token(self, header: bytes) -> bool:
        """Return whether the token was exchanged meanwhile, and the header carries the new one."""
        if _monotonic() - self._token_looked_at < _TOKEN_LOOK_S:
            return False
        self.renew_token()
        return self._is_token(header)

    def pseudonym(self, entity: bytes) -> str:
        """Return under which name the log knows whom a request is about."""
        return self._pseudonyms(entity.decode("latin-1"))

    def write_line(self, request: Request, status: int, latency_s: float, rows: int, request_id: str) -> None:
        """Leave a line for the access log."""
        if self._access_log is not None:
            self._access_log.append(_now(), request.method, request.path, status, latency_s, rows, request_id)

    def _page(self, request: Request, request_id: str) -> None:
        headers: list[Header] = []
        content_type = b"application/json"
        try:
            if not request.is_authorized and request.path not in _OPEN_PATHS:
                raise UnauthorizedError(
                    "No valid token. Send the header 'Authorization: Bearer TOKEN'; the token is in the "
                    "workspace's run/token file and in Endpoint.token."
                )
            page = self._answer(request.path, request.method)
            status, content, content_type = page.status, page.content, page.content_type
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            status, headers, content = _failure(exc, request_id)
        self.write_line(request, status, _monotonic() - request.started, 0, request_id)
        request.reply(status, content, request_id=_header_value(request_id), content_type=content_type, headers=headers)

    def _answer(self, path: str, method: str) -> Page:
        target = path.rstrip("/") or "/"
        if _is_prediction(target):
            if method != "POST":
                raise MethodError(f"'{target}' takes POST, not {method}.", allowed="POST")
            parts = target.split("/")
            version = parts[5] if len(parts) == 7 else None
            self.table.get(parts[2] if parts[1] == "invocations" else parts[3], version)
            raise MalformedRequestError(f"Send predictions to '{target}' without a slash at its end.")
        page = self._pages.find(target, self.table)
        if method not in ("GET", "HEAD"):
            raise MethodError(f"'{target}' takes GET, not {method}.", allowed="GET, HEAD")
        return page


def _is_prediction(path: str) -> bool:
    parts = path.split("/")
    if len(parts) == 3:
        return parts[1] == "invocations"
    if parts[1:3] != ["v2", "models"] or parts[-1] != "infer":
        return False
    return len(parts) == 5 or (len(parts) == 7 and parts[4] == "versions")


def _header_value(text: str) -> bytes:
    is_plain = text.isascii() and text.isprintable() and len(text) <= _MAX_ID
    return text.encode() if is_plain else b"see-body"


def _printable(value: bytes) -> str:
    text = value[:_MAX_ID].decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""


def _too_large(size: int, limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The request's body has {size} bytes or more, above the endpoint's limit of {limit}. Send fewer rows "
        "at once, or deploy "
        "with a larger max_body_bytes."
    )


def _failure(exc: BaseException, request_id: str) -> tuple[int, list[Header], bytes]:
    if not isinstance(exc, DwcpError):
        _log.error("request %s failed", request_id, exc_info=exc)
    return error_answer(exc, request_id=request_id)
