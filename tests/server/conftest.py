from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403
from tornado.httpclient import HTTPResponse

from dwcp_jupyter import store, supervisor
from tests.server.echo_gateway import deploy_echo
from tests.supervisor.workspaces import eventually


@dataclass(frozen=True)
class Answered:
    """What a route answered."""

    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"dwcp_jupyter": True}}}


@pytest.fixture
def ask(jp_fetch: Any) -> Callable[..., Awaitable[Answered]]:
    """Send a request to a route; errors are answers."""

    async def fetch(path: str, **options: Any) -> Answered:
        response: HTTPResponse = await jp_fetch(*path.split("/"), raise_error=False, **options)
        return Answered(response.code, response.body or b"", response.headers)

    return fetch


@pytest.fixture
def extension(jp_serverapp: Any) -> Any:
    """The extension inside the real server."""
    return jp_serverapp.extension_manager.extension_apps["dwcp_jupyter"].copy().pop()


@pytest.fixture
def root_stores(jp_root_dir: Path) -> Iterator[store.Stores]:
    """The stores of the workspace at the server's root; nothing is written yet."""
    with store.open(jp_root_dir / ".dwcp") as opened:
        yield opened


@pytest.fixture
def echoing(root_stores: store.Stores) -> Iterator[store.Stores]:
    """A workspace at the server's root with a ``server`` endpoint, whose gateway says what it was sent."""
    deploy_echo(root_stores, "echo")
    yield root_stores
    supervisor.stop(root_stores.root)
    eventually(lambda: not supervisor.runtime_dir(root_stores.root).exists())
