"""One line per request, in ``logs/access.log``; written by a thread, twice a second."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["AccessLog"]

FLUSH_INTERVAL_S = 0.5
MAX_BYTES = 64 << 20
"""A longer file is renamed to ``access.log.1`` before the next line."""
MAX_WAITING = 100_000


class AccessLog:
    """Appends lines; several gateways may write one file. A disk that refuses costs lines, never requests."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[tuple[float, str, str, int, float, int, str]] = []
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dwcp-access-log", daemon=True)
        self._thread.start()

    def append(  # noqa: PLR0917 - one call per request: positions cost least
        self, time_s: float, method: str, path: str, status: int, latency_s: float, rows: int, request_id: str
    ) -> None:
        """Leave one line to be written."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append((time_s, method, path, status, latency_s, rows, request_id))
            if not self._wake.is_set():
                self._wake.set()

    def flush(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        text = "".join(
            f"{datetime.fromtimestamp(time_s, tz=UTC).isoformat(timespec='milliseconds')} {method} "
            f"{_quoted(path)} {status} "
            f"{latency_s * 1e3:.3f}ms rows={rows} id={_quoted(request_id)}\n"
            for time_s, method, path, status, latency_s, rows, request_id in lines
        )
        with contextlib.suppress(OSError):
            self._write(text.encode())

    def _write(self, data: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
            if os.fstat(descriptor).st_size > MAX_BYTES:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self._path.stat().st_ino == os.fstat(descriptor).st_ino:  # nobody renamed it meanwhile
                    self._path.replace(self._path.with_name(f"{self._path.name}.1"))
        finally:
            os.close(descriptor)

    def _run(self) -> None:
        pause = threading.Event()
        while True:
            self._wake.wait()
            pause.wait(FLUSH_INTERVAL_S)
            self._wake.clear()
            self.flush()


def _quoted(text: str) -> str:
    """Return `text` on one line without spaces: what a caller sends cannot forge a line."""
    if len(text) <= 512 and text.isprintable() and " " not in text:
        return text
    return "".join(mark if mark.isprintable() and mark != " " else f"%{ord(mark):02X}" for mark in text[:512])
