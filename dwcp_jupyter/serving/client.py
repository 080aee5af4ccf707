"""HTTP to the gateway of a workspace, from Python.

One kept-alive connection per thread. A prediction changes nothing, so one that dies with its connection (a gateway that
was replaced) is sent again; the port stays the same.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd

from dwcp_jupyter import exceptions
from dwcp_jupyter.exceptions import DwcpError, EndpointNotFoundError, PredictionError, QueueFullError, SignatureError
from dwcp_jupyter.serving.protocols import errors
from dwcp_jupyter.serving.tokens import read_token
from dwcp_jupyter.supervisor.state import Gateway, State, read_state

__all__ = ["GatewayClient", "chunks", "plain"]

_RETRY_FOR_S = 10.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


class GatewayClient:
    """Sends predictions to a workspace's gateway. Thread-safe.

    Parameters
    ----------
    root : Path
        The workspace folder, whose state file says where the gateway listens.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "run" / "state.json"
        self._root = root
        self._local = threading.local()
        self._known: tuple[int, State] = (-1, State())

    @property
    def gateway(self) -> Gateway | None:
        """Where the gateway listens; None before the first deployment."""
        return self._state().gateway

    def timeout_s(self, endpoint: str, default_s: float) -> float:
        """Return the longest time that the endpoint of this name or id lets an answer take."""
        for record in self._state().endpoints:
            if endpoint in (record.get("name"), record.get("id")):
                return float(record["config"]["timeout_s"])
        return default_s

    def _state(self) -> State:
        """Return the state, read anew only when its file was exchanged."""
        try:
            stamp = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return State()
        if self._known[0] != stamp:
            self._known = (stamp, read_state(self._path))
        return self._known[1]

    def post(self, path: str, content: Any, *, headers: dict[str, str], timeout_s: float) -> Any:
        """Return the decoded answer to `content`, sent as JSON.

        Raises
        ------
        DwcpError
            The error that the gateway answered, as this package's own.
        """
        body = msgspec.json.encode(content, enc_hook=plain)
        status, answer, retry_after = self._send(path, body, headers, timeout_s)
        if status == 200:
            return msgspec.json.decode(answer)
        raise _error(status, answer, retry_after)

    def _send(self, path: str, body: bytes, headers: dict[str, str], timeout_s: float) -> tuple[int, bytes, str | None]:
        deadline, pause_s = time.monotonic() + _RETRY_FOR_S, _FIRST_PAUSE_S
        while True:
            try:
                return self._send_once(path, body, headers, timeout_s)
            except (ConnectionError, http.client.BadStatusLine, http.client.CannotSendRequest) as exc:
                self._forget()
                if time.monotonic() > deadline or self.gateway is None:
                    raise PredictionError(
                        f"The workspace's gateway does not answer: {exc}. Look at %endpoints; deploy the "
                        "endpoint again if it "
                        "is gone."
                    ) from exc
            except TimeoutError as exc:
                self._forget()
                raise errors.DeadlineError(f"No answer within {timeout_s:g} s.") from exc
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _send_once(
        self, path: str, body: bytes, headers: dict[str, str], timeout_s: float
    ) -> tuple[int, bytes, str | None]:
        connection = self._connection(timeout_s)
        connection.request(
            "POST",
            path,
            body,
            {"Authorization": f"Bearer {self._local.token}", "Content-Type": "application/json", **headers},
        )
        response = connection.getresponse()
        answer = response.read()
        if response.will_close:
            self._forget()
        return response.status, answer, response.getheader("retry-after")

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        known: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if known is not None and self._local.pid == os.getpid():
            if known.sock is not None:
                known.sock.settimeout(timeout_s)
            return known
        gateway = self.gateway
        if gateway is None:
            raise EndpointNotFoundError(
                f"Nothing is deployed in the workspace '{self._root}'. Deploy a version with %deploy NAME@VERSION."
            )
        connection = http.client.HTTPConnection(gateway.host, gateway.port, timeout=timeout_s)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._local.connection, self._local.pid, self._local.token = connection, os.getpid(), read_token(self._root)
        return connection

    def _forget(self) -> None:
        known: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        self._local.connection = None
        if known is not None and self._local.pid == os.getpid():
            known.close()

    def close(self) -> None:
        """Close this thread's connection."""
        self._forget()


def plain(value: Any) -> Any:
    """Return numpy's and pandas' values as Python's own, for JSON.

    Raises
    ------
    SignatureError
        For what JSON cannot hold.
    """
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist"):
        return value.tolist()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    raise SignatureError(
        f"A value of type '{type(value).__name__}' cannot be sent as JSON. Convert it to a number, a text, a "
        "list or a dictionary."
    )


def chunks(rows: Sequence[Mapping[str, Any]] | pd.DataFrame, size: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows as lists of at most `size` dictionaries; what is missing in a frame is None."""
    for start in range(0, len(rows), size):
        if isinstance(rows, pd.DataFrame):
            chunk = rows.iloc[start : start + size]
            rows_of_chunk = chunk.astype(object).where(chunk.notna(), None).to_dict(orient="records")
            yield [{str(name): value for name, value in row.items()} for row in rows_of_chunk]
        else:
            yield [_features(row) for row in rows[start : start + size]]


def _features(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise SignatureError(f"A row is of type '{type(row).__name__}'. Give a dictionary of features by their names.")
    return dict(row)


def _error(status: int, answer: bytes, retry_after: str | None) -> DwcpError:
    try:
        content = msgspec.json.decode(answer)
        message, code = str(content["error"]), str(content["code"])
    except (msgspec.MsgspecError, KeyError, TypeError):
        return PredictionError(f"The gateway answered {status}: {answer[:200].decode(errors='replace')}")
    if code == "SignatureError":
        return SignatureError(message, columns=content.get("columns", ()))
    if code == "QueueFullError":
        return QueueFullError(message, retry_after_s=float(retry_after or 1))
    kind = getattr(errors, code, None) or getattr(exceptions, code, None)
    if kind in (errors.DeadlineError, errors.NotReadyError, EndpointNotFoundError):
        error: DwcpError = kind(message)
        return error
    return PredictionError(message)
