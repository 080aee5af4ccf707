"""The Jupyter server's own API while an endpoint is under full load.

A Jupyter server with the extension holds the endpoint. Its API is asked a hundred times a second, by the clock and not
after the answer before (a stall counts against every request it delays), while wrk loads the endpoint's gateway with 64
connections, or, for comparison, an unrelated uvicorn process: on few cores any busy process slows any other, and the
question is what the endpoint adds to that.
"""

from __future__ import annotations

import http.client
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import contenders, environments, load, models, serving
from tests.benchmarks.environments import PeerError
from tests.benchmarks.processes import Tree, free_port, wait_until
from tests.benchmarks.report import Options, Report, Table, Target, ratio

_REPOSITORY = Path(__file__).parents[2]
_CONNECTIONS = 64
_PROBES_PER_S = 100
_PATHS = ("/api/status", "/api/contents?content=1")
_IDLE, _UNRELATED, _ENDPOINT = "nothing loaded", "unrelated uvicorn loaded", "endpoint loaded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the API answered in one run: latencies from the planned moment, failures, and the load beside it."""

    latencies_ms: tuple[float, ...]
    failures: int
    load: load.Load | None

    def percentile(self, p: int) -> float:
        """Return the `p`-th percentile of the latencies, in ms."""
        return statistics.quantiles(self.latencies_ms, n=100, method="inclusive")[p - 1]


def run(options: Options) -> Report:
    """Return the API's latencies in the three situations; see the module."""
    runs, seconds = (1, 1.0) if options.reduced else (options.runs, options.seconds)
    with ExitStack() as stack:
        work = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="responsiveness-", dir=environments.cache_folder()))
        )
        prepared = models.prepare("logistic", work)
        port, token, runtime = stack.enter_context(_jupyter(work))
        routes: dict[str, load.Route | None] = {
            _IDLE: None,
            _UNRELATED: stack.enter_context(_unrelated(work, prepared)),
            _ENDPOINT: stack.enter_context(_endpoint(work, prepared, runtime)),
        }
        probes: dict[str, list[Probe]] = {name: [] for name in routes}
        for _ in range(runs):
            for name, route in routes.items():
                probes[name].append(_probe(route, work, port=port, token=token, seconds=seconds))
    endpoint, unrelated = (
        statistics.median(p.percentile(99) for p in probes[name]) for name in (_ENDPOINT, _UNRELATED)
    )
    return Report(
        title="The Jupyter server's own API under load",
        tables=(_table(probes),),
        targets=(
            Target(
                text="p99, endpoint loaded / unrelated uvicorn loaded",
                measured=endpoint / unrelated,
                limit=3.0,
                at_least=False,
            ),
        ),
        notes=(
            (
                f"Medians of {runs} alternating runs of {seconds:.0f} s, {_PROBES_PER_S} requests/s to "
                f"{' and '.join(_PATHS)}; load: wrk, {_CONNECTIONS} connections."
            ),
        ),
        faults=_faults(probes),
    )


@contextmanager
def _jupyter(work: Path) -> Iterator[tuple[int, str, Path]]:
    """Start a Jupyter server with the extension; yield port, token and the folder of its sockets."""
    port, token = free_port(), secrets.token_hex(16)
    (work / "root").mkdir()
    with tempfile.TemporaryDirectory(prefix="dwcp-") as runtime:  # short: sockets lie in it
        variables = {f"JUPYTER_{kind}_DIR": str(work / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
        variables |= {"XDG_RUNTIME_DIR": runtime, "JUPYTER_TOKEN": token}
        command = [
            sys.executable,
            "-m",
            "jupyter_server",
            "--no-browser",
            f"--port={port}",
            "--allow-root",
            f"--ServerApp.root_dir={work / 'root'}",
        ]
        command += ["--ServerApp.port_retries=0", "--ServerApp.jpserver_extensions={'dwcp_jupyter': True}"]
        with Tree(command, log=work / "jupyter.log", cwd=work, env=variables) as tree:

            def is_up() -> bool:
                tree.check_running()
                return _is_answered(port, token) and any(Path(runtime).rglob("kernels.sock"))

            if not wait_until(is_up, timeout_s=60):
                raise PeerError(f"The Jupyter server did not come up with the extension.\n{tree.log_tail()}")
            yield port, token, Path(runtime)


@contextmanager
def _endpoint(work: Path, prepared: models.Prepared, runtime: Path) -> Iterator[load.Route]:
    """Deploy under the Jupyter server's hold, as a kernel of it would; yield the endpoint's own route."""
    server = {"DWCP_SERVER_ROOT": str(work / "root"), "DWCP_SERVER_SOCKET": str(next(runtime.rglob("kernels.sock")))}
    started = contenders.start_ours(
        prepared, work / "root", compiled="auto", variables={"XDG_RUNTIME_DIR": str(runtime), **server}
    )
    with started.tree:
        yield serving.ready(started, "the endpoint")


@contextmanager
def _unrelated(work: Path, prepared: models.Prepared) -> Iterator[load.Route]:
    """Start a uvicorn process that has nothing to do with Jupyter."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "tests.benchmarks.echo:app",
        "--port",
        str(port),
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
    ]
    route = load.Route(
        url=f"http://127.0.0.1:{port}/",
        headers={"Content-Type": "application/json"},
        bodies=models.bodies(prepared, "features"),
    )
    with Tree(command, log=work / "uvicorn.log", cwd=_REPOSITORY) as tree:
        yield serving.ready(contenders.Started(tree=tree, route=lambda: route), "uvicorn")


def _probe(route: load.Route | None, work: Path, *, port: int, token: str, seconds: float) -> Probe:
    if route is None:
        latencies, failures = _ask(port, token, seconds)
        return Probe(latencies_ms=latencies, failures=failures, load=None)
    command = load.wrk_command(route, work, connections=_CONNECTIONS, seconds=seconds + 1)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as wrk:
        try:
            time.sleep(0.5)  # the load is at its height before the first probe, and lasts beyond the last
            latencies, failures = _ask(port, token, seconds)
            printed, _ = wrk.communicate(timeout=60)
        finally:
            wrk.kill()
    return Probe(latencies_ms=latencies, failures=failures, load=load.parse(printed, connections=_CONNECTIONS))


def _ask(port: int, token: str, seconds: float) -> tuple[tuple[float, ...], int]:
    """Ask by the clock for `seconds`; return the latencies in ms from each planned moment, and how many failed."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    latencies, failures = [], 0
    began = time.perf_counter()
    for number in range(int(seconds * _PROBES_PER_S)):
        planned = began + number / _PROBES_PER_S
        time.sleep(max(0.0, planned - time.perf_counter()))
        try:
            connection.request("GET", _PATHS[number % len(_PATHS)], headers={"Authorization": f"token {token}"})
            reply = connection.getresponse()
            reply.read()
            failures += reply.status != http.client.OK
        except (OSError, http.client.HTTPException):
            connection.close()
            failures += 1
        latencies.append(1000 * (time.perf_counter() - planned))
    connection.close()
    return tuple(latencies), failures


def _is_answered(port: int, token: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", _PATHS[0], headers={"Authorization": f"token {token}"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _table(probes: dict[str, list[Probe]]) -> Table:
    unrelated = statistics.median(p.percentile(99) for p in probes[_UNRELATED])
    rows = []
    for name, taken in probes.items():
        p50, p99 = (statistics.median(p.percentile(at) for p in taken) for at in (50, 99))
        loads = [p.load for p in taken if p.load is not None]
        rate = statistics.median(each.rate for each in loads) if loads else "-"
        rows.append(
            (
                name,
                p50,
                p99,
                max(max(p.latencies_ms) for p in taken),
                sum(p.failures for p in taken),
                rate,
                sum(each.errors for each in loads),
                ratio(p99, unrelated),
            )
        )
    columns = (
        "situation",
        "API p50 ms",
        "API p99 ms",
        "longest ms",
        "API failures",
        "load requests/s",
        "load errors",
        "p99 ÷ unrelated",
    )
    return Table(heading="Latency of the API", columns=columns, rows=tuple(rows))


def _faults(probes: dict[str, list[Probe]]) -> tuple[str, ...]:
    faults = []
    for name, taken in probes.items():
        failures, errors = sum(p.failures for p in taken), sum(p.load.errors for p in taken if p.load is not None)
        if failures or errors:
            faults.append(f"{name}: {failures} API requests and {errors} requests of the load failed")
    return tuple(faults)
