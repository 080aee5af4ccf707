"""An S3 of the tests' own (moto's server, in its own process) and a proxy in front of it that fails on demand."""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_MAX_ATTEMPTS": "1",
}
_ENDS = b"\r\n\r\n"


class Server:
    """A running server; `url` is its endpoint."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError(f"moto's server did not start at {self.url}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(self.url, timeout=5):
            return True
        return False

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Proxy:
    """Passes requests on; `fault` says what happens to those that follow.

    ``"cut upload"`` and ``"cut download"`` end the connection after `after` bytes of a body, ``"cut answer"`` before the
    answer to what was done; ``"busy"`` answers 503, ``"late"`` tells a date three days ahead. Only requests with the method `method` fail, if it is given.
    """

    def __init__(self, port: int) -> None:
        self.fault, self.method, self.after, self.failed = "", "", 1000, 0
        proxy = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as upstream:
                    proxy._serve(self.request, upstream)

        class Listener(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._listener = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"
        self._thread = threading.Thread(target=self._listener.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def _serve(self, client: socket.socket, upstream: socket.socket) -> None:
        """Pass one request at a time, and its answer."""
        while True:
            head, body = _read(client, b"")
            if not head:
                return
            is_chosen = bool(self.fault) and head.startswith(self.method.encode())
            self.failed += is_chosen
            if is_chosen and self.fault == "busy":
                client.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if is_chosen and self.fault == "cut upload":
                upstream.sendall(head + body[: self.after])
                return
            if b"expect: 100-continue" in head.lower() and not body:
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = _body(client, head, b"")
                head = re.sub(rb"(?i)\r\nexpect: 100-continue", b"", head)
            upstream.sendall(head + body)
            head, body = _read(upstream, head)
            if is_chosen and self.fault == "cut answer":
                return
            if is_chosen and self.fault == "cut download":
                client.sendall(head + body[: self.after])
                return
            if is_chosen and self.fault == "late":
                date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3 * 86400))
                head = re.sub(rb"(?i)\r\ndate: [^\r]*", b"\r\nDate: " + date.encode(), head)
            client.sendall(head + body)

    def close(self) -> None:
        """End it."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


def _read(stream: socket.socket, request: bytes) -> tuple[bytes, bytes]:
    """Return head and body of a message; nothing at the end. An answer to HEAD has no body."""
    data = b""
    while _ENDS not in data:
        more = stream.recv(65536)
        if not more:
            return b"", b""
        data += more
    head, _, rest = data.partition(_ENDS)
    head += _ENDS
    if request.startswith(b"HEAD") or b"expect: 100-continue" in head.lower():
        return head, rest
    return head, _body(stream, head, rest)


def _body(stream: socket.socket, head: bytes, rest: bytes) -> bytes:
    match = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if match is None:
        if b"chunked" in head.lower():
            while not rest.endswith(b"0\r\n\r\n"):
                rest += stream.recv(65536)
        return rest
    while len(rest) < int(match[1]):
        more = stream.recv(65536)
        if not more:
            break
        rest += more
    return rest
