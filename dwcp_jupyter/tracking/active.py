"""A run that is under way, and logs.

What is logged waits in memory and goes to the workspace once a second, by a thread: a training loop pays a
microsecond for a value, whichever database is behind. What the last second of a killed process logged is lost; `flush`
keeps it.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import select, update

from dwcp_jupyter import clock, flavors
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import DwcpError, InvalidMetadataError, RunError
from dwcp_jupyter.registry.checking import check_mapping, check_tags, check_text
from dwcp_jupyter.store import Artifact, Stores, schema
from dwcp_jupyter.tracking import history, rows
from dwcp_jupyter.tracking.status import RunStatus

__all__ = ["ActiveRun"]

FLUSH_S = 1.0
"""Seconds between two writes while values come."""

_AT_ONCE = 20_000
_MOST_WAITING = 2_000_000
_LARGEST_STEP = 2**63


class ActiveRun:
    """A run that is logged to; `Tracker.start` makes it.

    As a context manager it ends with its block: completed, cancelled by an interrupt, or failed with the error's text.
    Safe for threads. A forked child cannot log to the run of its parent.

    Attributes
    ----------
    id, name : str

    Examples
    --------
    ::

        with ws.run("churn-forest", params={"depth": 8}) as run:
            for step, loss in enumerate(losses):
                run.log_metrics({"train_loss": loss}, step=step)
            run.log_model(forest, input_example=features.head())
    """

    def __init__(self, stores: Stores, *, run_id: str, name: str, record: rows.Logged, actor: Actor | None) -> None:
        self.id, self.name = run_id, name
        self._stores, self._actor, self._pid = stores, actor, os.getpid()
        self._record = record
        self._points: dict[str, history.Points] = {}
        self._count = 0
        self._latest: dict[str, tuple[int, float]] = {}
        self._bodies: list[str] = []
        self._sums: list[str] = []
        self._written = 0
        self._referred: Mapping[str, Any] = {}
        self._is_dirty = self._is_unsure = False
        self._failure: Exception | None = None
        self._status = RunStatus.RUNNING
        self._mutex, self._writing = threading.Lock(), threading.Lock()
        self._call = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> RunStatus:
        """How the run stands."""
        return self._status

    def log_param(self, name: str, value: Any) -> None:
        """Keep one parameter; see `log_params`."""
        self.log_params({name: value})

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Keep parameters, at once. What JSON does not hold is kept as its text.

        Raises
        ------
        InvalidMetadataError
            If one has another value already: the run was made with that.
        """
        checked = check_mapping(params, field="params")
        with self._open():
            for name, value in checked.items():
                if name in self._record.params and self._record.params[name] != value:
                    raise InvalidMetadataError(
                        f"Parameter '{name}' of run '{self.name}' is {self._record.params[name]!r} already and cannot "
                        f"become {value!r}. Start another run, or log it under another name."
                    )
            self._record.params.update(checked)
            self._is_dirty = True
        self.flush()

    def log_metric(self, name: str, value: float, step: int | None = None) -> None:
        """Keep one value of a metric; see `log_metrics`."""
        self.log_metrics({name: value}, step)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Keep values of metrics, NaN and infinities too.

        Parameters
        ----------
        metrics : mapping of str to float
        step : int, optional
            Epoch, batch …; one more than the metric's highest so far without it, from 0.

        Raises
        ------
        InvalidMetadataError
            For what is no number, and without a step where none can follow. Nothing of the call is kept then.
        RunError
            If the run has ended.
        """
        if not isinstance(metrics, Mapping):
            raise InvalidMetadataError("metrics is no mapping. Give a dictionary, such as {'loss': 0.3}.")
        place = None if step is None else _step(step)
        found = {_name(name): _number(name, value) for name, value in metrics.items()}
        moment = time.time_ns() // 1_000_000
        with self._open():
            if place is None:
                self._check_next(found)
            for name, value in found.items():
                before = self._latest.get(name)
                at = place if place is not None else 0 if before is None else before[0] + 1
                points = self._points.get(name)
                if points is None:
                    points = self._points[name] = history.Points()
                points.add(at, value, moment)
                if before is None or at >= before[0]:
                    self._latest[name] = (at, value)
            self._count += len(found)
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep_writing, name=f"dwcp-run-{self.id[:8]}", daemon=True)
                self._thread.start()
        if self._count > _AT_ONCE:
            self._call.set()
            if self._count > _MOST_WAITING:  # the database does not answer; memory is not endless
                self.flush()

    def add_tags(self, *tags: str) -> None:
        """Give the run tags, by which it can be found."""
        checked = check_tags(tags)
        with self._open():
            self._record.tags = tuple(dict.fromkeys((*self._record.tags, *checked)))
            self._is_dirty = True
        self.flush()

    def log_artifact(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        """Keep a file or folder with the run, under its own name unless `name` gives another.

        Raises
        ------
        FileNotFoundError
            If there is none.
        """
        source = Path(path)
        if not source.exists():
            raise FileNotFoundError(f"There is no file or folder '{source}' to keep. Write it first.")
        if source.is_dir():
            self._keep(name or source.resolve().name, "folder", lambda: self._stores.artifacts.put_tree(source))
        else:
            self._keep(name or source.name, "file", lambda: self._stores.artifacts.put_file(source))

    def log_text(self, text: str, name: str) -> None:
        """Keep a text as a file called `name`."""
        self._keep(name, "file", lambda: self._stores.artifacts.put_bytes(text.encode()))

    def log_figure(self, figure: Any, name: str) -> None:
        """Keep a Matplotlib figure as an image called `name`; its ending says the format: ``roc.png``, ``roc.svg``."""
        with tempfile.TemporaryDirectory(prefix="dwcp-figure-") as folder:
            path = Path(folder) / f"figure{Path(name).suffix or '.png'}"
            figure.savefig(path, bbox_inches="tight")
            self._keep(name, "file", lambda: self._stores.artifacts.put_file(path))

    def log_model(self, model: Any, *, input_example: Any = None, name: str = "model") -> None:
        """Keep a fitted model in its flavor's safe format; `Workspace.register_run` makes a version of it.

        Raises
        ------
        FlavorError
            If no flavor keeps it.
        """
        with tempfile.TemporaryDirectory(prefix="dwcp-package-") as folder:
            package = Path(folder) / "package"
            flavors.save_model(model, package, input_example=input_example)
            self._keep(name, "model", lambda: self._stores.artifacts.put_tree(package))

    def autolog(self) -> AbstractContextManager[ActiveRun]:
        """Log what is fitted within a block, and how well: by scikit-learn, XGBoost and optimizers of PyTorch.

        See `tracking.autologging`.
        """
        from dwcp_jupyter.tracking import autologging

        return autologging.recorded(self)

    def flush(self) -> None:
        """Write what waits; returns when it is kept.

        Raises
        ------
        WorkspaceError
            If the workspace cannot be written. What waits goes on waiting.
        """
        self._check_process()
        with self._writing:
            if self._take() or self._is_dirty or self._bodies:
                self._write()

    def end(self, status: RunStatus | str = RunStatus.COMPLETED, *, error: str | None = None) -> None:
        """End the run; what waits is written with it. Ending it again changes nothing.

        Parameters
        ----------
        status : RunStatus
            ``"completed"``, ``"failed"`` or ``"cancelled"``.
        error : str, optional
            Why it failed.
        """
        wanted = RunStatus(status)
        if wanted in {RunStatus.PENDING, RunStatus.RUNNING, RunStatus.KILLED}:
            raise ValueError(f"A run does not end as '{wanted}'. Say completed, failed or cancelled.")
        self._check_process()
        with self._writing:
            if self._status is not RunStatus.RUNNING:
                return
            with self._mutex:
                self._status = wanted  # nobody logs to it from here
                self._record.error = None if error is None else check_text(error[:2000], field="error")
            self._take()
            try:
                self._write(is_last=True)
            except BaseException:
                with self._mutex:
                    self._status = RunStatus.RUNNING
                raise
        self._call.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()
        elif issubclass(kind, KeyboardInterrupt):
            self.end(RunStatus.CANCELLED)
        else:
            text = "".join(character for character in f"{kind.__name__}: {exc}" if character.isprintable())
            self.end(RunStatus.FAILED, error=text)

    def __repr__(self) -> str:
        return f"ActiveRun({self.name!r}, {self.id[:8]}, {self._status})"

    def _keep(self, name: str, kind: str, put: Callable[[], Artifact]) -> None:
        called = check_text(name, field="An artifact's name")
        if not called.strip():
            raise InvalidMetadataError("An artifact's name is empty. Give one, such as 'confusion.png'.")
        with self._open():
            pass
        artifact = put()
        with self._open():
            self._record.artifacts[called] = rows.artifact_values(called, kind, artifact)
            self._is_dirty = True
        self.flush()

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Hold what is logged, of a run that is under way."""
        self._check_process()  # before the lock, which another thread may have held when this process was forked
        with self._mutex:
            if self._status is not RunStatus.RUNNING:
                raise RunError(f"Run '{self.name}' is {self._status}; nothing can be logged to it. Start another.")
            yield

    def _check_next(self, names: Iterable[str]) -> None:
        last = (self._latest[name][0] + 1 for name in names if name in self._latest)
        if max(last, default=0) >= _LARGEST_STEP:
            raise InvalidMetadataError(
                f"The last step of a metric of run '{self.name}' is {_LARGEST_STEP - 1}, and no step can follow it. "
                "Say the step: run.log_metrics(metrics, step=0)"
            )

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise RunError(
                f"Run '{self.name}' belongs to process {self._pid}, and this is its child {os.getpid()}. Log in the "
                "parent, or start a run of its own here."
            )

    def _take(self) -> bool:
        """Turn the values that wait into a row's body."""
        with self._mutex:
            points, self._points, self._count = self._points, {}, 0
        if points:
            self._bodies.append(history.encode(points))
        return bool(points)

    def _write(self, *, is_last: bool = False) -> None:
        with self._mutex:
            logged = self._record.with_metrics({name: value for name, (_, value) in self._latest.items()})
            self._is_dirty = False
        numbered = list(enumerate(self._bodies, self._written))
        table = schema.run_metrics
        try:
            with self._stores.metadata.transaction(self._actor) as tx:
                if self._is_unsure:  # the last attempt broke off, perhaps behind its commit
                    known = set(tx.execute(select(table.c.number).where(table.c.run_id == self.id)).scalars())
                    numbered = [(number, body) for number, body in numbered if number not in known]
                if numbered:
                    found = [{"run_id": self.id, "number": number, "body": body} for number, body in numbered]
                    tx.insert(table, found)
                values = logged.values()
                sums = [*self._sums, *(history.sum_of_body(body) for body in self._bodies)]
                if is_last:
                    values |= {"status": str(self._status), "ended_at": clock.to_text(tx.now)}
                    tx.record("run.ended", f"run:{self.id}", name=self.name, **rows.sealed(values, sums))
                tx.execute(update(schema.runs).where(schema.runs.c.id == self.id).values(**values))
                if logged.artifacts != self._referred:
                    rows.refer(tx, self.id, logged.artifacts)
        except BaseException:
            self._is_unsure = self._is_dirty = True
            raise
        self._written += len(self._bodies)
        self._referred = logged.artifacts
        self._sums, self._bodies, self._is_unsure = sums, [], False

    def _keep_writing(self) -> None:
        while True:
            self._call.wait(FLUSH_S)
            self._call.clear()
            if self._status is not RunStatus.RUNNING:
                return
            try:
                self.flush()
                self._failure = None
            except (DwcpError, OSError) as exc:  # the next turn tries again, and the end says so if none succeeds
                self._failure = exc


def _name(name: Any) -> str:
    if isinstance(name, str) and name.strip() and name.isprintable():
        return name
    raise InvalidMetadataError(f"The name {name!r} of a metric is none. Give a text, such as 'val_loss'.")


def _number(name: str, value: Any) -> float:
    if isinstance(value, (str, bytes)):
        raise InvalidMetadataError(f"Metric '{name}' is {value!r}, a text. Give a number.")
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        kind = type(value).__name__
        raise InvalidMetadataError(f"Metric '{name}' is a {kind}. Give one number for each step.") from exc


def _step(step: Any) -> int:
    try:
        number = int(step)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InvalidMetadataError(f"step={step!r} is no whole number. Give an epoch, a batch … from 0.") from exc
    if number != step or abs(number) >= _LARGEST_STEP:
        raise InvalidMetadataError(f"step={step!r} is no whole number. Give an epoch, a batch … from 0.")
    return number
