"""The files of a run, written beside their place and moved there when they are whole."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from dwcp_jupyter import flavors
from dwcp_jupyter.pipeline.run import PipelineRun

__all__ = ["Outbox", "package", "record"]


class Outbox:
    """A folder's new files: collected apart, put in place together by `deliver`.

    A run that fails or is killed before leaves the folder as it was.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        self._apart = folder / f".{run_id}.partial"
        self._apart.mkdir(parents=True)

    def path(self, name: str) -> Path:
        """Return where to write the file `name` now."""
        return self._apart / name

    def frame(self, name: str, frame: pd.DataFrame) -> None:
        """Write a data frame as Parquet or CSV, by the name's ending."""
        if name.endswith(".csv"):
            frame.to_csv(self.path(name), index=False)
        else:
            frame.to_parquet(self.path(name), index=False)

    def pickled(self, name: str, value: Any) -> None:
        """Write a pickle: a convenience for the user, which nothing here ever reads."""
        with self.path(name).open("wb") as stream:
            pickle.dump(value, stream)

    def json(self, name: str, value: Any) -> None:
        """Write JSON."""
        self.path(name).write_text(json.dumps(value, indent=2, ensure_ascii=False, default=str), encoding="utf-8")

    def deliver(self) -> dict[str, str]:
        """Move everything into the folder, in place of earlier files; return the paths by name."""
        delivered = {}
        for source in sorted(self._apart.iterdir()):
            target = self.folder / source.name
            if target.is_dir():
                if not (target / "model.json").exists() and any(target.iterdir()):
                    raise FileExistsError(
                        f"'{target}' is a folder that no pipeline wrote; it is not replaced. Name another output_dir."
                    )
                shutil.rmtree(target)
            os.replace(source, target)  # noqa: PTH105 - replaces folders too
            delivered[source.name] = str(target)
        self._apart.rmdir()
        return delivered

    def discard(self) -> None:
        """Remove what was collected."""
        shutil.rmtree(self._apart, ignore_errors=True)


def package(
    pipeline: Pipeline, inputs: pd.DataFrame, answers: Any, folder: Path, *, nullable: frozenset[str]
) -> flavors.PackageInfo:
    """Return the description of the package written to `folder`: preprocessing, model, signature and example."""
    signature = flavors.Signature.infer(inputs, answers)
    columns = tuple(replace(c, nullable=c.nullable or c.name in nullable) for c in signature.inputs)
    return flavors.save_model(pipeline, folder, signature=replace(signature, inputs=columns), input_example=inputs)


def record(run: PipelineRun) -> dict[str, Any]:
    """Return the run as JSON."""
    return {
        "run_id": run.run_id,
        "name": run.config.name,
        "status": str(run.status),
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "config": run.config.to_json(),
        "task": run.task,
        "stages_completed": [stage.value for stage in run.stages_completed],
        "current_stage": None if run.current_stage is None else run.current_stage.value,
        "durations_s": run.durations_s,
        "metrics": run.metrics,
        "intervals": {name: list(pair) for name, pair in run.intervals.items()},
        "hyperparameters": _plain(run.hyperparameters),
        "tuning_history": [
            {"number": t.number, "params": _plain(t.params), "value": t.value} for t in run.tuning_history
        ],
        "logs": run.logs,
        "warnings": run.warnings,
        "errors": run.errors,
        "training_data": None if run.training_data is None else run.training_data.sha256,
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.item() if hasattr(value, "item") else value for key, value in values.items()}
