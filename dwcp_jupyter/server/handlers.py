"""The HTTP handlers: authenticate, authorise, one call in a thread, answer.

Tornado leaves a mounted handler open unless it says otherwise; these inherit from Jupyter's, demand a user and ask the
authoriser, and tests try every route without a token.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.server.identities import actor_of
from dwcp_jupyter.server.questions import Question, answer
from dwcp_jupyter.server.statuses import problem_of, status_of
from dwcp_jupyter.server.workspaces import Workspaces

__all__ = ["AUTH_RESOURCE", "ApiHandler", "Context", "JsonHandler", "LimitedHandler"]

AUTH_RESOURCE = "dwcp"
_MOST_BYTES = 256 << 10
"""Largest body of a request to the control plane: a name, and what people say of it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all handlers share: the workspaces, and the threads in which to use them."""

    workspaces: Workspaces
    executor: Executor
    max_body_bytes: int
    trusted_identity_providers: Collection[str] = ()


class JsonHandler(APIHandler):
    """Answers with JSON, errors too."""

    auth_resource = AUTH_RESOURCE

    def initialize(self, context: Context) -> None:
        """Take what all handlers share."""
        self.context = context

    async def in_thread(self, call: Callable[..., T], *arguments: Any) -> T:
        """Return the result of a blocking call."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.context.executor, functools.partial(call, *arguments))

    def refuse(self, error: Exception) -> None:
        """Answer with what went wrong."""
        if not isinstance(error, DwcpError):
            self.log.error("%s %s failed", self.request.method, self.request.path, exc_info=error)
        self.set_status(status_of(error))
        self.finish(msgspec.json.encode(problem_of(error)))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with what Jupyter or tornado refused, in the same shape."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = error.log_message if isinstance(error, web.HTTPError) and error.log_message else self._reason
        self.finish(msgspec.json.encode({"error": f"HTTP{status_code}", "message": str(message)}))


@web.stream_request_body
class LimitedHandler(JsonHandler):
    """Reads a body up to a limit: what is above it is refused before it is kept."""

    def initialize(self, context: Context) -> None:
        """Begin with an empty body."""
        super().initialize(context)
        self._chunks: list[bytes] = []
        self._size = 0

    @property
    def most_bytes(self) -> int:
        """The limit."""
        return _MOST_BYTES

    @property
    def body(self) -> bytes:
        """What was sent."""
        return b"".join(self._chunks)

    @property
    def remedy(self) -> str:
        """What to do about a body above it."""
        return "Send less."

    async def prepare(self) -> None:  # type: ignore[override]  # as in Jupyter's own handlers
        """Refuse strangers, and what is announced as too large, before the body is read."""
        await super().prepare()
        if self.current_user is None:
            raise web.HTTPError(403, "Forbidden")
        announced = self.request.headers.get("Content-Length", "0")
        self._size = int(announced) if announced.isdigit() else 0
        self.refuse_large()
        self._size = 0

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the body; what is above the limit is dropped, and refused at the end."""
        self._size += len(chunk)
        if self._size <= self.most_bytes:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    def refuse_large(self) -> None:
        """Raise for a body above the limit."""
        if self._size > self.most_bytes:
            self.set_header("Connection", "close")  # the rest of the body is not read
            raise web.HTTPError(413, f"The request's body is above the limit of {self.most_bytes} bytes. {self.remedy}")


class ApiHandler(LimitedHandler):
    """Answers one path of the control plane: a question, or a change by whoever is signed in."""

    def initialize(self, context: Context, functions: Mapping[str, str]) -> None:  # type: ignore[override]
        """Take the names of the functions that answer, by HTTP method."""
        super().initialize(context)
        self._functions = functions

    @web.authenticated
    @authorized
    async def get(self, **parts: str | None) -> None:
        """Answer a question."""
        await self._answer(parts)

    @web.authenticated
    @authorized
    async def post(self, **parts: str | None) -> None:
        """Do something."""
        await self._answer(parts)

    @web.authenticated
    @authorized
    async def put(self, **parts: str | None) -> None:
        """Set something."""
        await self._answer(parts)

    @web.authenticated
    @authorized
    async def delete(self, **parts: str | None) -> None:
        """Remove something."""
        await self._answer(parts)

    async def _answer(self, parts: dict[str, str | None]) -> None:
        function = self._functions.get(str(self.request.method))
        if function is None:
            self._refuse_method()
            return
        self.refuse_large()
        try:
            body = await self.in_thread(self._ask, function, parts)
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            self.refuse(exc)
        else:
            self.finish(body)

    def _refuse_method(self) -> None:
        known = sorted(self._functions)
        self.set_status(405)
        self.set_header("Allow", ", ".join(known))
        self.finish(msgspec.json.encode({"error": "HTTP405", "message": f"This path takes {' and '.join(known)}."}))

    def _ask(self, function: str, parts: dict[str, str | None]) -> bytes:
        workspaces = self.context.workspaces
        question = Question(
            workspaces=workspaces,
            entry=workspaces.get(parts.pop("workspace", None)),
            actor=actor_of(self.current_user, self.identity_provider, trusted=self.context.trusted_identity_providers),
            parts={name: str(text) for name, text in parts.items()},
            arguments={key: self.get_query_argument(key) for key in self.request.query_arguments},
            body=self.body,
        )
        return msgspec.json.encode(answer(function, question))
