"""Load by wrk: closed loop, keep-alive connections, one thread, bodies in turn.

wrk counts replies of 400 and above, broken connections and time-outs; each is an error here. Whether a 200 holds
the right answer is checked apart, before and after a load: reading replies in wrk would cost the load its speed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.environments import PeerError

_SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one load measured: requests a second, latencies in ms, errors of any kind."""

    connections: int
    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    errors: int

    @property
    def rate(self) -> float:
        """Answered requests a second."""
        return self.requests / self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where to send which bodies: a URL, its headers, and files of both for wrk."""

    url: str
    headers: dict[str, str]
    bodies: tuple[bytes, ...]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write bodies and headers for wrk; the headers, which may hold a token, are for this user only."""
        bodies, headers = folder / "bodies.jsonl", folder / "headers.txt"
        bodies.write_bytes(b"\n".join(self.bodies) + b"\n")
        headers.touch(mode=0o600)
        headers.write_text("".join(f"{name}: {value}\n" for name, value in self.headers.items()), encoding="utf-8")
        return bodies, headers


def wrk_command(route: Route, folder: Path, *, connections: int, seconds: float) -> list[str]:
    """Return the command line of one load.

    Raises
    ------
    PeerError
        If wrk is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise PeerError("No 'wrk' on this machine: it makes the load. Install it with: sudo apt-get install wrk")
    bodies, headers = route.write(folder)
    whole_seconds = f"{max(1, round(seconds))}s"
    return [
        program,
        "-t1",
        f"-c{connections}",
        f"-d{whole_seconds}",
        "--timeout=10s",
        "-s",
        str(_SCRIPT),
        route.url,
        "--",
        str(bodies),
        str(headers),
    ]


def run(route: Route, folder: Path, *, connections: int, seconds: float) -> Load:
    """Load `route` for `seconds` over `connections` and return what was measured."""
    command = wrk_command(route, folder, connections=connections, seconds=seconds)
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise PeerError(f"wrk ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return parse(done.stdout, connections=connections)


def parse(output: str, *, connections: int) -> Load:
    """Return the figures in the JSON line that post.lua printed last."""
    figures = json.loads(output.strip().splitlines()[-1])
    return Load(
        connections=connections,
        requests=figures["requests"],
        duration_s=figures["duration_us"] / 1e6,
        p50_ms=figures["p50_us"] / 1e3,
        p99_ms=figures["p99_us"] / 1e3,
        errors=sum(figures[kind] for kind in ("connect", "read", "write", "status", "timeout")),
    )
