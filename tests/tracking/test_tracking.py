"""Runs from their beginning to a registered version, on every database."""

import hashlib
import json
import math
import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest
from sqlalchemy import select, update

import dwcp_jupyter
from dwcp_jupyter import config, hashing, store
from dwcp_jupyter.exceptions import (
    ArtifactNotFoundError,
    FilterError,
    IntegrityError,
    InvalidMetadataError,
    RunError,
    RunNotFoundError,
)
from dwcp_jupyter.store import schema
from dwcp_jupyter.tracking import RunStatus, Tracker
from tests.registry.rewriting import as_before


@pytest.fixture
def ws(tmp_path, metadata_url):
    opened = store.open(tmp_path / "project" / ".dwcp", settings=config.load(metadata_url=metadata_url))
    with opened:
        yield dwcp_jupyter.Workspace(opened)


def kinds(ws):
    return [event.kind for event in ws.events]


def test_a_run_becomes_a_version_that_answers_and_keeps_it_in_its_lineage(ws, classifier, iris, tmp_path):
    features, _ = iris
    report = tmp_path / "report.html"
    report.write_text("<p>fine</p>")
    with ws.run("iris-logistic", params={"max_iter": 500}, tags=["baseline"], description="first try") as run:
        for step in range(30):
            run.log_metrics({"train_loss": 1 / (step + 1), "val_loss": 1.1 / (step + 1)}, step=step)
        run.log_metric("test_accuracy", 0.97)
        run.log_params({"solver": "lbfgs", "missing": math.nan, "depth": np.int64(3)})
        run.log_artifact(report)
        run.log_model(classifier, input_example=features.head(2))

    known = ws.tracker.get_run(run.id)
    assert known.status is RunStatus.COMPLETED
    assert known.params == {"max_iter": 500, "solver": "lbfgs", "missing": "nan", "depth": 3}
    assert known.metrics == {"test_accuracy": 0.97, "train_loss": 1 / 30, "val_loss": 1.1 / 30}
    assert known.history["train_loss"].steps.tolist() == list(range(30))
    assert known.history["val_loss"].values[3] == 1.1 / 4
    assert {a.name: a.kind for a in known.artifacts.values()} == {"report.html": "file", "model": "model"}
    assert ws.tracker.fetch_artifact(run.id, "report.html", tmp_path / "back.html").read_text() == "<p>fine</p>"
    assert ws.tracker.verify_run(run.id) is True

    version = ws.register_run(run, "iris")
    assert version.run_id == run.id
    assert version.metrics == known.metrics
    assert version.tags == ("baseline",)
    assert version.hyperparameters["solver"] == "lbfgs"
    assert ws.registry.load_model(version.id).predict(features).values.shape == (150,)
    nodes = {node.id: node for node in ws.registry.get_model_lineage(version.id).nodes}
    assert nodes[f"run:{run.id}"].facts["status"] == "completed"
    assert ws.registry.verify() is True
    assert kinds(ws)[:2] == ["run.started", "run.ended"]
    ended = ws.events[1]
    assert ended.payload["status"] == "completed"
    assert len(ended.payload["history_sha256"]) == 64


def test_a_model_registered_by_hand_takes_what_its_run_knows(ws, classifier, iris):
    with ws.run("by-hand", params={"C": 1.0}, tags=["x"]) as run:
        run.log_metrics({"accuracy": 0.9, "loss": math.nan})
        version = ws.register("iris", classifier, data=iris[0], run=run, tags=["mine"])
    assert (version.run_id, version.metrics, version.hyperparameters) == (run.id, {"accuracy": 0.9}, {"C": 1.0})
    assert version.tags == ("mine", "x")
    with pytest.raises(RunError, match="kept no model"):
        ws.register_run(run)
    with pytest.raises(RunError, match=r"made 'iris@1\.0\.0', whose .*ws\.registry\.delete_model\('iris@1\.0\.0'\)"):
        ws.tracker.delete_run(run)


def test_values_that_json_does_not_have_come_back(ws):
    with ws.run("diverged") as run:
        for value in (1.0, math.inf, -math.inf, math.nan):
            run.log_metric("loss", value)
    known = ws.tracker.get_run("diverged")
    np.testing.assert_array_equal(known.history["loss"].values, [1.0, math.inf, -math.inf, math.nan])
    assert math.isnan(known.metrics["loss"])
    assert math.isnan(ws.runs()[0].metrics["loss"])
    assert len(ws.runs("metrics.loss > 0")) == 0
    assert "loss" in known._repr_mimebundle_()["text/html"]


def test_steps_count_by_themselves_and_the_highest_is_the_last_value(ws):
    with ws.run("steps") as run:
        run.log_metric("a", 1.0)
        run.log_metric("a", 2.0)
        run.log_metric("a", 9.0, step=10)
        run.log_metric("a", 5.0, step=4)
        run.log_metric("a", 3.0)
        run.log_metric("b", 7.0, step=-1)
    known = ws.tracker.get_run(run.id)
    assert known.history["a"].steps.tolist() == [0, 1, 4, 10, 11]
    assert known.metrics == {"a": 3.0, "b": 7.0}


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda run: run.log_metric("loss", "0.3"), InvalidMetadataError, "a text"),
        (lambda run: run.log_metric("loss", [1, 2]), InvalidMetadataError, "is a list"),
        (lambda run: run.log_metric("", 1), InvalidMetadataError, "name ''"),
        (lambda run: run.log_metric(7, 1), InvalidMetadataError, "name 7"),
        (lambda run: run.log_metric("loss", 1, step=1.5), InvalidMetadataError, "no whole number"),
        (lambda run: run.log_metric("loss", 1, step=2**70), InvalidMetadataError, "no whole number"),
        (lambda run: run.log_metric("loss", 1, step=math.nan), InvalidMetadataError, "no whole number"),
        (lambda run: run.log_metrics([1]), InvalidMetadataError, "no mapping"),
        (lambda run: run.log_params({"depth": 9}), InvalidMetadataError, "is 8 already"),
        (lambda run: run.log_params("depth"), InvalidMetadataError, "dictionary"),
        (lambda run: run.log_text("x", " "), InvalidMetadataError, "empty"),
        (lambda run: run.log_artifact("/nowhere/at/all"), FileNotFoundError, "no file or folder"),
        (lambda run: run.add_tags(""), InvalidMetadataError, "empty"),
        (lambda run: run.end("running"), ValueError, "does not end as"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_of_it_is_kept(stores, call, error, text):
    tracker = Tracker(stores)
    with tracker.start("wrong", params={"depth": 8}) as run:
        run.log_metrics({"good": 1.0})
        with pytest.raises(error, match=text):
            call(run)
    known = tracker.get_run(run.id)
    assert (dict(known.params), dict(known.metrics), known.artifacts) == ({"depth": 8}, {"good": 1.0}, {})


def test_one_wrong_value_keeps_the_whole_call_out(stores):
    with Tracker(stores).start("atomic") as run, pytest.raises(InvalidMetadataError):
        run.log_metrics({"a": 1.0, "b": "two"})
    assert Tracker(stores).get_run(run.id).metrics == {}


def test_a_block_that_fails_ends_its_run_so(ws):
    run = ws.run("failing")
    run.log_metric("loss", 0.5)
    with pytest.raises(ZeroDivisionError), run:
        1 / 0  # noqa: B018
    known = ws.tracker.get_run(run.id)
    assert (known.status, known.error) == (RunStatus.FAILED, "ZeroDivisionError: division by zero")
    assert known.metrics == {"loss": 0.5}
    with pytest.raises(KeyboardInterrupt), ws.run("interrupted") as run:
        raise KeyboardInterrupt
    assert ws.tracker.get_run(run.id).status is RunStatus.CANCELLED
    with pytest.raises(RunError, match="is cancelled"):
        run.log_metric("loss", 1.0)
    run.end()  # once more, and nothing changes
    assert ws.tracker.get_run(run.id).status is RunStatus.CANCELLED


def test_a_long_run_can_be_watched_before_it_ends(ws):
    run = ws.run("watched")
    run.log_metric("loss", 0.5)
    run.flush()
    known = ws.tracker.get_run(run.id)
    assert (known.status, known.metrics, known.duration_s) == (RunStatus.RUNNING, {"loss": 0.5}, None)
    with pytest.raises(RunError, match="under way"):
        ws.tracker.delete_run(run)
    with pytest.raises(RunError, match="No event vouches"):
        ws.tracker.verify_run(run)
    run.end()


def test_values_reach_the_workspace_by_themselves(stores):
    run = Tracker(stores).start("alone")
    run.log_metric("loss", 0.5)
    waited = threading.Event()
    for _ in range(100):
        if Tracker(stores).get_run(run.id).metrics:
            break
        waited.wait(0.1)
    assert Tracker(stores).get_run(run.id).metrics == {"loss": 0.5}
    run.end()


def test_threads_log_to_one_run_and_no_value_is_lost(ws):
    def work(number):
        for step in range(2_000):
            run.log_metrics({f"m{number}": step, "shared": step}, step=step)

    with ws.run("threads") as run:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    known = ws.tracker.get_run(run.id)
    assert {name: len(some) for name, some in known.history.items()} == {
        **{f"m{number}": 2_000 for number in range(4)},
        "shared": 8_000,
    }
    assert ws.tracker.verify_run(run.id) is True


def test_a_change_behind_its_back_shows(stores):
    with Tracker(stores).start("honest", params={"depth": 1}) as run:
        run.log_metrics({"loss": 0.5})
    table = schema.run_metrics
    with stores.metadata.transaction() as tx:
        body = tx.execute(select(table.c.body).where(table.c.run_id == run.id)).scalar()
        tx.execute(update(table).where(table.c.run_id == run.id).values(body=body.replace("0.5", "0.4")))
    assert Tracker(stores).verify_run(run.id) is False


def _alter(stores, statement):
    with stores.metadata.transaction() as tx:
        tx.connection.exec_driver_sql(statement)


class TestSealing:
    """The events of a run seal all that its row says."""

    @pytest.fixture
    def ended(self, ws):
        with ws.run("sealed", params={"depth": 1}, tags=["a"], description="why") as run:
            run.log_metrics({"loss": 0.5})
            run.log_text("fine", "note.txt")
        return ws

    @pytest.mark.parametrize(
        "change",
        [
            "tags = '[\"b\"]'",
            "tags = NULL",
            "name = 'other'",
            "kind = 'pipeline'",
            "status = 'failed'",
            "created_by = 'nobody'",
            "started_at = ended_at",
            "ended_at = NULL",
            "config = '{\"depth\":2}'",
            "metrics = '{\"loss\":0.4}'",
            "record = replace(record, 'note.txt', 'else.txt')",
            "record = replace(record, 'why', 'because')",
            'record = replace(record, \'"git_commit":\', \'"git_commit":"f00","former":\')',
        ],
    )
    def test_a_change_of_any_of_it_shows(self, ended, change):
        run = ended.runs()[0].id
        assert ended.tracker.verify_run(run) is True
        _alter(ended.stores, f"UPDATE runs SET {change}")
        assert ended.tracker.verify_run(run) is False
        assert "in the table runs was changed without an event" in ended.registry.verify().reason

    def test_of_one_that_an_earlier_release_ended_what_its_events_say_is_compared(self, ended):
        as_before(ended.stores)
        assert ended.tracker.verify_run("sealed") is True
        assert ended.registry.verify() is True
        _alter(ended.stores, "UPDATE runs SET tags = '[\"b\"]'")
        assert ended.tracker.verify_run("sealed") is True
        _alter(ended.stores, "UPDATE runs SET status = 'failed'")
        assert ended.tracker.verify_run("sealed") is False

    def test_a_run_under_way_may_log_and_not_end_by_hand(self, ended):
        run = ended.run("open")
        run.log_text("so far", "note.txt")
        run.add_tags("later")
        assert ended.registry.verify() is True
        _alter(ended.stores, "UPDATE runs SET status = 'completed' WHERE name = 'open'")
        assert "status is 'completed', recorded was 'running'" in ended.registry.verify().reason
        run.end()
        assert ended.registry.verify() is True
        ended.tracker.delete_run(run)
        assert ended.registry.verify() is True


def test_a_model_file_changed_on_disk_is_refused(stores, classifier, tmp_path):
    with Tracker(stores).start("files") as run:
        run.log_text("good", "note.txt")
    kept = Tracker(stores).get_run(run.id).artifacts["note.txt"]
    (path,) = (p for p in (stores.root / "artifacts").rglob(f"*{kept.sha256[4:]}*") if p.is_file())
    path.chmod(0o600)
    path.write_text("evil")
    with pytest.raises(IntegrityError):
        Tracker(stores).fetch_artifact(run.id, "note.txt", tmp_path / "note.txt")
    with pytest.raises(ArtifactNotFoundError, match=r"Did you mean 'note.txt'"):
        Tracker(stores).fetch_artifact(run.id, "note.tx", tmp_path / "note.txt")


def test_a_write_that_fails_is_tried_again_and_nothing_comes_twice(stores, monkeypatch):
    run = Tracker(stores).start("stubborn")
    real, calls = stores.metadata.transaction, []

    def failing(actor=None):
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        return real(actor)

    run.log_metric("loss", 1.0, step=0)
    monkeypatch.setattr(stores.metadata, "transaction", failing)
    with pytest.raises(OSError, match="No space"):
        run.flush()
    run.log_metric("loss", 2.0, step=1)
    run.end()
    assert Tracker(stores).get_run(run.id).history["loss"].values.tolist() == [1.0, 2.0]
    assert Tracker(stores).verify_run(run.id) is True


def test_a_write_that_broke_off_behind_its_commit_is_not_repeated(stores, monkeypatch):
    from contextlib import contextmanager

    run = Tracker(stores).start("unsure")
    real = stores.metadata.transaction

    @contextmanager
    def late(actor=None):
        with real(actor) as tx:
            yield tx
        raise OSError(5, "the answer was lost")

    run.log_text("kept", "note.txt")
    run.log_metric("loss", 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(stores.metadata, "transaction", late)
        with pytest.raises(OSError, match="lost"):
            run.flush()
    run.log_metric("loss", 2.0)
    run.end()
    assert Tracker(stores).get_run(run.id).history["loss"].values.tolist() == [1.0, 2.0]
    assert Tracker(stores).verify_run(run.id) is True


_DYING = """
import sys, time
from dwcp_jupyter.tracking import Tracker
run = Tracker(sys.argv[1]).start("dying")
run.log_metric("loss", 0.25)
run.flush()
print(run.id, flush=True)
time.sleep(600)
"""


def test_a_killed_run_is_recognised_and_recorded_when_the_next_begins(tmp_path):
    root = tmp_path / ".dwcp"
    child = subprocess.Popen([sys.executable, "-c", _DYING, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        run_id = child.stdout.readline().strip()
        with store.open(root) as stores:
            tracker = Tracker(stores)
            assert tracker.get_run(run_id).status is RunStatus.RUNNING
            assert [run.id for run in tracker.search_runs("status = 'running'")] == [run_id]
            child.send_signal(signal.SIGKILL)
            child.wait()
            known = tracker.get_run(run_id)
            assert (known.status, known.metrics) == (RunStatus.KILLED, {"loss": 0.25})
            assert [run.id for run in tracker.search_runs("status = 'killed'")] == [run_id]
            assert len(tracker.search_runs("status = 'running'")) == 0
            assert len(tracker.search_runs("status != 'killed'")) == 0
            with tracker.start("next"):
                pass
            recorded = [event.payload for event in stores.metadata.events(subject=f"run:{run_id}")]
            assert recorded[-1]["status"] == "killed"
            assert tracker.verify_run(run_id) is True
            assert dwcp_jupyter.Workspace(stores).verify() is True
            tracker.delete_run(run_id)
            with pytest.raises(RunNotFoundError):
                tracker.get_run(run_id)
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def _log_in_child(run, answers):
    try:
        run.log_metric("loss", 1.0)
    except RunError as exc:
        answers.put(str(exc))
    else:
        answers.put("logged")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_is_told_and_the_parent_goes_on(stores):
    run = Tracker(stores).start("parent")
    run.log_metric("loss", 0.5)
    forking = multiprocessing.get_context("fork")
    answers = forking.Queue()
    child = forking.Process(target=_log_in_child, args=(run, answers))
    child.start()
    assert f"belongs to process {os.getpid()}" in answers.get(timeout=60)
    child.join()
    run.end()
    assert Tracker(stores).get_run(run.id).metrics == {"loss": 0.5}


def test_search_finds_by_metric_parameter_tag_and_name(ws):
    for depth in (2, 4, 8):
        with ws.run("forest" if depth < 8 else "été", params={"depth": depth}, tags=[f"d{depth}"]) as run:
            run.log_metrics({"val_loss": 1 / depth})
    assert [run.params["depth"] for run in ws.runs("metrics.val_loss < 0.4")] == [8, 4]
    assert [run.params["depth"] for run in ws.runs("params.depth = 2 or tag = 'd8'", order_by="metrics.val_loss")] == [
        8,
        2,
    ]
    assert [run.name for run in ws.runs("name like 'for%'", limit=1)] == ["forest"]
    assert len(ws.runs(name="été")) == 1
    assert ws.tracker.get_run("forest").params == {"depth": 4}
    frame = ws.runs().to_frame()
    assert frame["params.depth"].tolist() == [8, 4, 2]
    with pytest.raises(FilterError, match=r"no field .metric\.loss."):
        ws.runs("metric.loss > 1")
    with pytest.raises(FilterError, match="killed"):
        ws.runs("status = 'done'")
    with pytest.raises(FilterError, match="no order"):
        ws.runs(order_by="loss")


def test_a_run_is_named_by_id_prefix_or_name(stores):
    tracker = Tracker(stores)
    with tracker.start("one") as run:
        pass
    assert tracker.get_run(run.id[:6]).id == tracker.get_run(run).id == tracker.get_run("one").id == run.id
    for wrong in ("", "on", "nothing", "%", "_" * 32, "../../etc", "x" * 10_000):
        with pytest.raises(RunNotFoundError):
            tracker.get_run(wrong)
    with pytest.raises(RunNotFoundError, match="Did you mean 'one'"):
        tracker.get_run("onee")
    for wrong in ("", "  ", None, 7, "a\0b"):
        with pytest.raises(InvalidMetadataError):
            tracker.start(wrong)


def test_runs_side_by_side_know_which_is_better(ws):
    for depth, loss in ((2, 0.4), (8, 0.2)):
        with ws.run("forest", params={"depth": depth, "seed": 0}) as run:
            for step in range(5):
                run.log_metrics({"val_loss": loss + 1 / (step + 1), "profit": depth}, step=step)
            run.log_metrics({"accuracy": 0.9})
    shallow, deep = reversed(ws.runs())
    compared = ws.tracker.compare_runs([shallow.id, deep.id])
    assert compared.best("val_loss").id == deep.id
    assert compared.best("accuracy") is None  # a tie
    assert compared.best("profit") is None  # nobody knows its direction
    assert compared.changed_params == ("depth",)
    assert compared.to_frame().loc["params.depth"].tolist() == [2, 8]
    assert compared.to_frame().columns.tolist() == ["depth=2", "depth=8"]
    drawn = compared._repr_mimebundle_()["text/html"]
    assert drawn.count("<svg") == 1 + 1  # of val_loss and profit
    assert "depth" in drawn
    for wrong in ([shallow.id], "forest", [deep.id, "forest"]):
        with pytest.raises(ValueError, match=r"two runs|named twice"):
            ws.tracker.compare_runs(wrong)


def test_files_of_a_run_stay_until_it_is_deleted(ws, tmp_path):
    from datetime import timedelta

    folder = tmp_path / "plots"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    with ws.run("files") as run:
        run.log_artifact(folder)
        run.log_text("first", "note.txt")
        run.log_text("second", "note.txt")
    ws.registry.collect_garbage(grace=timedelta(0))
    assert ws.tracker.fetch_artifact(run.id, "note.txt", tmp_path / "n.txt").read_text() == "second"
    assert (ws.tracker.fetch_artifact(run.id, "plots", tmp_path / "back") / "a.txt").read_text() == "a"
    ws.tracker.delete_run(run.id)
    assert ws.registry.collect_garbage(grace=timedelta(0)).blobs > 0
    assert kinds(ws)[-1] == "run.deleted"


def test_figures_are_kept_as_images(stores, tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2])
    with Tracker(stores).start("figures") as run:
        run.log_figure(figure, "curve.svg")
    assert b"<svg" in Tracker(stores).fetch_artifact(run.id, "curve.svg", tmp_path / "c.svg").read_bytes()


def test_runs_of_pipelines_are_listed_too(ws, iris, tmp_path):
    from dwcp_jupyter.pipeline import PipelineConfig

    features, species = iris
    done = ws.run_pipeline(
        PipelineConfig(
            name="iris-pipeline",
            data_source=features.assign(species=species),
            target_column="species",
            model_type="sklearn",
            model_class="LogisticRegression",
            model_params={"C": 0.5},
            output_dir=str(tmp_path / "out"),
        )
    )
    (listed,) = ws.runs("kind = 'pipeline'")
    assert (listed.id, listed.status, listed.params["C"]) == (done.run_id, RunStatus.COMPLETED, 0.5)
    assert listed.metrics["test_accuracy"] == done.metrics["test_accuracy"]
    with pytest.raises(RunError, match="No event vouches"):
        ws.tracker.verify_run(done.run_id)


def test_what_a_user_reads_is_short_and_escaped(stores):
    name = "<script>alert(1)</script>"
    with Tracker(stores).start(name, params={name: name}, description=name) as run:
        run.log_metrics({name: 1.0})
    for shown in (Tracker(stores).get_run(run.id), Tracker(stores).search_runs()):
        assert "<script>" not in shown._repr_mimebundle_()["text/html"]
    assert "No run" in repr(Tracker(stores).search_runs("name = 'x'")._view())


def test_a_workspace_of_an_earlier_release_gets_what_tracking_needs(tmp_path):
    root = tmp_path / ".dwcp"
    settings = config.load(metadata_url="sqlite")
    with store.open(root, settings=settings) as stores, Tracker(stores).start("before"):
        pass
    (path,) = (p for p in root.rglob("*") if p.is_file() and p.read_bytes()[:15] == b"SQLite format 3")
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE run_metrics")
        connection.execute("ALTER TABLE runs DROP COLUMN tags")
        connection.execute("DELETE FROM schema_migrations WHERE number >= 3")
    connection.close()
    with store.open(root, settings=settings) as stores:
        tracker = Tracker(stores)
        with tracker.start("after", tags=["new"]) as run:
            run.log_metrics({"loss": 1.0})
        assert [r.name for r in tracker.search_runs("tag = 'new'")] == ["after"]
        assert tracker.get_run("before").tags == ("before",)[:0]


def test_runs_go_along_to_another_database(stores, tmp_path):
    with Tracker(stores).start("moved", tags=["a"]) as run:
        run.log_metrics({"loss": 0.5})
    dwcp_jupyter.Workspace(stores).backup(tmp_path / "backup.duckdb")
    with store.open(tmp_path / "other" / ".dwcp") as other:
        dwcp_jupyter.Workspace(other).restore(tmp_path / "backup.duckdb")
        assert Tracker(other).get_run("moved").history["loss"].values.tolist() == [0.5]
        assert Tracker(other).verify_run("moved") is True


def test_a_backup_of_an_earlier_release_is_restored(stores, tmp_path):
    with Tracker(stores).start("before"):
        pass
    dwcp_jupyter.Workspace(stores).backup(tmp_path / "backup")
    with sqlite3.connect(tmp_path / "backup") as connection:
        columns = "id, name, kind, status, config, record, metrics, created_by, started_at, ended_at"
        rows = connection.execute(f"SELECT {columns} FROM runs").fetchall()
        digest = hashlib.sha256(b"".join(hashing.canonical_json(list(row)) for row in rows)).hexdigest()
        connection.execute("DROP TABLE run_metrics")
        connection.execute("ALTER TABLE runs DROP COLUMN tags")
        connection.execute("DELETE FROM schema_migrations WHERE number >= 3")
        connection.execute("DELETE FROM backup_sums WHERE name = 'run_metrics'")
        connection.execute("UPDATE backup_sums SET sha256 = ? WHERE name = 'runs'", [digest])
    connection.close()
    with store.open(tmp_path / "other" / ".dwcp") as other:
        dwcp_jupyter.Workspace(other).restore(tmp_path / "backup")
        assert Tracker(other).get_run("before").status is RunStatus.COMPLETED


def test_a_backup_without_the_sum_of_a_table_is_refused(stores, tmp_path):
    with Tracker(stores).start("before") as run:
        run.log_metrics({"loss": 0.5})
    dwcp_jupyter.Workspace(stores).backup(tmp_path / "backup")
    with sqlite3.connect(tmp_path / "backup") as connection:
        connection.execute("DELETE FROM backup_sums WHERE name = 'run_metrics'")
        connection.execute("UPDATE run_metrics SET body = replace(body, '0.5', '0.4')")
    connection.close()
    with store.open(tmp_path / "other" / ".dwcp") as other:
        with pytest.raises(IntegrityError, match="no sum of its table 'run_metrics'"):
            dwcp_jupyter.Workspace(other).restore(tmp_path / "backup")
        assert len(Tracker(other).search_runs()) == 0


def test_its_record_is_plain_json(stores):
    with Tracker(stores).start("plain", params={"path": object}) as run:
        run.log_metrics({"loss": math.inf})
    with stores.metadata.read() as connection:
        row = connection.execute(select(schema.runs)).one()
    assert json.loads(row.record)["not_finite"] == {"loss": "inf"}
    assert json.loads(row.config) == {"path": "<class 'object'>"}
    assert re.fullmatch("[0-9a-f]{32}", row.id)


@pytest.mark.parametrize("limit", [-1, 0, True, 1.5])
def test_a_limit_that_is_no_number_of_runs_is_refused_alike_on_every_database(ws, limit):
    with ws.run("one"):
        pass
    with pytest.raises(ValueError, match="is no number of items"):
        ws.runs(limit=limit)
    assert len(ws.runs(limit=2**70)) == len(ws.runs(limit=None)) == 1


def test_characters_that_no_database_takes_are_refused_in_searches(ws):
    for wrong in ("a\0b", "\ud800"):
        with pytest.raises(InvalidMetadataError, match="cannot be kept"):
            ws.runs(name=wrong)
        with pytest.raises(FilterError, match="no character that can be searched for"):
            ws.runs(f"name = '{wrong}'")


def test_no_step_follows_the_last_one_and_the_run_stays_readable(ws):
    with ws.run("far") as run:
        run.log_metric("n", 1.0, step=2**63 - 2)
        run.log_metric("n", 2.0)
        with pytest.raises(InvalidMetadataError, match="no step can follow it"):
            run.log_metrics({"other": 3.0, "n": 3.0})
        run.log_metric("n", 4.0, step=0)
    known = ws.tracker.get_run(run.id)
    assert dict(known.metrics) == {"n": 2.0}
    assert sorted(known.history["n"].steps.tolist()) == [0, 2**63 - 2, 2**63 - 1]
    assert ws.tracker.verify_run(run.id)


def test_runs_side_by_side_say_of_which_metrics_the_direction_is_unknown_and_how_to_say_it(ws):
    for profit in (1.0, 2.0):
        with ws.run("priced", params={"profit": profit}) as run:
            run.log_metrics({"risk_score": profit, "neg_log_loss": -profit, "fit_s": profit, "same": 1.0})
    better, worse = (run.id for run in ws.runs())
    compared = ws.tracker.compare_runs([worse, better])
    assert compared.best("risk_score") is None
    assert compared.best("neg_log_loss").id == worse
    shown = " ".join(compared._repr_mimebundle_()["text/plain"].split())
    assert "Nothing tells whether more is better of 'risk_score'. Say it: compare_runs([…], directions=" in shown
    said = ws.tracker.compare_runs([worse, better], directions={"risk_score": True})
    assert said.best("risk_score").id == better
    assert "Nothing tells" not in said._repr_mimebundle_()["text/plain"]
