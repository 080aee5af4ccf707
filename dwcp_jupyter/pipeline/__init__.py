"""From data to a model that can be registered: one configuration, ten stages.

`PipelineConfig` says what to do, `MLPipeline` does it, and `PipelineRun` says what came of it. Preprocessing and model
are one fitted scikit-learn pipeline, so that serving transforms exactly as training did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.pipeline.config import PipelineConfig
    from dwcp_jupyter.pipeline.ml_pipeline import MLPipeline
    from dwcp_jupyter.pipeline.progress import CancelToken, Progress, StageProgress, TrialProgress
    from dwcp_jupyter.pipeline.run import PipelineRun, Trial
    from dwcp_jupyter.pipeline.stages import PipelineStage, RunStatus

__all__ = [
    "CancelToken",
    "MLPipeline",
    "PipelineConfig",
    "PipelineRun",
    "PipelineStage",
    "Progress",
    "RunStatus",
    "StageProgress",
    "Trial",
    "TrialProgress",
]

_HOME = {
    "CancelToken": "progress",
    "MLPipeline": "ml_pipeline",
    "PipelineConfig": "config",
    "PipelineRun": "run",
    "PipelineStage": "stages",
    "Progress": "progress",
    "RunStatus": "stages",
    "StageProgress": "progress",
    "Trial": "run",
    "TrialProgress": "progress",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
