"""From a finished pipeline run to a registered version."""

from __future__ import annotations

import platform

from dwcp_jupyter._version import __version__
from dwcp_jupyter.exceptions import PipelineError
from dwcp_jupyter.pipeline import PipelineRun, RunStatus
from dwcp_jupyter.pipeline.loading import describe_source
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, ModelVersion

__all__ = ["register"]


def register(
    registry: ModelRegistry, run: PipelineRun, *, name: str | None, version: str | None, bump: str
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
    return registry.register_model(said, artifact_path=run.package_dir, bump=bump, reference_data=run.reference)
