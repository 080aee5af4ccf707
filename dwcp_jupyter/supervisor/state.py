"""What should run, and what does.

A `Spec` is the JSON that serving writes into an endpoint's row: an opaque description for the gateways, and
the command lines that the endpoint needs. A `State` is what the supervisor derives from all rows and from its
children: one self-contained, sequence-numbered file, replaced by an atomic rename, which is all that gateways
and replicas ever read. This module imports the standard library only, since children use it too.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

__all__ = [
    "EndpointStatus",
    "Gateway",
    "Lifetime",
    "ProcessSpec",
    "ProcessState",
    "ProcessStatus",
    "Spec",
    "State",
    "read_state",
    "write_state",
]


class Lifetime(StrEnum):
    """How long an endpoint runs."""

    SERVER = "server"
    """While a Jupyter server or ``dwcp serve`` holds the workspace; its row stays."""
    CALLER = "caller"
    """Until the hold that deployed it closes, or its process ends; its row goes with it."""
    DETACHED = "detached"
    """Until the supervisor is told to stop."""


class ProcessStatus(StrEnum):
    """What a child is doing."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    """Gets no new work; ends when what is in flight is done."""
    FAILED = "failed"
    """Not running: it ended or never became ready, and waits to be started again."""


class EndpointStatus(StrEnum):
    """How far an endpoint has come."""

    STARTING = "starting"
    """Its processes are on their way; an update keeps the former ones working until then."""
    READY = "ready"
    DEGRADED = "degraded"
    """It works, but a process of it died and is being replaced."""
    FAILED = "failed"
    ABSENT = "absent"
    """No such endpoint runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One command line, and how many processes of it an endpoint needs.

    Attributes
    ----------
    key : str
        Names the command; endpoints that give the same key share its processes (the largest count holds).
    argv : tuple of str
        The command line; its first item is the interpreter of whoever deployed.
    env : mapping
        Environment variables beside those that the supervisor sets.
    listens : bool
        Whether it gets the workspace's listening TCP socket.
    ready_timeout_s : float
        Longest time from start to ready, in seconds.
    """

    key: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    count: int = 1
    listens: bool = False
    ready_timeout_s: float = 60.0

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ProcessSpec:
        """Return the spec of a JSON `record`; fields that it does not know are left aside."""
        return cls(
            key=str(record["key"]),
            argv=tuple(str(part) for part in record["argv"]),
            env={str(name): str(value) for name, value in (record.get("env") or {}).items()},
            count=int(record.get("count", 1)),
            listens=bool(record.get("listens", False)),
            ready_timeout_s=float(record.get("ready_timeout_s", 60.0)),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return {**asdict(self), "argv": list(self.argv), "env": dict(self.env)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """The column ``spec`` of an endpoint's row."""

    endpoint: Mapping[str, Any]
    """For the gateways; the supervisor copies it into the state file without looking inside."""
    processes: tuple[ProcessSpec, ...]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Spec:
        """Return the spec of a JSON `record`."""
        return cls(
            endpoint=dict(record["endpoint"]),
            processes=tuple(ProcessSpec.from_json(item) for item in record["processes"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return {"endpoint": dict(self.endpoint), "processes": [item.to_json() for item in self.processes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """Where the workspace's listening socket is bound."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """One process slot.

    Attributes
    ----------
    key, index : str, int
        Which of the processes of which command.
    generation : int
        Grows with each start of the slot, so that a replacement is told from what it replaced.
    pid : int or None
        None while the slot waits to be started again.
    socket : str
        The Unix socket that the process binds; empty for one that listens on the gateway's port.
    """

    key: str
    index: int
    generation: int
    pid: int | None
    status: ProcessStatus
    socket: str = ""

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> ProcessState:
        """Return the process of a JSON `record`."""
        return cls(**{**record, "status": ProcessStatus(record["status"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The content of ``run/state.json``.

    Attributes
    ----------
    sequence : int
        Grows with each change, also across restarts of the supervisor.
    gateway : Gateway or None
        None until the first endpoint that listens. The port is kept and used again.
    endpoints : tuple of mapping
        The ``endpoint`` objects to serve. That of an update appears once its processes are ready.
    """

    sequence: int = 0
    gateway: Gateway | None = None
    endpoints: tuple[Mapping[str, Any], ...] = ()
    processes: tuple[ProcessState, ...] = ()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> State:
        """Return the state of a JSON `record`."""
        gateway = record.get("gateway")
        return cls(
            sequence=int(record["sequence"]),
            gateway=Gateway(host=gateway["host"], port=gateway["port"]) if gateway else None,
            endpoints=tuple(record["endpoints"]),
            processes=tuple(ProcessState.from_json(item) for item in record["processes"]),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return {
            "sequence": self.sequence,
            "gateway": asdict(self.gateway) if self.gateway else None,
            "endpoints": [dict(item) for item in self.endpoints],
            "processes": [asdict(item) for item in self.processes],
        }

    def ready(self, key: str) -> tuple[ProcessState, ...]:
        """Return the processes of `key` that may get work."""
        return tuple(item for item in self.processes if item.key == key and item.status is ProcessStatus.READY)


def read_state(path: str | os.PathLike[str]) -> State:
    """Return the state in the file at `path`; an empty one if there is none, or none that can be read."""
    try:
        return State.from_json(json.loads(Path(path).read_bytes()))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):  # a power cut can leave an empty file
        return State()


def write_state(path: Path, state: State) -> None:
    """Replace the file at `path`; readers see the former content or this one, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text(json.dumps(state.to_json(), separators=(",", ":")), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
