"""What the workspace keeps of a run: that it began, and how it ended."""

from __future__ import annotations

import math

from sqlalchemy import insert, update

from dwcp_jupyter import clock
from dwcp_jupyter.pipeline import export
from dwcp_jupyter.pipeline.run import PipelineRun
from dwcp_jupyter.pipeline.stages import RunStatus
from dwcp_jupyter.store import Stores, schema
from dwcp_jupyter.tracking.process import this_process
from dwcp_jupyter.tracking.rows import ending

__all__ = ["end", "start"]


def start(stores: Stores, run: PipelineRun) -> None:
    """Record that `run` began."""
    with stores.metadata.transaction() as tx:
        tx.execute(
            insert(schema.runs).values(
                id=run.run_id,
                name=run.config.name,
                kind="pipeline",
                status=str(RunStatus.RUNNING),
                config=schema.dump(run.config.to_json()),
                record=schema.dump({"process": this_process()}),
                metrics=schema.dump({}),
                created_by=tx.actor.name,
                started_at=clock.to_text(run.started_at),
            )
        )
        tx.record(
            "run.started",
            f"run:{run.run_id}",
            name=run.config.name,
            run_kind="pipeline",
            started_at=clock.to_text(run.started_at),
        )


def end(stores: Stores, run: PipelineRun) -> None:
    """Record how `run` ended; the event seals its row."""
    metrics = {name: value for name, value in run.metrics.items() if math.isfinite(value)}
    values = {
        "status": str(run.status),
        "record": schema.dump(export.record(run)),
        "metrics": schema.dump(metrics),
        "ended_at": None if run.ended_at is None else clock.to_text(run.ended_at),
    }
    with stores.metadata.transaction() as tx:
        tx.execute(update(schema.runs).where(schema.runs.c.id == run.run_id).values(**values))
        tx.record(
            "run.ended",
            f"run:{run.run_id}",
            name=run.config.name,
            **ending({**values, "tags": None, "config": schema.dump(run.config.to_json())}),
            training_data=None if run.training_data is None else run.training_data.sha256,
        )
