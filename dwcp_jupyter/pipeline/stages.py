"""The ten stages of a run, and how a run can stand."""

from __future__ import annotations

from enum import Enum

from dwcp_jupyter.tracking.status import RunStatus

__all__ = ["PipelineStage", "RunStatus"]


class PipelineStage(Enum):
    """The stages in their order."""

    DATA_LOADING = "data_loading"
    DATA_VALIDATION = "data_validation"
    FEATURE_ENGINEERING = "feature_engineering"
    DATA_SPLITTING = "data_splitting"
    HYPERPARAMETER_TUNING = "hyperparameter_tuning"
    MODEL_TRAINING = "model_training"
    MODEL_VALIDATION = "model_validation"
    MODEL_TESTING = "model_testing"
    MODEL_EXPORT = "model_export"
    DEPLOYMENT_PREP = "deployment_prep"
