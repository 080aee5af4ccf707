"""Ctrl-C between two steps, not within one.

Python lets an interrupt in after any instruction of the main thread: between taking a lock and noting that it is taken,
or between a database's commit and SQLAlchemy's. So it waits while such a pair of steps is done; where something takes
long, it is let in at places at which nothing is half-done.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["held", "is_interruption", "let_in"]


class _Waiting:
    """What to do with an interrupt, and those that came meanwhile."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self._came: list[tuple[Any, ...]] = []

    def note(self, *given: Any) -> None:
        self._came.append(given)

    def deliver(self) -> None:
        came, self._came = self._came, []
        if came:
            self.handler(*came[-1])


_waiting: _Waiting | None = None
"""Set by the main thread alone, which alone is interrupted."""


@contextmanager
def held() -> Iterator[None]:
    """Let an interrupt wait until the block is through; blocks nest."""
    global _waiting  # noqa: PLW0603 - the handler of a signal is one for the process
    if threading.current_thread() is not threading.main_thread() or _waiting is not None:
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):  # ignored, fatal, or not Python's
        yield
        return
    waiting = _Waiting(handler)
    _waiting = waiting
    try:
        signal.signal(signal.SIGINT, waiting.note)
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        _waiting = None
        waiting.deliver()


def let_in() -> None:
    """Let an interrupt in that waits."""
    if _waiting is not None and threading.current_thread() is threading.main_thread():
        _waiting.deliver()


def is_interruption(exc: BaseException) -> bool:
    """Return whether something was stopped in the middle; DuckDB says so by a `RuntimeError`."""
    return not isinstance(exc, Exception) or (type(exc) is RuntimeError and str(exc) == "Query interrupted")


def _after_fork_in_child() -> None:
    """Let interrupts in, where another thread of the parent forked in the middle of a block."""
    global _waiting  # noqa: PLW0603
    if _waiting is not None:
        signal.signal(signal.SIGINT, _waiting.handler)
        _waiting = None


os.register_at_fork(after_in_child=_after_fork_in_child)
