"""One row a request through the complete path, beside the peers.

Each run starts every contender in turn on a fresh port, checks its answers against scikit-learn's, loads it at 1, 8
and 64 connections, checks the answers again and ends it; runs alternate, so a noisy minute hits all alike. The
peers serving the same ONNX file stand apart: they show which part of the gain is the compiled model's.
"""

from __future__ import annotations

import http.client
import json
import shutil
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import contenders, environments, load, models
from tests.benchmarks.contenders import Contender, Role, Started
from tests.benchmarks.environments import Environment, PeerError
from tests.benchmarks.report import Options, Report, Table, Target, ratio, shown

CONNECTIONS = (1, 8, 64)
_START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One contender in one run: a load per number of connections, and what the server used."""

    loads: dict[int, load.Load]
    cpu_ms_per_request: dict[int, float]
    memory_mb: float
    start_s: float
    faults: tuple[str, ...]


def run(options: Options) -> Report:
    """Return the comparison of both models; see the module."""
    tables: list[Table] = []
    targets: list[Target] = []
    faults: list[str] = []
    taking_part = _taking_part(options)
    for model in ["logistic"] if options.reduced else models.MODELS:
        samples = _alternate(model, taking_part, options)
        tables.append(_table(model, samples))
        targets += _targets(model, samples)
        faults += [fault for taken in samples.values() for sample in taken for fault in sample.faults]
    return Report(
        title="Serving: one row of 30 floats a request, JSON over HTTP",
        tables=tuple(tables),
        targets=tuple(targets),
        notes=(_NOTE.format(runs=_runs(options), seconds=_seconds(options)),),
        faults=tuple(dict.fromkeys(faults)),
        versions="; ".join(sorted({e.describe() for _, e in taking_part if e is not None})),
    )


_NOTE = (
    "Medians of {runs} alternating runs of {seconds:.0f} s for each number of connections (c). Ours is the complete "
    "path: bearer token, schema by column name, metrics, prediction log. The peers run without authentication and "
    "without a prediction log, at the best settings of those they document. `x` is ours divided by the contender's "
    "(requests/s) or the contender's divided by ours (p50): above 1 is in our favour. CPU is that of all of a server's "
    "processes, memory counts shared pages once, start runs from the command to the first right answer."
)


def _taking_part(options: Options) -> list[tuple[Contender, Environment | None]]:
    found: list[tuple[Contender, Environment | None]] = []
    for contender in contenders.ALL:
        if not options.wants(contender.name):
            continue
        if contender.environment is None:
            if contender.role is Role.OURS or not options.reduced:
                found.append((contender, None))
        elif not options.reduced or contender.is_cheap:
            environment = environments.obtain(contender.environment, reduced=options.reduced)
            found += [(contender, environment)] if environment is not None else []
    return found


def _alternate(
    model: str, chosen: Sequence[tuple[Contender, Environment | None]], options: Options
) -> dict[Contender, list[Sample]]:
    samples: dict[Contender, list[Sample]] = {contender: [] for contender, _ in chosen}
    with tempfile.TemporaryDirectory(prefix="serving-", dir=environments.cache_folder()) as work:
        prepared = models.prepare(model, Path(work))
        for number in range(_runs(options)):
            for contender, environment in chosen:
                folder = Path(work) / f"run-{number}-{contender.slug}"
                folder.mkdir()
                sample = measure(contender, environment, prepared, folder, seconds=_seconds(options))
                samples[contender].append(sample)
                rates = ", ".join(f"{shown(taken.rate)}/s at {c}" for c, taken in sample.loads.items())
                print(f"{model}, run {number + 1}, {contender.name}: {rates}", file=sys.stderr, flush=True)
                shutil.rmtree(folder, ignore_errors=True)
    return samples


def measure(
    contender: Contender, environment: Environment | None, prepared: models.Prepared, folder: Path, *, seconds: float
) -> Sample:
    """Start `contender`, check it, load it, check it again, end it."""
    started = contender.start(environment, prepared, folder)
    loads, cpu = {}, {}
    with started.tree as tree:
        route = ready(started, contender.name)
        start_s = time.perf_counter() - tree.started
        faults = _wrong_answers(contender, route, prepared)
        load.run(route, folder, connections=8, seconds=1)  # warm
        for connections in CONNECTIONS:
            before = tree.cpu_s()
            loads[connections] = load.run(route, folder, connections=connections, seconds=seconds)
            cpu[connections] = 1000 * (tree.cpu_s() - before) / max(1, loads[connections].requests)
        faults += _wrong_answers(contender, route, prepared)
        memory = tree.memory_mb()
    errors = sum(taken.errors for taken in loads.values())
    if errors:
        faults.append(f"{contender.name}: {errors} requests failed")
    if contender.environment is None and tree.killed:
        faults.append(f"{contender.name}: processes left behind: {'; '.join(tree.killed)}")
    return Sample(loads=loads, cpu_ms_per_request=cpu, memory_mb=memory, start_s=start_s, faults=tuple(faults))


def ready(started: Started, name: str) -> load.Route:
    """Return the route of a starting server, once it answers; raises `PeerError` with its log if it never does."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        started.tree.check_running()
        try:
            route = started.route()
            if ask(route, 0) is not None:
                return route
        except (OSError, http.client.HTTPException, json.JSONDecodeError):  # not listening, or not told where, yet
            time.sleep(0.02)
    raise PeerError(f"{name} did not answer within {_START_TIMEOUT_S:.0f} s.\n{started.tree.log_tail()}")


def ask(route: load.Route, row: int) -> object:
    """Return the parsed reply to body number `row`; a status of 400 or above is an `OSError` (`HTTPError`)."""
    request = urllib.request.Request(route.url, data=route.bodies[row], headers=route.headers, method="POST")
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.loads(reply.read())


def _wrong_answers(contender: Contender, route: load.Route, prepared: models.Prepared) -> list[str]:
    """Return a fault for each row whose probability differs from scikit-learn's."""
    faults = []
    for number, expected in enumerate(prepared.expected):
        try:
            answered = contender.probability(ask(route, number))
        except (OSError, KeyError, IndexError, TypeError) as exc:
            faults.append(f"{contender.name}: row {number} was not answered with a probability: {exc!r}")
            continue
        if not abs(answered - expected) <= models.TOLERANCE:
            faults.append(
                f"{contender.name}: row {number} was answered {answered:.6f}, scikit-learn says {expected:.6f}"
            )
    return faults


def _table(model: str, samples: dict[Contender, list[Sample]]) -> Table:
    ours = next((taken for contender, taken in samples.items() if contender.role is Role.OURS), None)
    rows: list[tuple[object, ...]] = []
    for contender, taken in samples.items():
        for c in CONNECTIONS:
            rate, p50 = _median(taken, c, "rate"), _median(taken, c, "p50_ms")
            gain = "", ""
            if contender.role is not Role.OURS:
                gain = ratio(_median(ours, c, "rate"), rate), ratio(p50, _median(ours, c, "p50_ms"))
            first = c == CONNECTIONS[0]
            rows.append(
                (
                    contender.name if first else "",
                    c,
                    rate,
                    p50,
                    _median(taken, c, "p99_ms"),
                    sum(s.loads[c].errors for s in taken),
                    statistics.median(s.cpu_ms_per_request[c] for s in taken),
                    statistics.median(s.memory_mb for s in taken) if first else "",
                    statistics.median(s.start_s for s in taken) if first else "",
                    *gain,
                )
            )
    columns = (
        "contender",
        "c",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "errors",
        "CPU s / 1,000 requests",
        "MB",
        "start s",
        "x requests/s",
        "x p50",
    )
    return Table(heading=models.MODELS[model], columns=columns, rows=tuple(rows))


def _targets(model: str, samples: dict[Contender, list[Sample]]) -> list[Target]:
    ours = next((taken for contender, taken in samples.items() if contender.role is Role.OURS), None)
    peers = [taken for contender, taken in samples.items() if contender.role is Role.PEER]
    if ours is None or not peers:
        return []
    limit = {"forest": 10.0, "logistic": 3.0}[model]
    best = max(_median(taken, 64, "rate") for taken in peers)
    targets = [
        Target(
            text=f"{model}: requests/s at 64 connections, ours / best peer",
            measured=_median(ours, 64, "rate") / best,
            limit=limit,
            at_least=True,
        )
    ]
    if model == "forest":
        quickest = min(_median(taken, 1, "p50_ms") for taken in peers)
        targets.append(
            Target(
                text="forest: p50 at one connection, ours / best peer",
                measured=_median(ours, 1, "p50_ms") / quickest,
                limit=0.2,
                at_least=False,
            )
        )
    return targets


def _median(taken: Sequence[Sample] | None, connections: int, figure: str) -> float:
    return statistics.median(getattr(s.loads[connections], figure) for s in taken) if taken else 0.0


def _runs(options: Options) -> int:
    return 1 if options.reduced else options.runs


def _seconds(options: Options) -> float:
    return 1.0 if options.reduced else options.seconds
