"""Values of metrics over steps, and how the workspace keeps them.

A flush writes one row, however many values it has: ``{"loss": {"steps": […], "values": […], "times": […]}}``, times in
ms since 1970. What JSON does not have is text there: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from dwcp_jupyter import hashing

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MetricHistory", "Points", "decode", "encode", "sum_of_body", "sum_of_sums"]


@dataclass(slots=True)
class Points:
    """Values of one metric in the order in which they were logged."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def add(self, step: int, value: float, time_ms: int) -> None:
        """Append one."""
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time_ms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetricHistory:
    """All values of one metric of a run, by step; values of one step in the order in which they were logged.

    Attributes
    ----------
    steps : array of int64, shape (n_values,)
    values : array of float64, shape (n_values,)
        NaN and infinities included.
    times : array of datetime64[ms], shape (n_values,)
        In UTC.
    """

    steps: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]
    times: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.values)

    def to_frame(self) -> pd.DataFrame:
        """Return columns ``step``, ``value`` and ``time``, shape (n_values, 3)."""
        import pandas as pd

        return pd.DataFrame({"step": self.steps, "value": self.values, "time": self.times})


def encode(points: Mapping[str, Points]) -> str:
    """Return the body of a row."""
    return msgspec.json.encode(
        {
            name: {"steps": some.steps, "values": _writable(some.values), "times": some.times}
            for name, some in points.items()
        }
    ).decode()


def decode(bodies: Iterable[str]) -> dict[str, MetricHistory]:
    """Return the metrics of a run by name, from its rows in order."""
    found: dict[str, Points] = {}
    for body in bodies:
        for name, columns in msgspec.json.decode(body).items():
            points = found.setdefault(name, Points())
            points.steps += columns["steps"]
            points.values += map(float, columns["values"])
            points.times += columns["times"]
    return {name: _history(points) for name, points in sorted(found.items())}


def sum_of_body(body: str) -> str:
    """Return the sum of one row."""
    return hashing.sha256_bytes(body.encode())


def sum_of_sums(sums: Iterable[str]) -> str:
    """Return the sum over those of all rows in order, which the last event of a run carries."""
    return hashing.sha256_bytes("".join(sums).encode())


def _writable(values: list[float]) -> list[Any]:
    if all(map(math.isfinite, values)):
        return list(values)
    return [value if math.isfinite(value) else _text(value) for value in values]


def _text(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _history(points: Points) -> MetricHistory:
    steps = np.asarray(points.steps, dtype=np.int64)
    order = np.argsort(steps, kind="stable")
    return MetricHistory(
        steps=steps[order],
        values=np.asarray(points.values, dtype=np.float64)[order],
        times=np.asarray(points.times, dtype="datetime64[ms]")[order],
    )
