"""Which workspaces a Jupyter server held, so that their endpoints come back with it.

One small JSON file in Jupyter's data folder, by the server's root folder. It lies there, and not in a workspace, since
making one at the root would change what notebooks below it find. Losing it costs no more than that a workspace is held
again only when somebody deploys there.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

__all__ = ["Memory"]


class Memory:
    """A set of paths per server root, kept in the file at `path`; thread-safe within a process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()

    def roots(self, server_root: Path) -> list[Path]:
        """Return what was held by the servers at `server_root`, ordered."""
        return [Path(text) for text in self._read().get(str(server_root), [])]

    def add(self, server_root: Path, root: Path) -> None:
        """Remember `root`."""
        with self._mutex:
            found = self._read()
            roots = set(found.get(str(server_root), []))
            if str(root) not in roots:
                self._write({**found, str(server_root): sorted(roots | {str(root)})})

    def remove(self, server_root: Path, root: Path) -> None:
        """Forget `root`."""
        with self._mutex:
            found = self._read()
            roots = set(found.pop(str(server_root), []))
            if str(root) in roots:
                rest = sorted(roots - {str(root)})
                self._write({**found, str(server_root): rest} if rest else found)

    def _read(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._path.read_bytes())
            return {str(key): [str(item) for item in items] for key, items in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write(self, content: dict[str, list[str]]) -> None:
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary.write_text(json.dumps(content), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
