"""A LitServe server, as its documentation writes it; run by the peer's own interpreter.

Settings by environment: BENCH_ONNX (else BENCH_JOBLIB), BENCH_WORKERS, BENCH_BATCH (rows a batch, 1 for none),
BENCH_FAST_QUEUE (its ZeroMQ queue for many requests a second), BENCH_PORT.
"""

from __future__ import annotations

import os

import litserve
import numpy as np

_BATCH = int(os.environ.get("BENCH_BATCH", "1"))


class Model(litserve.LitAPI):
    def setup(self, device):
        if "BENCH_ONNX" in os.environ:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(os.environ["BENCH_ONNX"], options)
            name = session.get_inputs()[0].name
            self.probabilities = lambda rows: session.run(None, {name: rows.astype(np.float32)})[1]
        else:
            import joblib

            self.probabilities = joblib.load(os.environ["BENCH_JOBLIB"]).predict_proba

    def decode_request(self, request):
        return np.asarray(request["row"])

    def batch(self, inputs):
        return np.stack(inputs)

    def predict(self, rows):
        return self.probabilities(rows if rows.ndim == 2 else rows[None])

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return {"probabilities": np.ravel(output).tolist()}


if __name__ == "__main__":
    batching = {"max_batch_size": _BATCH, "batch_timeout": 0.002} if _BATCH > 1 else {}
    server = litserve.LitServer(
        Model(**batching),
        accelerator="cpu",
        workers_per_device=int(os.environ.get("BENCH_WORKERS", "1")),
        fast_queue=os.environ.get("BENCH_FAST_QUEUE") == "1",
        timeout=60,
    )
    server.run(port=int(os.environ["BENCH_PORT"]), host="127.0.0.1", generate_client_file=False, log_level="warning")
