"""How fast runs log and are found, beside MLflow on SQLite."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks import environments
from tests.benchmarks.environments import Environment, PeerError
from tests.benchmarks.report import Options, Report, Table, Target, ratio

_SCRIPT = Path(__file__).with_name("peers") / "tracking.py"
_TIMEOUT_S = 1800
_OURS, _MLFLOW = "ours (DuckDB)", "MLflow (SQLite)"
_LEAST_PER_S = 10_000


def run(options: Options) -> Report:
    """Return the comparison; see the module."""
    batched, single, runs, calls = (2_000, 50, 5, 2) if options.reduced else (200_000, 2_000, 1_000, 15)
    mlflow = None
    if options.wants(_MLFLOW) and not options.reduced:
        mlflow = environments.obtain("mlflow", reduced=options.reduced)
    contenders: dict[str, tuple[str, Environment | None]] = {_OURS: ("ours", None)} if options.wants(_OURS) else {}
    if mlflow is not None:
        contenders[_MLFLOW] = ("mlflow", mlflow)
    speeds: dict[str, dict[str, float]] = {}
    times: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="tracking-", dir=environments.cache_folder()) as folder:
        for name, (key, environment) in contenders.items():
            place = str(Path(folder) / key)
            speeds[name] = {
                "in batches": batched / min(_call(environment, key, place, "log", batched) for _ in range(3)),
                "one call each": single / _call(environment, key, place, "one", single),
            }
            asked = _call(environment, key, place, "ask", runs, calls)
            times[name] = {call: statistics.median(found) for call, found in asked.items()}
    return Report(
        title="Tracking: values logged, runs found",
        tables=(_speeds(speeds), _times(times, runs)),
        targets=tuple(
            Target(text="values a second in batches", measured=found["in batches"], limit=_LEAST_PER_S, at_least=True)
            for name, found in speeds.items()
            if name == _OURS
        ),
        notes=("Until all values are kept. `x` is ours ÷ MLflow for speeds, and MLflow ÷ ours for times.",),
        versions=mlflow.describe() if mlflow else "",
    )


def _call(environment: Environment | None, *arguments: object) -> Any:
    python = sys.executable if environment is None else str(environment.python)
    done = subprocess.run(
        [python, str(_SCRIPT), *map(str, arguments)], capture_output=True, text=True, timeout=_TIMEOUT_S
    )
    if done.returncode:
        raise PeerError(f"'{arguments}' ended with {done.returncode}.\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _speeds(found: dict[str, dict[str, float]]) -> Table:
    ours, theirs = found.get(_OURS, {}), found.get(_MLFLOW, {})
    rows = tuple(
        (kind, ours.get(kind, "-"), theirs.get(kind, "-"), ratio(ours.get(kind), theirs.get(kind)))
        for kind in ours or theirs
    )
    return Table(heading="Values of metrics a second", columns=("logged", "ours", "MLflow", "x"), rows=rows)


def _times(found: dict[str, dict[str, float]], runs: int) -> Table:
    ours, theirs = found.get(_OURS, {}), found.get(_MLFLOW, {})
    rows = tuple(
        (call, ours.get(call, "-"), theirs.get(call, "-"), ratio(theirs.get(call), ours.get(call)))
        for call in ours or theirs
    )
    return Table(heading=f"Among {runs:,} runs", columns=("call", "ours ms", "MLflow ms", "x"), rows=rows)
