"""What a run tells while it is under way, and how it is told to stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Protocol

from dwcp_jupyter.pipeline.stages import PipelineStage

__all__ = ["CancelToken", "Progress", "RunCancelledError", "StageProgress", "TrialProgress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageProgress:
    """A stage began (`duration_s` is None) or ended."""

    stage: PipelineStage
    position: int
    total: int
    duration_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialProgress:
    """A trial of tuning ended.

    Attributes
    ----------
    best : float or None
        The best value of the metric so far; None before the first trial that was not pruned.
    remaining_s : float
        Estimate of the time left, in seconds.
    """

    done: int
    total: int
    metric: str
    best: float | None
    remaining_s: float


class Progress(Protocol):
    """Is called from the thread that runs the pipeline; what it raises ends the run."""

    def __call__(self, event: StageProgress | TrialProgress) -> None:
        """Take note of one event."""


class RunCancelledError(Exception):
    """Raised inside a run that was told to stop; never leaves it."""


class CancelToken:
    """Tells a run, from another thread, to stop at its next stage, trial or fold."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop."""
        self._event.set()

    def check(self) -> None:
        """Raise if the run was asked to stop."""
        if self._event.is_set():
            raise RunCancelledError
