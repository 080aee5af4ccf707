"""The figures of the other gateway processes of a workspace.

A request reaches one of several gateways, and so does a scrape: it must tell of all. Each gateway leaves its figures in
a file of its own in the private runtime folder, once a second, and reads those of the others when it is asked.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dwcp_jupyter.serving.gateway.routes import RouteTable
from dwcp_jupyter.serving.metrics import Snapshot

__all__ = ["Siblings"]


class Siblings:
    """Exchanges figures with the other gateways through files.

    Parameters
    ----------
    folder : Path
        Private folder that all gateways of the workspace share.
    index : int
        Which gateway this is.
    """

    def __init__(self, folder: Path, index: int) -> None:
        self._folder = folder
        self._path = folder / f"gateway-{index}.figures"

    def leave(self, table: RouteTable) -> None:
        """Write this process's figures, replacing the last."""
        figures = {route.description.id: route.snapshot().to_json() for route in table.routes}
        temporary = self._path.with_suffix(".figures.tmp")
        with contextlib.suppress(OSError):  # a full disk costs figures, never requests
            temporary.write_bytes(msgspec.json.encode({"pid": os.getpid(), "endpoints": figures}))
            temporary.replace(self._path)

    def read(self) -> Mapping[str, list[Snapshot]]:
        """Return the others' figures, a second old at most: endpoint id → one snapshot per gateway."""
        found: dict[str, list[Snapshot]] = {}
        for path in self._folder.glob("gateway-*.figures"):
            if path == self._path:
                continue
            with contextlib.suppress(OSError, msgspec.MsgspecError, KeyError, TypeError):
                content = msgspec.json.decode(path.read_bytes())
                if not _is_alive(int(content["pid"])):
                    continue
                for endpoint_id, record in content["endpoints"].items():
                    found.setdefault(endpoint_id, []).append(Snapshot.from_json(record))
        return found

    def remove(self) -> None:
        """Take this process's figures away."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
