"""From a reference to an endpoint that answers.

What is heavy (reading the package, loading the model, compiling it and proving that it agrees) is done first. Then one
transaction resolves the reference once more, checks that nothing changed meanwhile, and writes the endpoint's row, its
references to artifacts and its event. The supervisor makes it run; if it does not come up, the row is put back as it
was, and the error carries the reason and the process's last log lines.
"""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import psutil
import sqlalchemy as sa

from dwcp_jupyter import clock, flavors, hashing
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import DeploymentError, EndpointExistsError, MissingExtraError, ModelNotFoundError
from dwcp_jupyter.registry import ModelRegistry, ModelVersion, resolution
from dwcp_jupyter.registry.names import check_name
from dwcp_jupyter.serving.client import plain
from dwcp_jupyter.serving.endpoints import CompiledModel, EndpointConfig, EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.lifetimes import ServerHold, choose
from dwcp_jupyter.serving.replica import ENVIRONMENT_NAME, ReplicaTask
from dwcp_jupyter.store import Artifact, Stores, Transaction, schema
from dwcp_jupyter.supervisor import EndpointStatus, Hold, Lifetime, ProcessSpec, Spec

__all__ = ["GATEWAY_KEY", "Compile", "Deployment", "Prepared", "prepare", "put", "take_back", "wait_for"]

GATEWAY_KEY = "gateway"
_START_TIMEOUT_S = 120.0


class Compile(StrEnum):
    """Whether a model is compiled to ONNX."""

    AUTO = "auto"
    """If it can be and the outputs agree; else it runs natively."""
    ALWAYS = "always"
    """Or the deployment fails."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A version, ready to be put into an endpoint."""

    version: ModelVersion
    info: flavors.PackageInfo
    signature: flavors.Signature
    mode: ExecutionMode
    reason: str
    compiled: CompiledModel | None
    onnx: Artifact | None
    example: tuple[dict[str, Any], ...]
    trust: str


def prepare(
    stores: Stores,
    registry: ModelRegistry,
    version: ModelVersion,
    *,
    compile: Compile,  # noqa: A002 - as in ModelServer.deploy
    trust: str | None,
    path: Path | None = None,
    actor: Actor | None = None,
) -> Prepared:
    """Return the version with all that its endpoint needs.

    It takes seconds, and touches the metadata for reads, and for the decision to trust.

    Parameters
    ----------
    trust : str, optional
        The decision on a file that could run code when it is loaded.
    path : Path, optional
        Where the user named that file.

    Raises
    ------
    IntegrityError, UntrustedArtifactError, MissingExtraError
        If the package cannot be loaded.
    DeploymentError
        If it has no signature, or compiling was demanded and is not possible.
    """
    with tempfile.TemporaryDirectory(prefix="dwcp-deploy-") as folder:
        directory = registry.fetch(version.id, Path(folder) / "package")
        info = flavors.read_package(directory)
        bound = bind_trust(stores, version, info, trust=trust, path=path, actor=actor)
        compilation, example = _compile(stores, registry, version, directory, compile=compile, trust=bound)
    signature = info.signature
    if signature is None:
        raise DeploymentError(
            f"'{version.reference}' has no signature, so requests cannot be checked by column. Register it again with "
            "input_example= or signature=."
        )
    onnx = None if compilation.onnx is None else stores.artifacts.put_bytes(compilation.onnx)
    compiled = None
    if onnx is not None:
        compiled = CompiledModel(
            sha256=onnx.sha256, layout=str(compilation.layout), max_difference=compilation.max_difference
        )
    return Prepared(
        version=version,
        info=info,
        signature=signature,
        mode=ExecutionMode.NATIVE if onnx is None else ExecutionMode.COMPILED,
        reason=compilation.reason,
        compiled=compiled,
        onnx=onnx,
        example=example,
        trust=bound,
    )


def bind_trust(
    stores: Stores,
    version: ModelVersion,
    info: flavors.PackageInfo,
    *,
    trust: str | None,
    path: Path | None,
    actor: Actor | None,
) -> str:
    """Return the decision that the endpoint is bound to: ``"none"``, or the one sum that may be loaded.

    A file that this workspace decided to trust before (its event names the sum) needs no second decision.

    Raises
    ------
    UntrustedArtifactError
        If nobody decided to trust the file; the message shows the line that would.
    """
    if info.is_safe:
        return "none"
    subject = f"artifact:{info.sha256}"
    policy = flavors.Trust.parse(trust)
    if policy.own and path is None and stores.metadata.events(kinds=["trust.decided"], subject=subject):
        return info.sha256
    decision = flavors.decide_trust(
        info.sha256, trust=trust, path=path, call=f"server.deploy('{version.reference}', trust='{{sha256}}')"
    )
    with stores.metadata.transaction(actor) as tx:
        tx.record(
            "trust.decided",
            subject,
            sha256=decision.sha256,
            policy=decision.policy,
            reason=decision.reason,
            version=version.reference,
        )
    return decision.sha256


def holds_file(stores: Stores, version: ModelVersion, path: Path) -> bool:
    """Return whether the version was made of exactly the bytes at `path`."""
    if version.sha256 is None or not path.is_file():
        return False
    with tempfile.TemporaryDirectory(prefix="dwcp-deploy-") as folder:
        directory = stores.artifacts.fetch_tree(version.sha256, Path(folder) / "package")
        return flavors.read_package(directory).sha256 == hashing.sha256_file(path)


def _compile(
    stores: Stores,
    registry: ModelRegistry,
    version: ModelVersion,
    directory: Path,
    *,
    compile: Compile,  # noqa: A002 - as in deploy()
    trust: str,
) -> tuple[flavors.Compilation, tuple[dict[str, Any], ...]]:
    """Return the compiled model, or why there is none, and a row to warm the model with."""
    if compile is Compile.NEVER:
        return _native("compiling was switched off for this endpoint"), ()
    loaded = flavors.load_model(directory, trust=trust)
    sample = _sample(stores, registry, version, loaded, flavors.read_example(directory))
    if sample is None:
        compilation = _native("there is no reference data or input example to prove on that the compiled model agrees")
        example: tuple[dict[str, Any], ...] = ()
    else:
        example = _rows(sample)
        try:
            compilation = flavors.compile_onnx(loaded, sample)
        except MissingExtraError as exc:
            compilation = _native(str(exc))
    if compile is Compile.ALWAYS and compilation.onnx is None:
        raise DeploymentError(
            f"'{version.reference}' cannot be compiled: {compilation.reason}. Deploy it with compile='auto' to "
            "serve it natively."
        )
    return compilation, example


def _native(reason: str) -> flavors.Compilation:
    return flavors.Compilation(onnx=None, layout="", reason=f"served as it is: {reason}")


def _sample(
    stores: Stores, registry: ModelRegistry, version: ModelVersion, loaded: flavors.LoadedModel, example: Any
) -> Any:
    """Return the rows that the version kept: its reference data, else its input example, else None."""
    reference = registry.reference_data(version.id)
    if reference is not None and loaded.signature is not None:
        names = [column.name for column in loaded.signature.inputs]
        frame = stores.frames.get(reference.sha256).to_pandas()
        if set(names) <= set(frame.columns):
            return loaded.conform(frame[names])
    return None if example is None else loaded.conform(example)


def _rows(sample: Any) -> tuple[dict[str, Any], ...]:
    """Return the sample's first row as JSON."""
    records = sample.head(1).to_dict(orient="records")
    return tuple(msgspec.json.decode(msgspec.json.encode(records, enc_hook=plain)))


# -- the row


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
