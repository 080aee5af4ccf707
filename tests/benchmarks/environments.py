"""The peers' own environments, made once and kept in a cache folder outside the repository.

Peers contradict each other and us in what they need (MLflow wants pyarrow < 26), so each gets a virtual environment.
A marker file, written last, says that an environment is whole and what was asked for: a half-made one, or one made
for other requirements, is made anew. `DWCP_BENCH_CACHE` moves the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: What pip installs, newest versions; a pin carries its reason.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "mlflow": ("mlflow", "xgboost-cpu", "onnx", "onnxruntime"),
    "bentoml": ("bentoml", "scikit-learn", "onnxruntime"),
    "litserve": ("litserve", "scikit-learn", "onnxruntime"),
    # uvloop: MLServer 1.7 does not start with 0.22 or newer (SeldonIO/MLServer#2286)
    "mlserver": ("mlserver", "mlserver-sklearn", "uvloop<0.22"),
}
#: Packages whose versions are printed beside the peer's own.
_SHOWN = ("scikit-learn", "onnxruntime", "uvicorn", "sqlalchemy")


class PeerError(RuntimeError):
    """A peer could not be installed or started; the message has the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A peer's virtual environment."""

    name: str
    python: Path
    packages: dict[str, str]

    @property
    def version(self) -> str:
        """The peer's version."""
        return self.packages[self.name]

    def program(self, name: str) -> str:
        """Return the path of a console script of this environment."""
        return str(self.python.with_name(name))

    def describe(self) -> str:
        """Return name and version, with those of the libraries that do its work."""
        others = [f"{name} {self.packages[name]}" for name in _SHOWN if name in self.packages]
        return f"{self.name} {self.version} ({', '.join(others)})"


def cache_folder() -> Path:
    """Return the folder of environments and work files, created if missing."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("DWCP_BENCH_CACHE") or Path(base) / "dwcp-bench").absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def find(name: str) -> Environment | None:
    """Return the environment of the peer `name` if it is whole and made for today's requirements."""
    folder = cache_folder() / name
    try:
        marker = json.loads((folder / "complete.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if tuple(marker["requirements"]) != REQUIREMENTS[name]:
        return None
    return Environment(name=name, python=folder / "bin" / "python", packages=marker["packages"])


def ensure(name: str) -> Environment:
    """Return the environment of the peer `name`, made now if need be (minutes).

    Raises
    ------
    PeerError
        If pip fails; the message ends with the last lines of its log.
    """
    with _locked(cache_folder() / f"{name}.lock"):
        return find(name) or _make(name)


def obtain(name: str, *, reduced: bool) -> Environment | None:
    """Return the environment of `name`; in a reduced run only if it is there already."""
    return find(name) if reduced else ensure(name)


def _make(name: str) -> Environment:
    folder = cache_folder() / name
    shutil.rmtree(folder, ignore_errors=True)
    print(f"Installing {', '.join(REQUIREMENTS[name])} into {folder} …", file=sys.stderr)
    _step(name, [sys.executable, "-m", "venv", str(folder)])
    python = folder / "bin" / "python"
    _step(name, [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]])
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=json"], capture_output=True, check=True, timeout=120
    )
    packages = {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}
    temporary = folder / "complete.json.new"
    temporary.write_text(
        json.dumps({"requirements": REQUIREMENTS[name], "packages": packages}, indent=1), encoding="utf-8"
    )
    temporary.rename(folder / "complete.json")
    return Environment(name=name, python=python, packages=packages)


def _step(name: str, command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=1800)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PeerError(
            f"The environment of '{name}' could not be made: '{' '.join(command)}' ended in {done.returncode}.\n{tail}"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
