"""Which of two versions is better, metric by metric and on the same rows.

A metric is compared in its own direction, which its name tells or the caller; where neither does, the difference is
shown and nobody wins by it. A winner is named only where the metrics leave no doubt, or where one of them was declared
to decide; with predictions at hand a difference that could be luck makes a tie. A metric that only one version has
decides nothing, and the reason names it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from dwcp_jupyter.exceptions import InvalidMetadataError, did_you_mean
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Column, Displayed, Facts, Listed, Note, Table, View
from dwcp_jupyter.statistics import PairedTest, base_name, higher_is_better, is_quality

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison", "ComparisonList", "Direction", "MetricDifference", "compare_metrics"]

Direction = bool | str
"""Whether more is better; or ``"higher"`` or ``"lower"``."""
_DIRECTIONS = {"higher": True, "maximize": True, "max": True, "lower": False, "minimize": False, "min": False}

SIGNIFICANCE = 0.05
"""Level below which the paired test tells a difference from luck."""
_FEWEST_ROWS = 6
"""The fewest with which a p-value can be below it: if one model is better on every row, it is ``2 ** (1 - n)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDifference:
    """One metric of two versions.

    Attributes
    ----------
    a, b : float or None
        None where a version does not have it.
    higher_is_better : bool or None
        None where nothing tells.
    """

    name: str
    a: float | None
    b: float | None
    higher_is_better: bool | None

    @property
    def difference(self) -> float | None:
        """``b - a``."""
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def better(self) -> str | None:
        """``"a"``, ``"b"``, ``"tie"``, or None where that cannot be said."""
        if self.a is None or self.b is None:
            return None
        if math.isclose(self.a, self.b, rel_tol=1e-12, abs_tol=1e-15):
            return "tie"
        if self.higher_is_better is None:
            return None
        return "b" if (self.b > self.a) is self.higher_is_better else "a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Displayed):
    """Two versions side by side.

    Attributes
    ----------
    a, b : str
        References.
    metrics : tuple of MetricDifference
    winner : str or None
        Reference of the better one; None for a tie, or where it cannot be told. `reason` says why.
    primary_metric : str or None
        The one that was declared to decide.
    test : PairedTest or None
        Of both on the same rows, where these were given.
    """

    a: str
    b: str
    metrics: tuple[MetricDifference, ...]
    winner: str | None
    reason: str
    primary_metric: str | None = None
    test: PairedTest | None = None
    time: datetime | None = None
    actor: str | None = None

    @property
    def metrics_diff(self) -> Mapping[str, float]:
        """Differences ``b - a`` of the metrics that both have."""
        return {metric.name: metric.difference for metric in self.metrics if metric.difference is not None}

    def table(self) -> pd.DataFrame:
        """Return the metrics, one row each: ``metric``, ``a``, ``b``, ``difference``, ``direction``, ``better``."""
        import pandas as pd

        rows = [(m.name, m.a, m.b, m.difference, _direction(m), self._side(m.better)) for m in self.metrics]
        return pd.DataFrame(rows, columns=["metric", self.a, self.b, "difference", "direction", "better"])

    def to_json(self) -> dict[str, Any]:
        """Return it as its event keeps it."""
        return {
            "a": self.a,
            "b": self.b,
            "metrics": [[m.name, m.a, m.b, m.higher_is_better] for m in self.metrics],
            "winner": self.winner,
            "reason": self.reason,
            "primary_metric": self.primary_metric,
            "test": None if self.test is None else _test_to_json(self.test),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any], *, time: datetime | None = None, actor: str | None = None) -> Self:
        """Return what `to_json` kept."""
        return cls(
            a=record["a"],
            b=record["b"],
            metrics=tuple(
                MetricDifference(name=name, a=a, b=b, higher_is_better=direction)
                for name, a, b, direction in record["metrics"]
            ),
            winner=record["winner"],
            reason=record["reason"],
            primary_metric=record["primary_metric"],
            test=None if record["test"] is None else _test_from_json(record["test"]),
            time=time,
            actor=actor,
        )

    def _side(self, side: str | None) -> str:
        return {"a": self.a, "b": self.b, "tie": "tie"}.get(side or "", "")

    def _view(self) -> View:
        blocks: list[Any] = [
            Note(f"{self.winner or 'No winner'}: {self.reason}", "success" if self.winner else "info"),
        ]
        if self.metrics:
            rows = [(m.name, m.a, m.b, m.difference, _direction(m), self._side(m.better)) for m in self.metrics]
            columns = ("Metric", self.a, self.b, Column("Difference"), "Better is", "Better")
            blocks.append(Table(columns, rows))
        if self.test is not None:
            blocks.append(
                Facts(
                    {
                        "Paired test": f"{self.test.name} on the same {self.test.n:,} rows",
                        "Difference": _with_interval(self.test),
                        "p-value": self.test.p_value,
                    }
                )
            )
        return View(f"{self.a} and {self.b}", blocks)


class ComparisonList(Listed[Comparison]):
    """Comparisons that were made, the newest first."""

    __slots__ = ()

    def _view(self) -> View:
        rows = [(c.time, c.a, c.b, c.winner or "none", c.reason, c.actor or "") for c in self]
        columns = ("Time", "A", "B", "Winner", "Why", "By")
        empty = Note("No comparison was made yet. Make one with %compare A B.", "info")
        return View("Comparisons", [Table(columns, rows)] if rows else [empty])


def compare_metrics(
    a: ModelVersion,
    b: ModelVersion,
    *,
    primary_metric: str | None = None,
    directions: Mapping[str, Direction] | None = None,
    test: PairedTest | None = None,
) -> Comparison:
    """Return two versions side by side.

    Parameters
    ----------
    directions : mapping of str to bool or str, optional
        Whether more is better, or ``"higher"`` or ``"lower"``, for metrics whose names do not tell.
    test : PairedTest, optional
        Of `primary_metric`, or of accuracy, on the same rows.

    Raises
    ------
    InvalidMetadataError
        If both do not have the primary metric, nothing tells its direction, or `directions` are none.
    """
    said = _check_directions(directions, {*a.metrics, *b.metrics, *([] if test is None else [primary_metric or "mse"])})
    metrics = tuple(
        MetricDifference(name=name, a=a.metrics.get(name), b=b.metrics.get(name), higher_is_better=_known(name, said))
        for name in sorted({*a.metrics, *b.metrics}, key=lambda name: (base_name(name), name))
    )
    if test is not None:
        higher = True if primary_metric is None and test.name == "McNemar" else _known(primary_metric or "mse", said)
        side, reason = _by_test(test, _decide(metrics, a, b)[0], is_higher_better=higher, primary_metric=primary_metric)
    elif primary_metric is not None:
        side, reason = _by_primary(metrics, a, b, primary_metric)
    else:
        side, reason = _decide(metrics, a, b)
        unknown = [m.name for m in metrics if m.difference and m.better is None and is_quality(m.name)]
        if unknown and any(m.better for m in metrics):
            reason += f" Beside that, {_undirected(unknown)}"
        reason += _alone(metrics)
    return Comparison(
        a=a.reference,
        b=b.reference,
        metrics=metrics,
        winner={"a": a.reference, "b": b.reference}.get(side),
        reason=reason,
        primary_metric=primary_metric,
        test=test,
    )


def _check_directions(directions: Mapping[str, Direction] | None, names: set[str]) -> dict[str, bool]:
    """Return whether more is better, by metrics."""
    if directions is not None and not isinstance(directions, Mapping):
        raise InvalidMetadataError(
            f"directions={directions!r} is no dictionary. Give one, such as {{'auc': 'higher'}}."
        )
    known = names | {base_name(name) for name in names}
    said: dict[str, bool] = {}
    for name, direction in (directions or {}).items():
        if name not in known:
            raise InvalidMetadataError(
                f"directions has '{name}', a metric that neither version has.{did_you_mean(str(name), known)} "
                f"They have: {', '.join(sorted(names)) or 'none'}."
            )
        found = _DIRECTIONS.get(direction.lower()) if isinstance(direction, str) else direction
        if not isinstance(found, (bool, np.bool_)):
            raise InvalidMetadataError(
                f"directions={{'{name}': {direction!r}}} is no direction. Give True or 'higher', False or 'lower'; "
                "'maximize' and 'minimize' are known too."
            )
        said[name] = bool(found)
    return said


def _alone(metrics: Sequence[MetricDifference]) -> str:
    """Return that metrics were left out, as only one version has them."""
    names = [m.name for m in metrics if m.difference is None and is_quality(m.name)]
    return f" Left out, since only one of them has it: {_listed(names)}." if names else ""


def _known(name: str, said: Mapping[str, bool]) -> bool | None:
    return said.get(name, said.get(base_name(name), higher_is_better(name)))


def _decide(metrics: tuple[MetricDifference, ...], a: ModelVersion, b: ModelVersion) -> tuple[str, str]:
    judged = {m.name: m.better for m in metrics if m.better is not None}
    sides = set(judged.values()) - {"tie"}
    if not judged:
        return "", _nothing_judged(metrics)
    if not sides:
        return "", f"equal in {_listed(judged)}."
    if len(sides) == 1:
        side = sides.pop()
        better = [name for name, who in judged.items() if who == side]
        equal = [name for name, who in judged.items() if who == "tie"]
        return side, f"better in {_listed(better)}" + (f", equal in {_listed(equal)}." if equal else ".")
    by_a, by_b = ([name for name, who in judged.items() if who == side] for side in ("a", "b"))
    return "", (
        f"{a.reference} is better in {_listed(by_a)}, {b.reference} in {_listed(by_b)}; name the metric that decides "
        "by primary_metric."
    )


def _nothing_judged(metrics: tuple[MetricDifference, ...]) -> str:
    shared = sorted((m.name for m in metrics if m.difference is not None), key=is_quality, reverse=True)
    return _undirected(shared) if shared else "they have no metric in common."


def _undirected(names: Sequence[str]) -> str:
    """Return that nothing tells the directions of metrics, and how to say them."""
    return (
        f"nothing tells whether more {' or '.join(_quoted(names))} is better; say it: "
        f"%compare --higher or --lower {names[0]}, in Python directions={{'{names[0]}': True}} or False."
    )


def _by_primary(
    metrics: tuple[MetricDifference, ...], a: ModelVersion, b: ModelVersion, primary_metric: str
) -> tuple[str, str]:
    found = next((m for m in metrics if m.name == primary_metric), None)
    if found is None or found.a is None or found.b is None:
        shared = [m.name for m in metrics if m.difference is not None]
        without = " and ".join(v.reference for v in (a, b) if primary_metric not in v.metrics)
        raise InvalidMetadataError(
            f"{without} has no metric '{primary_metric}'.{did_you_mean(primary_metric, shared)} "
            f"Both have: {', '.join(shared) or 'none'}."
        )
    if found.better is None:
        raise _unknown_direction(primary_metric)
    if found.better == "tie":
        return "", f"equal in {primary_metric}."
    side, other = (found.b, found.a) if found.better == "b" else (found.a, found.b)
    return found.better, f"{primary_metric} {side:.4g} against {other:.4g}."


def _by_test(
    test: PairedTest, recorded: str, *, is_higher_better: bool | None, primary_metric: str | None
) -> tuple[str, str]:
    """Return the winner by the test: what was measured on the same rows counts more than what was once recorded."""
    if is_higher_better is None:
        raise _unknown_direction(str(primary_metric))
    if 2.0 ** (1 - test.n) >= SIGNIFICANCE:
        return "", (
            f"{_rows(test.n)} cannot tell a difference from luck, however clear it looks ({test.name}, p = "
            f"{test.p_value:.2g}); give {_FEWEST_ROWS} at least, better hundreds."
        )
    if not test.p_value < SIGNIFICANCE:
        return "", f"on the same {test.n:,} rows the difference could be luck ({test.name}, p = {test.p_value:.2g})."
    side = "b" if (test.difference > 0) is is_higher_better else "a"
    contrary = " The recorded metrics, of other rows, say the opposite." if recorded not in ("", side) else ""
    return side, f"better on the same {test.n:,} rows ({test.name}, p = {test.p_value:.2g}).{contrary}"


def _unknown_direction(metric: str) -> InvalidMetadataError:
    return InvalidMetadataError(
        f"Nothing tells whether more '{metric}' is better. Say it: %compare --higher or --lower {metric}, in Python "
        f"directions={{'{metric}': True}} or False."
    )


def _test_to_json(test: PairedTest) -> dict[str, Any]:
    numbers = {name: _or_none(getattr(test, name)) for name in ("difference", "p_value")}
    return {**asdict(test), **numbers, "interval": [_or_none(bound) for bound in test.interval]}


def _test_from_json(record: Mapping[str, Any]) -> PairedTest:
    numbers = {name: _or_nan(record[name]) for name in ("difference", "p_value")}
    low, high = map(_or_nan, record["interval"])
    return PairedTest(**{**record, **numbers, "interval": (low, high)})


def _or_none(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number


def _with_interval(test: PairedTest) -> str:
    low, high = test.interval
    known = f"95 % interval {low:+.4g} to {high:+.4g}" if math.isfinite(low) else "too few rows for an interval"
    return f"{test.difference:+.4g}, {known}"


def _rows(n: int) -> str:
    return "one row" if n == 1 else f"{n:,} rows"


def _direction(metric: MetricDifference) -> str:
    return {True: "higher", False: "lower", None: "unknown"}[metric.higher_is_better]


def _quoted(names: Sequence[str], most: int = 3) -> list[str]:
    shown = [f"'{name}'" for name in names[:most]]
    return shown if len(names) <= most else [*shown, f"one of {len(names) - most} others"]


def _listed(names: Any, most: int = 4) -> str:
    shown = list(names)
    return ", ".join(shown[:most]) + (f" and {len(shown) - most} more" if len(shown) > most else "")
