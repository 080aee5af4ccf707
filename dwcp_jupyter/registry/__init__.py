"""Models by name and semantic version: immutable, staged, and found again.

`ModelRegistry` registers and promotes; its results are plain values. Everything is loaded when first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.flavors import Framework
    from dwcp_jupyter.registry.approvals import Approval, ApprovalList, ApprovalState, Decision
    from dwcp_jupyter.registry.comparison import Comparison, ComparisonList
    from dwcp_jupyter.registry.lineage import Lineage
    from dwcp_jupyter.registry.model_registry import ModelRegistry
    from dwcp_jupyter.registry.policies import StagePolicy
    from dwcp_jupyter.registry.signing import ModelSignature
    from dwcp_jupyter.registry.stages import Stage
    from dwcp_jupyter.registry.trash import GarbageReport, Trashed, TrashList
    from dwcp_jupyter.registry.values import Model, ModelList, ModelMetadata, ModelVersion, VersionList
    from dwcp_jupyter.registry.versioning import Bump, SemanticVersion

__all__ = [
    "Approval",
    "ApprovalList",
    "ApprovalState",
    "Bump",
    "Comparison",
    "ComparisonList",
    "Decision",
    "Framework",
    "GarbageReport",
    "Lineage",
    "Model",
    "ModelList",
    "ModelMetadata",
    "ModelRegistry",
    "ModelSignature",
    "ModelVersion",
    "SemanticVersion",
    "Stage",
    "StagePolicy",
    "TrashList",
    "Trashed",
    "VersionList",
]

_HOME = {
    "Approval": "dwcp_jupyter.registry.approvals",
    "ApprovalList": "dwcp_jupyter.registry.approvals",
    "ApprovalState": "dwcp_jupyter.registry.approvals",
    "Bump": "dwcp_jupyter.registry.versioning",
    "Comparison": "dwcp_jupyter.registry.comparison",
    "ComparisonList": "dwcp_jupyter.registry.comparison",
    "Decision": "dwcp_jupyter.registry.approvals",
    "Framework": "dwcp_jupyter.flavors",
    "GarbageReport": "dwcp_jupyter.registry.trash",
    "Lineage": "dwcp_jupyter.registry.lineage",
    "Model": "dwcp_jupyter.registry.values",
    "ModelList": "dwcp_jupyter.registry.values",
    "ModelMetadata": "dwcp_jupyter.registry.values",
    "ModelRegistry": "dwcp_jupyter.registry.model_registry",
    "ModelSignature": "dwcp_jupyter.registry.signing",
    "ModelVersion": "dwcp_jupyter.registry.values",
    "SemanticVersion": "dwcp_jupyter.registry.versioning",
    "Stage": "dwcp_jupyter.registry.stages",
    "StagePolicy": "dwcp_jupyter.registry.policies",
    "TrashList": "dwcp_jupyter.registry.trash",
    "Trashed": "dwcp_jupyter.registry.trash",
    "VersionList": "dwcp_jupyter.registry.values",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
