"""Experiment tracking: what was tried, with which parameters, and what came of it.

`Tracker.start` gives an `ActiveRun` to log to; `Tracker.get_run`, `Tracker.search_runs` and `Tracker.compare_runs` read
what was logged. Runs of pipelines are listed among them. Values of metrics are data, not state: a run's beginning and
its end are events, and the end carries the sums by which later changes of what was logged show.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.tracking.active import ActiveRun
    from dwcp_jupyter.tracking.comparison import RunComparison
    from dwcp_jupyter.tracking.history import MetricHistory
    from dwcp_jupyter.tracking.status import RunStatus
    from dwcp_jupyter.tracking.tracker import Tracker
    from dwcp_jupyter.tracking.values import RunArtifact, RunList, RunRecord

__all__ = [
    "ActiveRun",
    "MetricHistory",
    "RunArtifact",
    "RunComparison",
    "RunList",
    "RunRecord",
    "RunStatus",
    "Tracker",
]

_HOME = {
    "ActiveRun": "active",
    "MetricHistory": "history",
    "RunArtifact": "values",
    "RunComparison": "comparison",
    "RunList": "values",
    "RunRecord": "values",
    "RunStatus": "status",
    "Tracker": "tracker",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
