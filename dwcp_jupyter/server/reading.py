"""What the control plane answers: one function per route, from the workspace to JSON.

They run in threads, call the domains' public functions and translate values to the shapes that ``openapi.yaml``
promises. Reading never creates anything: where no workspace is, all lists are empty.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dwcp_jupyter import clock, config, supervisor
from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import EndpointNotFoundError, SupervisorError, did_you_mean
from dwcp_jupyter.registry import Model, ModelRegistry, ModelVersion
from dwcp_jupyter.server.questions import Question
from dwcp_jupyter.server.workspaces import WorkspaceEntry, Workspaces
from dwcp_jupyter.serving.endpoints import EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.metrics import EndpointMetrics, Snapshot
from dwcp_jupyter.store import Stores, schema
from dwcp_jupyter.supervisor.reports import Status
from dwcp_jupyter.supervisor.state import ProcessStatus, read_state

__all__ = [
    "endpoint",
    "endpoint_metrics",
    "endpoints",
    "events",
    "model",
    "model_json",
    "models",
    "sequence_of",
    "status",
    "version_json",
    "versions",
]

_MOST_EVENTS = 1000
_MOST_LISTED = 1000
_GATEWAY = "gateway"


def status(question: Question) -> dict[str, Any]:
    """Return versions, workspaces and the numbers that grow with each change; it is asked every few seconds."""
    entry, workspaces = question.entry, question.workspaces
    default = workspaces.default()
    return {
        "version": __version__,
        "workspace": _workspace(workspaces, entry, is_default=entry is default),
        "workspaces": [_workspace(workspaces, item, is_default=item is default) for item in workspaces.known()],
        "sequence": sequence_of(entry.stores),
        "state_sequence": read_state(entry.root / "run" / "state.json").sequence,
        "is_serving": supervisor.find(entry.root) is not None,
        "actor": {"name": question.actor.name, "assurance": str(question.actor.assurance)},
    }


def models(question: Question) -> dict[str, Any]:
    """Return a page of the models, by name."""
    limit = question.integer("limit", default=200, low=1, high=_MOST_LISTED)
    after = question.arguments.get("after")
    found = list(ModelRegistry(question.entry.stores).list_models(limit=limit + 1, after=after))
    page = found[:limit]
    return {"models": [model_json(item) for item in page], "next": page[-1].name if len(found) > limit else None}


def model(question: Question) -> dict[str, Any]:
    """Return one model."""
    return model_json(_find_model(question))


def versions(question: Question) -> dict[str, Any]:
    """Return a page of the versions of a model, the highest first."""
    limit = question.integer("limit", default=200, low=1, high=_MOST_LISTED)
    registry, after = ModelRegistry(question.entry.stores), question.arguments.get("after")
    found = list(registry.list_versions(_find_model(question).name, limit=limit + 1, after=after))
    page = found[:limit]
    return {
        "versions": [version_json(item) for item in page],
        "next": page[-1].version if len(found) > limit else None,
    }


def endpoints(question: Question) -> dict[str, Any]:
    """Return all endpoints by name, with their figures."""
    return {"endpoints": _endpoints(question.entry)}


def endpoint(question: Question) -> dict[str, Any]:
    """Return one endpoint with its figures."""
    found = {item["name"]: item for item in _endpoints(question.entry)}
    if question.name not in found:
        raise EndpointNotFoundError(
            f"No endpoint '{question.name}' in this workspace.{did_you_mean(question.name, found)} "
            "List them with %endpoints."
        )
    return found[question.name]


def endpoint_metrics(question: Question) -> dict[str, Any]:
    """Return the figures of one endpoint."""
    figures = endpoint(question)["figures"]
    if figures is None:
        raise SupervisorError(f"No gateway serves the endpoint '{question.name}' now, so it has no figures.")
    return dict(figures)


def events(question: Question) -> dict[str, Any]:
    """Return the changes after the number given, in their order."""
    after = question.integer("after", default=0, low=0)
    limit = question.integer("limit", default=200, low=1, high=_MOST_EVENTS)
    metadata = question.entry.stores.metadata
    found = metadata.events(after=after, limit=limit)
    return {
        "events": [
            {
                "seq": item.seq,
                "time": clock.to_text(item.time),
                "kind": item.kind,
                "subject": item.subject,
                "actor": item.actor.name,
                "assurance": str(item.actor.assurance),
                "payload": dict(item.payload),
            }
            for item in found
        ],
        "sequence": metadata.head()[0],
    }


def _workspace(workspaces: Workspaces, entry: WorkspaceEntry, *, is_default: bool) -> dict[str, Any]:
    return {
        "id": entry.id,
        "name": (entry.root.parent if entry.root.name == config.FOLDER_NAME else entry.root).name,
        "path": workspaces.path_of(entry),
        "exists": entry.stores.metadata.exists,
        "is_default": is_default,
    }


def sequence_of(stores: Stores) -> int:
    """Return the number of the newest event: from a small file, or where other machines write too from the database."""
    if stores.metadata.dialect == "postgresql":
        return stores.metadata.head()[0]
    with contextlib.suppress(OSError, ValueError):
        return int((stores.root / "run" / "sequence").read_text(encoding="ascii"))
    return 0


def _find_model(question: Question) -> Model:
    return ModelRegistry(question.entry.stores).describe_model(question.name)


def model_json(item: Model) -> dict[str, Any]:
    """Return a model as the document's ``Model``."""
    return {
        "id": item.id,
        "name": item.name,
        "description": item.description,
        "task_type": item.task_type,
        "tags": list(item.tags),
        "version_count": item.version_count,
        "latest": item.latest,
        "stages": dict(item.stages),
        "aliases": dict(item.aliases),
        "metrics": dict(item.metrics),
        "created_at": clock.to_text(item.created_at),
        "updated_at": clock.to_text(item.updated_at),
    }


def version_json(item: ModelVersion) -> dict[str, Any]:
    """Return a version as the document's ``Version``."""
    return {
        "id": item.id,
        "reference": item.reference,
        "version": item.version,
        "stage": str(item.stage),
        "is_draft": item.is_draft,
        "framework": None if item.framework is None else str(item.framework),
        "framework_version": item.framework_version,
        "sha256": item.sha256,
        "size_bytes": item.size_bytes,
        "metrics": dict(item.metrics),
        "tags": list(item.tags),
        "aliases": list(item.aliases),
        "description": item.description,
        "changelog": item.changelog,
        "created_at": _time(item.created_at),
        "created_by": item.created_by,
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else clock.to_text(moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """What runs now: the supervisor's report, and the gateways' figures by endpoint id."""

    status: Status | None
    figures: Mapping[str, EndpointMetrics]


def _endpoints(entry: WorkspaceEntry) -> list[dict[str, Any]]:
    table = schema.endpoints
    with entry.stores.metadata.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.name)).mappings().all()
    if not rows:
        return []
    live = _live(entry.root)
    return [_endpoint(row, live) for row in rows]


def _live(root: Path) -> _Live:
    """Ask without keeping anything alive; nothing runs where nobody answers."""
    if supervisor.find(root) is None:
        return _Live(status=None, figures={})
    try:
        with supervisor.Hold(root, kind="observer") as observer:
            found = observer.status()
            answers = observer.ask(_GATEWAY, {"op": "metrics"})
    except SupervisorError:  # it ended in between
        return _Live(status=None, figures={})
    snapshots: dict[str, list[Snapshot]] = {}
    replicas: dict[str, int] = {}
    for answer in answers:
        for endpoint_id, record in answer.message.items():
            if isinstance(record, dict):
                snapshots.setdefault(endpoint_id, []).append(Snapshot.from_json(record["snapshot"]))
                replicas[endpoint_id] = max(replicas.get(endpoint_id, 0), int(record["ready_replicas"]))
    figures = {
        endpoint_id: EndpointMetrics.of(items, endpoint_id=endpoint_id, current_replicas=replicas[endpoint_id])
        for endpoint_id, items in snapshots.items()
    }
    return _Live(status=found, figures=figures)


def _endpoint(row: Mapping[Any, Any], live: _Live) -> dict[str, Any]:
    description = EndpointDescription.from_json(schema.load(row["spec"])["endpoint"])
    is_compiled = description.mode is ExecutionMode.COMPILED
    ready = _ready(live.status, _GATEWAY if is_compiled else description.replicas)
    state, reason = _state(row["name"], live.status)
    figures = live.figures.get(row["id"])
    return {
        "id": row["id"],
        "name": row["name"],
        "model": description.model_name,
        "version": description.version,
        "reference": f"{description.model_name}@{description.version}",
        "status": state,
        "reason": reason,
        "lifetime": row["lifetime"],
        "is_compiled": is_compiled,
        "execution_reason": description.reason,
        "replicas": {"ready": min(ready, description.n_replicas), "wanted": description.n_replicas},
        "figures": None if figures is None else _figures(figures, ready),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
    }


def _state(name: str, found: Status | None) -> tuple[str, str | None]:
    report = next((item for item in found.endpoints if item.name == name), None) if found is not None else None
    if report is None or report.status is supervisor.EndpointStatus.ABSENT:
        return "stopped", None
    return str(report.status), report.reason or None


def _ready(found: Status | None, key: str) -> int:
    processes = () if found is None else found.processes
    return sum(item.key == key and item.status is ProcessStatus.READY for item in processes)


def _figures(figures: EndpointMetrics, ready: int) -> dict[str, Any]:
    shown = {name: figures[name] for name in _SHOWN}
    return {**shown, "current_replicas": ready}


_SHOWN = (
    *("requests", "errors", "error_rate", "rejected_requests", "rows"),
    *("avg_latency_ms", "p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "throughput", "in_flight", "queued"),
)
