"""Doctor reports what it cannot look at as well as what it finds."""

import pytest

from dwcp_jupyter import cli, store
from dwcp_jupyter.workspace import Workspace
from dwcp_jupyter.workspace.diagnosis import diagnose
from dwcp_jupyter.workspace.reports import Outcome


@pytest.fixture
def damaged(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "metadata.duckdb").write_bytes(b"this is no database" * 1000)
    return tmp_path / "w"


def outcomes(diagnosis):
    return {check.name: check.outcome for check in diagnosis.checks}


def test_damaged_metadata_fail_their_checks_and_no_other(damaged):
    diagnosis = Workspace(damaged).doctor()
    found = outcomes(diagnosis)
    assert found["Metadata"] is Outcome.FAILED
    assert found["Artifacts"] is Outcome.FAILED
    assert {found[name] for name in ("Python", "Disk", "Supervisor", "Logs")} == {Outcome.GOOD}
    assert not diagnosis
    assert "metadata.duckdb" in diagnosis._view().to_text()


def test_the_command_shows_the_report_on_damaged_metadata(damaged, capsys):
    assert cli.main(["doctor", "--path", str(damaged)]) == 1
    shown = capsys.readouterr()
    assert "Supervisor" in shown.out
    assert "Traceback" not in shown.err


def test_a_supervisor_record_that_cannot_be_read_is_a_finding(tmp_path):
    stores = store.open(tmp_path / "w")
    with stores.metadata.transaction():
        pass
    (stores.root / "run").mkdir(exist_ok=True)
    (stores.root / "run" / "supervisor.json").mkdir()
    found = outcomes(diagnose(stores))
    assert found["Metadata"] is Outcome.GOOD
    assert found["Logs"] is Outcome.GOOD


def test_a_sound_workspace_passes(tmp_path):
    workspace = Workspace(tmp_path / "w")
    workspace.init()
    assert workspace.doctor()
