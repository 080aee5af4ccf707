"""BentoML services, as its documentation writes them; run by the peer's own interpreter.

`bentoml serve bentoml_service:Plain`, `:Batched` (adaptive batching) and `:BatchedOnnx`. The access log is off.
"""

from __future__ import annotations

import os

import bentoml
import numpy as np

_WORKERS = int(os.environ.get("BENCH_WORKERS", "1"))
_QUIET = {"access": {"enabled": False}}


def _load_sklearn():
    import joblib

    return joblib.load(os.environ["BENCH_JOBLIB"])


@bentoml.service(workers=_WORKERS, logging=_QUIET)
class Plain:
    def __init__(self) -> None:
        self.model = _load_sklearn()

    @bentoml.api
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)


@bentoml.service(workers=_WORKERS, logging=_QUIET)
class Batched:
    def __init__(self) -> None:
        self.model = _load_sklearn()

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        return self.model.predict_proba(rows)


@bentoml.service(workers=_WORKERS, logging=_QUIET)
class BatchedOnnx:
    def __init__(self) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["BENCH_ONNX"], options)

    @bentoml.api(batchable=True, max_batch_size=64, max_latency_ms=1000)
    def predict(self, rows: np.ndarray) -> np.ndarray:
        name = self.session.get_inputs()[0].name
        return self.session.run(None, {name: rows.astype(np.float32)})[1]
