"""Requests that wait together run together, and nobody waits for others to come.

An `Item` is one request's rows and the future of its answer. A `Queue` is bounded: what does not fit is refused at
once, with a time to retry. A runner takes all that is queued when it becomes free: the compiled path once per turn of
the event loop, a replica when its last batch is done. An item's rows stay together and its slice of the result is its
own, so answers cannot mix. One item's bad input must not fail its neighbours: a batch that fails is run again item by
item.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dwcp_jupyter.exceptions import QueueFullError
from dwcp_jupyter.serving.protocols import Answer
from dwcp_jupyter.serving.protocols.errors import DeadlineError

__all__ = ["BatchResult", "Item", "Queue", "Timekeeper", "late", "split"]


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What the model said to a batch.

    Attributes
    ----------
    values : ndarray, (n_rows,), or (n_rows, n_outputs) of a model with several
    probabilities : ndarray, (n_rows, n_classes), or None
    """

    values: np.ndarray[Any, Any]
    probabilities: np.ndarray[Any, Any] | None


class Item:
    """One request on its way through the model."""

    __slots__ = (
        "arrived",
        "attempts",
        "deadline",
        "entity_key",
        "future",
        "is_alone",
        "payload",
        "request_id",
        "rows",
        "time_s",
    )

    def __init__(
        self,
        payload: Any,
        rows: int,
        future: asyncio.Future[Answer],
        *,
        request_id: str,
        arrived: float,
        time_s: float,
        deadline: float,
        entity_key: str | None = None,
    ) -> None:
        self.payload = payload
        self.rows = rows
        self.future = future
        self.request_id = request_id
        self.arrived = arrived
        """Monotonic, seconds."""
        self.time_s = time_s
        """Seconds since the epoch."""
        self.deadline = deadline
        """Monotonic, seconds."""
        self.entity_key = entity_key
        self.attempts = 0
        """How often a replica died with it."""
        self.is_alone = False
        """It goes through the model without others: a batch that held it failed."""

    def fail(self, error: BaseException) -> None:
        """Answer with `error`, unless the answer is there already."""
        if not self.future.done():
            self.future.set_exception(error)


class Queue:
    """Items that wait, oldest first, at most `limit` at once."""

    def __init__(self, *, limit: int, endpoint: str) -> None:
        self._items: deque[Item] = deque()
        self._limit = limit
        self._endpoint = endpoint

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item, *, outstanding: int = 0) -> None:
        """Append `item`; `outstanding` others are with the model and count too.

        Raises
        ------
        QueueFullError
            If too many wait already.
        """
        if len(self._items) + outstanding >= self._limit:
            raise QueueFullError(
                f"The endpoint '{self._endpoint}' has {self._limit} requests waiting, as many as it may. Send it again "
                "in a second, or deploy it with more replicas or a larger max_queue.",
                retry_after_s=1.0,
            )
        self._items.append(item)

    def put_back(self, items: list[Item]) -> None:
        """Return items to the front, in order; they were in before, so the limit does not count."""
        self._items.extendleft(reversed(items))

    def take(self, max_rows: int | None = None) -> list[Item]:
        """Return what waits, up to `max_rows` rows but at least one item, without those nobody waits for any more."""
        taken: list[Item] = []
        rows = 0
        while self._items:
            item = self._items[0]
            if item.future.done():
                self._items.popleft()
                continue
            if taken and (item.is_alone or (max_rows is not None and rows + item.rows > max_rows)):
                break
            rows += item.rows
            taken.append(self._items.popleft())
            if item.is_alone:
                break
        return taken

    def drain(self) -> list[Item]:
        """Return all that wait, and hold none."""
        items = list(self._items)
        self._items.clear()
        return items


class Timekeeper:
    """Fails items whose deadline has passed: one timer for all of them, running only while there are any.

    A timer per request would cost more than the request's whole share of the gateway.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, interval_s: float, error: Callable[[Item], Exception] | None = None
    ) -> None:
        self._loop = loop
        self._error = error or late
        self._interval_s = interval_s
        self._items: deque[Item] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, item: Item) -> None:
        """Fail `item` when its deadline has passed, up to `interval_s` late."""
        self._items.append(item)
        if self._timer is None:
            self._timer = self._loop.call_later(self._interval_s, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        waiting = deque(item for item in self._items if not item.future.done())
        for item in waiting:
            if item.deadline <= now:
                item.fail(self._error(item))
        self._items = deque(item for item in waiting if not item.future.done())
        self._timer = self._loop.call_later(self._interval_s, self._look) if self._items else None


def late(item: Item) -> DeadlineError:
    """Return the error of an item whose deadline has passed."""
    return DeadlineError(
        f"No answer within {item.deadline - item.arrived:g} s. The model is slower than the requests come, or "
        "it hangs; "
        "deploy it with more replicas or a larger timeout_s."
    )


def split(items: list[Item], result: BatchResult) -> list[tuple[Item, Answer]]:
    """Return each item with its own part of the result."""
    values = result.values.tolist()
    probabilities = None if result.probabilities is None else result.probabilities.tolist()
    answers = []
    start = 0
    for item in items:
        end = start + item.rows
        answers.append((item, Answer(values[start:end], None if probabilities is None else probabilities[start:end])))
        start = end
    return answers
