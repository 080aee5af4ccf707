"""Servers under measurement: started in a session of their own, bounded, and ended with all their descendants.

Peers leave processes behind (MLServer ignores SIGTERM, LitServe's workers survive it), so the tree is taken before
anything is signalled, and what outlives a polite request is killed by id. CPU seconds and memory are those of the
whole tree: a gateway's workers count, as do a peer's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from tests.benchmarks.environments import PeerError

_GRACE_S = 10.0


def free_port() -> int:
    """Return a TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], *, timeout_s: float, every_s: float = 0.02) -> bool:
    """Return whether `condition` came true within `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True


class Tree:
    """A started command and everything it started.

    Use as a context manager: leaving it ends the whole tree. `killed` then lists the command lines of those
    that had to be killed because they ignored SIGTERM for ten seconds.
    """

    def __init__(self, command: Sequence[str], *, log: Path, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.log = log
        self.killed: list[str] = []
        self._roots: list[psutil.Process] = []
        self.started = time.perf_counter()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(command),
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.adopt(self.process.pid)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def adopt(self, pid: int) -> None:
        """Count the process `pid`, and its descendants, as part of the tree: daemons leave their parent."""
        if all(root.pid != pid for root in self._roots):
            self._roots.append(psutil.Process(pid))

    def members(self) -> list[psutil.Process]:
        """Return the processes that live now, each once."""
        found: dict[int, psutil.Process] = {}
        for root in self._roots:
            if _alive(root):
                found |= {p.pid: p for p in [root, *_children(root)]}
        return [p for p in found.values() if _alive(p)]

    def cpu_s(self) -> float:
        """Return the CPU seconds, user and system, of the processes that live now."""
        total = 0.0
        for process in self.members():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total

    def memory_mb(self) -> float:
        """Return the memory of the tree in MB; pages that processes share count once (Linux), else resident sizes."""
        total = 0
        for process in self.members():
            try:
                info = process.memory_full_info()
            except psutil.Error:
                continue
            total += getattr(info, "pss", info.rss)
        return total / 2**20

    def check_running(self) -> None:
        """Raise `PeerError`, with the end of the log, if the command has ended."""
        if self.process.poll() is not None:
            raise PeerError(f"'{self.process.args[0]}' ended with {self.process.returncode}.\n{self.log_tail()}")

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines of what the command printed."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the tree: SIGTERM to the command, then SIGKILL to whatever still lives after ten seconds."""
        members = self.members()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        wait_until(lambda: self._reaped() and not any(_alive(p) for p in members), timeout_s=_GRACE_S)
        left = {process for process in (*members, *self.members()) if _alive(process)}
        for process in left:
            self.killed.append(_command(process))
            _kill(process)
        wait_until(lambda: self._reaped() and not any(_alive(p) for p in left), timeout_s=_GRACE_S)

    def _reaped(self) -> bool:
        return self.process.poll() is not None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())[:200]
    except psutil.NoSuchProcess:
        return "?"


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
