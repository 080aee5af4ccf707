"""What was logged of a run, as it is read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.rendering import Column, Displayed, Facts, Format, Listed, Mark, Note, Table, View
from dwcp_jupyter.statistics import higher_is_better
from dwcp_jupyter.tracking import charts
from dwcp_jupyter.tracking.history import MetricHistory
from dwcp_jupyter.tracking.status import RunStatus

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunArtifact", "RunList", "RunRecord", "shown_status"]

_COLUMNS_SHOWN = 5
_LEVELS = {RunStatus.COMPLETED: "success", RunStatus.FAILED: "critical", RunStatus.KILLED: "critical"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArtifact:
    """A file, folder or model that was kept with a run.

    Attributes
    ----------
    kind : str
        ``"file"``, ``"folder"`` or ``"model"``, a package that can be registered.
    """

    name: str
    kind: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord(Displayed):
    """One run.

    Attributes
    ----------
    name : str
        What was tried; runs of one name are tries of the same.
    kind : str
        ``"experiment"``, or ``"pipeline"`` for the run of a pipeline.
    params : mapping
    metrics : mapping of str to float
        The value of the highest step each.
    history : mapping of str to MetricHistory
        Every value; filled where one run is asked for, empty in lists.
    """

    id: str
    name: str
    kind: str
    status: RunStatus
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    tags: tuple[str, ...]
    artifacts: Mapping[str, RunArtifact]
    started_at: datetime
    ended_at: datetime | None
    created_by: str
    description: str = ""
    error: str | None = None
    git_commit: str | None = None
    history: Mapping[str, MetricHistory] = field(default_factory=dict, repr=False)

    @property
    def duration_s(self) -> float | None:
        """Seconds from beginning to end; None while it is under way, or where nobody knows its end."""
        return None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()

    def _view(self) -> View:
        blocks: list[Any] = [Facts(self._facts())]
        if self.error:
            blocks.append(Note(self.error, "critical"))
        if self.metrics:
            blocks.append(Table(("Metric", "Last", "Best", "At step", "Values"), map(self._summary, self.metrics)))
        if self.params:
            blocks.append(
                Table(
                    ("Parameter", "Value"), [(k, _plain(v)) for k, v in sorted(self.params.items())], is_foldable=True
                )
            )
        if self.artifacts:
            kept = [(a.name, a.kind, a.size_bytes, a.sha256[:12]) for a in self.artifacts.values()]
            blocks.append(Table(("Artifact", "Kind", Column("Size", format=Format.BYTES), "SHA-256"), kept))
        return View(f"Run {self.name}", [*blocks, *charts.of_run(self.history)])

    def _facts(self) -> dict[str, Any]:
        duration = self.duration_s
        facts = {
            "Run": self.id,
            "Status": shown_status(self.status),
            "Started": self.started_at,
            "Took": None if duration is None else f"{duration:,.1f} s",
            "By": self.created_by,
            "Tags": ", ".join(self.tags) or None,
            "Git commit": None if self.git_commit is None else self.git_commit[:12],
            "Description": self.description or None,
        }
        return {name: value for name, value in facts.items() if value is not None}

    def _summary(self, name: str) -> tuple[Any, ...]:
        last, known = self.metrics[name], self.history.get(name)
        direction = higher_is_better(name)
        if known is None:
            return (name, last, None, None, None)
        finite = [(value, step) for value, step in zip(known.values, known.steps, strict=True) if math.isfinite(value)]
        if direction is None or not finite:
            return (name, last, None, None, len(known))
        value, step = max(finite, key=lambda pair: pair[0] if direction else -pair[0])
        return (name, last, float(value), int(step), len(known))


class RunList(Listed[RunRecord]):
    """Runs, the latest first unless another order was asked for."""

    __slots__ = ()

    def to_frame(self) -> pd.DataFrame:
        """Return one row each: ``id``, ``name``, ``status`` …, ``params.NAME``, ``metrics.NAME``."""
        import pandas as pd

        rows = [
            {
                **{key: getattr(run, key) for key in ("id", "name", "kind", "created_by", "started_at", "ended_at")},
                "status": str(run.status),
                **{f"params.{name}": value for name, value in run.params.items()},
                **{f"metrics.{name}": value for name, value in run.metrics.items()},
            }
            for run in self
        ]
        return pd.DataFrame(rows)

    def _view(self) -> View:
        if not self:
            return View("Runs", [Note("No run. Start one: with ws.run('name') as run: run.log_metrics({'loss': 0.3})")])
        metrics = [name for name, _ in Counter(m for run in self for m in run.metrics).most_common(_COLUMNS_SHOWN)]
        rows = [
            (
                run.id[:8] if run.kind == "experiment" else run.id,
                run.name,
                shown_status(run.status),
                run.started_at,
                None if run.duration_s is None else 1000 * run.duration_s,
                *(run.metrics.get(name) for name in metrics),
            )
            for run in self
        ]
        columns: tuple[Column | str, ...] = (
            "Run",
            "Name",
            "Status",
            "Started",
            Column("Took", format=Format.MS),
            *metrics,
        )
        return View("Runs", [Table(columns, rows)])


def shown_status(status: RunStatus) -> Mark:
    """Return a status as it is shown."""
    return Mark(str(status), _LEVELS.get(status, "info"))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
