"""Runs side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.rendering import Column, Displayed, Format, Mark, Note, Table, View
from dwcp_jupyter.statistics import base_name, higher_is_better, is_quality
from dwcp_jupyter.tracking import charts
from dwcp_jupyter.tracking.values import RunRecord, shown_status

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunComparison"]

_MISSING = object()
_MOST_IN_LABEL, _LONGEST_LABEL = 2, 40
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison(Displayed):
    """Runs side by side, in the order in which they were named.

    Attributes
    ----------
    directions : mapping of str to bool
        Whether more is better, for metrics whose names do not tell.
    """

    runs: tuple[RunRecord, ...]
    directions: Mapping[str, bool] = field(default_factory=dict)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics."""
        return tuple(sorted({name for run in self.runs for name in run.metrics}))

    @property
    def changed_params(self) -> tuple[str, ...]:
        """Names of the parameters that are not the same everywhere."""
        names = sorted({name for run in self.runs for name in run.params})
        return tuple(name for name in names if self._differs(name))

    def best(self, metric: str) -> RunRecord | None:
        """Return the run with the best last value; None for a tie, and where nothing tells the metric's direction."""
        direction = self._is_higher_better(metric)
        known = [run for run in self.runs if math.isfinite(run.metrics.get(metric, math.nan))]
        if direction is None or len(known) < 2:
            return None
        ranked = sorted(known, key=lambda run: run.metrics[metric], reverse=direction)
        return None if ranked[0].metrics[metric] == ranked[1].metrics[metric] else ranked[0]

    def _is_higher_better(self, metric: str) -> bool | None:
        return self.directions.get(metric, self.directions.get(base_name(metric), higher_is_better(metric)))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each metric and parameter, one column for each run."""
        import pandas as pd

        values = {f"metrics.{name}": [run.metrics.get(name) for run in self.runs] for name in self.metrics}
        names = sorted({name for run in self.runs for name in run.params})
        values |= {f"params.{name}": [run.params.get(name) for run in self.runs] for name in names}
        return pd.DataFrame.from_dict(values, orient="index", columns=self._labels())

    def _labels(self) -> list[str]:
        """Return a name for each run: its own, else the parameters in which it differs, else letters of its id."""
        names = [run.name for run in self.runs]
        return self._params_as_labels() or [
            run.name if names.count(run.name) == 1 else f"{run.name} {run.id[:6]}" for run in self.runs
        ]

    def _params_as_labels(self) -> list[str]:
        """Return what tells runs of one name apart, where that is short; else nothing."""
        if len({run.name for run in self.runs}) > 1 or not 0 < len(self.changed_params) <= _MOST_IN_LABEL:
            return []
        said = [
            ", ".join(f"{name}={_plain(run.params.get(name, _MISSING))}" for name in self.changed_params)
            for run in self.runs
        ]
        return said if len(set(said)) == len(said) and max(map(len, said)) <= _LONGEST_LABEL else []

    def _differs(self, param: str) -> bool:
        first = self.runs[0].params.get(param, _MISSING)
        return any(run.params.get(param, _MISSING) != first for run in self.runs[1:])

    def _view(self) -> View:
        labels = self._labels()
        columns = ("Run", "Status", "Started", Column("Took", format=Format.MS))
        blocks: list[Any] = [
            Table(
                columns,
                [
                    (
                        label,
                        shown_status(run.status),
                        run.started_at,
                        None if run.duration_s is None else 1000 * run.duration_s,
                    )
                    for label, run in zip(labels, self.runs, strict=True)
                ],
            )
        ]
        if self.metrics:
            blocks.append(Table(("Metric", *labels, "Best"), map(self._metric, self.metrics)))
            blocks += self._undirected()
        changed = [
            (name, *(_plain(run.params.get(name, _MISSING)) for run in self.runs)) for name in self.changed_params
        ]
        if changed:
            blocks.append(Table(("Parameter that differs", *labels), changed))
        elif not self.changed_params:
            blocks.append(Note("All parameters are the same."))
        histories = {label: run.history for label, run in zip(labels, self.runs, strict=True)}
        return View("Runs side by side", [*blocks, *charts.over_runs(histories)])

    def _undirected(self) -> list[Note]:
        """Return a note on metrics that differ and of which nobody knows which way is better, and how to say it."""
        unknown = [
            name
            for name in self.metrics
            if is_quality(name)
            and self._is_higher_better(name) is None
            and len({run.metrics[name] for run in self.runs if name in run.metrics}) > 1
        ]
        if not unknown:
            return []
        named = ", ".join(f"'{name}'" for name in unknown[:_MOST_NAMED])
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        call = f"compare_runs([…], directions={{'{unknown[0]}': True}}), or False."
        return [Note(f"Nothing tells whether more is better of {named}{more}. Say it: {call}", "info")]

    def _param(self, name: str) -> tuple[str | None, ...]:
        return (name, *(_plain(run.params.get(name, _MISSING)) for run in self.runs))

    def _metric(self, name: str) -> tuple[Any, ...]:
        best = self.best(name)
        label = None if best is None else Mark(self._labels()[self.runs.index(best)], "success")
        return (name, *(run.metrics.get(name) for run in self.runs), label)


def _plain(value: Any) -> str | None:
    if value is _MISSING:
        return None
    return value if isinstance(value, str) else repr(value)
