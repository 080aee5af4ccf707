"""Endpoints in the metadata become processes, and go with whoever they live by."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from dwcp_jupyter import supervisor
from dwcp_jupyter.exceptions import SupervisorError
from tests.supervisor.workspaces import Workspace, eventually, is_gone, kill

HOLDER = """
import os, pathlib, sys, threading
from dwcp_jupyter import supervisor
from tests.supervisor.workspaces import Workspace
workspace = Workspace(pathlib.Path(sys.argv[1]))
hold = supervisor.hold(workspace.stores, sys.argv[2])
workspace.deploy(sys.argv[3], hold=hold, lifetime=sys.argv[4])
print(hold.apply([sys.argv[3]]).endpoints[0].status, flush=True)
if len(sys.argv) > 5 and os.fork() == 0:
    print(os.getpid(), flush=True)
    threading.Event().wait()
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(workspace: Workspace, name: str, *more: str, kind: str = "caller", lifetime: str = "caller"):
    """Another process that holds the workspace and deploys an endpoint; yields it when that is ready."""
    command = [sys.executable, "-c", HOLDER, str(workspace.root), kind, name, lifetime, *more]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        try:
            yield process
        finally:
            process.kill()


def test_a_deployed_endpoint_is_served_by_its_own_processes(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("churn", workspace.spec("churn", count=2), hold=hold)
    applied = hold.apply(["churn"])
    assert [(item.name, item.status, item.reason) for item in applied.endpoints] == [("churn", "ready", "")]
    assert applied.gateway is not None
    assert applied.gateway.port == workspace.port()
    assert workspace.call("call churn")["pid"] in workspace.pids("replica/churn/1")
    assert len(workspace.pids("replica/churn/1")) == 2
    assert workspace.rows() == {"churn": "ready"}


def test_endpoints_share_the_processes_that_both_name(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("churn", hold=hold)
    workspace.deploy("fraud", hold=hold)
    assert {item.status for item in hold.apply(["churn", "fraud"]).endpoints} == {"ready"}
    (pid,) = workspace.pids("gateway")
    assert workspace.call("call churn")["key"] == "replica/churn/1"
    assert workspace.call("call fraud")["key"] == "replica/fraud/1"
    workspace.undeploy("churn")
    hold.apply()
    eventually(lambda: workspace.call("list")["endpoints"] == ["fraud"])
    assert workspace.pids("gateway") == [pid]


def test_the_supervisor_leads_its_own_session_and_only_its_user_reaches_it(
    workspace: Workspace, hold: supervisor.Hold
) -> None:
    pid = workspace.supervisor_pid()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    folder = supervisor.runtime_dir(workspace.root)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "control.sock").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_when_the_last_hold_closes(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores) as first, supervisor.hold(workspace.stores) as second:
        workspace.deploy("churn", hold=first)
        assert first.apply(["churn"]).endpoints[0].status == "ready"
        first.close()
        eventually(lambda: not workspace.rows())
        eventually(lambda: not workspace.pids("gateway"))
        assert second.status().endpoints == ()
    eventually(workspace.is_clean)
    removed = workspace.stores.metadata.events(kinds=["endpoint.removed"])
    assert [(event.subject, event.payload["reason"]) for event in removed] == [("endpoint:churn", "its caller ended")]


def test_an_endpoint_of_a_killed_caller_is_removed(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("mine", hold=hold)
    hold.apply(["mine"])
    with holder(workspace, "theirs") as process:
        assert set(workspace.rows()) == {"mine", "theirs"}
        process.kill()
    eventually(lambda: set(workspace.rows()) == {"mine"})
    assert workspace.call("call mine")["key"] == "replica/mine/1"


def test_a_killed_caller_that_was_the_last_leaves_nothing(workspace: Workspace) -> None:
    with holder(workspace, "churn") as process:
        process.kill()
    eventually(workspace.is_clean)
    assert workspace.rows() == {}


def test_a_fork_of_the_holder_does_not_keep_the_hold(workspace: Workspace) -> None:
    with holder(workspace, "churn", "fork") as process:
        assert process.stdout is not None
        fork = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            eventually(workspace.is_clean)
            assert not is_gone(fork)
        finally:
            kill(fork)


def test_a_stopped_holder_still_holds(workspace: Workspace) -> None:
    with holder(workspace, "churn") as process:
        process.send_signal(signal.SIGSTOP)
        with supervisor.hold(workspace.stores) as other:
            other.apply()
        assert workspace.call("call churn")["key"] == "replica/churn/1"
        assert set(workspace.rows()) == {"churn"}


def test_a_servers_endpoint_outlives_the_caller_and_comes_back_with_the_server(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores, "server") as server, supervisor.hold(workspace.stores) as caller:
        workspace.deploy("churn", lifetime="server")
        assert caller.apply(["churn"]).endpoints[0].status == "ready"
        port = workspace.port()
        caller.close()
        assert server.apply(["churn"]).endpoints[0].status == "ready"
    eventually(workspace.is_clean)
    assert set(workspace.rows()) == {"churn"}
    with supervisor.hold(workspace.stores) as caller:
        report = caller.apply(["churn"]).endpoints[0]
        assert report.status == "absent"
        assert "'server'" in report.reason
    with supervisor.hold(workspace.stores, "server") as server:
        assert server.apply(["churn"]).endpoints[0].status == "ready"
        assert workspace.call("call churn", port=port)["key"] == "replica/churn/1"


def test_a_detached_endpoint_runs_until_the_supervisor_is_stopped(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores, "detached") as hold:
        workspace.deploy("churn", lifetime="detached")
        assert hold.apply(["churn"]).endpoints[0].status == "ready"
    assert workspace.call("call churn")["key"] == "replica/churn/1"
    found = supervisor.status(workspace.root)
    assert found is not None
    assert [(item.name, item.status) for item in found.endpoints] == [("churn", "ready")]
    assert supervisor.stop(workspace.root) is True
    assert workspace.is_clean()
    assert workspace.rows() == {}
    assert supervisor.stop(workspace.root) is False
    assert supervisor.status(workspace.root) is None


def test_holders_do_not_restart_what_was_stopped_on_purpose_until_they_need_it(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores, "server") as server:
        workspace.deploy("churn", lifetime="server")
        server.apply(["churn"])
        supervisor.stop(workspace.root)
        eventually(workspace.is_clean)
        assert server.apply(["churn"]).endpoints[0].status == "ready"


def test_an_endpoint_of_a_caller_that_died_long_ago_is_removed_at_start(workspace: Workspace) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    with supervisor.hold(workspace.stores) as hold:
        workspace.deploy("churn", hold=hold)
        hold.apply(["churn"])
        table_pid = ended.pid
        kill(workspace.supervisor_pid() or 0, signal.SIGSTOP)
        workspace.own("churn", hold_id="gone", pid=table_pid)
        kill(workspace.supervisor_pid() or 0)
        eventually(lambda: workspace.rows() == {})


def test_two_workspaces_run_side_by_side_and_a_deep_one_too(
    make_workspace: Callable[..., Workspace], tmp_path: Path
) -> None:
    near = make_workspace()
    deep = make_workspace(tmp_path / ("d" * 100) / ("e" * 100) / "workspace")
    assert len(str(deep.root)) > 200
    with supervisor.hold(near.stores) as first, supervisor.hold(deep.stores) as second:
        near.deploy("churn", hold=first)
        deep.deploy("churn", hold=second)
        assert first.apply(["churn"]).endpoints[0].status == "ready"
        assert second.apply(["churn"]).endpoints[0].status == "ready"
        assert near.port() != deep.port()
        assert near.call("call churn")["pid"] in near.pids("replica/churn/1")
        assert deep.call("call churn")["pid"] in deep.pids("replica/churn/1")
        first.close()
        eventually(near.is_clean)
        assert deep.call("call churn")["pid"] in deep.pids("replica/churn/1")


def test_files_that_a_killed_supervisor_left_do_no_harm(workspace: Workspace) -> None:
    folder = supervisor.runtime_dir(workspace.root)
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder / "control.sock"))
    (folder / "gateway-0.figures").touch()
    (workspace.root / "run" / "scratch" / "1-0-abc").mkdir(parents=True)
    (workspace.root / "run" / "supervisor.lock").write_text("999999")
    (workspace.root / "run" / "supervisor.json").write_text(f'{{"pid": 999999, "socket": "{folder}/control.sock"}}')
    (workspace.root / "run" / "state.json").write_text("")
    assert supervisor.find(workspace.root) is None
    with supervisor.hold(workspace.stores) as hold:
        assert hold.status().pid == supervisor.find(workspace.root)
        assert [path.name for path in folder.iterdir()] == ["control.sock"]
        eventually(lambda: not (workspace.root / "run" / "scratch").exists())


def test_what_a_killed_process_left_is_removed(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("churn", hold=hold)
    hold.apply(["churn"])
    scratch = workspace.root / "run" / "scratch"
    (left,) = scratch.glob("*/package")
    kill(workspace.pids("replica/churn/1")[0])
    eventually(lambda: not left.exists())
    eventually(lambda: len(workspace.pids("replica/churn/1")) == 1)
    assert len(list(scratch.glob("*/package"))) == 1


def test_a_folder_that_others_can_enter_takes_no_socket(workspace: Workspace) -> None:
    folder = supervisor.runtime_dir(workspace.root)
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(SupervisorError, match="not a folder of this user alone"):
        supervisor.hold(workspace.stores)
    folder.rmdir()


def test_many_holders_at_once_share_one_supervisor(workspace: Workspace) -> None:
    holds: list[supervisor.Hold] = []
    threads = [threading.Thread(target=lambda: holds.append(supervisor.hold(workspace.stores))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({hold.status().pid for hold in holds}) == 1
    assert len(holds[0].status().holders) == 4
    for hold in holds:
        hold.close()


def test_a_terminated_supervisor_drains_and_keeps_the_endpoints_of_servers(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores, "server") as server:
        workspace.deploy("churn", lifetime="server")
        server.apply(["churn"])
        (replica,) = workspace.pids("replica/churn/1")
        kill(workspace.supervisor_pid() or 0, signal.SIGTERM)
        eventually(workspace.is_clean)
    assert (workspace.marks / f"drained-{replica}").exists()
    assert set(workspace.rows()) == {"churn"}


def test_a_removed_workspace_ends_its_supervisor(make_workspace: Callable[..., Workspace], tmp_path: Path) -> None:
    workspace = make_workspace(tmp_path / "doomed")
    with supervisor.hold(workspace.stores) as hold:
        workspace.deploy("churn", hold=hold)
        hold.apply(["churn"])
        workspace.root.rename(tmp_path / "moved")
        eventually(lambda: not workspace.processes())
        assert not workspace.root.exists()
        with pytest.raises(SupervisorError, match="no workspace at"):
            eventually(lambda: hold.request("status") is None)


def test_there_is_no_holding_of_a_workspace_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SupervisorError, match="There is no workspace"):
        supervisor.Hold(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_supervisors_descriptors_do_not_leak_into_its_children(workspace: Workspace, hold: supervisor.Hold) -> None:
    workspace.deploy("churn", hold=hold)
    hold.apply(["churn"])
    (replica,) = workspace.pids("replica/churn/1")
    files = {item.path for item in psutil.Process(replica).open_files()}
    assert not any(path.endswith("supervisor.lock") for path in files)
