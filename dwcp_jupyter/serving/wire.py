"""Frames between gateway and replica, on a Unix socket.

A frame is twelve bytes of header (length of the body, number of the exchange, kind) and a body. The replica speaks
first: `Kind.HELLO` says which model it holds, so that a gateway never sends rows to a stranger that took over a
socket's path. Then each `PREDICT` (rows in the codec's form) is answered by one `RESULT` or `ERROR` of the same
number. Bodies other than rows are MessagePack.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

import msgspec
import numpy as np

from dwcp_jupyter.serving.batching import BatchResult

__all__ = ["FrameError", "Frames", "Hello", "Kind", "ReplicaError", "frame", "pack_result", "unpack_result"]

_HEADER = struct.Struct("<IIB3x")
MAX_FRAME_BYTES = 1 << 30


class FrameError(ConnectionError):
    """Bytes that are no frame."""


class Kind(IntEnum):
    """What a frame's body is."""

    HELLO = 1
    PREDICT = 2
    RESULT = 3
    ERROR = 4


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Which model a replica holds."""

    endpoint_id: str
    generation: int
    sha256: str
    pid: int


class ReplicaError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a replica could not answer; `is_input` says that the rows are at fault."""

    message: str
    kind: str
    is_input: bool
    columns: list[str] = []


class _Result(msgspec.Struct, frozen=True, array_like=True):
    dtype: str
    shape: tuple[int, ...]
    values: bytes | list[Any]
    n_classes: int
    probabilities: bytes


def frame(kind: Kind, number: int, body: bytes) -> bytes:
    """Return one frame.

    Raises
    ------
    FrameError
        If the body is longer than a frame may be.
    """
    if len(body) > MAX_FRAME_BYTES:
        raise FrameError(
            f"A frame of {len(body)} bytes is above the limit of {MAX_FRAME_BYTES}. Send fewer rows at once."
        )
    return _HEADER.pack(len(body), number, kind) + body


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[Kind, int, bytes]]:
        """Yield the frames that `data` completes.

        Raises
        ------
        FrameError
            If the stream holds something else.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            length, number, kind = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME_BYTES or kind not in Kind.__members__.values():
                raise FrameError(f"A frame of kind {kind} and {length} bytes is none of this protocol.")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            body = bytes(memoryview(self._buffer)[_HEADER.size : end])
            del self._buffer[:end]
            yield Kind(kind), number, body


def pack_result(result: BatchResult) -> bytes:
    """Return a result as bytes."""
    values, probabilities = np.asarray(result.values), result.probabilities
    is_plain = values.dtype.kind in "biuf"
    matrix = None if probabilities is None else np.ascontiguousarray(probabilities, dtype=np.float64)
    return msgspec.msgpack.encode(
        _Result(
            values.dtype.str if is_plain else "",
            values.shape,
            values.tobytes() if is_plain else values.tolist(),
            0 if matrix is None else matrix.shape[1],
            b"" if matrix is None else matrix.tobytes(),
        )
    )


def unpack_result(data: bytes) -> BatchResult:
    """Return the result that `pack_result` wrote."""
    result = msgspec.msgpack.decode(data, type=_Result)
    if isinstance(result.values, bytes):
        values = np.frombuffer(result.values, dtype=result.dtype).reshape(result.shape)
    else:
        values = np.empty(len(result.values), dtype=object)
        values[:] = result.values
    matrix = None
    if result.n_classes:
        matrix = np.frombuffer(result.probabilities, dtype=np.float64).reshape(-1, result.n_classes)
    return BatchResult(values, matrix)
