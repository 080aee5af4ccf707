"""What goes over the control socket.

JSON lines both ways: ``{"id", "op", …}`` is answered by ``{"id", "ok": true, "result"}`` or ``{"id", "ok": false,
"error": {"kind", "message"}}``, in any order. The first request is ``hello``; it and ``stop`` keep their form in
every version of the protocol, so that a mismatch can always be told, and mended. ``{"event": "stopped"}`` says that
the supervisor ends on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from dwcp_jupyter.supervisor.state import EndpointStatus, Gateway, ProcessState

__all__ = ["PROTOCOL", "Answer", "Applied", "EndpointReport", "ErrorKind", "HoldKind", "HolderReport", "Status"]

PROTOCOL = 1
"""Raise it with every change that the other side of another release would not understand."""


class HoldKind(StrEnum):
    """What a control connection stands for."""

    SERVER = "server"
    """A Jupyter server, or ``dwcp serve``."""
    CALLER = "caller"
    """A script or a kernel."""
    DETACHED = "detached"
    """Holds like a caller, and deploys what outlives it."""
    OBSERVER = "observer"
    """Only looks; keeps nothing alive."""


class ErrorKind(StrEnum):
    """Why a request got no result."""

    PROTOCOL = "protocol"
    """The two sides speak different versions."""
    ENDING = "ending"
    """The supervisor is about to end; another can be started at once."""
    REQUEST = "request"
    """The request itself is wrong."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointReport:
    """How an endpoint is doing.

    Attributes
    ----------
    reason : str
        Why it is not ready; empty if it is.
    log : tuple of str
        The last lines of the process at fault.
    """

    name: str
    status: EndpointStatus
    reason: str = ""
    log: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> EndpointReport:
        """Return the report of a JSON `record`."""
        return cls(
            name=record["name"],
            status=EndpointStatus(record["status"]),
            reason=record["reason"],
            log=tuple(record["log"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """The answer to ``apply``.

    Attributes
    ----------
    endpoints : tuple of EndpointReport
        Those that were waited for, in the order asked.
    sequence : int
        Number of the state in force.
    """

    endpoints: tuple[EndpointReport, ...]
    gateway: Gateway | None
    sequence: int

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Applied:
        """Return the answer of a JSON `record`."""
        return cls(
            endpoints=tuple(EndpointReport.from_json(item) for item in record["endpoints"]),
            gateway=Gateway(**record["gateway"]) if record["gateway"] else None,
            sequence=record["sequence"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderReport:
    """One control connection."""

    id: str
    kind: HoldKind
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The answer to ``status``: all that runs."""

    pid: int
    release: str
    sequence: int
    gateway: Gateway | None
    endpoints: tuple[EndpointReport, ...]
    processes: tuple[ProcessState, ...]
    holders: tuple[HolderReport, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Status:
        """Return the status of a JSON `record`."""
        return cls(
            pid=record["pid"],
            release=record["release"],
            sequence=record["sequence"],
            gateway=Gateway(**record["gateway"]) if record["gateway"] else None,
            endpoints=tuple(EndpointReport.from_json(item) for item in record["endpoints"]),
            processes=tuple(ProcessState.from_json(item) for item in record["processes"]),
            holders=tuple(
                HolderReport(id=item["id"], kind=HoldKind(item["kind"]), pid=item["pid"]) for item in record["holders"]
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one process answered; ``{"error": text}`` if it could not."""

    index: int
    pid: int | None
    message: Mapping[str, Any]
