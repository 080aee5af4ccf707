"""Where a workspace's gateway listens, and the token it wants.

Both lie in small files of the workspace, which are read again only when they were replaced, so that forwarding a
request costs two `stat` calls.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from dwcp_jupyter.serving.tokens import read_token
from dwcp_jupyter.supervisor.state import Gateway, read_state

__all__ = ["GatewayAddress", "locate_gateway"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayAddress:
    """What is needed to talk to a gateway."""

    host: str
    port: int
    token: str


class _FileCache(Generic[T]):
    """The content of a file as `read` understands it; None while there is none."""

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        self._path = path
        self._read = read
        self._identity: tuple[int, int, int] | None = None
        self._content: T | None = None

    def get(self) -> T | None:
        """Return the newest content."""
        try:
            found = os.stat(self._path)  # noqa: PTH116 - pathlib costs more than the call
        except FileNotFoundError:
            self._identity = self._content = None
            return None
        identity = (found.st_ino, found.st_mtime_ns, found.st_size)
        if identity != self._identity:
            self._content = self._read()
            self._identity = identity
        return self._content


def locate_gateway(root: Path) -> Callable[[], GatewayAddress | None]:
    """Return a function that says where the gateway of the workspace at `root` is, None while there is none."""
    state_file, token_file = root / "run" / "state.json", root / "run" / "token"
    gateway: _FileCache[Gateway | None] = _FileCache(state_file, lambda: read_state(state_file).gateway)
    token = _FileCache(token_file, lambda: read_token(root))

    def locate() -> GatewayAddress | None:
        place, secret = gateway.get(), token.get()
        if place is None or secret is None:
            return None
        return GatewayAddress(host=place.host, port=place.port, token=secret)

    return locate
