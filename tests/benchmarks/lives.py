"""Random lives of a registry against a model of it in dictionaries, while another process uses the same workspace.

The state machine is that of the tests (`tests/registry/test_state_machine.py`), with many more and longer lives. After
each step the registry must say what the dictionaries say, and its trail of events must hold. The neighbour does the same
kinds of things to other models, as fast as it can.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant

from dwcp_jupyter import clock
from dwcp_jupyter.exceptions import DwcpError
from tests.benchmarks import environments, kills
from tests.benchmarks.processes import wait_until
from tests.benchmarks.report import Options, Report, Table

_LIVES_EACH = 10
_STEPS = 50


def run(options: Options) -> Report:
    """Return the summary; see the module."""
    lives, steps = (2, 10) if options.reduced else (options.runs * _LIVES_EACH, _STEPS)
    rows, faults = [], []
    for database in kills.DATABASES:
        if options.wants(database):
            began = time.monotonic()
            counts, fault = live(database, lives=lives, steps=steps)
            took_s = time.monotonic() - began
            rows.append(
                (database, counts["lives"], counts["steps"], counts["neighbour's events"], fault is not None, took_s)
            )
            faults += [] if fault is None else [f"{database}: {fault}"]
            print(f"{database}: {counts['steps']} steps", file=sys.stderr, flush=True)
    columns = ("database", "lives", "steps", "neighbour's events", "disagreed", "s")
    return Report(
        title="Registry: random lives beside a model of it",
        tables=(Table(heading="Lives", columns=columns, rows=tuple(rows)),),
        notes=("After every step the lists, stages, aliases, the past and the proof of the trail are compared.",),
        faults=tuple(faults),
    )


def live(database: str, *, lives: int, steps: int) -> tuple[Counter[str], str | None]:
    """Return what was done, and where the registry and the model disagreed if they did."""
    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="lives-", dir=environments.cache_folder()) as folder,
        kills.empty_databases(database) as new_url,
    ):
        machine = _machine(counts, new_url, kills.model_file(Path(folder)))
        machine.TestCase.settings = settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        try:
            machine.TestCase().runTest()
        except (AssertionError, DwcpError) as exc:
            return counts, f"{type(exc).__name__}: {exc}"
    return counts, None


def _machine(counts: Counter[str], new_url: Callable[[], str], model: Path) -> Any:
    """Return the state machine of the tests with a neighbour, which leaves its models and its trash alone."""
    from tests.registry.test_state_machine import RegistryMachine

    class Machine(RegistryMachine):
        package = model
        neighbour: Any = None

        @property
        def time(self) -> datetime:  # the neighbour's too, who may do the writes of whoever waits
            return clock.utc_now()

        @time.setter
        def time(self, _moment: datetime) -> None:
            """Leave it: nobody moves this one."""

        def empty_database(self) -> str:
            self.url = new_url()
            return self.url

        @invariant()
        def counted(self) -> None:
            if not hasattr(self, "registry"):
                return
            counts["steps"] += 1
            if self.neighbour is None:
                self.neighbour = kills.spawner().Process(
                    target=kills.live,
                    args=(str(self.stores.root), self.url, str(model), counts["lives"]),
                    kwargs={"names": ("bystander",), "trash_kept_s": 86_400.0},
                )
                self.neighbour.start()
                assert wait_until(self.is_disturbed, timeout_s=60), "the neighbour did nothing"
                counts["lives"] += 1

        def is_disturbed(self) -> bool:
            return bool(self.stores.metadata.events(below="model:bystander", limit=1))

        def teardown(self) -> None:
            if self.neighbour is not None:
                assert self.neighbour.is_alive(), "the neighbour ended by an error"
                self.neighbour.kill()
                self.neighbour.join()
                assert self.registry.verify() is True
                counts["neighbour's events"] += len(self.stores.metadata.events(below="model:bystander"))
            super().teardown()

    return Machine
