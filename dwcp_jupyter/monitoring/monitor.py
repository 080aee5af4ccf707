"""The monitor of one model version.

It owns no data: reference data belong to the version in the registry, predictions to the version's log, which the
endpoints write too. So a monitor can be made anew at any time, in any process, and sees the same.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import pandas as pd
import pyarrow as pa
from sqlalchemy import select

from dwcp_jupyter import store
from dwcp_jupyter.exceptions import MonitoringError, SignatureError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.flavors.reference import to_reference
from dwcp_jupyter.monitoring.alerts import Alert, AlertRoute, Severity, to_log
from dwcp_jupyter.monitoring.comparison import Comparison, compare
from dwcp_jupyter.monitoring.ground_truth import GroundTruth
from dwcp_jupyter.monitoring.report import (
    MINIMUM_ROWS,
    PREDICTION,
    ColumnDrift,
    DriftNote,
    DriftReport,
    DriftTest,
    Verdict,
)
from dwcp_jupyter.registry import ModelRegistry, ModelVersion
from dwcp_jupyter.rendering import Level
from dwcp_jupyter.rendering.formats import number, p_value
from dwcp_jupyter.serving.prediction_log import PredictionLog
from dwcp_jupyter.store import schema

__all__ = ["MLMonitor"]


class MLMonitor:
    """Watches one version. Safe for threads and processes; `close` it to finish the segment that it logs to.

    Parameters
    ----------
    model_id : str
        Id or reference of the model or version.
    model_version : str, optional
        The version, where `model_id` does not say it.
    stores : Stores or path, optional
        The workspace; without it the one found from the working directory.
    route : callable
        Where alerts go; the log by default.

    Raises
    ------
    ModelNotFoundError
        If there is no such version.
    """

    def __init__(
        self,
        model_id: str,
        model_version: str | None = None,
        stores: store.Stores | str | os.PathLike[str] | None = None,
        *,
        route: AlertRoute = to_log,
    ) -> None:
        self._stores = store.as_stores(stores)
        self._registry = ModelRegistry(self._stores)
        self.version: ModelVersion = self._registry.get_model(
            model_id if model_version is None else f"{model_id}@{model_version}"
        )
        root, names = self._stores.root, (self.version.model_id, self.version.version)
        self._log = PredictionLog(root, *names, now=self._stores.clock)
        self._truth = GroundTruth(root, *names, now=self._stores.clock)
        self._route = route
        self._finalizer = weakref.finalize(self, _close, self._log, self._truth)

    def __repr__(self) -> str:
        return f"MLMonitor({self.version.reference})"

    # -- data

    def set_reference_data(self, df: Any, sensitivity: float = 0.05) -> None:
        """Keep the data that this version is compared with, in place of earlier ones.

        Parameters
        ----------
        df : pandas.DataFrame, pyarrow.Table, or what a data frame can be made of
            Shape (n_samples, n_columns): the version's inputs as they were in training; the columns of an array take
            the inputs' names. A column ``prediction`` with
            the model's answers lets drift of predictions be seen too.
        sensitivity : float
            Bound of the false alarm rate of a check, in (0, 1).

        Raises
        ------
        MonitoringError
            If there are no rows, no columns, or a name twice.
        ValueError
            If `sensitivity` is no level, or the data cannot be kept.
        """
        frame = _frame(df, "reference data", self.version.signature)
        if not len(frame):
            raise MonitoringError(
                f"The reference data of '{self.version.reference}' have no rows. Give the data it was trained on."
            )
        self._registry.set_reference_data(self.version.id, frame, sensitivity=sensitivity)

    def log_prediction(
        self,
        features: Mapping[str, Any],
        prediction: Any,
        ground_truth: Any = None,
        latency_ms: float | None = None,
        request_id: str | None = None,
    ) -> str:
        """Append one prediction to the version's log, and return its request id.

        Parameters
        ----------
        features : mapping of str to value
            One row of inputs.
        prediction : scalar
        ground_truth : scalar, optional
            What turned out to be true.
        latency_ms : float, optional
            How long the prediction took, in milliseconds.
        request_id : str, optional
            A new one without it.
        """
        if not isinstance(features, Mapping) or not features:
            raise MonitoringError(
                f"features={features!r:.80} are no inputs. Give one row as a dictionary of column names to values."
            )
        logged = self._log.log(features, prediction, latency_ms=latency_ms, request_id=request_id)
        if ground_truth is not None:
            self._truth.add(logged, ground_truth)
        return logged

    def predictions(self, *, since: datetime | None = None, until: datetime | None = None) -> pd.DataFrame:
        """Return the log, oldest first: one row per predicted row, with features, prediction and what is known of it.

        Columns are those of `PredictionLog`, the features each as ``features.<name>``, and ``ground_truth``.
        """
        table = self._log.read(since=since, until=until)
        if not table.num_columns:
            return pd.DataFrame({"request_id": pd.Series(dtype=str), PREDICTION: [], "ground_truth": []})
        frame = _flat(table, prefix="features.")
        return frame.join(self._truth.read(), on="request_id")

    def flush(self) -> None:
        """Write what `log_prediction` left in memory, so that other processes see it."""
        self._log.flush()
        self._truth.flush()

    def close(self) -> None:
        """Write what is in memory and close the files."""
        _close(self._log, self._truth)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- drift

    def check_drift(
        self, df: Any = None, *, since: datetime | None = None, until: datetime | None = None
    ) -> DriftReport:
        """Return how far current data are from the reference data; alerts are sent along their route.

        Parameters
        ----------
        df : pandas.DataFrame, pyarrow.Table, or what a data frame can be made of, optional
            Current inputs, with a column ``prediction`` for the answers where known. The version's prediction log
            without it.
        since, until : datetime, optional
            The part of the prediction log to look at, ``since <= time < until``.

        Raises
        ------
        MonitoringError
            If there are no reference data, or the data have no column in common with them.
        """
        reference, sensitivity = self._reference()
        current = self._logged(since, until) if df is None else _frame(df, "current data", self.version.signature)
        expected = self._expected(reference, current)
        self._check_columns(current, expected)
        answers = None if PREDICTION in self._inputs() else PREDICTION
        compared = compare(reference, current, sensitivity=sensitivity, expected=expected, answers=answers)
        alerts = _alerts(self.version.reference, compared)
        report = DriftReport(
            model=self.version.reference,
            verdict=_verdict(compared, len(reference), len(current)),
            n_reference=len(reference),
            n_current=len(current),
            sensitivity=sensitivity,
            columns=compared.columns,
            notes=_with_prediction_note(compared.notes, reference),
            alerts=alerts,
            distributions=compared.distributions,
            source="prediction log" if df is None else "given",
            checked_at=self._stores.clock(),
        )
        for alert in alerts:
            self._route(alert)
        return report

    def _reference(self) -> tuple[pd.DataFrame, float]:
        table = schema.reference_data
        with self._stores.metadata.read() as connection:
            row = connection.execute(
                select(table.c.sha256, table.c.sensitivity).where(table.c.version_id == self.version.id)
            ).first()
        if row is None:
            raise MonitoringError(
                f"There are no reference data for '{self.version.reference}' to compare with. "
                "Keep some with MLMonitor.set_reference_data, or give the training data when it is registered."
            )
        return self._stores.frames.get(row.sha256).to_pandas(), float(row.sensitivity)

    def _logged(self, since: datetime | None, until: datetime | None) -> pd.DataFrame:
        table = self._log.read(since=since, until=until)
        if not table.num_columns:
            return pd.DataFrame()
        frame = _flat(table.select(["features", PREDICTION]), prefix="")
        wanted: pd.DataFrame = frame.loc[:, ~frame.columns.duplicated(keep="last")]  # an input "prediction" wins
        return wanted

    def _expected(self, reference: pd.DataFrame, current: pd.DataFrame) -> list[str]:
        """Return the reference's columns that are the model's inputs, and predictions if there are current ones."""
        inputs = self._inputs()
        is_without = PREDICTION not in current.columns and PREDICTION not in inputs
        names = [str(name) for name in reference.columns if not (is_without and name == PREDICTION)]
        known = [name for name in names if name in inputs or name == PREDICTION]
        return known if inputs.intersection(known) else names

    def _inputs(self) -> set[str]:
        signature = self.version.signature
        return set() if signature is None else set(signature.names)

    def _check_columns(self, current: pd.DataFrame, expected: list[str]) -> None:
        if len(current.columns) and not set(expected).intersection(current.columns):
            raise MonitoringError(
                f"The data have no column in common with the reference of '{self.version.reference}': "
                f"{_listed(current.columns)} against {_listed(expected)}. Name the columns as in training."
            )


def _with_prediction_note(notes: tuple[DriftNote, ...], reference: pd.DataFrame) -> tuple[DriftNote, ...]:
    """Return the notes; that the reference lacks predictions is told with its remedy."""
    if PREDICTION in reference.columns:
        return notes
    message = (
        "was not tested: the reference data have no such column. "
        "Add the model's answers to them with MLMonitor.set_reference_data"
    )
    return tuple(replace(note, message=message) if note.column == PREDICTION else note for note in notes)


def _close(log: PredictionLog, truth: GroundTruth) -> None:
    log.close()
    truth.close()


def _flat(table: pa.Table, *, prefix: str) -> pd.DataFrame:
    """Return the table with each feature as a column of its own, before the others."""
    features = table["features"].combine_chunks()
    if isinstance(features, pa.ChunkedArray):
        features = pa.concat_arrays(features.chunks)
    inputs = pa.Table.from_arrays(features.flatten(), names=[f"{prefix}{field.name}" for field in features.type])
    rest = table.drop_columns(["features"]).to_pandas()
    flat: pd.DataFrame = pd.concat([rest, inputs.to_pandas()], axis=1)
    return flat


def _frame(data: Any, what: str, signature: Signature | None) -> pd.DataFrame:
    try:
        table = to_reference(data, signature)
    except SignatureError as exc:
        raise MonitoringError(f"The {what} are of type '{type(data).__name__}' and cannot be compared: {exc}") from exc
    frame = table.to_pandas() if isinstance(table, pa.Table) else table
    frame = pd.DataFrame(frame.set_axis([str(name) for name in frame.columns], axis=1))
    if not len(frame.columns):
        raise MonitoringError(f"The {what} have no columns. Give a data frame with the model's inputs.")
    repeated = frame.columns[frame.columns.duplicated()].unique()
    if len(repeated):
        raise MonitoringError(f"The {what} have columns twice: {_listed(repeated)}. Rename or drop them.")
    return frame


def _listed(names: Any) -> str:
    shown = [f"'{name}'" for name in list(names)[:5]]
    return ", ".join(shown) + (", …" if len(names) > 5 else "")


def _verdict(compared: Comparison, n_reference: int, n_current: int) -> Verdict:
    if any(column.is_drifted for column in compared.columns):
        return Verdict.DRIFT
    if any(note.is_schema_change for note in compared.notes):  # certain however few rows there are
        return Verdict.SCHEMA_CHANGED
    if min(n_reference, n_current) < MINIMUM_ROWS or not compared.columns:
        return Verdict.NOT_ENOUGH_DATA
    return Verdict.NO_DRIFT


def _alerts(model: str, compared: Comparison) -> tuple[Alert, ...]:
    changes = [_schema_alert(model, note) for note in compared.notes if note.is_schema_change]
    return (*changes, *(_alert(model, column) for column in compared.columns if column.is_drifted))


def _schema_alert(model: str, note: DriftNote) -> Alert:
    severity = Severity.CRITICAL if note.level is Level.CRITICAL else Severity.WARNING
    return Alert(model=model, column=note.column, severity=severity, message=f"'{note.column}' {note.message}")


def _alert(model: str, column: ColumnDrift) -> Alert:
    if column.test is DriftTest.MISSING_RATE:
        message = (
            f"the share of missing values of '{column.name}' changed by {100 * column.effect:.3g} percentage points"
        )
    else:
        effect = f"{column.measure} {number(column.effect)}, corrected p {p_value(column.p_adjusted)}"
        message = f"'{column.name}' has drifted: {effect}"
    return Alert(model=model, column=column.name, severity=column.severity, message=message)
