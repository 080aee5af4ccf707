"""The private socket on which kernels ask the server to hold their workspace.

Kernels learn its path from ``DWCP_SERVER_SOCKET``. It lies in a folder that only this user may enter, so whoever can
connect could start the supervisor as well. JSON lines: ``{"op": "hold", "root": FOLDER}`` is answered by ``{"ok":
true, "workspace", "base_url", "url"}`` or ``{"ok": false, "error", "message"}``. A thread per connection, since holding
blocks; a kernel that connects and says nothing costs one sleeping thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.server.statuses import RequestError, problem_of

__all__ = ["KernelSocket"]

_PREFIX = "dwcp-server-"
_NAME = "kernels.sock"
_LONGEST_LINE_BYTES = 1 << 16

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class KernelSocket:
    """Listens until it is closed; `path` is where.

    Parameters
    ----------
    base : Path
        A folder with a short path in which the socket's own folder is made.
    answer : callable
        Takes a request and returns its answer; may block and raise `DwcpError`.

    Raises
    ------
    OSError
        If no socket can be made there.
    """

    def __init__(self, base: Path, answer: Answer) -> None:
        _sweep(base)
        self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))  # mode 0700
        self.path = self._folder / _NAME
        try:
            self._server = _Server(str(self.path), answer)
            self.path.chmod(0o600)
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._thread = threading.Thread(target=self._server.serve_forever, name="dwcp-kernel-socket", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and remove the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        shutil.rmtree(self._folder, ignore_errors=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: str, answer: Answer) -> None:
        self.answer = answer
        super().__init__(path, _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        answer = cast("_Server", self.server).answer
        with contextlib.suppress(OSError):  # the kernel went away
            while line := self.rfile.readline(_LONGEST_LINE_BYTES + 1):
                reply = _reply(line, answer)
                self.wfile.write(json.dumps(reply).encode() + b"\n")
                if len(line) > _LONGEST_LINE_BYTES:
                    return


def _reply(line: bytes, answer: Answer) -> dict[str, Any]:
    try:
        return {"ok": True, **answer(_request(line))}
    except DwcpError as exc:
        return {"ok": False, **problem_of(exc)}


def _request(line: bytes) -> dict[str, Any]:
    if len(line) > _LONGEST_LINE_BYTES:
        raise RequestError(f"A request has {_LONGEST_LINE_BYTES} bytes at most.")
    try:
        request = json.loads(line)
    except ValueError as exc:
        raise RequestError(f"A request is one JSON object on one line; this is none: {exc}") from exc
    if not isinstance(request, dict):
        raise RequestError("A request is one JSON object on one line.")
    return request


def _sweep(base: Path) -> None:
    """Remove the folders of servers that were killed: their sockets refuse connections."""
    for folder in base.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and folder.is_dir() and _is_dead(folder / _NAME):
                shutil.rmtree(folder)


def _is_dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return True
    return False
