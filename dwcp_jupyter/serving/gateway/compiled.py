"""Runs a compiled model in the gateway's own process.

All requests that arrive within one turn of the event loop go through ONNX Runtime together, at its end: alone, a
request waits for nobody. A batch that would hold up the loop runs in a thread instead.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from dwcp_jupyter.exceptions import DwcpError, PredictionError, SignatureError
from dwcp_jupyter.flavors.converters import MISSING_TEXT
from dwcp_jupyter.flavors.onnx import open_session
from dwcp_jupyter.serving.batching import BatchResult, Item, Queue, late
from dwcp_jupyter.serving.encoding import Payload, RowCodec
from dwcp_jupyter.serving.gateway.delivery import Delivery
from dwcp_jupyter.supervisor.state import ProcessState

__all__ = ["CompiledRunner", "OnnxModel"]

_log = logging.getLogger("dwcp.gateway")
INLINE_ROWS = 256
"""Batches above this run in a thread."""


class OnnxModel:
    """An ONNX file as a function of rows. Thread-safe."""

    def __init__(self, onnx: bytes, *, layout: str, codec: RowCodec) -> None:
        self._session = open_session(onnx)
        self._codec = codec
        self._is_matrix = layout == "matrix"
        self._texts = {
            name
            for name, item in zip(codec.names, self._session.get_inputs(), strict=False)
            if not self._is_matrix and item.type == "tensor(string)"
        }
        self._names = [item.name for item in self._session.get_inputs()]
        self._outputs = [item.name for item in self._session.get_outputs()][:2]

    def run(self, payload: Payload) -> BatchResult:
        """Return the model's answer to all rows.

        Raises
        ------
        SignatureError
            If a number is too large for float32, naming its column.
        """
        feeds = self._feeds(payload)
        values, *others = self._session.run(self._outputs, feeds)
        if values.ndim > 1:
            values = values.reshape(len(values))
        return BatchResult(values, others[0] if others else None)

    def _feeds(self, payload: Payload) -> dict[str, np.ndarray[Any, Any]]:
        if self._is_matrix:
            matrix = self._codec.matrix(payload)
            if not np.isfinite(matrix).all():
                self._check(np.isinf(matrix).any(axis=0))
            return {self._names[0]: matrix}
        return {given: self._column(payload, name) for given, name in zip(self._names, self._codec.names, strict=True)}

    def _column(self, payload: Payload, name: str) -> np.ndarray[Any, Any]:
        """Return one input, (n_rows, 1): float32 for numbers, text as it is, a missing one as in the parity proof."""
        values = self._codec.column(payload, name)
        if name in self._texts:
            return np.array([MISSING_TEXT if value is None else value for value in values], dtype=object).reshape(-1, 1)
        with np.errstate(over="ignore"):
            numbers = np.array([np.nan if value is None else value for value in values], dtype=np.float64).astype(
                np.float32
            )
        if np.isinf(numbers).any():
            self._check(np.array([other == name for other in self._codec.names]))
        return numbers.reshape(-1, 1)

    def _check(self, is_infinite: np.ndarray[Any, Any]) -> None:
        columns = [name for name, bad in zip(self._codec.names, is_infinite, strict=True) if bad]
        if columns:
            raise SignatureError(
                f"Column '{columns[0]}' holds a number too large for the model, which computes in float32 (up "
                "to 3.4e38). "
                "Send a smaller one.",
                columns=tuple(columns),
            )


class CompiledRunner:
    """Batches requests through an `OnnxModel`, on the event loop."""

    def __init__(
        self, model: OnnxModel, *, codec: RowCodec, queue: Queue, delivery: Delivery, executor: Executor, max_rows: int
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._model = model
        self._codec = codec
        self._queue = queue
        self._delivery = delivery
        self._executor = executor
        self._max_rows = max_rows
        self._is_scheduled = False
        self._in_threads = 0

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def ready_replicas(self) -> int:
        """One: the process itself."""
        return 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return not self._queue and not self._in_threads

    def submit(self, item: Item) -> None:
        """Take `item`; its future is set within this turn of the loop, or soon after for large batches.

        Raises
        ------
        QueueFullError
            If too many wait already.
        """
        self._queue.put(item, outstanding=self._in_threads)
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)

    async def update(self, processes: Sequence[ProcessState]) -> None:
        """Nothing depends on other processes."""

    async def close(self) -> None:
        """Nothing is held."""

    def _flush(self) -> None:
        self._is_scheduled = False
        items = self._queue.take(self._max_rows)
        if self._queue:
            self._is_scheduled = True
            self._loop.call_soon(self._flush)
        now = time.monotonic()
        due = [item for item in items if item.deadline > now]
        if len(due) < len(items):
            for item in items:
                if item.deadline <= now:
                    item.fail(late(item))
        if not due:
            return
        rows = sum(item.rows for item in due)
        if rows > INLINE_ROWS:
            self._in_threads += len(due)
            self._loop.create_task(self._run_in_thread(due))
        else:
            self._run(due)

    def _run(self, items: list[Item]) -> None:
        payload = self._codec.join([item.payload for item in items])
        try:
            result = self._model.run(payload)
        except Exception as exc:  # noqa: BLE001 - whatever the model raises is the answer to whoever asked
            self._failed(items, exc)
            return
        self._delivery.deliver(items, payload, result)

    async def _run_in_thread(self, items: list[Item]) -> None:
        payload = self._codec.join([item.payload for item in items])
        try:
            result = await self._loop.run_in_executor(self._executor, self._model.run, payload)
        except Exception as exc:  # noqa: BLE001 - as in _run
            self._failed(items, exc)
        else:
            self._delivery.deliver(items, payload, result)
        finally:
            self._in_threads -= len(items)

    def _failed(self, items: list[Item], exc: Exception) -> None:
        if len(items) > 1:  # one request's rows must not fail its neighbours'
            for item in items:
                self._run([item])
            return
        if not isinstance(exc, DwcpError):
            _log.error("the compiled model failed", exc_info=exc)
            exc = PredictionError(f"The model failed on input that fits its signature: {type(exc).__name__}: {exc}")
        items[0].fail(exc)
