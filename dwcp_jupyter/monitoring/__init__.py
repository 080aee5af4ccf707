"""Whether what a model is asked, and what it answers, still looks like what it learnt from.

`MLMonitor` belongs to one version: it keeps reference data, logs predictions made elsewhere, and compares the log with
the reference. Everything is loaded when first touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dwcp_jupyter.monitoring.alerts import Alert, Severity
    from dwcp_jupyter.monitoring.comparison import compare
    from dwcp_jupyter.monitoring.monitor import MLMonitor
    from dwcp_jupyter.monitoring.report import ColumnDrift, DriftNote, DriftReport, Verdict

__all__ = ["Alert", "ColumnDrift", "DriftNote", "DriftReport", "MLMonitor", "Severity", "Verdict", "compare"]

_HOME = {
    "Alert": "alerts",
    "ColumnDrift": "report",
    "DriftNote": "report",
    "DriftReport": "report",
    "MLMonitor": "monitor",
    "Severity": "alerts",
    "Verdict": "report",
    "compare": "comparison",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
