"""Run one benchmark by name and print its report; `list` names them.

Each benchmark is a module of this folder with `run(options) -> Report`, imported only when it is asked for.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys

from tests.benchmarks.environments import PeerError
from tests.benchmarks.report import Options

BENCHMARKS = {
    "imports": "import and %load_ext in fresh processes, beside mlflow and IPython",
    "registry": "eight processes registering versions at once, beside MLflow on SQLite and a bare SQLite commit",
    "scale": "answers of a registry with 1,000 and 10,000 versions, beside MLflow on SQLite",
    "kills": "processes killed at random while they use a registry, and what is left of what they did",
    "tracking": "values that runs log a second, and how fast runs are found, beside MLflow on SQLite",
    "lives": "random lives of a registry beside a model of it in dictionaries, with another process at it",
    "serving": "one row a request over HTTP, beside BentoML, LitServe, MLServer and MLflow",
    "responsiveness": "the Jupyter server's own API while an endpoint is under full load",
}


def main(arguments: list[str] | None = None) -> int:
    """Print the report of one benchmark; return 0, or 1 if a result is wrong (lost version, HTTP error)."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=["list", *BENCHMARKS])
    parser.add_argument("--runs", type=int, default=5, help="runs the medians are taken of (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="length of one load in seconds (default: %(default)s)"
    )
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="contenders whose name holds TEXT")
    parser.add_argument("--reduced", action="store_true", help="one short run; peers only where already installed")
    given = parser.parse_args(arguments)
    if given.name == "list":
        for name, purpose in BENCHMARKS.items():
            print(f"{name:16} {purpose}")
        return 0
    signal.signal(signal.SIGTERM, _end)
    options = Options(runs=given.runs, seconds=given.seconds, only=tuple(given.only), reduced=given.reduced)
    try:
        report = importlib.import_module(f"tests.benchmarks.{given.name}").run(options)
    except PeerError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(report.to_markdown())
    return 1 if report.faults else 0


def _end(number: int, _frame: object) -> None:
    """Leave by an exception, so that the servers under measurement are ended."""
    print(f"Ended by signal {number} before the report was complete.", file=sys.stderr)
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
