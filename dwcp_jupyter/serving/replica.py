"""``python -m dwcp_jupyter.serving.replica``: one model version in a process of its own, started by the supervisor.

It fetches the package from the artifacts (every sum is checked), loads it under the decision that was bound to the
endpoint, runs the input example once, and then answers batches on its Unix socket. One batch is in the model at a
time. It beats while that batch is not overdue: a model that hangs stops the beats, and the supervisor replaces the
process. It runs under the interpreter of whoever deployed, so it has the libraries that the model was made with.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import DwcpError, FlavorError, SignatureError
from dwcp_jupyter.serving.batching import BatchResult
from dwcp_jupyter.serving.encoding import RowCodec, codec_for
from dwcp_jupyter.serving.wire import FrameError, Frames, Hello, Kind, ReplicaError, frame, pack_result
from dwcp_jupyter.store import ArtifactStore
from dwcp_jupyter.supervisor.child import BEAT_INTERVAL_S, Channel

__all__ = ["ENVIRONMENT_NAME", "ReplicaTask", "main"]

ENVIRONMENT_NAME = "DWCP_REPLICA"
"""Environment variable that holds the task as JSON."""
_RECEIVE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaTask:
    """What a replica is to hold.

    Attributes
    ----------
    sha256 : str
        Sum of the package.
    trust : str
        The decision: sums of unsafe files that may be loaded, separated by commas, or ``"none"``.
    stuck_after_s : float
        A batch that takes longer counts as hung, seconds.
    """

    endpoint_id: str
    generation: int
    artifacts: str
    sha256: str
    trust: str
    stuck_after_s: float


def main() -> None:
    """Load the model, then answer batches until the supervisor says to drain, or is gone."""
    channel = Channel.from_environ()
    task = msgspec.json.decode(os.environ[ENVIRONMENT_NAME], type=ReplicaTask)
    replica: _Replica | None = None

    def drain() -> None:
        if replica is None:
            os._exit(0)
        replica.drain()

    channel.listen(on_drain=drain)
    try:
        loaded, example = _load(task, channel.scratch_dir())
        replica = _Replica(task, loaded, channel)
        if example is not None:
            replica.warm(example)
    except DwcpError as exc:
        channel.failed(str(exc))
        sys.exit(1)
    except Exception as exc:  # noqa: BLE001 - whatever a model raises while it is loaded is the reason
        traceback.print_exc()
        channel.failed(f"The model could not be loaded: {type(exc).__name__}: {exc}")
        sys.exit(1)
    replica.serve()


def _load(task: ReplicaTask, scratch: Path) -> tuple[flavors.LoadedModel, Any]:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        directory = Path(folder) / "package"
        ArtifactStore(task.artifacts).fetch_tree(task.sha256, directory)
        return flavors.load_model(directory, trust=task.trust), flavors.read_example(directory)


class _Replica:
    """Answers the batches of all gateways, one at a time."""

    def __init__(self, task: ReplicaTask, loaded: flavors.LoadedModel, channel: Channel) -> None:
        self._task = task
        self._loaded = loaded
        self._channel = channel
        if loaded.signature is None:
            raise FlavorError(
                "The package has no signature, so rows cannot be told apart by column. Register it again with one."
            )
        self._codec: RowCodec = codec_for(loaded.signature)
        self._working = threading.Lock()
        self._busy_since: float | None = None
        self._connections = 0
        self._changed = threading.Condition()
        self._is_draining = False

    def warm(self, example: Any) -> None:
        """Run an input example, so that the first request finds everything loaded."""
        rows = self._codec.from_frame(self._loaded.conform(example))
        expected, answered = self._codec.count(rows), len(self._predict(rows).values)
        if answered != expected:
            raise FlavorError(
                f"The model answers {answered} rows to {expected}, so its answers cannot be told apart. Serve a model "
                "whose predict returns one row per row."
            )

    def serve(self) -> None:
        """Accept gateways; returns when drained."""
        path = Path(self._channel.socket_path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(16)
            threading.Thread(target=self._accept, args=(listener,), name="dwcp-accept", daemon=True).start()
            self._channel.ready()
            self._beat_until_drained()
        with contextlib.suppress(FileNotFoundError):
            path.unlink()

    def drain(self) -> None:
        """End when the gateways have let go: they do once their last batch is answered."""
        with self._changed:
            self._is_draining = True
            self._changed.notify_all()

    def _beat_until_drained(self) -> None:
        while True:
            busy_since = self._busy_since
            if busy_since is None or time.monotonic() - busy_since < self._task.stuck_after_s:
                self._channel.beat()
            with self._changed:
                if self._is_draining and not self._connections:
                    return
                self._changed.wait(BEAT_INTERVAL_S)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: drained
                return
            with self._changed:
                self._connections += 1
            threading.Thread(target=self._answer_all, args=(connection,), name="dwcp-gateway", daemon=True).start()

    def _answer_all(self, connection: socket.socket) -> None:
        frames = Frames()
        hello = Hello(
            endpoint_id=self._task.endpoint_id,
            generation=self._task.generation,
            sha256=self._task.sha256,
            pid=os.getpid(),
        )
        try:
            with connection:
                connection.sendall(frame(Kind.HELLO, 0, msgspec.msgpack.encode(hello)))
                while data := connection.recv(_RECEIVE_BYTES):
                    for kind, number, body in frames.feed(data):
                        if kind is not Kind.PREDICT:
                            raise FrameError(f"a frame of kind {kind.name} from a gateway")
                        connection.sendall(self._answer(number, body))
        except FrameError as exc:
            sys.stderr.write(f"a gateway sent what is no batch: {exc}\n")
        except OSError:  # the gateway is gone; it, or its successor, connects again
            pass
        finally:
            with self._changed:
                self._connections -= 1
                self._changed.notify_all()

    def _answer(self, number: int, body: bytes) -> bytes:
        try:
            with self._working:
                result = self._predict(self._codec.from_wire(body))
            return frame(Kind.RESULT, number, pack_result(result))
        except SignatureError as exc:
            error = ReplicaError(message=str(exc), kind=type(exc).__name__, is_input=True, columns=list(exc.columns))
        except Exception as exc:  # noqa: BLE001 - whatever a model raises is the answer to whoever asked
            traceback.print_exc()
            error = ReplicaError(message=str(exc), kind=type(exc).__name__, is_input=False)
        return frame(Kind.ERROR, number, msgspec.msgpack.encode(error))

    def _predict(self, payload: Any) -> BatchResult:
        self._busy_since = time.monotonic()
        try:
            prediction = self._loaded.predict_conformed(self._codec.frame(payload))
        finally:
            self._busy_since = None
        probabilities = prediction.probabilities
        return BatchResult(
            np.asarray(prediction.values),
            None if probabilities is None else np.asarray(probabilities, dtype=np.float64),
        )


if __name__ == "__main__":
    main()
