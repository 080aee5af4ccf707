"""The right to have a file open, handed between processes.

DuckDB lets one process at a time open its file, and relying on its own lock with retries has lost committed rows.
So a process takes an exclusive ``flock`` first, and gives it back when its call returns. Waiters block in the
kernel, which serves them in turn; each announces itself by a shared lock on a second file, so that a holder in a
burst of calls sees that somebody waits.

``flock`` belongs to the open file description, which a forked child shares: unlocking there would take the lock
from the parent. `abandon` is what a child may do: close its descriptors, which leaves the lock where it is.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dwcp_jupyter.exceptions import LeaseTimeoutError
from dwcp_jupyter.store import interrupting

__all__ = ["Lease"]

_log = logging.getLogger(__name__)
_PATIENCE_S = 1.0
_LOOK_S = 0.01
_LET_IN_S = 0.1
"""Longest time for which an interrupt waits while another process has the lease."""


class Lease:
    """An exclusive lock on `path`, shared fairly between processes.

    Not re-entrant and not thread-safe: its owner serialises its own threads.

    Parameters
    ----------
    path : Path
        The lock file; it is created, and never removed. Waiters use a second file beside it.
    timeout_s : float
        Longest wait in seconds.
    """

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        self._path = path
        self._waiters_path = path.with_suffix(".waiters")
        self._timeout_s = timeout_s
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this process holds it."""
        return self._descriptor is not None

    def acquire(self, *, until: Callable[[float], bool] | None = None) -> bool:
        """Wait for the lease and take it; return False, without it, where `until` became true first.

        Parameters
        ----------
        until : callable, optional
            Asked while somebody else has the lease, with the seconds that it may wait for becoming true.

        Raises
        ------
        LeaseTimeoutError
            If another process keeps it longer than the time-out; it names that process.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            is_taken = _try(descriptor)
            give_up_at = time.monotonic() + min(_PATIENCE_S, self._timeout_s)
            while not is_taken and until is not None and time.monotonic() < give_up_at:
                interrupting.let_in()
                if until(_LOOK_S):
                    os.close(descriptor)
                    return False
                is_taken = _try(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if not is_taken:
            waited = self._wait(descriptor, until)
            if waited is None:
                return False
            descriptor = waited
        os.pwrite(descriptor, f"{os.getpid():<20}".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lease back; nothing happens if it is not held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def abandon(self) -> None:
        """Forget the lease in a forked child; the parent keeps it."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def is_wanted(self) -> bool:
        """Return whether another process waits for it."""
        descriptor = os.open(self._waiters_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _wait(self, descriptor: int, until: Callable[[float], bool] | None) -> int | None:
        """Block in a thread, so that a time-out, an interrupt of the kernel or `until` ends the wait here."""
        wait = _Wait(descriptor, self._waiters_path)
        began = told = time.monotonic()
        try:
            while not wait.is_over(0.0 if until is not None else min(_LET_IN_S, self._timeout_s)):
                interrupting.let_in()
                if until is not None and until(_LOOK_S):
                    wait.give_up()
                    return None
                now = time.monotonic()
                if now - began >= self._timeout_s:
                    raise LeaseTimeoutError(path=str(self._path), holder_pid=self._holder(), waited_s=now - began)
                if now - told >= _PATIENCE_S:
                    told = now
                    _log.warning(
                        "Waiting for the metadata of '%s', in use by process %s.", self._path.parent, self._holder()
                    )
        except BaseException:
            wait.give_up()
            raise
        return wait.descriptor

    def _holder(self) -> int | None:
        try:
            return int(self._path.read_text())
        except (OSError, ValueError):
            return None


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Wait:
    """One blocking ``flock`` in a thread of its own, which can be given up."""

    def __init__(self, descriptor: int, waiters_path: Path) -> None:
        self.descriptor = descriptor
        self._waiters_path = waiters_path
        self._done = threading.Event()
        self._mutex = threading.Lock()
        self._given_up = False
        self._error: OSError | None = None
        threading.Thread(target=self._run, name="dwcp-lease", daemon=True).start()

    def _run(self) -> None:
        try:
            sign = os.open(self._waiters_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(sign, fcntl.LOCK_SH)
                fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            finally:
                os.close(sign)
        except OSError as exc:
            self._error = exc
        with self._mutex:
            self._done.set()
            if self._given_up:
                self._discard()

    def is_over(self, patience_s: float) -> bool:
        if not self._done.wait(patience_s):
            return False
        if self._error is not None:
            raise self._error
        return True

    def give_up(self) -> None:
        with self._mutex:
            self._given_up = True
            if self._done.is_set():
                self._discard()

    def _discard(self) -> None:
        if self._error is None:
            fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)
