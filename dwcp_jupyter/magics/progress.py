"""A run's progress as one line that is written over.

In a notebook it is one output that is exchanged, so the saved file holds its last state and nothing else; in a terminal
it is a line that ends where it began.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from IPython.core.getipython import get_ipython
from IPython.display import display

if TYPE_CHECKING:
    from dwcp_jupyter.pipeline import StageProgress, TrialProgress

__all__ = ["LiveProgress"]

_WIDTH = 20


class LiveProgress:
    """Shows each event in place of the one before."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._stage = ""
        self._place = (0, 1)
        self._started = time.monotonic()
        self._line: _Line = _NotebookLine() if hasattr(get_ipython(), "kernel") else _TerminalLine()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.end(
            self._bar(
                "done" if error is None else f"{self._stage}: stopped".removeprefix(": "),
                time.monotonic() - self._started,
            )
        )

    def __call__(self, event: StageProgress | TrialProgress) -> None:
        """Show one event."""
        detail = self._trial(event) if hasattr(event, "done") else self._began(event)
        self._line.show(self._bar(f"{self._stage}{detail}"))

    def _bar(self, said: str, duration_s: float | None = None) -> str:
        position, total = self._place
        done = round(_WIDTH * position / total)
        took = "" if duration_s is None else f", {_duration(duration_s)}"
        return f"{self._title}  {'█' * done}{'░' * (_WIDTH - done)}  {position}/{total} {said}{took}"

    def _began(self, event: Any) -> str:
        self._stage = event.stage.value.replace("_", " ")
        self._place = (event.position - (event.duration_s is None), event.total)
        return "" if event.duration_s is None else f", {event.duration_s:.1f} s"

    def _trial(self, event: Any) -> str:
        best = "" if event.best is None else f", best {event.metric} {event.best:.4f}"
        return f": trial {event.done}/{event.total}{best}, about {_duration(event.remaining_s)} left"


class _Line(Protocol):
    def show(self, text: str) -> None:
        """Put `text` in place of what was there."""

    def end(self, text: str) -> None:
        """Say `text` last."""


class _TerminalLine:
    def __init__(self) -> None:
        self._longest = 0

    def show(self, text: str) -> None:
        self._longest = max(self._longest, len(text))
        sys.stdout.write("\r" + text.ljust(self._longest))
        sys.stdout.flush()

    def end(self, text: str) -> None:
        self.show(text)
        sys.stdout.write("\n")
        sys.stdout.flush()


class _NotebookLine:
    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def end(self, text: str) -> None:
        self.show(text)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
