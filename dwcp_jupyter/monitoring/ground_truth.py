"""What turned out to be true, kept beside the prediction log by request id.

Ground truth may come with a prediction or long after it, so it is a log of its own with the prediction log's format,
under ``labels/``, and the two are joined when read; a later value for a request replaces an earlier one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from dwcp_jupyter import clock
from dwcp_jupyter.serving.prediction_log import PredictionLog

__all__ = ["GroundTruth"]


class GroundTruth:
    """Ground truth of one model version; the same guarantees as `PredictionLog`."""

    def __init__(self, root: Path, model_id: str, version: str, *, now: clock.Clock = clock.utc_now) -> None:
        self._log = PredictionLog(root / "labels", model_id, version, now=now)

    def add(self, request_id: str, value: Any) -> None:
        """Keep what was true for a request."""
        self._log.log({"request_id": request_id}, value, request_id=request_id)

    def read(self) -> pd.Series[Any]:
        """Return the values by request id, named ``ground_truth``; the last one given of each."""
        table = self._log.read()
        if not table.num_columns:
            return pd.Series(name="ground_truth", dtype=object)
        frame: pd.DataFrame = table.select(["request_id", "prediction"]).to_pandas()
        last = frame.drop_duplicates("request_id", keep="last").set_index("request_id")
        return last["prediction"].rename("ground_truth")

    def flush(self) -> None:
        """Write what is in memory."""
        self._log.flush()

    def close(self) -> None:
        """Write what is in memory and close the file."""
        self._log.close()
