"""`ModelServer`: deploy versions of models, ask them, see how they do.

The methods are synchronous at heart (`deploy`, `invoke`, `undeploy`), so that a notebook can interrupt them; the
guide's coroutines run the same in a thread.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import sqlalchemy as sa

from dwcp_jupyter import store, supervisor
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import (
    DeploymentError,
    PredictionError,
    SignatureError,
)
from dwcp_jupyter.flavors import Framework
from dwcp_jupyter.registry import ModelRegistry
from dwcp_jupyter.serving import deploy as deployment
from dwcp_jupyter.serving import preparing
from dwcp_jupyter.serving.client import GatewayClient, chunks
from dwcp_jupyter.serving.deploy import GATEWAY_KEY
from dwcp_jupyter.serving.endpoint import Endpoint, EndpointList
from dwcp_jupyter.serving.endpoints import (
    EndpointConfig,
    EndpointDescription,
    ExecutionMode,
    PredictionRequest,
    PredictionResponse,
)
from dwcp_jupyter.serving.lifetimes import ServerHold, ask_server, process_hold
from dwcp_jupyter.serving.metrics import EndpointMetrics, Snapshot
from dwcp_jupyter.serving.prediction_log import PredictionLog
from dwcp_jupyter.serving.preparing import Compile
from dwcp_jupyter.serving.tokens import ensure_token
from dwcp_jupyter.store import schema
from dwcp_jupyter.supervisor import EndpointStatus, Lifetime

__all__ = ["ModelServer"]

_CLIENT_SLACK_S = 5.0
"""How much longer than the endpoint's own time-out a caller waits."""


class ModelServer:
    """The endpoints of one workspace.

    Safe for threads and processes.

    Parameters
    ----------
    storage_path : Stores or path, optional
        The workspace; without it the one found from the working directory.
    actor : Actor, optional
        Who acts; by default the operating system's user, asserted.
    environ : mapping, optional
        Where the Jupyter server's socket is looked up; the process's environment by default.
    """

    def __init__(
        self,
        storage_path: store.Stores | str | os.PathLike[str] | None = None,
        *,
        actor: Actor | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._stores = store.as_stores(storage_path)
        self._actor = actor
        self._environ = os.environ if environ is None else environ
        self._registry = ModelRegistry(self._stores, actor=actor)
        self._client = GatewayClient(self._stores.root)

    # -- deploying

    def deploy(
        self,
        model_id: str,
        model_version: str | None = None,
        model_path: str | os.PathLike[str] | None = None,
        framework: Framework | str | None = None,
        endpoint_config: Mapping[str, Any] | EndpointConfig | None = None,
        *,
        name: str | None = None,
        lifetime: Lifetime | str | None = None,
        compile: Compile | str = Compile.AUTO,  # noqa: A002 - says what it does
        trust: str | None = None,
        timeout_s: float = 120.0,
    ) -> Endpoint:
        """Return the endpoint, once it answers.

        A second deployment to the same name is a rolling update: the new version takes over when it is ready, and no
        request is dropped.

        Parameters
        ----------
        model_id : str
            A model's name or id; a reference such as ``"churn@champion"`` where `model_version` is left out.
        model_path : path, optional
            A model file, or the folder of a SavedModel: it is registered first, in the development stage.
        framework : Framework, optional
            What wrote what lies at `model_path`.
        endpoint_config : mapping, optional
            Keys of `EndpointConfig`.
        name : str, optional
            The endpoint's name; ``<model>-<version>`` by default.
        lifetime : Lifetime, optional
            ``server`` where a Jupyter server or ``dwcp serve`` holds the workspace, else ``caller``.
        compile : Compile
            ``"auto"``, ``"always"`` or ``"never"`` run it as ONNX.
        trust : str, optional
            The decision to load an unsafe file, see `flavors.decide_trust`; bound to its SHA-256.
        timeout_s : float
            Longest wait until it answers, seconds.

        Raises
        ------
        ModelNotFoundError, AmbiguousModelError, VersionExistsError, EndpointExistsError
        UntrustedArtifactError, IntegrityError
        DeploymentError
            If it does not come up; nothing of it is left behind.
        """
        config = EndpointConfig.of(endpoint_config, **self._defaults())
        path = None if model_path is None else Path(model_path)
        if path is None:
            version = preparing.find_version(self._registry, model_id, model_version)
        else:
            version = preparing.register_file(
                self._stores,
                self._registry,
                path,
                model_id=model_id,
                model_version=model_version,
                framework=framework,
                trust=trust,
            )
        prepared = preparing.prepare(
            self._stores,
            self._registry,
            version,
            compile=Compile(str(compile)),
            trust=trust,
            path=path,
            actor=self._actor,
        )
        ensure_token(self._stores.root)
        hold = process_hold(self._stores)
        server = self._server(hold, lifetime)
        placed = deployment.put(
            self._stores,
            prepared,
            name=name,
            config=config,
            lifetime=lifetime,
            server=server,
            hold=hold,
            actor=self._actor,
        )
        try:
            deployment.wait_for(placed, hold, timeout_s=timeout_s)
        except BaseException as exc:
            deployment.take_back(self._stores, placed, hold, actor=self._actor, reason=_first_line(exc))
            raise
        deployment.forget_former(self._stores, placed)
        return self.get_endpoint(placed.description.id)

    async def deploy_model(
        self,
        model_id: str,
        model_version: str | None = None,
        model_path: str | os.PathLike[str] | None = None,
        framework: Framework | str | None = None,
        endpoint_config: Mapping[str, Any] | EndpointConfig | None = None,
        **options: Any,
    ) -> str:
        """Return the id of the endpoint, once it answers; see `deploy`."""
        endpoint = await asyncio.to_thread(
            self.deploy, model_id, model_version, model_path, framework, endpoint_config, **options
        )
        return endpoint.id

    def undeploy(self, endpoint_id: str) -> None:
        """Remove an endpoint: what is in flight is answered, then its processes end.

        Raises
        ------
        EndpointNotFoundError
            If there is none of that name or id.
        """
        self.get_endpoint(endpoint_id)
        with self._stores.metadata.transaction(self._actor) as tx:
            row = deployment.find_row(tx.connection, endpoint_id)
            deployment.remove(tx, row, reason="undeployed")
        if supervisor.find(self._stores.root) is not None:
            process_hold(self._stores).apply()

    async def undeploy_model(self, endpoint_id: str) -> None:
        """Remove an endpoint; see `undeploy`."""
        await asyncio.to_thread(self.undeploy, endpoint_id)

    def list_endpoints(self) -> EndpointList:
        """Return all endpoints of the workspace, by name."""
        table = schema.endpoints
        with self._stores.metadata.read() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.name)).mappings().all()
        statuses = self._statuses()
        return EndpointList(self._endpoint(row, statuses) for row in rows)

    def get_endpoint(self, endpoint_id: str) -> Endpoint:
        """Return the endpoint of that name or id.

        Raises
        ------
        EndpointNotFoundError
            With the name that was probably meant.
        """
        with self._stores.metadata.read() as connection:
            row = deployment.find_row(connection, endpoint_id)
        return self._endpoint(row, self._statuses())

    # -- asking

    def invoke(self, request: PredictionRequest) -> PredictionResponse:
        """Return the model's answer to one row.

        Raises
        ------
        SignatureError
            If the features do not fit the model's columns, naming them.
        EndpointNotFoundError, QueueFullError, PredictionError
        """
        headers = {"X-Request-Id": request.request_id}
        if request.entity_key is not None:
            headers["X-Entity-Key"] = request.entity_key
        return self._post(request.endpoint_id, dict(request.features), headers)

    async def predict(self, request: PredictionRequest) -> PredictionResponse:
        """Return the model's answer to one row; see `invoke`."""
        return await asyncio.to_thread(self.invoke, request)

    def invoke_batch(
        self,
        endpoint_id: str,
        features_batch: Sequence[Mapping[str, Any]] | pd.DataFrame,
        batch_size: int = 100,
    ) -> list[PredictionResponse]:
        """Return one response per chunk of `batch_size` rows, in order.

        Raises
        ------
        ValueError
            If `batch_size` is below 1.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size} is no number of rows. Give 1 or more.")
        if not len(features_batch):
            raise SignatureError("features_batch holds no rows. Give at least one.")
        return [self._post(endpoint_id, chunk, {}) for chunk in chunks(features_batch, batch_size)]

    async def batch_predict(
        self,
        endpoint_id: str,
        features_batch: Sequence[Mapping[str, Any]] | pd.DataFrame,
        batch_size: int = 100,
    ) -> list[PredictionResponse]:
        """Return one response per chunk of `batch_size` rows; see `invoke_batch`."""
        return await asyncio.to_thread(self.invoke_batch, endpoint_id, features_batch, batch_size)

    # -- looking

    def get_endpoint_metrics(self, endpoint_id: str) -> EndpointMetrics:
        """Return the endpoint's figures, over all gateway processes.

        Raises
        ------
        EndpointNotFoundError
            If there is none of that name or id.
        """
        description = self._description(endpoint_id)
        answers = () if supervisor.find(self._stores.root) is None else self._ask_gateways()
        found = [answer[description.id] for answer in answers if description.id in answer]
        if description.mode is ExecutionMode.COMPILED:
            replicas = len(found)
        else:
            replicas = max((int(item["ready_replicas"]) for item in found), default=0)
        return EndpointMetrics.of(
            [Snapshot.from_json(item["snapshot"]) for item in found],
            endpoint_id=description.id,
            current_replicas=replicas,
        )

    def flush_logs(self) -> None:
        """Have every gateway write the predictions that it still holds in memory, so that a reader sees them."""
        if supervisor.find(self._stores.root) is not None:
            process_hold(self._stores).ask(GATEWAY_KEY, {"op": "flush"})

    def prediction_log(self, endpoint_id: str) -> PredictionLog:
        """Return the prediction log of the version that the endpoint serves."""
        description = self._description(endpoint_id)
        return PredictionLog(self._stores.root, description.model_id, description.version, now=self._stores.clock)

    # -- inside

    def _defaults(self) -> dict[str, Any]:
        settings = self._stores.settings
        return {
            "max_queue": settings.max_queue,
            "timeout_s": settings.request_timeout_s,
            "max_body_bytes": settings.max_body_bytes,
            "log_durability": settings.log_durability,
            "access_log": settings.access_log,
        }

    def _server(self, hold: supervisor.Hold, lifetime: Lifetime | str | None) -> ServerHold | None:
        """Return the server that holds the workspace; a ``dwcp serve`` in another terminal is one too."""
        if lifetime is not None and str(lifetime) != Lifetime.SERVER:
            return None
        server = ask_server(self._stores.root, self._environ)
        if server is None and any(holder.kind == "server" for holder in hold.status().holders):
            server = ServerHold(base_url="")
        if server is None and lifetime is not None:
            raise DeploymentError(
                "No Jupyter server and no `dwcp serve` holds this workspace, so nothing could keep the "
                "endpoint with the "
                "lifetime 'server'. Start `dwcp serve`, or leave the lifetime out to serve until this process ends."
            )
        return server

    def _post(self, endpoint_id: str, content: Any, headers: dict[str, str]) -> PredictionResponse:
        started = time.perf_counter()
        timeout_s = self._client.timeout_s(endpoint_id, self._stores.settings.request_timeout_s)
        try:
            answer = self._client.post(
                f"/invocations/{quote(endpoint_id)}",
                content,
                headers=headers,
                timeout_s=timeout_s + _CLIENT_SLACK_S,
            )
        except PredictionError:
            self.get_endpoint(endpoint_id)  # with its last endpoint the gateway goes too: say which of the two it is
            raise
        return PredictionResponse(
            predictions=answer["predictions"],
            probabilities=answer.get("probabilities"),
            latency_ms=answer.get("latency_ms", (time.perf_counter() - started) * 1e3),
            request_id=answer["request_id"],
            endpoint_id=endpoint_id,
            model_version=answer["model_version"],
        )

    def _ask_gateways(self) -> list[Mapping[str, Any]]:
        answers = process_hold(self._stores).ask(GATEWAY_KEY, {"op": "metrics"})
        return [answer.message for answer in answers if "error" not in answer.message]

    def _description(self, endpoint_id: str) -> EndpointDescription:
        with self._stores.metadata.read() as connection:
            row = deployment.find_row(connection, endpoint_id)
        return EndpointDescription.from_json(schema.load(row["spec"])["endpoint"])

    def _statuses(self) -> dict[str, EndpointStatus]:
        status = supervisor.status(self._stores.root)
        return {} if status is None else {item.name: item.status for item in status.endpoints}

    def _endpoint(self, row: sa.RowMapping, statuses: Mapping[str, EndpointStatus]) -> Endpoint:
        description = EndpointDescription.from_json(schema.load(row["spec"])["endpoint"])
        gateway = self._client.gateway
        return Endpoint.of(
            description,
            root=self._stores.root,
            lifetime=Lifetime(row["lifetime"]),
            status=statuses.get(description.name, EndpointStatus.ABSENT),
            gateway_url="" if gateway is None else f"http://{gateway.host}:{gateway.port}",
            server=ask_server(self._stores.root, self._environ) if row["lifetime"] == Lifetime.SERVER else None,
        )

    def __repr__(self) -> str:
        return f"ModelServer({str(self._stores.root)!r})"


def _first_line(exc: BaseException) -> str:
    return (str(exc).splitlines() or [""])[0] or type(exc).__name__
