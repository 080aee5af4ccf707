"""Processes that use a registry and are killed at random points; what was acknowledged must be there afterwards.

Two processes at once do what users do, at random: register with a model file, complete drafts, move, ask, judge, roll
back, delete, restore. After each call they say the head of the trail that they saw. One is killed by SIGKILL at a random
moment, then the other. The workspace must open, hold every event that was acknowledged (the head is a checkpoint: a lost
or altered event cannot agree with it), have tables that agree with the trail, and give every model file back unharmed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from tests.benchmarks import environments
from tests.benchmarks.report import Options, Report, Table

DATABASES = ("duckdb", "sqlite", "postgresql")
_RUNS_EACH = 50
_PER_WORKSPACE = 25
_LONGEST_WAIT_S = 60.0
_LONGEST_DELAY_S = 0.015
_IMPORTED = ["tests.benchmarks.kills", "dwcp_jupyter.registry", "duckdb", "pandas", "sklearn.linear_model", "skops.io"]
"""What every life would import first, which is not where it shall be killed."""
_PEOPLE = ("ana", "bo", "cleo")


@dataclass
class Outcome:
    """What came of the runs on one database."""

    runs: int = 0
    kills: int = 0
    acknowledged: int = 0
    lost: int = 0
    inconsistent: int = 0
    longest_opening_s: float = 0.0
    interrupted: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run(options: Options) -> Report:
    """Return the summary; see the module."""
    runs = 4 if options.reduced else options.runs * _RUNS_EACH
    outcomes = {}
    for database in DATABASES:
        if options.wants(database):
            outcomes[database] = kill(database, runs=runs, seed=runs)
    columns = ("database", "runs", "kills", "acknowledged", "lost", "inconsistent", "longest opening s")
    rows = tuple(
        (name, o.runs, o.kills, o.acknowledged, o.lost, o.inconsistent, o.longest_opening_s)
        for name, o in outcomes.items()
    )
    interrupted = sum((o.interrupted for o in outcomes.values()), Counter())
    return Report(
        title="Registry: processes killed at random points",
        tables=(
            Table(heading="Lives and deaths", columns=columns, rows=rows),
            Table(heading="What the dead were doing", columns=("call", "kills"), rows=tuple(interrupted.most_common())),
        ),
        notes=("Each run has two processes at once, both killed by SIGKILL at their own random moments.",),
        faults=tuple(f"{name}, {fault}" for name, o in outcomes.items() for fault in o.faults),
    )


def kill(database: str, *, runs: int, seed: int) -> Outcome:
    """Return what came of `runs` runs on a database."""
    outcome, rng = Outcome(), random.Random(seed)
    spawning = spawner()
    with (
        tempfile.TemporaryDirectory(prefix="kills-", dir=environments.cache_folder()) as folder,
        empty_databases(database) as new_url,
    ):
        package = model_file(Path(folder))
        place, url = Path(folder) / "0", ""
        for number in range(runs):
            if number % _PER_WORKSPACE == 0:
                shutil.rmtree(place, ignore_errors=True)
                place, url = Path(folder) / str(number), new_url()
            _run(outcome, rng, spawning, place, url, package)
            if number % 50 == 49:
                print(f"{database}: {number + 1} runs, {outcome.lost} lost", file=sys.stderr, flush=True)
    return outcome


def spawner() -> multiprocessing.context.BaseContext:
    """Return what starts processes quickly, with everything imported."""
    spawning = multiprocessing.get_context("forkserver")
    spawning.set_forkserver_preload(_IMPORTED)
    return spawning


@contextlib.contextmanager
def empty_databases(database: str) -> Iterator[Callable[[], str]]:
    """Yield what returns the setting `metadata_url` of another empty database, for a workspace in a folder of its own."""
    if database != "postgresql":
        yield lambda: database
        return
    from tests.postgresql import Server

    server = Server()
    try:
        with contextlib.ExitStack() as schemas:
            yield lambda: schemas.enter_context(server.schema())
    finally:
        server.close()


def model_file(folder: Path) -> Path:
    """Return a small model file, made in a folder."""
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression
    from skops import io

    features, species = load_iris(return_X_y=True, as_frame=True)
    path = folder / "model.skops"
    io.dump(LogisticRegression(max_iter=500).fit(features, species), path)
    return path


def _run(
    outcome: Outcome,
    rng: random.Random,
    spawning: multiprocessing.context.BaseContext,
    place: Path,
    url: str,
    package: Path,
) -> None:
    living = []
    for _ in range(2):
        receiving, sending = spawning.Pipe(duplex=False)
        process = spawning.Process(target=live, args=(str(place), url, str(package), rng.random(), sending))
        process.start()
        sending.close()
        living.append((process, receiving))
    heads = []
    for process, receiving in living:
        head, last = _kill_later(outcome, rng, process, receiving)
        outcome.kills += 1
        outcome.interrupted[last] += 1
        heads += [head] if head else []
    outcome.runs += 1
    _check(outcome, place, url, heads)


def _kill_later(
    outcome: Outcome, rng: random.Random, process: object, receiving: Connection
) -> tuple[tuple[int, str] | None, str]:
    """Kill a process some calls later; return the last head that it acknowledged, and what it was doing."""
    wanted, begun, head, last = rng.randint(1, 10), 0, None, "starting"
    deadline = time.monotonic() + _LONGEST_WAIT_S
    is_doomed = False
    while True:
        if not is_doomed and begun >= wanted:
            time.sleep(rng.uniform(0, _LONGEST_DELAY_S))
            process.kill()
            is_doomed = True
        if not is_doomed and not receiving.poll(max(0.0, deadline - time.monotonic())):
            process.kill()
            raise TimeoutError(f"A process did nothing for {_LONGEST_WAIT_S:.0f} s; it was {last}.")
        try:
            call, seen = receiving.recv()
        except (EOFError, OSError):
            break
        if seen is None:
            begun, last = begun + 1, call
        else:
            outcome.acknowledged += 1
            head = seen
            last = "between calls"
    process.join()
    receiving.close()
    return head, last


def _check(outcome: Outcome, place: Path, url: str, heads: list[tuple[int, str]]) -> None:
    """Open the workspace as the next user would, and look for what is lost or wrong."""
    from dwcp_jupyter import config, store
    from dwcp_jupyter.registry import ModelRegistry

    began = time.monotonic()
    with store.open(place, settings=config.load(metadata_url=url)) as stores:
        registry = ModelRegistry(stores)
        held = registry.verify()
        outcome.longest_opening_s = max(outcome.longest_opening_s, time.monotonic() - began)
        if not held:
            outcome.inconsistent += 1
            outcome.faults.append(f"run {outcome.runs}: {held}")
        for head in heads:
            kept = registry.verify(checkpoint=head)
            if not kept:
                outcome.lost += 1
                outcome.faults.append(f"run {outcome.runs}: {kept}")
        sums = {v.sha256: v for model in registry.list_models() for v in registry.list_versions(model.name) if v.sha256}
        for version in sums.values():
            with tempfile.TemporaryDirectory() as folder:
                registry.fetch(version.id, Path(folder) / "package")
        registry.collect_garbage(grace=timedelta(0))
        left = registry.collect_garbage(grace=timedelta(0), dry_run=True)
        if left.blobs:
            outcome.inconsistent += 1
            outcome.faults.append(f"run {outcome.runs}: {left.blobs} files stay that nothing needs")


def live(
    place: str,
    url: str,
    package: str,
    seed: float,
    saying: Connection | None = None,
    *,
    names: tuple[str, ...] = ("churn", "fraud"),
    trash_kept_s: float = 0.0,
) -> None:
    """Use models of a registry until the end: before each call its name is said, after it the head of the trail."""
    from dwcp_jupyter import config, exceptions, store
    from dwcp_jupyter.registry import ModelRegistry

    refusals = (  # of what is asked at random, the life cycle allows a part
        *(exceptions.ModelNotFoundError, exceptions.VersionExistsError),
        *(exceptions.TransitionError, exceptions.ApprovalError, exceptions.GateError),
    )
    stores = store.open(place, settings=config.load(metadata_url=url))
    life = _Life(ModelRegistry(stores), Path(package), random.Random(seed), names, timedelta(seconds=trash_kept_s))
    while True:
        name, call = life.choose()
        if saying is not None:
            saying.send((name, None))
        with contextlib.suppress(*refusals):
            call()
        if saying is not None:
            saying.send((name, stores.metadata.head()))


class _Life:
    """What a user might do next."""

    def __init__(
        self, registry: object, package: Path, rng: random.Random, names: tuple[str, ...], trash_kept: timedelta
    ) -> None:
        self.registry, self.package, self.rng, self.names = registry, package, rng, names
        self.trash_kept = trash_kept

    def choose(self) -> tuple[str, Callable[[], object]]:
        """Return a call and its name."""
        calls = {
            "register": self._register,
            "draft": self._draft,
            "complete a draft": self._complete,
            "promote": self._promote,
            "ask": self._ask,
            "judge": self._judge,
            "roll back": lambda: self.registry.rollback(self._name()),
            "set alias": lambda: self.registry.set_alias(self._version(), "champion"),
            "remove alias": lambda: self.registry.remove_alias(self._name(), "champion"),
            "update": lambda: self.registry.update_model(self._version(), {"description": str(self.rng.random())}),
            "record evidence": lambda: self.registry.record_evidence(self._version(), "bias", {"gap": 0.1}),
            "delete": lambda: self.registry.delete_model(self._version()),
            "restore": self._restore,
            "collect garbage": lambda: self.registry.collect_garbage(older_than=self.trash_kept),
        }
        name = self.rng.choice(list(calls))
        return name, calls[name]

    def _name(self) -> str:
        return self.rng.choice(self.names)

    def _version(self) -> str:
        name = self._name()
        versions = self.registry.list_versions(name, limit=20)
        return self.rng.choice(versions).reference if versions else f"{name}@1.0.0"

    def _metadata(self) -> object:
        from dwcp_jupyter.registry import ModelMetadata

        return ModelMetadata(name=self._name(), metrics={"accuracy": self.rng.random()})

    def _register(self) -> object:
        return self.registry.register_model(self._metadata(), artifact_path=self.package)

    def _draft(self) -> object:
        return self.registry.register_model(self._metadata())

    def _complete(self) -> object:
        return self.registry.store_model_artifact(self._version(), self.package)

    def _promote(self) -> object:
        return self.registry.promote_model(self._version(), self.rng.choice(["staging", "staging", "production"]))

    def _ask(self) -> object:
        return self.registry.request_approval(self._version(), self.rng.choice(_PEOPLE))

    def _judge(self) -> object:
        waiting = [a for a in self.registry.list_approvals(state="pending") if a.model.partition("@")[0] in self.names]
        if not waiting:
            return None
        judge = self.rng.choice([self.registry.approve_model, self.registry.approve_model, self.registry.reject_model])
        return judge(self.rng.choice(waiting), self.rng.choice(_PEOPLE))

    def _restore(self) -> object:
        thrown = [t for t in self.registry.list_trash() if t.name in self.names]
        return self.registry.restore_model(self.rng.choice(thrown).reference) if thrown else None
