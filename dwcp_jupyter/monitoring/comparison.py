"""Compare two tables column by column.

A column counts as drifted only if chance is ruled out (p-value, corrected over all tests of the check) *and* the
difference is large enough to matter (effect size). With many rows every p-value is tiny, with few rows every effect
is noisy; each guards against the other's false alarms.

Numbers are tested by Kolmogorov-Smirnov, categories by chi-square, and the share of missing values by chi-square too.
The effect is measured by the size of the reference, as Evidently does: up to 1,000 rows by the KS distance or Cramér's
V, above by the Wasserstein distance in standard deviations or the Jensen-Shannon distance, both from .1 on. The
thresholds of *critical* are those of a shift by about half a standard deviation.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dwcp_jupyter import statistics
from dwcp_jupyter.monitoring.alerts import Severity
from dwcp_jupyter.monitoring.columns import Content, Kind, Values, kind_of, values_of
from dwcp_jupyter.monitoring.report import (
    MINIMUM_ROWS,
    PREDICTION,
    ColumnDrift,
    Distribution,
    DriftNote,
    DriftTest,
    Effect,
)
from dwcp_jupyter.rendering import Level
from dwcp_jupyter.rendering.formats import percent

__all__ = ["Comparison", "compare"]

_LARGE_REFERENCE = 1000
_CATEGORIES = 50
_CHARTS = 4
_CHART_BARS = 8
_CHART_BINS = 24
_THRESHOLDS = {
    Effect.KS_DISTANCE: (0.1, 0.2),
    Effect.CRAMERS_V: (0.1, 0.3),
    Effect.WASSERSTEIN: (0.1, 0.5),
    Effect.JENSEN_SHANNON: (0.1, 0.25),
    Effect.RATE_DIFFERENCE: (0.05, 0.2),
}
_SEVERITIES = {Severity.CRITICAL: 2, Severity.WARNING: 1, Severity.NONE: 0}
_LEFT_OUT = {
    Kind.IDENTIFIER: "differs in nearly every row, as an identifier does",
    Kind.TEXT: "holds free text",
    Kind.TIME: "holds times, which only move on",
    Kind.OTHER: "holds values of a type that cannot be compared, or of several types",
    Kind.EMPTY: "has no values in the reference data",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Tests with the most changed first, what was left out and why, and charts of what drifted."""

    columns: tuple[ColumnDrift, ...]
    notes: tuple[DriftNote, ...]
    distributions: tuple[Distribution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """One column on both sides."""

    name: str
    kind: Kind
    reference: Values
    current: Values


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    *,
    sensitivity: float = 0.05,
    expected: Sequence[str] | None = None,
    minimum_rows: int = MINIMUM_ROWS,
    answers: str | None = PREDICTION,
) -> Comparison:
    """Return how the columns of `current` differ from those of `reference`.

    Parameters
    ----------
    reference, current : pandas.DataFrame, shapes (n, k) and (m, l)
        Columns are matched by name.
    sensitivity : float
        Bound of the false discovery rate, in (0, 1): the chance of any false alarm where nothing has changed.
    expected : sequence of str, optional
        The columns to compare; all of the reference without it.
    minimum_rows : int
        Values a column must have on either side to be tested.
    answers : str, optional
        The column of the model's answers. Reference rows without one, such as those it was fitted on, were not asked:
        the rest says how answers are spread, and none counts as missing.
    """
    names = [name for name in (expected if expected is not None else reference.columns) if name in reference.columns]
    notes = list(_schema_notes(names, reference, current))
    tests: list[ColumnDrift] = []
    pairs: dict[str, _Pair] = {}
    for name in names:
        if name not in current.columns:
            continue
        pair, found = _pair(name, reference[name].dropna() if name == answers else reference[name], current[name])
        notes += found
        if pair is not None:
            pairs[name] = pair
            tests += _tests(pair, minimum_rows)
            notes += _value_notes(pair, minimum_rows)
    judged = _judged(tests, sensitivity)
    drifted = dict.fromkeys(test.name for test in judged if test.is_drifted and test.test is not DriftTest.MISSING_RATE)
    return Comparison(
        columns=tuple(judged),
        notes=tuple(notes),
        distributions=tuple(_distribution(pairs[name]) for name in list(drifted)[:_CHARTS]),
    )


def _schema_notes(names: Sequence[str], reference: pd.DataFrame, current: pd.DataFrame) -> Iterable[DriftNote]:
    for name in names:
        if name not in current.columns:
            message = "is missing from the current data"
            yield DriftNote(column=name, message=message, level=Level.WARNING, is_schema_change=len(current) > 0)
    for name in current.columns:
        if name not in reference.columns:
            yield DriftNote(column=str(name), message="is not in the reference data, so it was not compared")


def _pair(name: str, reference: pd.Series[Any], current: pd.Series[Any]) -> tuple[_Pair | None, list[DriftNote]]:
    left, right = values_of(reference), values_of(current)
    kind = kind_of(left)
    if not kind.is_testable:
        return None, [DriftNote(column=name, message=f"{_LEFT_OUT[kind]}; not tested")]
    numeric = {Content.NUMBER, Content.BOOL}
    fits = right.content in ({left.content, Content.EMPTY} | (numeric if left.content in numeric else set()))
    if not fits:
        message = f"holds values of type {right.content} where the reference has {left.content}; not tested"
        return None, [DriftNote(column=name, message=message, level=Level.CRITICAL, is_schema_change=True)]
    return _Pair(name=name, kind=kind, reference=left, current=right), []


def _value_notes(pair: _Pair, minimum_rows: int) -> Iterable[DriftNote]:
    left, right = pair.reference, pair.current
    if not right.present.size:
        if right.rows:
            yield DriftNote(column=pair.name, message="has no values in the current data", level=Level.WARNING)
        return
    if min(left.present.size, right.present.size) < minimum_rows:
        message = (
            f"has {left.present.size:,} reference and {right.present.size:,} current values; "
            f"a test needs {minimum_rows} of each"
        )
        yield DriftNote(column=pair.name, message=message)
    if pair.kind is Kind.CATEGORY and left.content in {Content.STRING, Content.BOOL}:
        yield from _unseen(pair)
    elif pair.kind is Kind.NUMBER and right.present.size >= minimum_rows and np.ptp(right.present) == 0:
        message = f"has one value only in the current data: {right.present[0]:g}"
        yield DriftNote(column=pair.name, message=message, level=Level.WARNING)


def _unseen(pair: _Pair) -> Iterable[DriftNote]:
    left, right = (pd.Series(side.present) for side in (pair.reference, pair.current))
    known = set(left.unique())
    new = [name for name in right.unique() if name not in known]
    if not new:
        return
    shown = ", ".join(f"'{str(name)[:40]}'" for name in new[:5]) + (", …" if len(new) > 5 else "")
    share = float(right.isin(new).mean())
    yield DriftNote(
        column=pair.name,
        message=f"has categories unknown to the reference in {percent(share)} of its values: {shown}",
        level=Level.WARNING if share >= 0.01 else Level.INFO,
    )


def _tests(pair: _Pair, minimum_rows: int) -> Iterable[ColumnDrift]:
    left, right = pair.reference, pair.current
    if min(left.present.size, right.present.size) >= minimum_rows:
        yield _numbers(pair) if pair.kind is Kind.NUMBER else _categories(pair)
    if (left.n_missing or right.n_missing) and min(left.rows, right.rows) >= minimum_rows:
        yield _missing(pair)


def _numbers(pair: _Pair) -> ColumnDrift:
    left, right = pair.reference.present, pair.current.present
    compared = statistics.compare_numbers(left, right)
    is_large = left.size > _LARGE_REFERENCE
    return ColumnDrift(
        name=pair.name,
        test=DriftTest.KS,
        statistic=compared.ks,
        p_value=compared.p_value,
        p_adjusted=math.nan,
        effect_name=Effect.WASSERSTEIN if is_large else Effect.KS_DISTANCE,
        effect=compared.wasserstein if is_large else compared.ks,
        psi=compared.psi,
        severity=Severity.NONE,
        n_reference=left.size,
        n_current=right.size,
    )


def _categories(pair: _Pair) -> ColumnDrift:
    left, right = pair.reference.present, pair.current.present
    _, *counts = statistics.category_counts(left, right, limit=_CATEGORIES)
    tested = statistics.chi_square(*counts)
    is_large = left.size > _LARGE_REFERENCE
    return ColumnDrift(
        name=pair.name,
        test=DriftTest.CHI_SQUARE,
        statistic=tested.statistic,
        p_value=tested.p_value,
        p_adjusted=math.nan,
        effect_name=Effect.JENSEN_SHANNON if is_large else Effect.CRAMERS_V,
        effect=statistics.jensen_shannon(*counts) if is_large else statistics.cramers_v(*counts),
        psi=statistics.psi(*counts),
        severity=Severity.NONE,
        n_reference=left.size,
        n_current=right.size,
    )


def _missing(pair: _Pair) -> ColumnDrift:
    left, right = pair.reference, pair.current
    tested = statistics.chi_square([left.n_missing, left.present.size], [right.n_missing, right.present.size])
    return ColumnDrift(
        name=pair.name,
        test=DriftTest.MISSING_RATE,
        statistic=tested.statistic,
        p_value=tested.p_value,
        p_adjusted=math.nan,
        effect_name=Effect.RATE_DIFFERENCE,
        effect=abs(right.missing_share - left.missing_share),
        psi=math.nan,
        severity=Severity.NONE,
        n_reference=left.rows,
        n_current=right.rows,
    )


def _judged(tests: Sequence[ColumnDrift], sensitivity: float) -> list[ColumnDrift]:
    """Return the tests with corrected p-values and severities, the most changed first."""
    adjusted = statistics.benjamini_hochberg([test.p_value for test in tests])
    judged = [
        replace(test, p_adjusted=float(p), severity=_severity(test, float(p), sensitivity))
        for test, p in zip(tests, adjusted, strict=True)
    ]
    return sorted(
        judged,
        key=lambda test: (-_SEVERITIES[test.severity], -test.effect / _THRESHOLDS[test.effect_name][0], test.name),
    )


def _severity(test: ColumnDrift, p_adjusted: float, sensitivity: float) -> Severity:
    from_, critical = _THRESHOLDS[test.effect_name]
    if not p_adjusted <= sensitivity or not test.effect >= from_:
        return Severity.NONE
    return Severity.CRITICAL if test.effect >= critical else Severity.WARNING


def _distribution(pair: _Pair) -> Distribution:
    left, right = pair.reference.present, pair.current.present
    if pair.kind is Kind.NUMBER:
        edges = _chart_edges(left, right)
        counts = [statistics.bin_counts(values, edges) for values in (left, right)]
        return Distribution(
            name=pair.name, edges=tuple(edges.tolist()), reference=_shares(counts[0]), current=_shares(counts[1])
        )
    names, *counts = statistics.category_counts(left, right, limit=_CHART_BARS)
    return Distribution(
        name=pair.name,
        categories=tuple(_label(name, pair.reference.content) for name in names),
        reference=_shares(counts[0]),
        current=_shares(counts[1]),
    )


def _label(category: Any, content: Content) -> str:
    if category is None:
        return "(others)"
    if content is Content.BOOL:
        return "yes" if category else "no"
    return f"{category:g}" if content is Content.NUMBER else str(category)


def _chart_edges(left: NDArray[Any], right: NDArray[Any]) -> NDArray[np.float64]:
    """Return even bins over what lies between the outermost half percents, so that an outlier does not flatten all."""
    bounds = [np.quantile(values, (0.005, 0.995)) for values in (left, right)]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    return np.linspace(low, high if high > low else low + 1.0, _CHART_BINS + 1)


def _shares(counts: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((counts / max(1, counts.sum())).tolist())
