"""What is worth telling somebody, and where it is told.

A route is any callable that takes an `Alert`; the one here writes to the log. What becomes an alert is decided by the
checks: an alert exists only where chance is ruled out *and* the change is large enough to matter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Alert", "AlertRoute", "Severity", "to_log"]

_LOGGER = logging.getLogger("dwcp_jupyter.monitoring")
_LOGGER.addHandler(logging.NullHandler())  # where no log is set up, the report that shows its alerts is enough


class Severity(StrEnum):
    """How large a change is."""

    NONE = "none"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One change of one column of one version.

    Attributes
    ----------
    model : str
        ``name@version``.
    """

    model: str
    column: str
    severity: Severity
    message: str


AlertRoute = Callable[[Alert], None]
"""Takes an alert somewhere; must not raise for a destination that is away."""


def to_log(alert: Alert) -> None:
    """Write the alert to the logger ``dwcp_jupyter.monitoring``: an error if critical, else a warning.

    A program that set up no logging sees nothing of it; the report has its alerts all the same.
    """
    level = logging.ERROR if alert.severity is Severity.CRITICAL else logging.WARNING
    _LOGGER.log(level, "%s: %s", alert.model, alert.message)
