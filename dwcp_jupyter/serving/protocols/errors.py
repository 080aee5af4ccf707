"""Which HTTP status an error becomes, in one table, and the JSON that says it."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from dwcp_jupyter.exceptions import (
    DwcpError,
    EndpointNotFoundError,
    IntegrityError,
    PredictionError,
    QueueFullError,
    SignatureError,
    UntrustedArtifactError,
)

__all__ = [
    "BodyTooLargeError",
    "DeadlineError",
    "MalformedRequestError",
    "MethodError",
    "NotReadyError",
    "UnauthorizedError",
    "UnsupportedMediaTypeError",
    "error_answer",
    "status_of",
]


class MalformedRequestError(DwcpError, ValueError):
    """A body that is not what the protocol says."""


class UnsupportedMediaTypeError(DwcpError, ValueError):
    """A content type that the route does not take."""


class BodyTooLargeError(DwcpError, ValueError):
    """A body above the endpoint's limit."""


class UnauthorizedError(DwcpError, PermissionError):
    """No token, or a wrong one."""


class MethodError(DwcpError, ValueError):
    """A route that does not take this HTTP method.

    Attributes
    ----------
    allowed : str
        The method that it takes.
    """

    def __init__(self, message: str, *, allowed: str) -> None:
        super().__init__(message)
        self.allowed = allowed


class NotReadyError(PredictionError):
    """No replica takes requests now."""


class DeadlineError(PredictionError, TimeoutError):
    """The answer was not there in time."""


_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (SignatureError, 400),
    (MalformedRequestError, 400),
    (UnauthorizedError, 401),
    (EndpointNotFoundError, 404),
    (MethodError, 405),
    (BodyTooLargeError, 413),
    (UnsupportedMediaTypeError, 415),
    (QueueFullError, 429),
    (NotReadyError, 503),
    (DeadlineError, 504),
    (PredictionError, 500),
    (IntegrityError, 503),
    (UntrustedArtifactError, 503),
)


def status_of(error: BaseException) -> int:
    """Return the HTTP status of `error`, that of the first kind which fits; 500 for what nobody foresaw."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)


def error_answer(error: BaseException, *, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, further headers and JSON body; of what nobody foresaw, the kind only: its text is for the log."""
    status = status_of(error)
    is_ours = isinstance(error, DwcpError)
    kind = type(error).__name__
    unforeseen = f"The gateway failed with {kind}. Its log in the workspace's logs/ folder has the details."
    record: dict[str, Any] = {
        "error": str(error) if is_ours else unforeseen,
        "code": kind,
        "request_id": request_id,
    }
    if isinstance(error, SignatureError):
        record["columns"] = list(error.columns)
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, QueueFullError):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    elif status == 503:
        headers.append((b"retry-after", b"1"))
    elif isinstance(error, UnauthorizedError):
        headers.append((b"www-authenticate", b'Bearer realm="dwcp"'))
    elif isinstance(error, MethodError):
        headers.append((b"allow", error.allowed.encode()))
    return status, headers, msgspec.json.encode(record)
