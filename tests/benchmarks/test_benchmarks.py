"""The harness runs, and its results are sane; how fast anything is, is not tested here.

The cache folder is the test's own, so no peer takes part and nothing is installed.
"""

from __future__ import annotations

import shutil
import sys

import psutil
import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks import (
    environments,
    imports,
    kills,
    lives,
    load,
    registry,
    responsiveness,
    scale,
    serving,
    tracking,
)
from tests.benchmarks.processes import Tree, wait_until
from tests.benchmarks.report import Options, Report, Table, Target

REDUCED = Options(reduced=True)
needs_wrk = pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed: sudo apt-get install wrk")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, which must be empty of work files afterwards."""
    monkeypatch.setenv("DWCP_BENCH_CACHE", str(tmp_path / "cache"))
    yield tmp_path / "cache"
    assert not [path for path in (tmp_path / "cache").glob("*") if path.is_dir()], "work files were left behind"


def test_imports_are_measured_in_fresh_processes():
    report = imports.run(REDUCED)
    assert {target.text for target in report.targets} == {"import dwcp_jupyter, ms", "%load_ext dwcp_jupyter, ms"}
    assert all(target.measured > 0 for target in report.targets)


def test_no_version_is_lost_or_doubled_when_processes_register_at_once():
    outcome = registry.measure("ours", None, registry.Scenario(processes=3, versions=8, shared=True))
    assert (outcome.lost, outcome.doubled, outcome.errors) == (0, 0, ())


def test_a_lost_version_is_a_fault_of_the_report():
    scenario = registry.Scenario(processes=1, versions=2, shared=False)
    outcome = registry.Outcome(rate=1.0, median_wait_ms=1.0, longest_wait_s=1.0, lost=1, doubled=0, errors=())
    assert registry._faults({(scenario, "ours (DuckDB)"): [outcome]}) == (
        "ours (DuckDB), 1 process x 2: 1 lost, 0 doubled, 0 errors",
    )


def test_a_registry_of_many_versions_is_asked_and_its_trail_proven():
    report = scale.run(REDUCED)
    calls, proofs = report.tables
    assert {row[0] for row in calls.rows} >= {"page of 100 versions", "version by alias", "set alias"}
    assert [row[0] for row in proofs.rows] == ["verify", "as_of"]
    assert all(target.measured > 0 for target in report.targets)


def test_tracking_is_measured():
    report = tracking.run(REDUCED)
    assert [row[0] for row in report.tables[0].rows] == ["in batches", "one call each"]
    assert all(row[1] > 0 for table in report.tables for row in table.rows)


@pytest.mark.parametrize("database", kills.DATABASES)
def test_what_killed_processes_were_told_is_there_afterwards(database):
    report = kills.run(Options(reduced=True, only=(database,)))
    assert report.faults == ()
    (row,) = report.tables[0].rows
    told = dict(zip(report.tables[0].columns, row, strict=True))
    assert (told["kills"], told["lost"], told["inconsistent"]) == (8, 0, 0)
    assert told["acknowledged"] > 0


@pytest.mark.parametrize("database", kills.DATABASES)
def test_lives_beside_a_busy_neighbour_agree_with_the_model(database):
    report = lives.run(Options(reduced=True, only=(database,)))
    assert report.faults == ()
    (row,) = report.tables[0].rows
    assert row[report.tables[0].columns.index("neighbour's events")] > 0


@needs_wrk
def test_endpoints_answer_every_request_rightly_and_leave_no_process_behind():
    report = serving.run(Options(reduced=True, only=("ours",)))
    assert report.faults == ()
    for table in report.tables:
        errors = table.columns.index("errors")
        assert [row[errors] for row in table.rows] == [0] * len(table.rows)


@needs_wrk
def test_the_jupyter_server_answers_while_an_endpoint_is_loaded():
    report = responsiveness.run(REDUCED)
    assert report.faults == ()
    assert report.targets[0].measured > 0


def test_the_list_names_every_benchmark(capsys):
    assert command.main(["list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(command.BENCHMARKS)


def test_a_peer_that_cannot_be_installed_is_named_with_the_end_of_its_log():
    command = [sys.executable, "-c", "import sys; print('no matching distribution'); sys.exit(3)"]
    with pytest.raises(environments.PeerError, match=r"(?s)'mlflow' could not be made.*ended in 3.*no matching"):
        environments._step("mlflow", command)


def test_an_environment_that_was_not_finished_is_not_used(cache):
    (cache / "mlflow").mkdir(parents=True)
    assert environments.find("mlflow") is None
    (cache / "mlflow").rmdir()


def test_missing_wrk_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    route = load.Route(url="http://127.0.0.1:1/", headers={}, bodies=(b"{}",))
    with pytest.raises(environments.PeerError, match="apt-get install wrk"):
        load.run(route, tmp_path, connections=1, seconds=1)


def test_every_kind_of_error_that_wrk_counts_is_an_error():
    errors = '"connect": 1, "read": 2, "write": 3, "status": 4, "timeout": 5'
    line = f'{{"requests": 10, "duration_us": 2000000, "p50_us": 1500, "p99_us": 9000, {errors}}}'
    measured = load.parse(f"Running 1s test\n{line}\n", connections=8)
    assert (measured.rate, measured.p50_ms, measured.errors) == (5.0, 1.5, 15)


def test_processes_that_ignore_sigterm_are_killed_and_named(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.benchmarks.processes._GRACE_S", 0.3)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with Tree([sys.executable, "-c", code], log=tmp_path / "log", cwd=tmp_path) as tree:
        assert wait_until(lambda: "up" in tree.log_tail(), timeout_s=10)
        pid = tree.process.pid
    assert not psutil.pid_exists(pid)
    assert len(tree.killed) == 1


def test_a_report_shows_missed_targets_and_faults():
    report = Report(
        title="T",
        tables=(Table(heading="H", columns=("a", "b"), rows=(("x", 1234.5),)),),
        targets=(Target(text="ratio", measured=2.0, limit=3.0, at_least=True),),
        faults=("one version lost",),
    )
    text = report.to_markdown()
    assert "| x | 1,234 |" in text
    assert "| ratio | 2 | ≥ 3 | **no** |" in text
    assert "- one version lost" in text
