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
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant

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
    from tests.registry.test_state_machine import RegistryMachine

    counts: Counter[str] = Counter()
    with (
        tempfile.TemporaryDirectory(prefix="lives-", dir=environments.cache_folder()) as folder,
        kills.empty_databases(database) as new_url,
    ):
        model = kills.model_file(Path(folder))

        class Machine(RegistryMachine):
            neighbour: Any = None

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
                        args=(str(self.stores.root), self.url, str(model), counts["lives"], None, ("bystander",)),
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

        Machine.database, Machine.package = database, model
        Machine.TestCase.settings = settings(
            max_examples=lives,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )
        try:
            Machine.TestCase().runTest()
        except AssertionError as exc:
            return counts, f"{exc}"
    return counts, None
