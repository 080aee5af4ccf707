"""Charts of what runs logged."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from dwcp_jupyter.rendering import Lines, Note
from dwcp_jupyter.statistics import base_name
from dwcp_jupyter.tracking.history import MetricHistory

__all__ = ["of_run", "over_runs"]

_POINTS = 400
_MOST_CHARTS = 12


def of_run(history: Mapping[str, MetricHistory]) -> list[Lines | Note]:
    """Return a chart for each metric with several steps; ``train_loss`` and ``val_loss`` share theirs."""
    groups: dict[str, dict[str, MetricHistory]] = defaultdict(dict)
    for name, known in history.items():
        if _is_line(known):
            groups[base_name(name)][name] = known
    return _charts(groups)


def over_runs(histories: Mapping[str, Mapping[str, MetricHistory]]) -> list[Lines | Note]:
    """Return a chart for each metric that several runs logged over steps; `histories` by run, then metric."""
    groups: dict[str, dict[str, MetricHistory]] = defaultdict(dict)
    for run, history in histories.items():
        for name, known in history.items():
            if _is_line(known):
                groups[name][run] = known
    return _charts({name: some for name, some in groups.items() if len(some) > 1})


def _is_line(known: MetricHistory) -> bool:
    return len(np.unique(known.steps[np.isfinite(known.values)])) > 1


def _charts(groups: Mapping[str, Mapping[str, MetricHistory]]) -> list[Lines | Note]:
    drawn: list[Lines | Note] = [_lines(title, groups[title]) for title in sorted(groups)[:_MOST_CHARTS]]
    if len(groups) > _MOST_CHARTS:
        drawn.append(Note(f"{len(groups) - _MOST_CHARTS} more metrics are not drawn; .history holds their values."))
    return drawn


def _lines(title: str, series: Mapping[str, MetricHistory]) -> Lines:
    steps = np.unique(np.concatenate([known.steps for known in series.values()]))
    thinned = steps if len(steps) <= _POINTS else steps[np.linspace(0, len(steps) - 1, _POINTS).round().astype(int)]
    values = {name: _at(known, thinned) for name, known in series.items()}
    note = "" if len(thinned) == len(steps) else f" ({_POINTS} of {len(steps):,} steps)"
    return Lines(title + note, thinned.tolist(), values, x_label="step", y_label=title)


def _at(known: MetricHistory, steps: np.ndarray) -> list[float | None]:
    """Return the value last logged for each step; None where there is none, or no number."""
    last = dict(zip(known.steps.tolist(), known.values.tolist(), strict=True))
    found = (last.get(step) for step in steps.tolist())
    return [value if value is not None and math.isfinite(value) else None for value in found]
