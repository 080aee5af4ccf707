"""A monitor sees what was kept and logged, from any process, and tells what it lacks."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwcp_jupyter import store
from dwcp_jupyter.exceptions import ModelNotFoundError, MonitoringError
from dwcp_jupyter.monitoring import MLMonitor, Severity, Verdict
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry


@pytest.fixture(scope="module")
def cancer():
    """Ten columns of the Wisconsin breast cancer data, and a model of them."""
    bunch = load_breast_cancer(as_frame=True)
    features = bunch.data.iloc[:, :10]
    return features, make_pipeline(StandardScaler(), LogisticRegression()).fit(features, bunch.target)


@pytest.fixture
def registered(stores, cancer):
    features, model = cancer
    return ModelRegistry(stores).register_model(
        ModelMetadata(name="cancer", version="1.0.0"), model, input_example=features
    )


@pytest.fixture
def monitor(stores, registered):
    with MLMonitor("cancer", "1.0.0", stores) as opened:
        yield opened


def log(monitor, frame, model, *, rows=120, change=lambda row: row):
    rng = np.random.default_rng(0)
    sample = frame.iloc[rng.integers(0, len(frame), rows)]
    for row, answer in zip(sample.to_dict("records"), model.predict(sample), strict=True):
        monitor.log_prediction(change(row), int(answer), latency_ms=1.5)


def test_the_log_is_compared_with_the_training_data_kept_at_registration(stores, cancer):
    features, model = cancer
    kept = features.assign(prediction=model.predict(features))
    ModelRegistry(stores).register_model(
        ModelMetadata(name="kept", version="1.0.0"), model, input_example=features, reference_data=kept
    )
    with MLMonitor("kept", "v1.0.0", stores) as monitor:
        log(monitor, features, model)
        report = monitor.check_drift()
    assert report.verdict is Verdict.NO_DRIFT
    assert (report.drifted, report.alerts, report.n_current, report.source) == ([], (), 120, "prediction log")
    assert {column.name for column in report.columns} == {*features.columns, "prediction"}


def test_a_shift_in_the_log_is_found_and_told(monitor, cancer, caplog):
    features, model = cancer
    monitor.set_reference_data(features)
    log(monitor, features, model, change=lambda row: {**row, "mean radius": row["mean radius"] * 1.4})
    with caplog.at_level(logging.WARNING, logger="dwcp_jupyter.monitoring"):
        report = monitor.check_drift()
    assert report.verdict is Verdict.DRIFT
    assert report.drifted == ["mean radius"]
    assert [(alert.column, alert.severity) for alert in report.alerts] == [("mean radius", Severity.CRITICAL)]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith("cancer@1.0.0: 'mean radius' has drifted: KS distance 0.")


def test_an_alert_on_missing_values_says_by_how_much(monitor, cancer):
    features, _ = cancer
    monitor.set_reference_data(features)
    (alert,) = monitor.check_drift(
        features.assign(**{"mean area": features["mean area"].where(features.index % 2 == 1)})
    ).alerts
    assert alert.message == "the share of missing values of 'mean area' changed by 50.1 percentage points"


def test_alerts_go_along_the_given_route(stores, registered, cancer):
    features, _ = cancer
    told = []
    with MLMonitor("cancer", "1.0.0", stores, route=told.append) as monitor:
        monitor.set_reference_data(features)
        assert monitor.check_drift(features).alerts == ()
        assert told == []
        report = monitor.check_drift(features + features.std())
    assert tuple(told) == report.alerts
    assert len(told) == 10


def test_reference_data_and_log_survive_a_restart(tmp_path, cancer):
    features, model = cancer
    with store.open(tmp_path / "ws") as stores:
        ModelRegistry(stores).register_model(
            ModelMetadata(name="cancer", version="1.0.0"), model, input_example=features
        )
        with MLMonitor("cancer", "1.0.0", stores) as monitor:
            monitor.set_reference_data(features, sensitivity=0.01)
            log(monitor, features, model)
    program = (
        "import sys; from dwcp_jupyter.monitoring import MLMonitor;"
        "r = MLMonitor('cancer', '1.0.0', sys.argv[1]).check_drift();"
        "print(r.verdict, r.n_reference, r.n_current, r.sensitivity)"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "ws")], capture_output=True, text=True, check=True
    )
    assert found.stdout.split("\n")[0] == "no drift 569 120 0.01"


def test_setting_reference_data_is_an_event(stores, monitor, cancer):
    monitor.set_reference_data(cancer[0])
    monitor.set_reference_data(cancer[0].head(100))
    events = stores.metadata.events(kinds=["reference.set"])
    assert [event.payload["rows"] for event in events] == [569, 100]
    assert {event.subject for event in events} == {"model:cancer@1.0.0"}
    assert stores.metadata.verify() is True
    assert monitor.check_drift(cancer[0]).n_reference == 100


def test_ground_truth_is_kept_beside_its_prediction(monitor):
    first = monitor.log_prediction({"a": 1.0}, 1, ground_truth=0, request_id="r1", latency_ms=2.0)
    second = monitor.log_prediction({"a": 2.0}, 0)
    frame = monitor.predictions().set_index("request_id")
    assert first == "r1"
    assert frame.loc["r1", ["prediction", "ground_truth", "latency_ms", "features.a"]].tolist() == [1, 0, 2.0, 1.0]
    assert pd.isna(frame.loc[second, "ground_truth"])


def test_an_empty_log_is_empty(monitor):
    assert monitor.predictions().empty


def test_only_the_asked_part_of_the_log_is_compared(tmp_path, cancer):
    features, model = cancer
    now = [datetime(2026, 1, 1, tzinfo=UTC)]
    with store.open(tmp_path / "ws", clock=lambda: now[0]) as stores:
        ModelRegistry(stores).register_model(
            ModelMetadata(name="cancer", version="1.0.0"), model, input_example=features
        )
        with MLMonitor("cancer", "1.0.0", stores) as monitor:
            monitor.set_reference_data(features)
            log(monitor, features, model, change=lambda row: {**row, "mean area": 9e9})
            now[0] += timedelta(days=1)
            log(monitor, features, model, rows=80)
            assert monitor.check_drift().drifted == ["mean area"]
            assert monitor.check_drift(since=now[0]).n_current == 80
            assert monitor.check_drift(since=now[0]).drifted == []
            assert monitor.check_drift(until=now[0]).n_current == 120


def test_too_few_rows_give_no_alarm_but_say_so(monitor, cancer):
    features, _ = cancer
    monitor.set_reference_data(features)
    report = monitor.check_drift((features * 100).head(49))
    assert report.verdict is Verdict.NOT_ENOUGH_DATA
    assert (report.drifted, report.alerts, report.columns) == ([], (), ())
    assert "49 current and 569 reference rows" in report._view().to_text()


@pytest.mark.parametrize("rows", ["log", "frame"])
def test_no_rows_at_all_are_not_enough(monitor, cancer, rows):
    features, _ = cancer
    monitor.set_reference_data(features)
    report = monitor.check_drift() if rows == "log" else monitor.check_drift(features.head(0))
    assert report.verdict is Verdict.NOT_ENOUGH_DATA
    assert report.n_current == 0


def test_columns_beside_the_models_inputs_are_not_expected_in_the_log(monitor, cancer):
    features, model = cancer
    monitor.set_reference_data(features.assign(target=1, customer="x"))
    log(monitor, features, model)
    report = monitor.check_drift()
    assert {note.column for note in report.notes} == {"prediction"}
    assert "set_reference_data" in report.notes[0].message


def test_inputs_without_answers_are_compared_without_a_word(monitor, cancer):
    features, model = cancer
    monitor.set_reference_data(features.assign(prediction=model.predict(features)))
    report = monitor.check_drift(features)
    assert report.notes == ()
    assert "prediction" not in {column.name for column in report.columns}


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        (lambda f: f.assign(**{"mean area": "large"}), Severity.CRITICAL, "holds values of type string where"),
        (lambda f: f.drop(columns="mean area"), Severity.WARNING, "is missing from the current data"),
    ],
    ids=["type", "missing"],
)
@pytest.mark.parametrize("rows", [569, 3])
def test_a_column_that_changed_its_type_or_is_missing_is_an_alert_and_no_all_clear(
    monitor, cancer, change, level, words, rows
):
    features, _ = cancer
    monitor.set_reference_data(features)
    report = monitor.check_drift(change(features.head(rows)))
    assert report.verdict is Verdict.SCHEMA_CHANGED
    assert (report.drifted, report.changed) == ([], ["mean area"])
    assert [(alert.column, alert.severity) for alert in report.alerts] == [("mean area", level)]
    assert report.alerts[0].message.startswith(f"'mean area' {words}")
    text = report._view().to_text()
    assert "OK" not in text
    assert "missing or of another type than in the reference: 'mean area'" in text


def test_a_changed_type_is_told_beside_the_drift_of_others(monitor, cancer):
    features, _ = cancer
    monitor.set_reference_data(features)
    report = monitor.check_drift(features.assign(**{"mean area": "large", "mean radius": features["mean radius"] * 2}))
    assert (report.verdict, report.drifted, report.changed) == (Verdict.DRIFT, ["mean radius"], ["mean area"])
    assert len(report.alerts) == 2
    assert "1 of 9 tested columns drifted: 'mean radius'. Not tested" in report._view().to_text()


def test_drift_of_answers_alone_is_found(monitor, cancer):
    features, model = cancer
    monitor.set_reference_data(features.assign(prediction=model.predict(features)))
    assert monitor.check_drift(features.assign(prediction=1)).drifted == ["prediction"]


@pytest.mark.parametrize("kind", ["arrow", "dict", "records", "array", "numbers as names"])
def test_tables_of_any_kind_are_taken(monitor, cancer, kind):
    features, _ = cancer
    if kind == "numbers as names":
        monitor.set_reference_data(features.set_axis(range(10), axis=1))
        data = features.set_axis(range(10), axis=1)
    else:
        monitor.set_reference_data(features)
        data = {
            "arrow": lambda: pa.Table.from_pandas(features),
            "dict": lambda: features.to_dict("list"),
            "records": lambda: features.to_dict("records"),
            "array": features.to_numpy,
        }[kind]()
    assert monitor.check_drift(data).verdict is Verdict.NO_DRIFT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pd.DataFrame(), "have no columns"),
        (pd.DataFrame({"other": [1.0] * 60}), "no column in common"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "columns twice: 'a'"),
        ("churn.csv", "no table"),
    ],
)
def test_data_that_cannot_be_compared_are_refused(monitor, cancer, data, words):
    monitor.set_reference_data(cancer[0])
    with pytest.raises(MonitoringError, match=words):
        monitor.check_drift(data)


def test_without_reference_data_the_remedy_is_named(monitor, cancer):
    with pytest.raises(MonitoringError, match=r"no reference data for 'cancer@1\.0\.0'.*set_reference_data"):
        monitor.check_drift(cancer[0])


def test_reference_data_without_rows_or_level_are_refused(stores, monitor, cancer):
    with pytest.raises(MonitoringError, match="have no rows"):
        monitor.set_reference_data(cancer[0].head(0))
    with pytest.raises(ValueError, match="level of significance"):
        monitor.set_reference_data(cancer[0], sensitivity=1.5)
    assert stores.metadata.events(kinds=["reference.set"]) == []


@pytest.mark.parametrize("features", [{}, [1, 2], "a", None])
def test_what_is_no_row_of_inputs_is_not_logged(monitor, features):
    with pytest.raises(MonitoringError, match="Give one row as a dictionary"):
        monitor.log_prediction(features, 1)


def test_an_unknown_version_is_refused(stores, registered):
    with pytest.raises(ModelNotFoundError):
        MLMonitor("cancer", "9.0.0", stores)
    with pytest.raises(ModelNotFoundError, match="cancer"):
        MLMonitor("cancre", stores=stores)


def test_the_report_is_shown_as_text_and_static_html(monitor, cancer):
    features, _ = cancer
    hostile = features.assign(**{"<script>alert(1)</script>": "x"})
    monitor.set_reference_data(features)
    report = monitor.check_drift(hostile)
    bundle = report._repr_mimebundle_()
    assert "<script" not in bundle["text/html"]
    assert "OK: None of 10 tested columns drifted." in bundle["text/plain"]
    assert bundle == report._repr_mimebundle_()
    assert repr(report) == "DriftReport(cancer@1.0.0: no drift, 0 of 10 columns drifted, 569 current rows)"


def test_drifted_columns_are_drawn(monitor, cancer):
    features, _ = cancer
    monitor.set_reference_data(features)
    html = monitor.check_drift(features.assign(**{"mean area": features["mean area"] * 2}))._view().to_html()
    assert html.count("<svg") == 1
    assert "mean area" in html
    assert "reference" in html


def test_importing_the_package_loads_no_library():
    program = (
        "import sys, dwcp_jupyter.monitoring, dwcp_jupyter.statistics;"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'pandas', 'scipy', 'sqlalchemy', 'duckdb')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
