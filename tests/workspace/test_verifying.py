"""Whatever is altered behind the workspace's back is found and named, from Python and by what a notebook shows."""

import sys

import pytest
import sqlalchemy as sa

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import DeploymentError, SettingError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.serving.lifetimes import release
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import Workspace
from dwcp_jupyter.workspace.reports import Outcome


@pytest.fixture
def lived(tmp_path, metadata_url, classifier, iris):
    """A workspace with a model, one in the trash, and a run that logged something."""
    with store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url)) as stores:
        workspace = Workspace(stores)
        for name in ("kept", "deleted"):
            said = ModelMetadata(name=name, metrics={"test_accuracy": 0.9})
            workspace.registry.register_model(said, classifier, input_example=iris[0].head(2), reference_data=iris[0])
        workspace.registry.delete_model("deleted@1.0.0")
        with workspace.run("tried", params={"depth": 3}, tags=["first"]) as run:
            run.log_metrics({"loss": 0.25})
            run.log_text("fine", "note.txt")
        yield workspace


def alter(workspace, statement):
    with workspace.stores.metadata.transaction() as tx:
        before = counts(tx)
        tx.connection.exec_driver_sql(statement)
        return before != counts(tx)


def counts(tx):
    return [tx.execute(sa.select(table)).all() for table in schema.METADATA.sorted_tables]


def test_a_sound_workspace_holds(lived):
    trail = lived.audit()
    assert lived.verify() is True
    assert trail.verify() is True
    assert trail.break_ is None
    assert lived.registry.verify() is True


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE trash SET body = replace(body, '0.9', '0.99')", "'deleted 1.0.0' in the table trash"),
        ("UPDATE trash SET body = replace(body, 'development', 'production')", "'deleted 1.0.0' in the table trash"),
        ("UPDATE trash SET name = 'kept'", "name is 'kept', recorded was 'deleted'"),
        ("DELETE FROM trash", "'deleted 1.0.0' is gone from the table trash"),
        ("UPDATE reference_data SET sensitivity = '0.5'", "sensitivity is '0.5', recorded was '0.05'"),
        ("UPDATE reference_data SET sha256 = 'x'", "in the table reference_data was changed"),
        ("DELETE FROM reference_data", "is gone from the table reference_data"),
        ("DELETE FROM artifact_references WHERE role = 'package'", "gone from the table artifact_references"),
        ("DELETE FROM artifact_references WHERE role = 'reference'", "gone from the table artifact_references"),
        ("DELETE FROM artifact_references WHERE owner LIKE 'run:%'", "'file/note.txt run:"),
        ("DELETE FROM artifact_references WHERE owner LIKE 'trash:%'", " trash:"),
        ("UPDATE artifact_references SET size_bytes = 1", "size_bytes is 1, recorded was"),
        ("DELETE FROM runs", "is gone from the table runs"),
        ("UPDATE runs SET status = 'failed'", "status is 'failed', recorded was 'completed'"),
        ("UPDATE runs SET tags = '[]'", "tags is '[]'"),
        ("UPDATE runs SET name = 'other'", "name is 'other', recorded was 'tried'"),
        ("UPDATE runs SET created_by = 'nobody'", "created_by is 'nobody'"),
        ("UPDATE runs SET started_at = ended_at", "started_at is"),
        ("UPDATE runs SET ended_at = started_at", "ended_at is"),
        ("UPDATE runs SET config = '{}'", "config is '{}', recorded was a text with the sum"),
        ("UPDATE runs SET metrics = '{}'", "metrics is '{}', recorded was a text with the sum"),
        ("UPDATE runs SET record = replace(record, 'note.txt', 'else.txt')", "record is"),
        ('UPDATE runs SET record = replace(record, \'"git_commit":\', \'"git_commit":"x","g":\')', "record is"),
    ],
)
def test_an_altered_row_is_found_and_named_everywhere(lived, statement, named):
    assert alter(lived, statement.replace("%", "%%") if lived.stores.metadata.dialect == "postgresql" else statement)
    found = lived.registry.verify()
    assert named in found.reason
    assert lived.verify() == found
    trail = lived.audit()
    assert trail.break_ == trail.verify() == found
    assert found.reason[:30] in trail._view().to_text()
    checks = {check.name: check for check in lived.doctor().checks}
    assert checks["Event chain"].outcome is Outcome.FAILED
    assert named in checks["Event chain"].finding


@pytest.mark.parametrize(
    "statement", ["UPDATE run_metrics SET body = replace(body, '0.25', '0.2')", "DELETE FROM run_metrics"]
)
def test_altered_values_of_a_run_are_found_where_they_are_read(lived, statement):
    assert alter(lived, statement)
    assert lived.registry.verify() is True  # which reads none of what may be millions of values
    found = lived.verify()
    assert "in the table run_metrics was changed without an event" in found.reason
    assert "'tried " in found.reason
    assert lived.audit().break_ == found
    assert lived.tracker.verify_run("tried") is False
    assert lived.verify(runs=0) is True


def test_values_are_read_of_the_runs_that_ended_last_or_of_all(lived):
    for number in range(3):
        with lived.run(f"later-{number}") as run:
            run.log_metric("loss", 1.0)
    alter(lived, "UPDATE run_metrics SET body = replace(body, '0.25', '0.2')")
    assert lived.verify(runs=3) is True
    assert "'tried " in lived.verify(runs=4).reason
    assert "'tried " in lived.verify(runs=None).reason
    lived.tracker.delete_run("tried")
    assert lived.verify(runs=None) is True


class TestCheckpoints:
    def test_a_trail_proves_later_that_nothing_was_cut_off(self, lived):
        trail = lived.audit("kept")
        lived.registry.set_alias("kept@1.0.0", "champion")
        assert trail.verify() is True
        later = lived.audit(checkpoint=trail.checkpoint)
        assert later.since == trail.checkpoint
        assert str(trail.checkpoint) in later._view().to_text()
        seq = trail.checkpoint.seq
        with lived.stores.metadata.transaction() as tx:
            tx.execute(sa.delete(schema.aliases))
            tx.execute(sa.delete(schema.events).where(schema.events.c.seq > seq))
            tx.execute(sa.update(schema.head).values(seq=seq, hash=trail.checkpoint.hash))
        assert lived.verify() is True  # cut at its end, it looks sound
        assert f"the chain ends at {seq}" in later.verify().reason
        assert f"the chain ends at {seq}" in lived.verify(checkpoint=str(later.checkpoint)).reason
        assert lived.audit(checkpoint=later.checkpoint).break_ == later.verify()
        assert trail.verify(later.checkpoint) == trail.verify(str(later.checkpoint)) == later.verify()

    def test_what_is_none_is_refused(self, lived):
        for call in (lived.verify, lived.audit, lived.audit().verify):
            with pytest.raises(SettingError, match="is no checkpoint"):
                call(checkpoint="12")

    def test_an_empty_workspace_holds_and_is_not_made(self, tmp_path):
        workspace = Workspace(tmp_path / "w")
        assert workspace.verify() is True
        assert workspace.audit().verify() is True
        assert "the chain ends at 0" in workspace.verify(checkpoint=f"2:{'a' * 64}").reason
        assert not (tmp_path / "w").exists()


def test_all_that_becomes_of_an_endpoint_is_explained(tmp_path, classifier, iris, monkeypatch):
    with store.open(tmp_path / "w") as stores:
        workspace = Workspace(stores)
        try:
            workspace.register("iris", classifier, data=iris[0])
            workspace.deploy("iris@1.0.0")
            assert workspace.verify() is True
            workspace.deploy("iris@1.0.0", compile="never")
            assert workspace.verify() is True
            with monkeypatch.context() as patch:
                patch.setattr(sys, "executable", "/bin/false")
                with pytest.raises(DeploymentError, match="goes on"):
                    workspace.deploy("iris@1.0.0", compile="never", timeout_s=20)
            assert workspace.verify() is True
            alter(workspace, "UPDATE endpoints SET spec = replace(spec, '\"generation\":2', '\"generation\":3')")
            assert "'iris' in the table endpoints was changed without an event: spec is" in workspace.verify().reason
            alter(workspace, "UPDATE endpoints SET spec = replace(spec, '\"generation\":3', '\"generation\":2')")
            workspace.serving.undeploy("iris")
            assert workspace.verify() is True
        finally:
            workspace.stop()
            release(stores.root)
