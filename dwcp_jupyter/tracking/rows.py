"""Runs as rows of the metadata."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Row, delete, select

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.registry.needing import role_in_run
from dwcp_jupyter.store import Artifact, Transaction, schema
from dwcp_jupyter.tracking import history
from dwcp_jupyter.tracking.process import has_ended
from dwcp_jupyter.tracking.status import RunStatus
from dwcp_jupyter.tracking.values import RunArtifact, RunRecord

__all__ = ["Logged", "artifact_values", "ending", "is_killed", "refer", "sealed", "to_record"]


@dataclass(slots=True, kw_only=True)
class Logged:
    """All that a run logs but the history of its metrics."""

    params: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    description: str = ""
    git_commit: str | None = None
    process: Mapping[str, Any] | None = None
    error: str | None = None

    def with_metrics(self, metrics: Mapping[str, float]) -> Logged:
        """Return a copy that nobody else changes."""
        return replace(self, params=copy.copy(self.params), artifacts=copy.copy(self.artifacts), metrics=metrics)

    def values(self) -> dict[str, Any]:
        """Return the columns."""
        finite = {name: value for name, value in self.metrics.items() if math.isfinite(value)}
        record = {
            "artifacts": self.artifacts,
            "description": self.description,
            "error": self.error,
            "git_commit": self.git_commit,
            "not_finite": {name: str(value) for name, value in self.metrics.items() if not math.isfinite(value)},
            "process": self.process,
        }
        return {
            "config": schema.dump(self.params),
            "tags": schema.dump(list(self.tags)),
            "metrics": schema.dump(finite),
            "record": schema.dump(record),
        }


def sealed(values: Mapping[str, Any], sums: Sequence[str]) -> dict[str, Any]:
    """Return what the last event of a run says of its row, and of the history of its metrics by the sums of its rows.

    What the row says of the run's beginning, the first event has said.
    """
    return {**ending(values), "history_sha256": history.sum_of_sums(sums)}


def ending(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what seals the columns of a run's row that can change until its end."""
    return {
        **{name: values[name] for name in ("status", "ended_at", "tags")},
        "metrics_sha256": hashing.sha256_bytes(values["metrics"].encode()),
        "params_sha256": hashing.sha256_bytes(values["config"].encode()),
        "record_sha256": hashing.sha256_bytes(values["record"].encode()),
    }


def artifact_values(name: str, kind: str, artifact: Artifact) -> dict[str, Any]:
    """Return what a run's row says of an artifact."""
    return {"name": name, "kind": kind, "sha256": artifact.sha256, "size_bytes": artifact.size_bytes}


def refer(tx: Transaction, run_id: str, artifacts: Mapping[str, Mapping[str, Any]]) -> None:
    """Write which artifacts a run needs, in place of what was written before."""
    table, owner = schema.artifact_references, f"run:{run_id}"
    needed = {(a["sha256"], role_in_run(a)): a["size_bytes"] for a in artifacts.values()}
    found = tx.execute(select(table.c.sha256, table.c.role).where(table.c.owner == owner)).all()
    known = {(row.sha256, row.role) for row in found}
    for sha256, role in known - needed.keys():
        tx.execute(delete(table).where((table.c.owner == owner) & (table.c.role == role) & (table.c.sha256 == sha256)))
    new = [
        {"sha256": sha256, "owner": owner, "role": role, "size_bytes": size}
        for (sha256, role), size in needed.items()
        if (sha256, role) not in known
    ]
    tx.insert(table, new)


def is_killed(row: Row[Any]) -> bool:
    """Return whether the run says that it is under way, and its process is gone."""
    return row.status == str(RunStatus.RUNNING) and has_ended(schema.load(row.record).get("process"))


def to_record(row: Row[Any]) -> RunRecord:
    """Return a run, without its history."""
    record, config = schema.load(row.record), schema.load(row.config)
    metrics = schema.load(row.metrics) | {name: float(text) for name, text in record.get("not_finite", {}).items()}
    is_experiment = row.kind == "experiment"
    return RunRecord(
        id=row.id,
        name=row.name,
        kind=row.kind,
        status=RunStatus.KILLED if is_killed(row) else RunStatus(row.status),
        params=config if is_experiment else _pipeline_params(config, record),
        metrics=dict(sorted(metrics.items())),
        tags=tuple(schema.load(row.tags) or ()),
        artifacts={name: RunArtifact(**kept) for name, kept in record["artifacts"].items()} if is_experiment else {},
        started_at=clock.from_text(row.started_at),
        ended_at=None if row.ended_at is None else clock.from_text(row.ended_at),
        created_by=row.created_by,
        description=record.get("description") or "",
        error=record.get("error") or "; ".join(record.get("errors") or ()) or None,
        git_commit=record.get("git_commit"),
    )


def _pipeline_params(config: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    return dict(config.get("model_params") or {}) | dict(record.get("hyperparameters") or {})
