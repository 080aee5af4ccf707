"""Who serves: how each contender is started with its best documented settings, asked, and understood.

Settings were chosen by trying those that the peer documents (workers 1 and 2, batching, its fast queue) on two
cores and keeping the best at 64 connections; the table says which they are. Peers run without authentication,
without a prediction log, and with their access log off; ours runs with everything on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.benchmarks import models
from tests.benchmarks.environments import Environment, PeerError
from tests.benchmarks.load import Route
from tests.benchmarks.processes import Tree, free_port

_PEERS = Path(__file__).with_name("peers")
_REPOSITORY = Path(__file__).parents[2]


Command = Callable[[Environment, models.Prepared, Path, int], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A contender that is starting: its processes, where it will answer, and a call that finishes the start."""

    tree: Tree
    route: Callable[[], Route]


class Role(StrEnum):
    """What a contender is compared for."""

    OURS = "ours"
    PEER = "peer"
    APART = "apart"
    """Reported beside: shows where the gain comes from."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """One server with one setting.

    Attributes
    ----------
    environment : str or None
        Key of the peer's environment; None is this interpreter.
    form : str
        Form of the request, see `models.bodies`.
    path : str
        Path of the prediction route.
    command : callable
        (environment, prepared, folder, port) → command line and variables.
    probability : callable
        Parsed reply → probability of class 1.
    settings : dict of str to str
        Variables of the peers' scripts; for ours, how to compile.
    is_cheap : bool
        Whether a reduced run takes it too.
    """

    name: str
    role: Role
    environment: str | None
    form: str
    path: str
    command: Command | None
    probability: Callable[[Any], float]
    settings: dict[str, str] = field(default_factory=dict)
    is_cheap: bool = False

    @property
    def slug(self) -> str:
        """The name as a folder's."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name)

    def start(self, environment: Environment | None, prepared: models.Prepared, folder: Path) -> Started:
        """Start the server in `folder`; it answers once its route does."""
        if environment is None or self.command is None:
            return start_ours(prepared, folder, compiled=self.settings["compile"])
        port = free_port()
        command, variables = self.command(environment, prepared, folder, port)
        tree = Tree(
            command,
            log=folder / "server.log",
            cwd=folder,
            env={**_environment_of(prepared), **self.settings, **variables},
        )
        route = Route(
            url=f"http://127.0.0.1:{port}{self.path}",
            headers={"Content-Type": "application/json"},
            bodies=models.bodies(prepared, self.form),
        )
        return Started(tree=tree, route=lambda: route)


def _environment_of(prepared: models.Prepared) -> dict[str, str]:
    return {"BENCH_JOBLIB": str(prepared.joblib), "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _bentoml(service: str) -> Command:
    def command(
        environment: Environment, prepared: models.Prepared, folder: Path, port: int
    ) -> tuple[list[str], dict[str, str]]:
        argv = [
            environment.program("bentoml"),
            "serve",
            f"bentoml_service:{service}",
            "--working-dir",
            str(_PEERS),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        return argv, {"BENCH_ONNX": str(prepared.onnx), "BENTOML_HOME": str(folder / "bentoml")}

    return command


def _litserve(*, onnx: bool) -> Command:
    def command(
        environment: Environment, prepared: models.Prepared, folder: Path, port: int
    ) -> tuple[list[str], dict[str, str]]:
        variables = {"BENCH_PORT": str(port)} | ({"BENCH_ONNX": str(prepared.onnx)} if onnx else {})
        return [str(environment.python), str(_PEERS / "litserve_api.py")], variables

    return command


def _mlflow(
    environment: Environment, prepared: models.Prepared, folder: Path, port: int
) -> tuple[list[str], dict[str, str]]:
    saved = prepared.joblib.with_suffix(".mlflow")
    if not saved.exists():
        save = [str(environment.python), str(_PEERS / "mlflow_save.py"), str(prepared.joblib), str(saved)]
        done = subprocess.run(save, capture_output=True, text=True, timeout=300, cwd=folder)
        if done.returncode:
            raise PeerError(f"MLflow could not save the model.\n{done.stderr[-2000:]}")
    argv = [
        environment.program("mlflow"),
        "models",
        "serve",
        "-m",
        str(saved),
        "--env-manager",
        "local",
        "-h",
        "127.0.0.1",
        "-p",
        str(port),
    ]
    path = os.pathsep.join([str(environment.python.parent), os.environ.get("PATH", "")])
    return [*argv, "--workers", "2"], {"PATH": path}


def _mlserver(
    environment: Environment, prepared: models.Prepared, folder: Path, port: int
) -> tuple[list[str], dict[str, str]]:
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "parallel_workers": 0,
        "debug": False,
        "access_log": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    model = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(prepared.joblib)},
    }
    (folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    path = os.pathsep.join([str(environment.python.parent), os.environ.get("PATH", "")])
    return [environment.program("mlserver"), "start", str(folder)], {"PATH": path}


def start_ours(
    prepared: models.Prepared, folder: Path, *, compiled: str, variables: Mapping[str, str] | None = None
) -> Started:
    """Register the model in the workspace `folder`/.dwcp, then start a script that deploys it."""
    workspace, ready = folder / ".dwcp", folder / "ready.json"
    reference = _register(prepared, workspace)
    command = [sys.executable, "-m", "tests.benchmarks.deploy", reference, str(workspace), str(ready), compiled]
    tree = Tree(command, log=folder / "server.log", cwd=_REPOSITORY, env=variables)

    def route() -> Route:
        told = json.loads(ready.read_text(encoding="utf-8"))
        tree.adopt(told["supervisor"])
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {told['token']}"}
        return Route(url=told["url"], headers=headers, bodies=models.bodies(prepared, "features"))

    return Started(tree=tree, route=route)


def _register(prepared: models.Prepared, workspace: Path) -> str:
    from dwcp_jupyter.registry import ModelMetadata, ModelRegistry

    train, _, labels, _ = models.split()
    metadata = ModelMetadata(name=prepared.name, version="1.0.0")
    model = models.estimator(prepared.name).fit(train, labels)
    version = ModelRegistry(workspace).register_model(
        metadata, model=model, input_example=train.head(20), reference_data=train
    )
    return version.reference


def _first_row(reply: Any) -> float:
    return float(reply[0][1])


_BENTOML = {
    "environment": "bentoml",
    "form": "rows",
    "path": "/predict",
    "probability": _first_row,
    "settings": {"BENCH_WORKERS": "2"},
}
_LITSERVE = {
    "environment": "litserve",
    "form": "row",
    "path": "/predict",
    "probability": lambda reply: float(reply["probabilities"][1]),
}
_OURS = {
    "environment": None,
    "form": "features",
    "path": "",
    "command": None,
    "probability": lambda reply: float(reply["probabilities"][0][1]),
}

ALL: tuple[Contender, ...] = (
    Contender(name="ours", role=Role.OURS, settings={"compile": "auto"}, **_OURS),
    Contender(name="BentoML (adaptive batching, 2 workers)", role=Role.PEER, command=_bentoml("Batched"), **_BENTOML),
    Contender(
        name="LitServe (batching, fast queue)",
        role=Role.PEER,
        command=_litserve(onnx=False),
        settings={"BENCH_BATCH": "64", "BENCH_FAST_QUEUE": "1"},
        is_cheap=True,
        **_LITSERVE,
    ),
    Contender(
        name="MLServer",
        role=Role.PEER,
        environment="mlserver",
        form="v2",
        path="/v2/models/model/infer",
        command=_mlserver,
        probability=lambda reply: float(reply["outputs"][0]["data"][1]),
    ),
    Contender(
        name="MLflow (2 workers)",
        role=Role.PEER,
        environment="mlflow",
        form="split",
        path="/invocations",
        command=_mlflow,
        probability=lambda reply: float(reply["predictions"][0][1]),
    ),
    Contender(name="BentoML (as above), same ONNX file", role=Role.APART, command=_bentoml("BatchedOnnx"), **_BENTOML),
    Contender(
        name="LitServe (fast queue), same ONNX file",
        role=Role.APART,
        command=_litserve(onnx=True),
        settings={"BENCH_FAST_QUEUE": "1"},
        **_LITSERVE,
    ),
    Contender(name="ours, not compiled", role=Role.APART, settings={"compile": "never"}, **_OURS),
)
