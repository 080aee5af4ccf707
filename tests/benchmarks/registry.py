"""Processes that register versions into one workspace at once, beside MLflow on SQLite and a bare SQLite commit.

What is registered is alike: name, version, description, two tags, no model file. Every acknowledged version is looked
up afterwards by another process, so a rate that was bought with lost writes shows as a fault. All files lie on the
same disk, in the cache folder; the bare commit says what that disk allows.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import environments
from tests.benchmarks.environments import Environment, PeerError
from tests.benchmarks.report import Options, Report, Table, Target, ratio, shown

_SCRIPT = Path(__file__).with_name("peers") / "registering.py"
_TIMEOUT_S = 600
_OURS, _MLFLOW, _FLOOR = "ours (DuckDB)", "MLflow (SQLite)", "bare SQLite commit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """How many processes register how many versions each; into one model or one each."""

    processes: int
    versions: int
    shared: bool

    @property
    def text(self) -> str:
        """What the table calls it."""
        models = "" if self.processes == 1 else (", one model" if self.shared else ", a model each")
        return f"{self.processes} process{'es' if self.processes > 1 else ''} x {self.versions}{models}"

    def model_of(self, process: int) -> str:
        """Return the name of the model that `process` registers versions of."""
        return "churn" if self.shared else f"churn-{process}"

    @property
    def models(self) -> list[str]:
        """Every model's name, once."""
        return list(dict.fromkeys(self.model_of(process) for process in range(self.processes)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One run of one backend: its rate and waits, and what went wrong."""

    rate: float
    median_wait_ms: float
    longest_wait_s: float
    lost: int
    doubled: int
    errors: tuple[str, ...]


def run(options: Options) -> Report:
    """Return the comparison; see the module."""
    mlflow = environments.obtain("mlflow", reduced=options.reduced) if options.wants(_MLFLOW) else None
    backends: dict[str, tuple[str, Environment | None]] = {_OURS: ("ours", None), _FLOOR: ("sqlite", None)}
    if mlflow is not None and not options.reduced:
        backends[_MLFLOW] = ("mlflow", mlflow)
    backends = {name: backend for name, backend in backends.items() if options.wants(name)}
    scenarios = _scenarios(reduced=options.reduced)
    outcomes: dict[tuple[Scenario, str], list[Outcome]] = {}
    for _ in range(1 if options.reduced else options.runs):
        for scenario in scenarios:
            for name, (key, environment) in backends.items():
                outcome = measure(key, environment, scenario)
                outcomes.setdefault((scenario, name), []).append(outcome)
                print(f"{scenario.text}, {name}: {shown(outcome.rate)} versions/s", file=sys.stderr, flush=True)
    return Report(
        title="Registry: registrations at once into one workspace",
        tables=(_table(outcomes),),
        targets=_targets(outcomes, scenarios),
        notes=(
            (
                f"Medians of {1 if options.reduced else options.runs} alternating runs; lost, doubled, errors: sums. "
                "`x` is ours divided by it."
            ),
        ),
        faults=_faults(outcomes),
        versions=mlflow.describe() if mlflow else "",
    )


def _scenarios(*, reduced: bool) -> list[Scenario]:
    if reduced:
        return [Scenario(processes=3, versions=8, shared=False)]
    return [
        Scenario(processes=8, versions=100, shared=False),
        Scenario(processes=8, versions=100, shared=True),
        Scenario(processes=1, versions=100, shared=False),
    ]


def measure(backend: str, environment: Environment | None, scenario: Scenario) -> Outcome:
    """Run `scenario` on a fresh `backend` and look up afterwards what it acknowledged."""
    python = sys.executable if environment is None else str(environment.python)
    with tempfile.TemporaryDirectory(prefix="registry-", dir=environments.cache_folder()) as folder:
        place = str(Path(folder) / {"ours": ".dwcp", "mlflow": "mlflow.db", "sqlite": "floor.db"}[backend])
        command = [python, str(_SCRIPT), backend, place]
        warm = [f"warm-{process}" for process in range(scenario.processes)]
        _call([*command, "prepare", *scenario.models, *warm], cwd=folder)
        results = _at_once(
            [
                [*command, "register", scenario.model_of(p), str(p), str(scenario.versions)]
                for p in range(scenario.processes)
            ],
            cwd=folder,
        )
        found = json.loads(_call([*command, "found", *scenario.models], cwd=folder))
    acknowledged = [version for result in results for version in result["acknowledged"]]
    waits = [wait for result in results for wait in result["waits_s"]]
    duration = max(result["ended"] for result in results) - min(result["started"] for result in results)
    return Outcome(
        rate=len(acknowledged) / duration,
        median_wait_ms=1000 * statistics.median(waits),
        longest_wait_s=max(waits),
        lost=len(set(acknowledged) - set(found)),
        doubled=len(acknowledged) - len(set(acknowledged)) + len(found) - len(set(found)),
        errors=tuple(error for result in results for error in result["errors"]),
    )


def _call(command: Sequence[str], *, cwd: str) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT_S)
    if done.returncode:
        raise PeerError(f"'{' '.join(command)}' ended with {done.returncode}.\n{done.stderr[-2000:]}")
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def _at_once(commands: Sequence[Sequence[str]], *, cwd: str) -> list[dict]:
    """Start all commands, let them go together once each is ready, and return what they print."""
    running: list[subprocess.Popen[str]] = []
    with (Path(cwd) / "stderr.log").open("w+") as stderr:
        try:
            running += [
                subprocess.Popen(c, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)
                for c in commands
            ]
            for process in running:
                process.stdout.readline()
            for process in running:
                process.stdin.write("go\n")
                process.stdin.flush()
            printed = [process.communicate(timeout=_TIMEOUT_S)[0] for process in running]
        finally:
            for process in running:
                process.kill()
                process.wait()
        if any(process.returncode for process in running):
            stderr.seek(0)
            raise PeerError(f"A registering process ended with an error.\n{stderr.read()[-2000:]}")
    return [json.loads(text.strip().splitlines()[-1]) for text in printed]


def _table(outcomes: dict[tuple[Scenario, str], list[Outcome]]) -> Table:
    rows = []
    for (scenario, name), taken in outcomes.items():
        rate = statistics.median(o.rate for o in taken)
        ours = outcomes.get((scenario, _OURS))
        gain = "" if name == _OURS or ours is None else ratio(statistics.median(o.rate for o in ours), rate)
        waits = statistics.median(o.median_wait_ms for o in taken), statistics.median(o.longest_wait_s for o in taken)
        counts = sum(o.lost for o in taken), sum(o.doubled for o in taken), sum(len(o.errors) for o in taken)
        rows.append((scenario.text, name, rate, *waits, *counts, gain))
    columns = ("scenario", "backend", "versions/s", "p50 wait ms", "longest wait s", "lost", "doubled", "errors", "x")
    return Table(heading="Versions registered", columns=columns, rows=tuple(rows))


def _targets(outcomes: dict[tuple[Scenario, str], list[Outcome]], scenarios: Sequence[Scenario]) -> tuple[Target, ...]:
    targets = []
    for scenario in scenarios:
        ours, theirs = outcomes.get((scenario, _OURS)), outcomes.get((scenario, _MLFLOW))
        if ours and theirs and scenario.processes > 1:
            measured = statistics.median(o.rate for o in ours) / statistics.median(o.rate for o in theirs)
            targets.append(
                Target(text=f"{scenario.text}: versions/s, ours / MLflow", measured=measured, limit=1.5, at_least=True)
            )
    return tuple(targets)


def _faults(outcomes: dict[tuple[Scenario, str], list[Outcome]]) -> tuple[str, ...]:
    faults = []
    for (scenario, name), taken in outcomes.items():
        lost, doubled = sum(o.lost for o in taken), sum(o.doubled for o in taken)
        errors = [error for o in taken for error in o.errors]
        if lost or doubled or (errors and name == _OURS):
            first = f": {errors[0]}" if errors else ""
            faults.append(f"{name}, {scenario.text}: {lost} lost, {doubled} doubled, {len(errors)} errors{first}")
    return tuple(faults)
