"""A run's progress as one line that is written over."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from dwcp_jupyter.pipeline import StageProgress, TrialProgress

__all__ = ["LiveProgress"]

_WIDTH = 20


class LiveProgress:
    """Writes one line per event to the cell's output, each in place of the one before; clears it at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._longest = 0
        self._stage = ""
        self._place = (0, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write("")
        sys.stdout.write("\r")
        sys.stdout.flush()

    def __call__(self, event: StageProgress | TrialProgress) -> None:
        """Show one event."""
        detail = self._trial(event) if hasattr(event, "done") else self._began(event)
        position, total = self._place
        done = round(_WIDTH * position / total)
        self._write(f"{self._title}  {'█' * done}{'░' * (_WIDTH - done)}  {position}/{total} {self._stage}{detail}")

    def _began(self, event: Any) -> str:
        self._stage = event.stage.value.replace("_", " ")
        self._place = (event.position - (event.duration_s is None), event.total)
        return "" if event.duration_s is None else f", {event.duration_s:.1f} s"

    def _trial(self, event: Any) -> str:
        best = "" if event.best is None else f", best {event.metric} {event.best:.4f}"
        return f": trial {event.done}/{event.total}{best}, about {_duration(event.remaining_s)} left"

    def _write(self, line: str) -> None:
        self._longest = max(self._longest, len(line))
        sys.stdout.write("\r" + line.ljust(self._longest))
        sys.stdout.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
