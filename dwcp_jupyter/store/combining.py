"""Writes of several processes in one transaction.

DuckDB opens its file for one process at a time, and handing it over costs a checkpoint and an opening: sixty
milliseconds, six times a registration. So a process that finds the file in use leaves its write as a request, and
whoever has the file open does it along with its own, in one transaction, one flush to the disk. What can be done so is
an `Operation`: a function of plain data that every process of this release knows by its name, and that takes many
writes at once, since ten rows cost DuckDB as much as one.

A request is a file in ``run/spool``, locked by who wrote it for as long as that process lives. The process with the
lease claims it (rename), does it, commits, leaves the answer and rings: a byte into a named pipe, so that who waits
sleeps. If it dies in between, the requester gets the lease, looks whether its write is there, and does it itself if
not. A request whose process has died is thrown away: nobody waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import json
import os
import secrets
import select
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from sqlalchemy import Connection

from dwcp_jupyter._version import __version__
from dwcp_jupyter.events import Actor, Assurance

if TYPE_CHECKING:
    from dwcp_jupyter.store.metadata import Transaction

__all__ = ["Operation", "Request", "Spool", "Ticket", "Write"]

_AT_ONCE = 32
"""Requests of others in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What one process wants done.

    Attributes
    ----------
    request : mapping
        Plain JSON; with what identifies it, so that `Operation.find` can tell whether it was done.
    actor : Actor
        Who wants it.
    """

    request: Mapping[str, Any]
    actor: Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A kind of writes that any process can do for any other.

    Attributes
    ----------
    name : str
        Where it lies: ``package.module:ATTRIBUTE``, within this package.
    run : callable
        Does writes in a transaction, as if one after the other; returns for each plain data, or the error for which
        nothing of it was written. What it raises fails all of them.
    find : callable
        Returns what `run` returned for a request, if it was done already; else None.
    """

    name: str
    run: Callable[[Transaction, Sequence[Write]], Sequence[dict[str, Any] | Exception]]
    find: Callable[[Connection, Mapping[str, Any]], dict[str, Any] | None]

    @classmethod
    def named(cls, name: str) -> Operation | None:
        """Return the operation of this name, or None."""
        module, _, attribute = name.partition(":")
        if not module.startswith("dwcp_jupyter."):
            return None
        with contextlib.suppress(ImportError, AttributeError):
            found = getattr(importlib.import_module(module), attribute)
            return found if isinstance(found, cls) else None
        return None


class Ticket:
    """A write that this process wants; as a request it exists only once `wait` was called."""

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self._folder = folder
        self._content = content
        self._stem = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._descriptor: int | None = None
        self._bell: int | None = None
        self._is_refused = False
        self._pid = os.getpid()

    def wait(self, timeout_s: float) -> bool:
        """Return whether the answer is there, at once or within `timeout_s`; the first call leaves the request."""
        if self._descriptor is None and not self._is_refused:
            try:
                self._put()
            except OSError:  # a full disk, a file system without pipes: then only the lease itself helps
                self._is_refused = True
        if self._bell is None:
            time.sleep(timeout_s)
            return False
        select.select([self._bell], [], [], timeout_s)
        return self._path("done").exists()

    def take_back(self) -> bool:
        """Return whether nobody has claimed the request; nobody can any more then."""
        if self._descriptor is None:
            return True
        try:
            self._path("request").unlink()
        except FileNotFoundError:
            return False
        return True

    def answer(self) -> dict[str, Any] | None:
        """Return the result that another process left; None where it left the write to this one, or nothing."""
        try:
            result: dict[str, Any] | None = json.loads(self._path("done").read_bytes())
        except FileNotFoundError:
            return None
        return result

    def close(self) -> None:
        """Remove what is left of the request."""
        if self._pid != os.getpid():
            return
        descriptors, self._descriptor, self._bell = (self._descriptor, self._bell), None, None
        if descriptors != (None, None):
            _remove(self._path("request"))
        for descriptor in descriptors:
            if descriptor is not None:
                os.close(descriptor)

    def _put(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._path("new")
        try:
            os.mkfifo(self._path("bell"), 0o600)
            self._bell = os.open(
                self._path("bell"), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC
            )  # for writing too: else no writer looks like an end
            self._descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            with open(self._descriptor, "wb", closefd=False) as stream:
                stream.write(json.dumps(self._content).encode())
            unfinished.rename(self._path("request"))
        except BaseException:
            unfinished.unlink(missing_ok=True)
            self.close()
            raise

    def _path(self, kind: str) -> Path:
        return self._folder / f"{self._stem}.{kind}"


class Request:
    """A claimed request of another process; answer it once."""

    def __init__(self, path: Path, operation: Operation, content: Mapping[str, Any]) -> None:
        self._path = path
        self.operation = operation
        actor = Actor(name=content["actor"], assurance=Assurance(content["assurance"]))
        self.write = Write(request=content["request"], actor=actor)

    def answer(self, result: Mapping[str, Any] | None) -> None:
        """Leave the result, after the commit; None leaves the write to its owner."""
        unfinished = self._path.with_suffix(".answer")
        with contextlib.suppress(OSError):  # the owner finds out by itself, once it has the file
            unfinished.write_bytes(json.dumps(result).encode())
            unfinished.rename(self._path.with_suffix(".done"))
            bell = os.open(self._path.with_suffix(".bell"), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.write(bell, b"!")
            finally:
                os.close(bell)


class Spool:
    """The requests of one workspace.

    Parameters
    ----------
    folder : Path
        Where they lie; made when there is one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ticket(self, operation: Operation, write: Write) -> Ticket:
        """Return what to wait with until `operation` has done `write`."""
        content = {
            "release": __version__,
            "operation": operation.name,
            "actor": write.actor.name,
            "assurance": str(write.actor.assurance),
            "request": write.request,
        }
        return Ticket(self._folder, content)

    def is_empty(self) -> bool:
        """Return whether nobody waits."""
        return not self._waiting()

    def claim(self) -> list[Request]:
        """Return requests that this process must now answer; only the holder of the lease may ask."""
        return [request for path in self._waiting()[:_AT_ONCE] if (request := self._claim(path)) is not None]

    def sweep(self) -> None:
        """Remove what processes that were killed left behind."""
        for path in self._folder.glob("*"):
            pid = path.name.partition("-")[0]
            if pid.isdigit() and not psutil.pid_exists(int(pid)):
                path.unlink(missing_ok=True)

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.request"))

    def _claim(self, path: Path) -> Request | None:
        try:
            with path.open("rb") as stream:
                if _is_abandoned(stream.fileno()):
                    _remove(path)
                    return None
                content = json.load(stream)
            operation = Operation.named(content["operation"]) if content["release"] == __version__ else None
            if operation is None:  # of another release: its owner will have the file in turn
                return None
            request = Request(path, operation, content)
            path.rename(path.with_suffix(".taken"))
        except (FileNotFoundError, ValueError, KeyError):  # taken back, or no request of ours
            return None
        return request


def _remove(request: Path) -> None:
    for kind in ("request", "taken", "answer", "done", "bell"):
        request.with_suffix(f".{kind}").unlink(missing_ok=True)


def _is_abandoned(descriptor: int) -> bool:
    """Return whether the process that wrote a request is gone: nobody holds its lock."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
