"""The ASGI application.

A prediction takes one dictionary look-up, one pass over the headers, one parse, and one future; everything else
(metadata, health, metrics, errors) is a slower path that need not be fast. Nothing here blocks.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.serving.batching import Item
from dwcp_jupyter.serving.gateway.access_log import AccessLog
from dwcp_jupyter.serving.gateway.pages import Page, Pages
from dwcp_jupyter.serving.gateway.routes import INVOCATIONS, Route, RouteTable
from dwcp_jupyter.serving.prediction_log import Pseudonyms
from dwcp_jupyter.serving.protocols import invocations, v2
from dwcp_jupyter.serving.protocols.errors import (
    BodyTooLargeError,
    MalformedRequestError,
    MethodError,
    UnauthorizedError,
    error_answer,
)
from dwcp_jupyter.serving.tokens import TokenCheck

__all__ = ["Gateway"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = logging.getLogger("dwcp.gateway")
_JSON = (b"content-type", b"application/json")
_OPEN_PATHS = ("/v2/health/live", "/v2/health/ready")
_MAX_ID = 128
_monotonic, _now = time.monotonic, time.time


class _Request:
    """What the headers say."""

    __slots__ = ("content_length", "content_type", "entity", "is_authorized", "request_id")

    def __init__(self, scope: Scope, is_token: TokenCheck) -> None:
        self.is_authorized = False
        self.content_type = ""
        self.content_length = -1
        self.request_id = ""
        self.entity = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.is_authorized = is_token(value)
            elif name == b"content-type":
                self.content_type = value.decode("latin-1")
            elif name == b"content-length":
                self.content_length = int(value) if value.isdigit() else -1
            elif name == b"x-request-id":
                self.request_id = _printable(value)
            elif name == b"x-entity-key":
                self.entity = value.decode("latin-1")


def _header_value(text: str) -> bytes:
    is_plain = text.isascii() and text.isprintable() and len(text) <= _MAX_ID
    return text.encode() if is_plain else b"see-body"


def _printable(value: bytes) -> str:
    text = value[:_MAX_ID].decode("latin-1")
    return text if text.isascii() and text.isprintable() else ""


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
    """

    def __init__(self, *, root: Path, token: str, pages: Pages, access_log: AccessLog | None) -> None:
        self.table = RouteTable()
        self._pseudonyms = Pseudonyms(root)
        self._is_token = TokenCheck(token)
        self._pages = pages
        self._access_log = access_log
        self._id_prefix = secrets.token_hex(6)
        self._id_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = _monotonic()
        request = _Request(scope, self._is_token)
        if not request.request_id:
            self._id_count += 1
            request.request_id = f"{self._id_prefix}-{self._id_count:x}"
        found = self.table.posts.get(scope["path"]) if scope["method"] == "POST" else None
        if found is not None and request.is_authorized:
            await self._predict(found[0], found[1], request, scope, receive, send, started)
        else:
            await self._page(request, scope, send, started)

    async def _predict(  # noqa: PLR0917 - the hot path: positions cost least
        self, route: Route, protocol: int, request: _Request, scope: Scope, receive: Receive, send: Send, started: float
    ) -> None:
        recorder, config = route.recorder, route.description.config
        recorder.in_flight += 1
        route.on_their_way += 1
        rows, headers = 0, _NO_HEADERS
        request_id = request.request_id
        try:
            body = await _body(receive, request.content_length, config.max_body_bytes)
            parser = invocations if protocol is INVOCATIONS else v2
            parsed = parser.parse(
                body, content_type=request.content_type, codec=route.codec, signature=route.description.signature
            )
            rows = parsed.rows
            if parsed.request_id is not None:
                request_id = parsed.request_id
            item = Item(
                parsed.payload,
                rows,
                route.loop.create_future(),
                request_id=request_id,
                arrived=started,
                time_s=_now(),
                deadline=started + config.timeout_s,
                entity_key=self._pseudonyms(request.entity) if request.entity else None,
            )
            route.runner.submit(item)
            answer = await item.future
            if protocol is INVOCATIONS:
                content = invocations.answer(
                    answer, facts=route.facts, request_id=request_id, latency_ms=(_monotonic() - started) * 1e3
                )
            else:
                content = v2.answer(
                    answer,
                    name=route.description.name,
                    version=route.description.version,
                    request_id=request_id,
                    outputs=parsed.outputs,
                )
            status = 200
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            status, headers, content = _failure(exc, request_id)
        finally:
            recorder.in_flight -= 1
            route.on_their_way -= 1
        ended = _monotonic()
        recorder.observe(ended - started, status, rows, ended)
        if self._access_log is not None and config.access_log:
            self._access_log.append(_now(), "POST", scope["path"], status, ended - started, rows, request_id)
        await _respond(send, status, content, request_id, headers)

    async def _page(self, request: _Request, scope: Scope, send: Send, started: float) -> None:
        path, method = scope["path"], scope["method"]
        headers: list[tuple[bytes, bytes]] = []
        content_type = _JSON[1]
        try:
            if not request.is_authorized and path not in _OPEN_PATHS:
                raise UnauthorizedError(
                    "No valid token. Send the header 'Authorization: Bearer TOKEN'; the token is in the "
                    "workspace's run/token "
                    "file and in Endpoint.token."
                )
            page = self._answer(path, method)
            status, content, content_type = page.status, page.content, page.content_type
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            status, headers, content = _failure(exc, request.request_id)
        if self._access_log is not None:
            self._access_log.append(_now(), method, path, status, _monotonic() - started, 0, request.request_id)
        if method == "HEAD":
            content = b""
        await _respond(send, status, content, request.request_id, headers, content_type=content_type)

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


_NO_HEADERS: list[tuple[bytes, bytes]] = []


async def _body(receive: Receive, announced: int, limit: int) -> bytes:
    if announced > limit:
        raise _too_large(announced, limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MalformedRequestError("The connection was closed before the whole body had come.")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(size, limit)
        body = b"".join(parts)
    if len(body) > limit:
        raise _too_large(len(body), limit)
    return body


def _too_large(size: int, limit: int) -> BodyTooLargeError:
    return BodyTooLargeError(
        f"The request's body has {size} bytes or more, above the endpoint's limit of {limit}. Send fewer rows "
        "at once, or deploy "
        "with a larger max_body_bytes."
    )


def _failure(exc: Exception, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    if not isinstance(exc, DwcpError):
        _log.error("request %s failed", request_id, exc_info=exc)
    status, headers, content = error_answer(exc, request_id=request_id)
    if status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    return status, headers, content


async def _respond(
    send: Send,
    status: int,
    content: bytes,
    request_id: str,
    headers: list[tuple[bytes, bytes]],
    *,
    content_type: bytes = _JSON[1],
) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type),
                (b"content-length", b"%d" % len(content)),
                (b"x-request-id", _header_value(request_id)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})
