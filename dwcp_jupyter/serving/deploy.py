"""From a reference to an endpoint that answers.

What is heavy is done first, in `preparing`. Then one transaction resolves the version once more, checks that nothing
changed meanwhile, and writes the endpoint's row, its references to artifacts and its event. The supervisor makes it
run; if it does not come up, the row is put back as it was, and the error carries the reason and the process's last log
lines.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import psutil
import sqlalchemy as sa

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import (
    DeploymentError,
    EndpointExistsError,
    EndpointNotFoundError,
    ModelNotFoundError,
    did_you_mean,
)
from dwcp_jupyter.registry import ModelVersion, resolution
from dwcp_jupyter.registry.names import check_name
from dwcp_jupyter.serving.endpoints import EndpointConfig, EndpointDescription
from dwcp_jupyter.serving.lifetimes import ServerHold, choose
from dwcp_jupyter.serving.preparing import Prepared
from dwcp_jupyter.serving.replica import ENVIRONMENT_NAME, ReplicaTask
from dwcp_jupyter.store import Artifact, Stores, Transaction, schema
from dwcp_jupyter.supervisor import EndpointStatus, Hold, Lifetime, ProcessSpec, Spec

__all__ = ["GATEWAY_KEY", "Deployment", "find_row", "forget_former", "put", "remove", "take_back", "wait_for"]

GATEWAY_KEY = "gateway"
_START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """A row that was written, and what was there before.

    Attributes
    ----------
    former : mapping or None
        The row that this one replaced.
    """

    description: EndpointDescription
    lifetime: Lifetime
    updated_at: str
    former: dict[str, Any] | None


def put(
    stores: Stores,
    prepared: Prepared,
    *,
    name: str | None,
    config: EndpointConfig,
    lifetime: Lifetime | str | None,
    server: ServerHold | None,
    hold: Hold,
    actor: Actor | None,
    new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
) -> Deployment:
    """Write the endpoint's row, its references and its event, in one transaction.

    Raises
    ------
    EndpointExistsError
        If another live process holds an endpoint of that name.
    ModelNotFoundError
        If the version was removed or changed meanwhile.
    """
    version = prepared.version
    name = check_name(name or f"{version.name}-{version.version}", what="endpoint")
    with stores.metadata.transaction(actor) as tx:
        _check_unchanged(tx, version)
        former = _row_of(tx, name)
        _refuse_elsewhere(stores, name, former)
        _refuse_foreign(name, former, hold)
        chosen = choose(lifetime, current=None if former is None else Lifetime(former["lifetime"]), server=server)
        description = _describe(stores, prepared, name=name, config=config, former=former, new_id=new_id)
        now = clock.to_text(tx.now)
        values = {
            "model_id": version.model_id,
            "version_id": version.id,
            "lifetime": str(chosen),
            "owner": hold.id if chosen is Lifetime.CALLER else None,
            "owner_pid": os.getpid() if chosen is Lifetime.CALLER else None,
            "status": str(EndpointStatus.STARTING),
            "spec": schema.dump(_spec(stores, prepared, description).to_json()),
            "updated_at": now,
            "place": stores.metadata.place,
        }
        table = schema.endpoints
        if former is None:
            tx.execute(sa.insert(table).values(id=description.id, name=name, created_at=now, **values))
        else:
            tx.execute(sa.update(table).where(table.c.id == description.id).values(**values))
        _refer(tx, description, prepared)
        tx.record(
            "endpoint.deployed" if former is None else "endpoint.updated",
            f"endpoint:{name}",
            id=description.id,
            version=version.reference,
            execution=str(prepared.mode),
            reason=prepared.reason,
            sha256=version.sha256,
            onnx_sha256=None if prepared.compiled is None else prepared.compiled.sha256,
            trust=prepared.trust,
            generation=description.generation,
            spec_sha256=hashing.sha256_bytes(str(values["spec"]).encode()),
            **{key: values[key] for key in ("model_id", "version_id", "lifetime")},
        )
    return Deployment(description=description, lifetime=chosen, updated_at=now, former=former)


def wait_for(deployment: Deployment, hold: Hold, *, timeout_s: float = _START_TIMEOUT_S) -> None:
    """Return when the endpoint answers.

    Raises
    ------
    DeploymentError
        If it does not come up, with the reason and the last log lines.
    """
    name = deployment.description.name
    applied = hold.apply(wait=[name], timeout_s=timeout_s)
    report = next((item for item in applied.endpoints if item.name == name), None)
    if report is not None and report.status in (EndpointStatus.READY, EndpointStatus.DEGRADED):
        return
    reason = "the supervisor knows no such endpoint" if report is None else report.reason or f"it is {report.status}"
    lines = () if report is None else report.log
    log = "".join(f"\n    {line}" for line in lines[-20:])
    kept = "What it served before goes on." if deployment.former is not None else "Nothing of it is left behind."
    raise DeploymentError(f"The endpoint '{name}' did not come up: {reason} {kept}{log}")


def take_back(stores: Stores, deployment: Deployment, hold: Hold, *, actor: Actor | None, reason: str) -> None:
    """Put the endpoint's row back as it was before `put`, and have the supervisor follow."""
    table, description = schema.endpoints, deployment.description
    with stores.metadata.transaction(actor) as tx:
        same = (table.c.id == description.id) & (table.c.updated_at == deployment.updated_at)
        if tx.execute(sa.select(table.c.id).where(same)).first() is None:  # somebody deployed again, or removed it
            return
        _forget(tx, description.id, generation=description.generation)
        if deployment.former is None:
            tx.execute(sa.delete(table).where(same))
            tx.record("endpoint.removed", f"endpoint:{description.name}", id=description.id, reason=reason)
        else:
            former = {**deployment.former, "updated_at": clock.to_text(tx.now)}
            tx.execute(sa.update(table).where(same).values(**former))
            tx.record(
                "endpoint.updated",
                f"endpoint:{description.name}",
                id=description.id,
                version_id=former["version_id"],
                reason=f"taken back: {reason}",
            )
    hold.apply()


def remove(tx: Transaction, row: sa.RowMapping, *, reason: str) -> None:
    """Remove an endpoint's row and its references, with its event."""
    tx.execute(sa.delete(schema.endpoints).where(schema.endpoints.c.id == row["id"]))
    _forget(tx, row["id"], generation=None)
    tx.record(
        "endpoint.removed",
        f"endpoint:{row['name']}",
        id=row["id"],
        model_id=row["model_id"],
        version_id=row["version_id"],
        reason=reason,
    )


def _check_unchanged(tx: Transaction, version: ModelVersion) -> None:
    current = resolution.resolve(tx.connection, version.id, must_be_certain=True)
    if current.sha256 != version.sha256:
        raise ModelNotFoundError(f"'{version.reference}' was changed by another process just now. Deploy it again.")


def _row_of(tx: Transaction, name: str) -> dict[str, Any] | None:
    row = tx.execute(sa.select(schema.endpoints).where(schema.endpoints.c.name == name)).mappings().first()
    return None if row is None else dict(row)


def _refuse_elsewhere(stores: Stores, name: str, former: dict[str, Any] | None) -> None:
    """Raise if another machine serves an endpoint of that name, which a deployment here would take down there."""
    if former is None or not stores.metadata.is_shared or former["place"] in {None, stores.metadata.place}:
        return
    place = former["place"].rpartition(" ")[0]
    raise EndpointExistsError(
        f"The endpoint '{name}' is served from '{place}', by the same database. Deploy under another name, or take it "
        f"down first: %undeploy {name}"
    )


def _refuse_foreign(name: str, former: dict[str, Any] | None, hold: Hold) -> None:
    if former is None or former["lifetime"] != Lifetime.CALLER or former["owner"] == hold.id:
        return
    if _is_alive(former["owner_pid"]):
        raise EndpointExistsError(
            f"The endpoint '{name}' belongs to the running process {former['owner_pid']}. Deploy under another "
            "name, or undeploy "
            "it there, or end that process."
        )


def _is_alive(pid: int | None) -> bool:
    return pid is not None and psutil.pid_exists(pid)


def _describe(
    stores: Stores,
    prepared: Prepared,
    *,
    name: str,
    config: EndpointConfig,
    former: dict[str, Any] | None,
    new_id: Callable[[], str],
) -> EndpointDescription:
    version = prepared.version
    endpoint_id = new_id() if former is None else str(former["id"])
    generation = 1 if former is None else int(schema.load(former["spec"])["endpoint"]["generation"]) + 1
    return EndpointDescription(
        id=endpoint_id,
        name=name,
        generation=generation,
        model_id=version.model_id,
        model_name=version.name,
        version=version.version,
        version_id=version.id,
        framework=str(prepared.info.framework),
        sha256=str(version.sha256),
        signature=prepared.signature,
        classes=prepared.info.classes,
        mode=prepared.mode,
        reason=prepared.reason,
        compiled=prepared.compiled,
        replicas="" if prepared.compiled is not None else f"replica/{endpoint_id}/{generation}",
        n_replicas=config.min_replicas,
        artifacts=str(Path(stores.artifact_location).absolute())
        if "://" not in stores.artifact_location
        else stores.artifact_location,
        config=config,
        example=prepared.example,
    )


def _spec(stores: Stores, prepared: Prepared, description: EndpointDescription) -> Spec:
    config = description.config
    gateway = ProcessSpec(
        key=GATEWAY_KEY,
        argv=(sys.executable, "-m", "dwcp_jupyter.serving.gateway", "--root", str(stores.root.absolute())),
        count=config.min_replicas if prepared.compiled is not None else 1,
        listens=True,
        ready_timeout_s=_START_TIMEOUT_S,
    )
    if prepared.compiled is not None:
        return Spec(endpoint=description.to_json(), processes=(gateway,))
    task = ReplicaTask(
        endpoint_id=description.id,
        generation=description.generation,
        artifacts=description.artifacts,
        sha256=description.sha256,
        trust=prepared.trust,
        stuck_after_s=config.timeout_s,
    )
    replica = ProcessSpec(
        key=description.replicas,
        argv=(sys.executable, "-m", "dwcp_jupyter.serving.replica"),
        env={ENVIRONMENT_NAME: msgspec.json.encode(task).decode()},
        count=config.min_replicas,
        ready_timeout_s=_START_TIMEOUT_S,
    )
    return Spec(endpoint=description.to_json(), processes=(gateway, replica))


def _refer(tx: Transaction, description: EndpointDescription, prepared: Prepared) -> None:
    """Note what the endpoint needs among the artifacts, so that they are not collected."""
    table = schema.artifact_references
    owner = f"endpoint:{description.id}"
    artifacts = {"package": Artifact(sha256=description.sha256, size_bytes=prepared.version.size_bytes or 0)}
    if prepared.onnx is not None:
        artifacts["onnx"] = prepared.onnx
    for role, artifact in artifacts.items():
        tx.execute(
            sa.insert(table).values(
                sha256=artifact.sha256,
                owner=owner,
                role=f"{role}/{description.generation}",
                size_bytes=artifact.size_bytes,
            )
        )


def _forget(tx: Transaction, endpoint_id: str, *, generation: int | None) -> None:
    """Remove the references of one generation of an endpoint, or of all."""
    table = schema.artifact_references
    condition = table.c.owner == f"endpoint:{endpoint_id}"
    if generation is not None:
        condition &= table.c.role.in_([f"{role}/{generation}" for role in ("package", "onnx")])
    tx.execute(sa.delete(table).where(condition))


def forget_former(stores: Stores, deployment: Deployment) -> None:
    """Let go of the artifacts of the generation that was replaced."""
    if deployment.former is not None:
        with stores.metadata.transaction() as tx:
            _forget(tx, deployment.description.id, generation=deployment.description.generation - 1)


def find_row(connection: sa.Connection, name_or_id: str) -> sa.RowMapping:
    """Return the endpoint's row, by name or id.

    Raises
    ------
    EndpointNotFoundError
        With the name that was probably meant.
    """
    table = schema.endpoints
    condition = (table.c.id == name_or_id) | (table.c.name == name_or_id)
    row = connection.execute(sa.select(table).where(condition)).mappings().first()
    if row is None:
        names = list(connection.execute(sa.select(table.c.name)).scalars())
        raise EndpointNotFoundError(
            f"No endpoint '{name_or_id}' in this workspace.{did_you_mean(name_or_id, names)} List them with %endpoints."
        )
    return row
