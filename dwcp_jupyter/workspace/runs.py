"""From a run to a registered version."""

from __future__ import annotations

import math
import platform
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import PipelineError, RunError
from dwcp_jupyter.pipeline import PipelineRun, RunStatus
from dwcp_jupyter.pipeline.loading import describe_source
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, ModelVersion
from dwcp_jupyter.registry.checking import check_tags
from dwcp_jupyter.tracking import ActiveRun, RunRecord, Tracker

__all__ = ["describe", "register", "register_logged"]


def describe(said: ModelMetadata, run: RunRecord) -> ModelMetadata:
    """Return what is said of a version, with what its run knows; what was said by hand goes first."""
    metrics = {name: value for name, value in run.metrics.items() if math.isfinite(value)}
    left_out = [] if said.metrics else [repr(name) for name in run.metrics if name not in metrics]
    if left_out:
        warnings.warn(
            f"The version does not have {', '.join(left_out)} of run '{run.name}', which ended as no finite number; "
            "the run keeps it.",
            stacklevel=4,
        )
    return replace(
        said,
        metrics=said.metrics or metrics,
        hyperparameters=said.hyperparameters or run.params,
        tags=tuple(dict.fromkeys((*check_tags(said.tags), *run.tags))),
        training_started_at=said.training_started_at or run.started_at,
        training_ended_at=said.training_ended_at or run.ended_at,
        git_commit=said.git_commit or run.git_commit,
        run_id=run.id,
    )


def register_logged(
    registry: ModelRegistry,
    tracker: Tracker,
    run: ActiveRun | RunRecord | str,
    *,
    name: str | None,
    version: str | None,
    bump: str,
    stage: str,
) -> ModelVersion:
    """Return the version made of the model that a run kept.

    Raises
    ------
    RunError
        If it kept none, or several.
    """
    found = tracker.get_run(run)
    models = [kept.name for kept in found.artifacts.values() if kept.kind == "model"]
    if len(models) != 1:
        kept = f"{len(models)} models ({', '.join(models)})" if models else "no model"
        raise RunError(
            f"Run '{found.name}' ({found.id[:8]}) kept {kept}. Keep one by run.log_model(model), or register the model "
            "itself: ws.register(NAME, model, run=run)"
        )
    environment = {"python": platform.python_version(), "dwcp_jupyter": __version__}
    said = ModelMetadata(name=name or found.name, version=version, environment=environment)
    with tempfile.TemporaryDirectory(prefix="dwcp-run-") as folder:
        package = tracker.fetch_artifact(found, models[0], Path(folder) / "package")
        return registry.register_model(describe(said, found), artifact_path=package, bump=bump, stage=stage)


def register(
    registry: ModelRegistry, run: PipelineRun, *, name: str | None, version: str | None, bump: str, stage: str
) -> ModelVersion:
    """Return the version made of a completed run; its training data stay with it as reference for drift.

    Raises
    ------
    PipelineError
        If the run did not complete.
    """
    if run.status is not RunStatus.COMPLETED or run.package_dir is None:
        stage = "" if run.current_stage is None else run.current_stage.value
        raise PipelineError(
            f"Run of '{run.config.name}' is {run.status}, so it has no model to register. Run the pipeline to its end.",
            stage=stage,
            run_id=run.run_id,
        )
    said = ModelMetadata(
        name=name or run.config.name,
        version=version,
        description=run.config.description,
        training_dataset=describe_source(run.config.data_source),
        metrics={key: value for key, value in run.metrics.items() if value == value},  # noqa: PLR0124 - not NaN
        hyperparameters=run.config.to_json()["model_params"] | run.hyperparameters,
        task_type=run.task,
        training_started_at=run.started_at,
        training_ended_at=run.ended_at,
        environment={"python": platform.python_version(), "dwcp_jupyter": __version__},
        custom_metadata={"training_data_sha256": None if run.training_data is None else run.training_data.sha256},
        run_id=run.run_id,
    )
    return registry.register_model(
        said, artifact_path=run.package_dir, bump=bump, reference_data=run.reference, stage=stage
    )
