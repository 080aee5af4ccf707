"""What a registry of 1,000 and of 10,000 versions takes to answer, beside MLflow on SQLite.

All versions belong to one model, which is the worst case for both. Each call is measured in a burst and alone, after a
rest in which other processes had their turn at the metadata. The trail of events is grown to 100,000 and proven.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import environments
from tests.benchmarks.environments import Environment, PeerError
from tests.benchmarks.report import Options, Report, Table, Target, ratio

_SCRIPT = Path(__file__).with_name("peers") / "scaling.py"
_TIMEOUT_S = 3600
_OURS, _MLFLOW = "ours (DuckDB)", "MLflow (SQLite)"
_SIZES, _EVENTS = (1_000, 10_000), 100_000
_BURST_MS, _LONE_MS, _PROOF_MS = 5, 40, 1000
_CALLS_PER_RUN = 5

_NOTE = (
    "Medians of {calls} calls in a burst and {calls} calls after a rest of 250 ms each, of which none repeats the one "
    "before it; `x` is MLflow ÷ ours."
)

Times = dict[str, dict[str, list[float]]]
"""Milliseconds by call and kind: a burst, or alone."""


def run(options: Options) -> Report:
    """Return the comparison; see the module."""
    mlflow = environments.obtain("mlflow", reduced=options.reduced) if options.wants(_MLFLOW) else None
    backends: dict[str, tuple[str, Environment | None]] = {_OURS: ("ours", None)} if options.wants(_OURS) else {}
    if mlflow is not None and not options.reduced:
        backends[_MLFLOW] = ("mlflow", mlflow)
    sizes, events = ((30, 60), 200) if options.reduced else (_SIZES, _EVENTS)
    calls = 2 if options.reduced else options.runs * _CALLS_PER_RUN
    found: dict[tuple[str, int], Times] = {}
    proven: Times = {}
    with tempfile.TemporaryDirectory(prefix="scale-", dir=environments.cache_folder()) as folder:
        for size in sizes:
            for name, (key, environment) in backends.items():
                place = str(Path(folder) / f"{key}-{size}")
                print(f"{name}: registering {size:,} versions …", file=sys.stderr, flush=True)
                _call(environment, key, place, "fill", size)
                found[name, size] = _times(_call(environment, key, place, "ask", size, calls))
        if _OURS in backends:
            print(f"{_OURS}: a trail of {events:,} events …", file=sys.stderr, flush=True)
            place = str(Path(folder) / f"ours-{sizes[-1]}")
            proven = _times(_call(None, "ours", place, "prove", events, min(calls, 9)))
    return Report(
        title="Registry: answers of one with many versions",
        tables=(_table(found, sizes), *((_proofs(proven, events),) if proven else ())),
        targets=_targets(found, proven, sizes, events),
        notes=(_NOTE.format(calls=calls),),
        versions=mlflow.describe() if mlflow else "",
    )


def _call(environment: Environment | None, *arguments: object) -> str:
    python = sys.executable if environment is None else str(environment.python)
    command = [python, str(_SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise PeerError(f"'{' '.join(command)}' ended with {done.returncode}.\n{done.stderr[-2000:]}")
    return done.stdout


def _times(printed: str) -> Times:
    times: Times = json.loads(printed.strip().splitlines()[-1])
    return times


def _table(found: dict[tuple[str, int], Times], sizes: tuple[int, ...]) -> Table:
    rows = []
    calls = list(dict.fromkeys(call for times in found.values() for call in times))
    for call in calls:
        for size in sizes:
            medians = [
                [statistics.median(times[call][kind]) if call in times else None for kind in _KINDS]
                for times in (found.get((name, size), {}) for name in (_OURS, _MLFLOW))
            ]
            gains = [ratio(theirs, ours) for ours, theirs in zip(*medians, strict=True)]
            rows.append((call, f"{size:,}", *(m if m is not None else "-" for m in (*medians[0], *medians[1])), *gains))
    columns = ("call", "versions", *(f"{who} {kind} ms" for who in ("ours", "MLflow") for kind in _KINDS), *_GAINS)
    return Table(heading="One call", columns=columns, rows=tuple(rows))


_KINDS = ("burst", "lone")
_GAINS = ("x burst", "x lone")


def _proofs(proven: Times, events: int) -> Table:
    rows = tuple((call, *(statistics.median(times[kind]) for kind in _KINDS)) for call, times in proven.items())
    return Table(heading=f"Over {events:,} events", columns=("call", "burst ms", "lone ms"), rows=rows)


def _targets(
    found: dict[tuple[str, int], Times], proven: Times, sizes: tuple[int, ...], events: int
) -> tuple[Target, ...]:
    limits = {"burst": _BURST_MS, "lone": _LONE_MS}
    targets = [
        Target(
            text=f"{call} of {sizes[-1]:,}, {kind}, ms",
            measured=statistics.median(times[kind]),
            limit=limits[kind],
            at_least=False,
        )
        for call, times in found.get((_OURS, sizes[-1]), {}).items()
        for kind in _KINDS
    ]
    targets += [
        Target(
            text=f"{call} over {events:,} events, ms",
            measured=statistics.median(times["lone"]),
            limit=_PROOF_MS,
            at_least=False,
        )
        for call, times in proven.items()
    ]
    return tuple(targets)
