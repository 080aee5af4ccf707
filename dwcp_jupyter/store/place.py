"""Which folder of which machine a workspace is used from, where several share one database."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path

__all__ = ["place_of"]

_FILE = "place"


def place_of(root: Path) -> str:
    """Return the name of this workspace folder among all that use its database; made once and kept in the folder.

    It begins with host and path for people to read; what makes it one of its kind is random.
    """
    path = root / _FILE
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    unfinished = root / f".{_FILE}-{secrets.token_hex(8)}"
    unfinished.write_text(f"{socket.gethostname()}:{root} {secrets.token_hex(8)}")
    try:
        os.link(unfinished, path)  # fails where another process was first
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
    return path.read_text()
