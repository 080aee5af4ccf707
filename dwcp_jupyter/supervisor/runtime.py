"""Where a supervisor keeps its files.

Lock, state and logs lie in the workspace. Sockets cannot: a Unix socket's path holds some hundred bytes, and
a workspace may lie deep. They go to a private folder with a short path, named by a hash of the workspace; the
record in the workspace says which, since a process with another environment would guess another one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dwcp_jupyter.exceptions import SupervisorError

__all__ = ["Layout", "Record", "read_record", "runtime_dir"]

_LONGEST_BASE = 58  # leaves room for folder and socket name below the 104 bytes of macOS (Linux: 108)
_SHORT_BASE = "/tmp"  # noqa: S108 - owner and mode of what lies there are checked


def runtime_dir(root: str | os.PathLike[str], environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder for the sockets of the workspace at `root`; it need not exist.

    It lies below ``XDG_RUNTIME_DIR`` if that is this user's, else below the temporary folder, else in ``/tmp``: the
    first whose path is short enough.
    """
    name = hashlib.sha256(f"{os.getuid()}:{Path(root).resolve()}".encode()).hexdigest()[:12]
    bases = (environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir())
    base = next((base for base in bases if _is_usable(base)), _SHORT_BASE)
    return Path(base) / f"dwcp-{name}"


def _is_usable(base: str) -> bool:
    return 0 < len(os.fsencode(base)) <= _LONGEST_BASE and Path(base).is_dir() and os.access(base, os.W_OK | os.X_OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The paths of one workspace's supervisor."""

    root: Path
    runtime: Path

    @classmethod
    def of(cls, root: str | os.PathLike[str]) -> Layout:
        """Return the layout of the workspace at `root`."""
        path = Path(root).absolute()
        return cls(root=path, runtime=runtime_dir(path))

    @property
    def lock(self) -> Path:
        """Whoever has it locked is the supervisor. Never removed: that would let two processes lock two files."""
        return self.root / "run" / "supervisor.lock"

    @property
    def record(self) -> Path:
        """Says which process the supervisor is, and where its socket lies."""
        return self.root / "run" / "supervisor.json"

    @property
    def state(self) -> Path:
        """The state file."""
        return self.root / "run" / "state.json"

    @property
    def scratch(self) -> Path:
        """Where processes put what they need for a moment: in the workspace, since a model may be large."""
        return self.root / "run" / "scratch"

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.runtime / "control.sock"

    @property
    def log(self) -> Path:
        """The supervisor's own log."""
        return self.root / "logs" / "supervisor.log"

    def process_log(self, key: str, index: int) -> Path:
        """Return where the output of one process goes."""
        name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in key)[-100:]
        return self.root / "logs" / f"{name}-{index}.log"

    def process_socket(self, key: str, index: int, token: str) -> Path:
        """Return the socket path of one start of a process."""
        return self.runtime / f"{hashlib.sha256(key.encode()).hexdigest()[:8]}-{index}-{token}.sock"

    def process_scratch(self, key: str, index: int, token: str) -> Path:
        """Return the folder for one start of a process; it need not exist."""
        return self.scratch / self.process_socket(key, index, token).stem

    def remove_scratch(self, folder: Path | None = None) -> None:
        """Remove what a process left, or all of them did."""
        shutil.rmtree(folder or self.scratch, ignore_errors=True)

    def create(self) -> None:
        """Make the folders; only their owner may enter them.

        Raises
        ------
        SupervisorError
            If the folder for the sockets is not this user's alone.
        """
        for folder in (self.root / "run", self.root / "logs"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):
            self.runtime.mkdir(mode=0o700)
        found = self.runtime.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise SupervisorError(
                f"'{self.runtime}' is not a folder of this user alone, so no socket can lie in it. Remove it, or set "
                "XDG_RUNTIME_DIR to a private folder."
            )

    def remove_runtime(self) -> None:
        """Remove the folder of the sockets and all that processes put there."""
        shutil.rmtree(self.runtime, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Which process the supervisor is, and where to reach it."""

    pid: int
    socket: str

    def write(self, path: Path) -> None:
        """Replace the record at `path`."""
        temporary = path.with_suffix(".tmp")
        temporary.write_text(json.dumps({"pid": self.pid, "socket": self.socket}), encoding="utf-8")
        temporary.replace(path)


def read_record(path: Path) -> Record | None:
    """Return the record at `path`, or None; its process may be gone."""
    try:
        found = json.loads(path.read_bytes())
        return Record(pid=int(found["pid"]), socket=str(found["socket"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
