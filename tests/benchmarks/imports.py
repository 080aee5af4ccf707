"""Start-up: imports in fresh interpreters and %load_ext in a fresh IPython shell.

One interpreter a sample; contenders alternate; the first round only fills the page cache and the byte code. The time
is that of the statement alone, not of the interpreter's start.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import environments
from tests.benchmarks.environments import PeerError
from tests.benchmarks.report import Options, Report, Table, Target, ratio

_REPOSITORY = Path(__file__).parents[2]
_IMPORT = "import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
_LOAD_EXT = (
    "import time\n"
    "from IPython.core.interactiveshell import InteractiveShell\n"
    "shell = InteractiveShell.instance()\n"
    "t = time.perf_counter(); shell.run_line_magic('load_ext', 'dwcp_jupyter'); t = time.perf_counter() - t\n"
    "assert 'dwcp' in shell.magics_manager.magics['line'], 'the extension brought no %dwcp'\n"
    "print(t)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement, the interpreter that runs it and its limit in ms, if it is ours."""

    name: str
    python: str
    code: str
    limit_ms: float | None = None

    def sample_ms(self) -> float:
        """Return the statement's time in a fresh interpreter, in ms."""
        done = subprocess.run(
            [self.python, "-c", self.code], capture_output=True, text=True, timeout=120, cwd=_REPOSITORY
        )
        if done.returncode:
            raise PeerError(f"'{self.name}' failed in {self.python}.\n{done.stderr[-2000:]}")
        return 1000 * float(done.stdout.strip().splitlines()[-1])


def run(options: Options) -> Report:
    """Return the medians of all statements; see the module."""
    statements = [
        Statement(
            name="import dwcp_jupyter", python=sys.executable, code=_IMPORT.format(module="dwcp_jupyter"), limit_ms=100
        ),
        Statement(name="%load_ext dwcp_jupyter", python=sys.executable, code=_LOAD_EXT, limit_ms=300),
        Statement(name="import IPython", python=sys.executable, code=_IMPORT.format(module="IPython")),
    ]
    mlflow = None if options.reduced else environments.ensure("mlflow")
    if mlflow is not None:
        statements.append(
            Statement(name="import mlflow", python=str(mlflow.python), code=_IMPORT.format(module="mlflow"))
        )
    statements = [s for s in statements if options.wants(s.name)]
    samples: dict[Statement, list[float]] = {s: [] for s in statements}
    rounds = 2 if options.reduced else 1 + 3 * options.runs
    for number in range(rounds):
        for statement in statements:
            taken = statement.sample_ms()
            if number:
                samples[statement].append(taken)
    medians = {s: statistics.median(taken) for s, taken in samples.items()}
    return Report(
        title="Start-up in a fresh process",
        tables=(_table(samples, medians),),
        targets=tuple(
            Target(text=f"{s.name}, ms", measured=medians[s], limit=s.limit_ms, at_least=False)
            for s in statements
            if s.limit_ms
        ),
        notes=(f"Medians of {rounds - 1} fresh processes each, alternating.",),
        versions=mlflow.describe() if mlflow else "",
    )


def _table(samples: dict[Statement, list[float]], medians: dict[Statement, float]) -> Table:
    mlflow = next((ms for s, ms in medians.items() if s.name == "import mlflow"), None)
    rows = tuple((s.name, ms, min(samples[s]), max(samples[s]), ratio(mlflow, ms)) for s, ms in medians.items())
    return Table(
        heading="Time of the statement",
        columns=("statement", "median ms", "min", "max", "import mlflow ÷ it"),
        rows=rows,
    )
