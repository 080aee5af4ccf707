"""The HTTP handlers: authenticate, authorise, one call in a thread, answer.

Tornado leaves a mounted handler open unless it says otherwise; these inherit from Jupyter's, demand a user and ask the
authoriser, and tests try every route without a token.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.server.questions import Question, answer
from dwcp_jupyter.server.statuses import problem_of, status_of
from dwcp_jupyter.server.workspaces import Workspaces

__all__ = ["AUTH_RESOURCE", "Context", "JsonHandler", "ReadHandler"]

AUTH_RESOURCE = "dwcp"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What all handlers share: the workspaces, and the threads in which to use them."""

    workspaces: Workspaces
    executor: Executor
    max_body_bytes: int


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


class ReadHandler(JsonHandler):
    """Answers one question of the control plane."""

    def initialize(self, context: Context, reader: str) -> None:  # type: ignore[override]
        """Take the name of the function that answers."""
        super().initialize(context)
        self._reader = reader

    @web.authenticated
    @authorized
    async def get(self, workspace: str | None = None, name: str = "") -> None:
        """Answer with JSON."""
        try:
            body = await self.in_thread(self._read, workspace, name)
        except Exception as exc:  # noqa: BLE001 - every failure of a request is an answer to it
            self.refuse(exc)
        else:
            self.finish(body)

    def _read(self, workspace: str | None, name: str) -> bytes:
        workspaces = self.context.workspaces
        arguments = {key: self.get_query_argument(key) for key in self.request.query_arguments}
        question = Question(workspaces=workspaces, entry=workspaces.get(workspace), name=name, arguments=arguments)
        return msgspec.json.encode(answer(self._reader, question))
