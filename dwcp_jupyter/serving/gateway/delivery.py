"""The last step of a batch: log it, then set the futures of its requests."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import Executor

from dwcp_jupyter.exceptions import PredictionError
from dwcp_jupyter.serving.batching import BatchResult, Item, split
from dwcp_jupyter.serving.encoding import Payload
from dwcp_jupyter.serving.log_writer import LoggedBatch, LoggedRequest, LogWriter

__all__ = ["Delivery"]

_log = logging.getLogger("dwcp.gateway")


class Delivery:
    """Logs batches and answers their requests, on the event loop.

    Parameters
    ----------
    writer : LogWriter or None
        Where predictions are kept; None if they are not.
    is_synced : bool
        Whether a batch is on the disk before it is answered. The disk is waited for in `executor`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, writer: LogWriter | None, is_synced: bool, executor: Executor
    ) -> None:
        self._loop = loop
        self._writer = writer
        self._is_synced = is_synced
        self._executor = executor

    def deliver(self, items: list[Item], payload: Payload, result: BatchResult) -> None:
        """Answer `items`, whose joined rows are `payload`."""
        rows = sum(item.rows for item in items)
        if len(result.values) != rows:
            error = PredictionError(f"The model answered {len(result.values)} rows to {rows}.")
            for item in items:
                item.fail(error)
            return
        if self._writer is None:
            _answer(items, result)
            return
        now = time.monotonic()
        requests = [
            LoggedRequest(item.request_id, item.rows, item.time_s, (now - item.arrived) * 1e3, item.entity_key)
            for item in items
        ]
        batch = LoggedBatch(payload, requests, result.values, result.probabilities)
        if self._is_synced:
            self._loop.create_task(self._write_first(batch, items, result))
        else:
            self._writer.append(batch)
            _answer(items, result)

    async def _write_first(self, batch: LoggedBatch, items: list[Item], result: BatchResult) -> None:
        assert self._writer is not None
        try:
            await self._loop.run_in_executor(self._executor, self._writer.write, batch)
        except OSError as exc:  # the writer has recorded the gap; predictions go on
            _log.warning("predictions could not be logged: %s", exc)
        except Exception as exc:  # noqa: BLE001 - whoever waits must get an answer
            _log.exception("predictions could not be logged")
            for item in items:
                item.fail(exc)
            return
        _answer(items, result)


def _answer(items: list[Item], result: BatchResult) -> None:
    for item, answer in split(items, result):
        if not item.future.done():
            item.future.set_result(answer)
