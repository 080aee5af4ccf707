"""The files of a run, written beside their place and moved there when they are whole."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import FlavorError, PipelineConfigError
from dwcp_jupyter.pipeline.as_json import as_json
from dwcp_jupyter.pipeline.run import PipelineRun

__all__ = ["PACKAGE", "Outbox", "package", "record"]


PACKAGE = "package"
_METADATA = "model_metadata.json"
_PARTS = frozenset({"model.json", "input_example.json"})


class Outbox:
    """A folder's new files: collected apart, put in place together by `deliver`.

    A run that fails or is killed before leaves the folder as it was. Files of the names that a run writes are replaced;
    the folder ``package`` only if an earlier run made it, and nobody put anything into it since.

    Raises
    ------
    PipelineConfigError
        If there is another folder of that name: now rather than after the training, and again when files are moved.
    """

    def __init__(self, folder: Path, run_id: str) -> None:
        self.folder = folder
        _refuse_foreign(folder / PACKAGE)
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
        text = json.dumps(as_json(value), indent=2, ensure_ascii=False, allow_nan=False)
        self.path(name).write_text(text, encoding="utf-8")

    def deliver(self) -> dict[str, str]:
        """Move everything into the folder, in place of earlier files; return the paths by name."""
        _refuse_foreign(self.folder / PACKAGE)
        shutil.rmtree(self.folder / PACKAGE, ignore_errors=True)  # first: none is better than one of another run
        delivered = {}
        for source in sorted(self._apart.iterdir()):
            target = self.folder / source.name
            os.replace(source, target)  # noqa: PTH105 - replaces folders too
            delivered[source.name] = str(target)
        self._apart.rmdir()
        return delivered

    def discard(self) -> None:
        """Remove what was collected."""
        shutil.rmtree(self._apart, ignore_errors=True)


def _refuse_foreign(folder: Path) -> None:
    """Raise unless `folder` is absent, empty, or a package that an earlier run made: the file beside names its sum."""
    if folder.is_symlink() or (folder.exists() and not _is_ours(folder)):
        raise PipelineConfigError(
            f"'{folder}' was not made by a pipeline, or was changed since; it is not replaced. Move it away, or name "
            "another output_dir."
        )


def _is_ours(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if not found:
        return True
    try:
        info = flavors.read_package(folder)
        recorded = json.loads((folder.parent / _METADATA).read_bytes())["package_sha256"]
    except (FlavorError, OSError, ValueError, LookupError, TypeError):
        return False
    return recorded == info.sha256 and found <= _PARTS | {info.file}


def package(
    pipeline: Pipeline, inputs: pd.DataFrame, answers: Any, folder: Path, *, nullable: frozenset[str]
) -> flavors.PackageInfo:
    """Return the description of the package written to `folder`: preprocessing, model, signature and example."""
    signature = flavors.Signature.infer(inputs, answers)
    columns = tuple(replace(c, nullable=c.nullable or c.name in nullable) for c in signature.inputs)
    return flavors.save_model(pipeline, folder, signature=replace(signature, inputs=columns), input_example=inputs)


def record(run: PipelineRun) -> dict[str, Any]:
    """Return the run as JSON."""
    values = {
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
        "hyperparameters": as_json(run.hyperparameters, non_finite=str),
        "tuning_history": [
            {"number": t.number, "params": as_json(t.params, non_finite=str), "value": t.value}
            for t in run.tuning_history
        ],
        "logs": run.logs,
        "warnings": run.warnings,
        "errors": run.errors,
        "training_data": None if run.training_data is None else run.training_data.sha256,
    }
    return dict(as_json(values))
