"""Endpoints to test with: in this process over a real socket, and in real processes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import pytest
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import flavors, store, supervisor
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.serving import ModelServer
from dwcp_jupyter.serving.endpoints import CompiledModel, EndpointConfig, EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.gateway.app import Gateway
from dwcp_jupyter.serving.gateway.applying import Applier
from dwcp_jupyter.serving.gateway.http1 import Server
from dwcp_jupyter.serving.gateway.pages import Pages
from dwcp_jupyter.serving.lifetimes import release
from dwcp_jupyter.store import ArtifactStore
from dwcp_jupyter.supervisor.state import State

TOKEN = "a-token"


def eventually(condition: Callable[[], Any], *, within_s: float = 30.0) -> Any:
    """Return the condition's first true value."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def houses() -> pd.DataFrame:
    """Rows of several types: a float, an integer, a boolean and a text column."""
    rng = np.random.default_rng(7)
    rows = 240
    return pd.DataFrame(
        {
            "size": rng.uniform(20, 200, rows).round(1),
            "rooms": rng.integers(1, 9, rows),
            "garden": rng.random(rows) > 0.5,
            "town": rng.choice(["Ulm", "Bern", "Graz"], rows),
        }
    )


@pytest.fixture(scope="session")
def compiled_iris(iris, classifier, tmp_path_factory):
    """Iris' logistic regression as a compiled package: (loaded model, compilation)."""
    features, _ = iris
    folder = tmp_path_factory.mktemp("package") / "iris"
    flavors.save_model(classifier, folder, input_example=features)
    loaded = flavors.load_model(folder, trust="none")
    compilation = flavors.compile_onnx(loaded, features)
    assert compilation.onnx is not None, compilation.reason
    return loaded, compilation


def describe(
    root: Path, loaded: flavors.LoadedModel, compilation: flavors.Compilation, name: str = "iris", **changes: Any
) -> EndpointDescription:
    """Return a compiled endpoint whose artifact lies under `root`."""
    artifact = ArtifactStore(root / "artifacts").put_bytes(compilation.onnx)
    values: dict[str, Any] = {
        "id": f"id-of-{name}",
        "name": name,
        "generation": 1,
        "model_id": f"model-{name}",
        "model_name": name,
        "version": "1.0.0",
        "version_id": "v1",
        "framework": "sklearn",
        "sha256": "0" * 64,
        "signature": loaded.signature,
        "classes": loaded.info.classes,
        "mode": ExecutionMode.COMPILED,
        "reason": compilation.reason,
        "compiled": CompiledModel(sha256=artifact.sha256, layout=compilation.layout),
        "replicas": "",
        "n_replicas": 1,
        "artifacts": str(root / "artifacts"),
        "config": EndpointConfig(),
    }
    return EndpointDescription(**{**values, **changes})


@contextlib.asynccontextmanager
async def gateway_with(root: Path, *descriptions: EndpointDescription) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a gateway in this process that serves these endpoints."""
    executor = ThreadPoolExecutor(2)
    pages = Pages(siblings=dict, is_ready=lambda: True)
    gateway = Gateway(root=root, token=TOKEN, pages=pages, access_log=None, parsers=executor)
    applier = Applier(root=root, publish=lambda table: setattr(gateway, "table", table), executor=executor)
    failed = await applier.apply(State(endpoints=tuple(item.to_json() for item in descriptions)))
    assert failed == {}
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = Server(gateway)
    await server.start(listener)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            yield client
    finally:
        await server.drain()
        await applier.close()
        executor.shutdown()


@pytest.fixture
def ask(tmp_path: Path, compiled_iris):
    """Return a function that sends requests to an in-process gateway with the endpoint 'iris'."""

    def send(*requests: tuple[str, str, dict[str, Any]], **changes: Any) -> list[httpx.Response]:
        async def scenario() -> list[httpx.Response]:
            async with gateway_with(tmp_path, describe(tmp_path, *compiled_iris, **changes)) as client:
                return [await client.request(method, path, **options) for method, path, options in requests]

        return asyncio.run(scenario())

    return send


# -- real processes


class Served:
    """A workspace whose endpoints run in real processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stores = store.open(root)
        self.registry = ModelRegistry(self.stores)
        self.server = ModelServer(self.stores, environ={})

    def register(self, name: str, model: Any, example: pd.DataFrame, *, version: str = "1.0.0") -> Any:
        metadata = ModelMetadata(name=name, version=version)
        return self.registry.register_model(metadata, model, input_example=example, reference_data=example)

    def processes(self, part: str, *, only: str = "") -> list[psutil.Process]:
        """Return this workspace's processes whose key holds `part`; those of one status with `only`."""
        status = supervisor.status(self.root) if supervisor.find(self.root) else None
        found = () if status is None else status.processes
        pids = [item.pid for item in found if item.pid and part in item.key and only in ("", item.status)]
        return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]

    def post(self, path: str, content: Any, **headers: str) -> httpx.Response:
        endpoint = self.server.list_endpoints()[0]
        base = endpoint.url.partition("/invocations")[0]
        return httpx.post(
            base + path, json=content, headers={"Authorization": f"Bearer {endpoint.token}", **headers}, timeout=30
        )

    def close(self) -> None:
        release(self.root)
        supervisor.stop(self.root)
        self.stores.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    """A workspace for one module's tests; afterwards nothing of it runs."""
    workspace = Served(tmp_path_factory.mktemp("served") / ".dwcp")
    before = {process.pid for process in psutil.process_iter()}
    yield workspace
    workspace.close()
    root = str(workspace.root)

    def left() -> list[str]:
        return [" ".join(p.cmdline()) for p in _mine(before) if root in " ".join(p.cmdline())]

    eventually(lambda: not left(), within_s=20)


def _mine(before: set[int]) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid not in before and process.cmdline():
                found.append(process)
    return found


@pytest.fixture(scope="session")
def slow_model(iris) -> LogisticRegression:
    features, species = iris
    return LogisticRegression(max_iter=300).fit(features, species)
