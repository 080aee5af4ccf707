"""The workspace's bearer token.

One secret per workspace in ``run/token``, readable by its owner only. Made by the first deployment, kept over restarts.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
from pathlib import Path

from dwcp_jupyter.exceptions import WorkspaceError

__all__ = ["TokenCheck", "ensure_token", "read_token"]


def ensure_token(root: Path) -> str:
    """Return the workspace's token, made now if there is none."""
    path = root / "run" / "token"
    with contextlib.suppress(FileNotFoundError):
        return read_token(root)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"token.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, secrets.token_urlsafe(32).encode())
    finally:
        os.close(descriptor)
    with contextlib.suppress(FileExistsError):  # another process was first: its token holds
        os.link(temporary, path)
    temporary.unlink()
    return read_token(root)


def read_token(root: Path) -> str:
    """Return the workspace's token.

    Raises
    ------
    FileNotFoundError
        If nothing was ever deployed.
    WorkspaceError
        If others may read it, or it is empty.
    """
    path = root / "run" / "token"
    with path.open("rb") as stream:
        mode = os.fstat(stream.fileno()).st_mode
        token = stream.read().decode().strip()
    if mode & 0o077:
        raise WorkspaceError(
            f"The token file '{path}' can be read by others, so it is no secret. Delete it; the next deploy "
            "makes a new one."
        )
    if not token:
        raise WorkspaceError(f"The token file '{path}' is empty. Delete it; the next deploy makes a new one.")
    return token


class TokenCheck:
    """Compares an ``Authorization`` header with the token in constant time; schemes ``Bearer`` and ``token``."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def __call__(self, header: bytes) -> bool:
        """Return whether the header carries the token."""
        scheme, _, given = header.partition(b" ")
        return scheme.lower() in (b"bearer", b"token") and hmac.compare_digest(given.strip(), self._token)
