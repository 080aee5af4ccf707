"""What dies or hangs is replaced; what cannot start is reported; updates have no gap."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import psutil
import pytest

from dwcp_jupyter import supervisor
from tests.supervisor.workspaces import Workspace, eventually, is_gone, kill


@pytest.fixture
def churn(workspace: Workspace, hold: supervisor.Hold) -> Workspace:
    workspace.deploy("churn", hold=hold)
    assert hold.apply(["churn"]).endpoints[0].status == "ready"
    return workspace


def test_a_killed_replica_is_replaced(churn: Workspace, hold: supervisor.Hold) -> None:
    (former,) = churn.pids("replica/churn/1")
    kill(former)
    (later,) = eventually(lambda: [pid for pid in churn.pids("replica/churn/1") if pid != former])
    assert eventually(lambda: hold.apply(["churn"]).endpoints[0].status == "ready")
    assert churn.call("call churn")["pid"] == later


def test_a_killed_gateway_is_replaced_on_the_same_port_and_refuses_no_connection(
    churn: Workspace, hold: supervisor.Hold
) -> None:
    port = churn.port()
    (former,) = churn.pids("gateway")
    kill(former)
    eventually(lambda: is_gone(former))
    answer = churn.call("list", port=port)  # waits in the socket's queue until the replacement accepts it
    assert answer["pid"] != former
    assert churn.port() == port


@pytest.mark.parametrize("key", ["gateway", "replica/churn/1"])
def test_a_stopped_process_is_replaced(churn: Workspace, hold: supervisor.Hold, key: str) -> None:
    (former,) = churn.pids(key)
    kill(former, signal.SIGSTOP)
    eventually(lambda: churn.pids(key) and churn.pids(key) != [former])
    eventually(lambda: is_gone(former))
    eventually(lambda: hold.apply(["churn"]).endpoints[0].status == "ready")


@pytest.mark.parametrize("key", ["gateway", "replica/churn/1"])
def test_a_process_stuck_in_its_work_is_replaced(churn: Workspace, hold: supervisor.Hold, key: str) -> None:
    (former,) = churn.pids(key)
    (answer,) = hold.ask(key, {"hang": True}, timeout_s=20)
    assert answer.message == {"error": "The process ended before it answered."}
    assert is_gone(former)
    eventually(lambda: churn.pids(key))
    assert "no sign of life" in (churn.root / "logs" / "supervisor.log").read_text()


def test_a_supervisor_that_was_stopped_for_a_while_does_not_blame_its_children(
    churn: Workspace, hold: supervisor.Hold
) -> None:
    before = (churn.pids("gateway"), churn.pids("replica/churn/1"))
    pid = churn.supervisor_pid() or 0
    kill(pid, signal.SIGSTOP)
    threading.Event().wait(4.0)  # longer than hang_timeout_s: the time itself is what is tested
    kill(pid, signal.SIGCONT)
    for _ in range(3):
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert (churn.pids("gateway"), churn.pids("replica/churn/1")) == before


def test_what_a_process_started_ends_with_it(churn: Workspace, hold: supervisor.Hold) -> None:
    (former,) = churn.pids("replica/churn/1")
    grandchild = hold.ask("replica/churn/1", {"spawn": True})[0].message["pid"]
    kill(former)
    eventually(lambda: is_gone(grandchild))


def test_a_killed_supervisor_is_replaced_and_the_endpoint_keeps_its_address(
    churn: Workspace, hold: supervisor.Hold
) -> None:
    port, former = churn.port(), churn.supervisor_pid() or 0
    children = [*churn.pids("gateway"), *churn.pids("replica/churn/1")]
    sequence = hold.status().sequence
    kill(former)
    eventually(lambda: all(is_gone(pid) for pid in children))
    eventually(lambda: churn.supervisor_pid() not in (None, former))
    assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert churn.port() == port
    assert churn.call("call churn")["pid"] not in children
    assert hold.status().sequence > sequence
    assert set(churn.rows()) == {"churn"}
    assert len(list(churn.marks.glob("lost-*"))) == 1


def test_a_stopped_child_of_a_killed_supervisor_does_not_keep_the_port(churn: Workspace, hold: supervisor.Hold) -> None:
    port, (gateway,) = churn.port(), churn.pids("gateway")
    kill(gateway, signal.SIGSTOP)
    kill(churn.supervisor_pid() or 0)
    eventually(lambda: is_gone(gateway))
    assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert churn.port() == port


def test_two_holders_get_one_supervisor_back(churn: Workspace, hold: supervisor.Hold) -> None:
    with supervisor.hold(churn.stores) as other:
        kill(churn.supervisor_pid() or 0)
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
        assert other.status().pid == hold.status().pid
        eventually(lambda: {item.id for item in hold.status().holders} == {hold.id, other.id})


def test_a_request_that_the_supervisor_died_over_is_answered_by_the_next_one(
    churn: Workspace, hold: supervisor.Hold
) -> None:
    churn.deploy("slow", {"endpoint": {"name": "slow"}, "processes": [churn.process("slow", "never")]}, hold=hold)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(hold.apply(["slow"], timeout_s=3)))
    waiting.start()
    eventually(lambda: churn.pids("slow", "starting"))
    kill(churn.supervisor_pid() or 0)
    waiting.join(40)
    assert answers[0].endpoints[0].status == "starting"
    assert answers[0].endpoints[0].reason == "Not ready yet: 'slow'."


@pytest.mark.parametrize(
    ("argv", "reason", "line"),
    [
        (["crash"], "exit code 1", "no such column: 'amount'"),
        (["refuse"], "The model is damaged.", None),
        (["never"], "not ready within 1 s", None),
    ],
)
def test_an_endpoint_that_cannot_start_is_reported_with_its_last_words(
    workspace: Workspace, hold: supervisor.Hold, argv: list[str], reason: str, line: str | None
) -> None:
    spec = {"endpoint": {"name": "bad"}, "processes": [workspace.process("bad/1", *argv, ready_timeout_s=1)]}
    if argv == ["refuse"]:
        spec["processes"][0]["ready_timeout_s"] = 30
    workspace.deploy("bad", spec, hold=hold)
    (report,) = hold.apply(["bad"]).endpoints
    assert report.status == "failed"
    assert reason in report.reason
    assert "'bad/1'" in report.reason
    if line:
        assert line in report.log
        assert report.log[0] == "loading the model"
    assert workspace.rows() == {"bad": "failed"}


def test_an_interpreter_that_is_not_there_is_reported(workspace: Workspace, hold: supervisor.Hold) -> None:
    process = {**workspace.process("bad", "replica"), "argv": ["/nowhere/python", "-c", ""]}
    workspace.deploy("bad", {"endpoint": {"name": "bad"}, "processes": [process]}, hold=hold)
    (report,) = hold.apply(["bad"]).endpoints
    assert report.status == "failed"
    assert "'/nowhere/python' cannot be started" in report.reason


def test_a_description_that_cannot_be_read_is_reported_and_harms_no_other(
    churn: Workspace, hold: supervisor.Hold
) -> None:
    churn.deploy("odd", {"endpoint": {"name": "odd"}, "processes": [{"key": "x"}]}, hold=hold)
    odd, good = hold.apply(["odd", "churn"]).endpoints
    assert odd.status == "failed"
    assert "'argv'" in odd.reason
    assert good.status == "ready"


def test_an_endpoint_that_a_gateway_refuses_is_failed(churn: Workspace, hold: supervisor.Hold) -> None:
    churn.deploy("fraud", churn.spec("fraud", refuse="its artifact was changed"), hold=hold)
    refused, good = hold.apply(["fraud", "churn"]).endpoints
    assert (refused.status, refused.reason) == ("failed", "its artifact was changed")
    assert good.status == "ready"


def test_an_unknown_endpoint_is_absent(hold: supervisor.Hold) -> None:
    (report,) = hold.apply(["chrun"]).endpoints
    assert (report.status, report.reason) == ("absent", "No endpoint 'chrun'.")


def test_failed_starts_come_ever_more_rarely(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("bad", {"endpoint": {}, "processes": [workspace.process("bad", "crash")]}, hold=hold)
    hold.apply(["bad"])
    log = workspace.root / "logs" / "supervisor.log"
    eventually(lambda: log.read_text().count("Next start in") >= 3)
    delays = [float(part.split(" s.")[0]) for part in log.read_text().split("Next start in ")[1:]]
    assert delays[:3] == sorted(delays[:3])
    assert delays[2] >= 4 * delays[0] * 0.9


class Caller:
    """Calls the endpoint again and again, until told to end; keeps what went wrong."""

    def __init__(self, workspace: Workspace) -> None:
        self.keys: list[str] = []
        self.errors: list[Exception] = []
        self._workspace = workspace
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        port = self._workspace.port()
        while not self._ending.wait(0.005):
            try:
                self.keys.append(self._workspace.call("call churn", port=port)["key"])
            except (OSError, ValueError) as exc:
                self.errors.append(exc)

    def __enter__(self) -> Caller:
        self._thread.start()
        eventually(lambda: self.keys)
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


def test_an_update_drops_no_request(churn: Workspace, hold: supervisor.Hold) -> None:
    (former,) = churn.pids("replica/churn/1")
    with Caller(churn) as caller:
        churn.deploy("churn", churn.spec("churn", generation=2), hold=hold)
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
        eventually(lambda: is_gone(former))
        calls = len(caller.keys)
        eventually(lambda: len(caller.keys) > calls + 5)
    assert caller.errors == []
    assert caller.keys[0] == "replica/churn/1"
    assert set(caller.keys[calls + 1 :]) == {"replica/churn/2"}
    assert (churn.marks / f"drained-{former}").exists()


def test_a_failed_update_leaves_the_former_version_working(churn: Workspace, hold: supervisor.Hold) -> None:
    (former,) = churn.pids("replica/churn/1")
    good = churn.spec("churn")
    bad = churn.spec("churn", generation=2)
    bad["processes"][1]["argv"][2:] = ["crash"]
    with Caller(churn) as caller:
        churn.deploy("churn", bad, hold=hold)
        (report,) = hold.apply(["churn"]).endpoints
        assert report.status == "failed"
        assert "no such column: 'amount'" in report.log
        churn.deploy("churn", good, hold=hold)
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert caller.errors == []
    assert set(caller.keys) == {"replica/churn/1"}
    assert churn.pids("replica/churn/1") == [former]
    eventually(lambda: not [item for item in hold.status().processes if item.key == "replica/churn/2"])


def test_a_gateway_with_another_command_takes_over_without_a_gap(churn: Workspace, hold: supervisor.Hold) -> None:
    (former,), port = churn.pids("gateway"), churn.port()
    spec = churn.spec("churn")
    spec["processes"][0]["env"] = {"COLOUR": "blue"}
    with Caller(churn) as caller:
        churn.deploy("churn", spec, hold=hold)
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
        eventually(lambda: is_gone(former))
    assert caller.errors == []
    assert churn.port() == port
    assert [item.message["env"] for item in hold.ask("gateway", {})] == ["blue"]


def test_more_and_fewer_replicas_keep_those_that_run(churn: Workspace, hold: supervisor.Hold) -> None:
    (first,) = churn.pids("replica/churn/1")
    churn.deploy("churn", churn.spec("churn", count=3), hold=hold)
    assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert len(churn.pids("replica/churn/1")) == 3
    churn.deploy("churn", churn.spec("churn", count=1), hold=hold)
    assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert churn.pids("replica/churn/1") == [first]


def test_what_is_in_flight_is_finished_when_the_endpoint_goes(
    churn: Workspace, hold: supervisor.Hold, tmp_path: Path
) -> None:
    answers = []
    port, release = churn.port(), tmp_path / "go-on"
    waiting = threading.Thread(target=lambda: answers.append(churn.call(f"wait {release}", port=port)))
    (gateway,) = churn.pids("gateway")
    waiting.start()
    eventually(lambda: churn.call("list")["pid"] == gateway)
    churn.undeploy("churn")
    hold.apply()
    eventually(lambda: churn.pids("gateway", "draining") == [gateway])
    assert waiting.is_alive()
    release.touch()
    waiting.join(20)
    assert answers[0]["pid"] == gateway
    eventually(lambda: is_gone(gateway))
    with pytest.raises(ConnectionRefusedError):
        churn.call("list", port=port)


def test_a_process_that_does_not_drain_is_ended(
    make_workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DWCP_DRAIN_TIMEOUT_S", "0.5")
    workspace = make_workspace()
    with supervisor.hold(workspace.stores) as hold:
        workspace.deploy("churn", hold=hold)
        hold.apply(["churn"])
        (gateway,) = workspace.pids("gateway")
        port = workspace.port()

        def call() -> None:
            with pytest.raises((OSError, ValueError)):
                workspace.call(f"wait {tmp_path / 'never'}", port=port)

        waiting = threading.Thread(target=call)
        waiting.start()
        eventually(lambda: workspace.call("list")["pid"] == gateway)
        workspace.undeploy("churn")
        hold.apply()
        eventually(lambda: is_gone(gateway))
        waiting.join(20)


def test_children_run_under_the_deployers_interpreter_with_its_variables(
    workspace: Workspace, hold: supervisor.Hold
) -> None:
    spec = workspace.spec("churn", count=2)
    spec["processes"][1]["env"] = {"COLOUR": "red"}
    workspace.deploy("churn", spec, hold=hold)
    hold.apply(["churn"])
    answers = hold.ask("replica/churn/1", {})
    assert [(item.index, item.message["env"]) for item in answers] == [(0, "red"), (1, "red")]
    assert psutil.Process(answers[0].pid).cmdline()[0] == sys.executable


def test_questions_are_answered_by_awaitables_and_errors_too(churn: Workspace, hold: supervisor.Hold) -> None:
    assert hold.ask("gateway", {"later": 3})[0].message == {"later": 3}
    assert hold.ask("replica/churn/1", {"raise": "no"})[0].message == {"error": "ValueError: no"}
    assert hold.ask("replica/nobody/1", {}) == ()
