"""The answer to "has it drifted?": values, and how they are shown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dwcp_jupyter.monitoring.alerts import Alert, Severity
from dwcp_jupyter.rendering import Bars, Block, Column, Displayed, Facts, Format, Level, Lines, Mark, Note, Table, View

__all__ = [
    "MINIMUM_ROWS",
    "PREDICTION",
    "ColumnDrift",
    "Distribution",
    "DriftNote",
    "DriftReport",
    "DriftTest",
    "Effect",
    "Verdict",
]

PREDICTION = "prediction"
"""The column of predictions, in the log and, where drift of predictions is to be seen, in the reference data."""
MINIMUM_ROWS = 50
"""Values that a column must have on either side to be tested."""
_LEVELS = {Severity.WARNING: Level.WARNING, Severity.CRITICAL: Level.CRITICAL}


class Verdict(StrEnum):
    """The answer."""

    DRIFT = "drift"
    SCHEMA_CHANGED = "schema changed"
    """No tested column drifted, but some could not be tested: they are missing, or hold another type of values."""
    NO_DRIFT = "no drift"
    NOT_ENOUGH_DATA = "not enough data"


class DriftTest(StrEnum):
    """What a p-value comes from."""

    KS = "ks"
    CHI_SQUARE = "chi_square"
    MISSING_RATE = "missing_rate"
    """A chi-square test of how many rows lack a value."""


class Effect(StrEnum):
    """What an effect size measures."""

    KS_DISTANCE = "ks_distance"
    CRAMERS_V = "cramers_v"
    WASSERSTEIN = "wasserstein"
    """In standard deviations of the reference."""
    JENSEN_SHANNON = "jensen_shannon"
    RATE_DIFFERENCE = "rate_difference"


_LABELS: dict[DriftTest | Effect, str] = {
    DriftTest.KS: "KS",
    DriftTest.CHI_SQUARE: "chi-square",
    DriftTest.MISSING_RATE: "missing values",
    Effect.KS_DISTANCE: "KS distance",
    Effect.CRAMERS_V: "Cramér's V",
    Effect.WASSERSTEIN: "Wasserstein / std",
    Effect.JENSEN_SHANNON: "Jensen-Shannon",
    Effect.RATE_DIFFERENCE: "difference of rates",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDrift:
    """One test of one column.

    Attributes
    ----------
    statistic, p_value : float
        Of `test`.
    p_adjusted : float
        The p-value after Benjamini and Hochberg's correction over all tests of the report.
    effect : float
        Size of the difference, by `effect_name`, at least 0.
    psi : float
        Population stability index over ten bins of the reference, or over the categories; NaN for missing rates.
    is_drifted : bool
        `p_adjusted` is at most the sensitivity and `effect` at least its threshold.
    n_reference, n_current : int
        Rows tested.
    """

    name: str
    test: DriftTest
    statistic: float
    p_value: float
    p_adjusted: float
    effect_name: Effect
    effect: float
    psi: float
    severity: Severity
    n_reference: int
    n_current: int

    @property
    def measure(self) -> str:
        """What `effect` measures, for readers."""
        return _LABELS[self.effect_name]

    @property
    def is_drifted(self) -> bool:
        """Whether there is a difference that is neither chance nor too small to matter."""
        return self.severity is not Severity.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftNote:
    """Something about a column that a reader must know, beside the tests.

    Attributes
    ----------
    is_schema_change : bool
        The column is missing, or holds another type of values: no test is needed to be sure of that, so it is an alert.
    """

    column: str
    message: str
    level: Level = Level.INFO
    is_schema_change: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Shares of rows in the reference and in the current data, for a chart.

    Attributes
    ----------
    edges : tuple of float
        Of the bins of a number, one more than shares; empty for categories.
    categories : tuple of str
        Empty for numbers.
    """

    name: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class DriftReport(Displayed):
    """Every tested column, what drifted, and what could not be tested.

    Attributes
    ----------
    model : str
        ``name@version``.
    columns : tuple of ColumnDrift
        The most changed first.
    notes : tuple of DriftNote
        Schema differences and columns left out.
    alerts : tuple of Alert
        One per drifted test and per column that is missing or of another type.
    source : str
        Where the current data are from.
    """

    model: str
    verdict: Verdict
    n_reference: int
    n_current: int
    sensitivity: float
    columns: tuple[ColumnDrift, ...]
    notes: tuple[DriftNote, ...]
    alerts: tuple[Alert, ...]
    distributions: tuple[Distribution, ...]
    source: str
    checked_at: datetime

    @property
    def drifted(self) -> list[str]:
        """Names of the drifted columns, the most changed first."""
        return list(dict.fromkeys(column.name for column in self.columns if column.is_drifted))

    @property
    def changed(self) -> list[str]:
        """Names of the columns that are missing from the current data, or hold another type of values there."""
        return [note.column for note in self.notes if note.is_schema_change]

    def __repr__(self) -> str:
        names = {column.name for column in self.columns}
        return (
            f"DriftReport({self.model}: {self.verdict}, {len(self.drifted)} of {len(names)} columns drifted, "
            f"{self.n_current} current rows)"
        )

    def _view(self) -> View:
        blocks: list[Block] = [self._headline(), self._facts()]
        blocks += [_chart(distribution) for distribution in self.distributions]
        if self.columns:
            blocks.append(_table(self.columns))
        if self.notes:
            rows = [(note.column, Mark(note.level.value, note.level), note.message) for note in self.notes]
            blocks.append(Table(("column", "level", "note"), rows, title="Notes", limit=20))
        return View(f"Drift of {self.model}", blocks)

    def _headline(self) -> Note:
        tested = len({column.name for column in self.columns})
        if self.verdict is Verdict.SCHEMA_CHANGED:
            return Note(f"{self._changes()} None of {tested} tested columns drifted.", self._level())
        if self.verdict is Verdict.NOT_ENOUGH_DATA and min(self.n_reference, self.n_current) >= MINIMUM_ROWS:
            return Note("No column could be tested; the notes say why.", Level.WARNING)
        if self.verdict is Verdict.NOT_ENOUGH_DATA:
            return Note(
                f"Not enough data to tell: {self.n_current:,} current and {self.n_reference:,} reference rows, "
                f"where a test needs {MINIMUM_ROWS} of each.",
                Level.INFO,
            )
        if self.verdict is Verdict.NO_DRIFT:
            return Note(f"None of {tested} tested columns drifted.", Level.SUCCESS)
        told = f"{len(self.drifted)} of {tested} tested columns drifted: {_listed(self.drifted)}."
        return Note(f"{told} {self._changes()}".rstrip(), self._level())

    def _level(self) -> Level:
        is_critical = any(alert.severity is Severity.CRITICAL for alert in self.alerts)
        return Level.CRITICAL if is_critical else Level.WARNING

    def _changes(self) -> str:
        if not self.changed:
            return ""
        return f"Not tested, since missing or of another type than in the reference: {_listed(self.changed)}."

    def _facts(self) -> Facts:
        return Facts(
            {
                "reference rows": self.n_reference,
                "current rows": self.n_current,
                "current data": self.source,
                "sensitivity": self.sensitivity,
            }
        )


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:5]) + (", …" if len(names) > 5 else "")


def _table(columns: tuple[ColumnDrift, ...]) -> Table:
    return Table(
        (
            "column",
            "severity",
            "test",
            Column("statistic", format=Format.DECIMAL),
            Column("p", format=Format.P_VALUE),
            Column("p adjusted", format=Format.P_VALUE),
            Column("effect", format=Format.DECIMAL),
            "measured by",
            Column("PSI", format=Format.DECIMAL),
        ),
        [
            (
                column.name,
                Mark(column.severity.value, _LEVELS[column.severity]) if column.is_drifted else column.severity,
                _LABELS[column.test],
                column.statistic,
                column.p_value,
                column.p_adjusted,
                column.effect,
                column.measure,
                None if math.isnan(column.psi) else column.psi,
            )
            for column in columns
        ],
    )


def _chart(distribution: Distribution) -> Block:
    series = {"reference": distribution.reference, "current": distribution.current}
    title = distribution.name
    if distribution.edges:
        return Lines(
            title,
            distribution.edges,
            series,
            x_label=distribution.name,
            y_label="share of rows (%)",
            y_format=Format.PERCENT,
            is_step=True,
        )
    return Bars(title, distribution.categories, series, x_label="share of rows (%)", format=Format.PERCENT)
