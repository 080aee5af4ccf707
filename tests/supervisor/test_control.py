"""What the control socket answers, and to whom."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dwcp_jupyter import supervisor
from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor.reports import PROTOCOL
from dwcp_jupyter.supervisor.runtime import Record
from tests.supervisor.workspaces import Workspace, eventually, kill


class Raw:
    """A client that says what it likes."""

    def __init__(self, workspace: Workspace) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(20)
        self.stream.connect(str(supervisor.runtime_dir(workspace.root) / "control.sock"))
        self.lines = self.stream.makefile("rb")

    def say(self, **message: Any) -> dict[str, Any]:
        self.stream.sendall(json.dumps(message).encode() + b"\n")
        return self.hear()

    def hear(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found

    def hello(self, **fields: Any) -> dict[str, Any]:
        greeting = {"protocol": PROTOCOL, "release": "9.9", "hold": "h", "kind": "caller", "pid": os.getpid()}
        return self.say(id=0, op="hello", **{**greeting, **fields})


@pytest.fixture
def raw(workspace: Workspace, hold: supervisor.Hold) -> Iterator[Raw]:
    client = Raw(workspace)
    yield client
    client.lines.close()
    client.stream.close()


def test_another_version_of_the_protocol_is_refused_with_both_versions_and_the_remedy(raw: Raw) -> None:
    error = raw.hello(protocol=PROTOCOL + 1)["error"]
    assert error["kind"] == "protocol"
    for part in (f"speaks protocol {PROTOCOL}", f"speaks protocol {PROTOCOL + 1}", "9.9", "%dwcp stop"):
        assert part in error["message"]


def test_a_hold_shows_the_mismatch_that_an_older_supervisor_reports(workspace: Workspace) -> None:
    folder = supervisor.runtime_dir(workspace.root)
    folder.mkdir(mode=0o700)
    (workspace.root / "run").mkdir()
    refusal = {"id": 0, "ok": False, "error": {"kind": "protocol", "message": "It speaks protocol 0. Use one release."}}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        Record(pid=os.getpid(), socket=str(folder / "control.sock")).write(workspace.root / "run" / "supervisor.json")
        code = "import sys; from dwcp_jupyter import supervisor; supervisor.Hold(sys.argv[1])"
        with subprocess.Popen(
            [sys.executable, "-c", code, str(workspace.root)], stderr=subprocess.PIPE, text=True
        ) as client:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(json.dumps(refusal).encode() + b"\n")
                _, error = client.communicate(timeout=30)
    assert "SupervisorError: It speaks protocol 0. Use one release." in error
    (folder / "control.sock").unlink()
    folder.rmdir()
    (workspace.root / "run" / "supervisor.json").unlink()


def test_nothing_but_hello_and_stop_is_answered_before_hello(raw: Raw) -> None:
    reply = raw.say(id=5, op="status")
    assert reply["id"] == 5
    assert "The first request on a connection is 'hello'" in reply["error"]["message"]
    assert raw.hello()["ok"]
    assert raw.hello()["error"]["kind"] == "request"
    assert raw.say(id=6, op="status")["ok"]


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"op": "dance"}, "No operation 'dance'."),
        ({"op": "apply"}, "'apply' lacks a field or has a wrong one: KeyError: 'wait'."),
        ({"op": "ask", "key": "k", "message": {}, "timeout_s": "soon"}, "could not convert string to float"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(raw: Raw, request_: dict[str, Any], message: str) -> None:
    raw.hello()
    error = raw.say(id=1, **request_)["error"]
    assert error["kind"] == "request"
    assert message in error["message"]


def test_an_unknown_kind_of_holder_is_refused(raw: Raw, hold: supervisor.Hold) -> None:
    assert "'tourist'" in raw.hello(kind="tourist")["error"]["message"]
    assert [item.id for item in hold.status().holders] == [hold.id]


@pytest.mark.parametrize("garbage", [b"\x00\xff\n", b"[1]\n", b'{"no": "op"}\n', b"GET / HTTP/1.1\r\n\r\n"])
def test_garbage_ends_its_connection_and_nothing_else(raw: Raw, hold: supervisor.Hold, garbage: bytes) -> None:
    raw.stream.sendall(garbage)
    assert raw.lines.readline() == b""
    assert hold.status().holders[0].id == hold.id


def test_a_long_wait_holds_up_no_other_request(workspace: Workspace, raw: Raw, hold: supervisor.Hold) -> None:
    raw.hello()
    spec = {"endpoint": {"name": "slow"}, "processes": [workspace.process("slow", "never")]}
    workspace.deploy("slow", spec, hold=hold)
    raw.stream.sendall(b'{"id": 1, "op": "apply", "wait": ["slow"], "timeout_s": 2}\n')
    assert raw.say(id=2, op="status")["id"] == 2
    reply = raw.hear()
    assert reply["id"] == 1
    assert reply["result"]["endpoints"][0]["status"] == "starting"


def test_requests_are_answered_while_another_process_has_the_metadata(
    workspace: Workspace, hold: supervisor.Hold
) -> None:
    with workspace.stores.metadata.transaction():
        assert hold.status().endpoints == ()


def test_a_hold_that_was_closed_says_so(workspace: Workspace) -> None:
    hold = supervisor.hold(workspace.stores)
    hold.close()
    hold.close()
    with pytest.raises(SupervisorError, match="is closed"):
        hold.status()


def test_a_hold_does_not_work_in_a_fork_and_goes_on_in_the_parent(workspace: Workspace) -> None:
    code = """
import os, sys
from dwcp_jupyter import supervisor
from dwcp_jupyter.exceptions import SupervisorError
hold = supervisor.Hold(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        hold.status()
    except SupervisorError as exc:
        hold.close()
        os._exit(7 if "does not work in its fork" in str(exc) else 8)
    os._exit(9)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), hold.status().pid)
"""
    command = [sys.executable, "-c", code, str(workspace.root)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.split()[0] == "7"


def test_an_observer_starts_nothing_and_keeps_nothing(workspace: Workspace) -> None:
    with pytest.raises(SupervisorError, match="No supervisor runs"):
        supervisor.Hold(workspace.root, kind="observer")
    with supervisor.hold(workspace.stores) as hold:
        observer = supervisor.Hold(workspace.root, kind="observer")
        assert observer.status().pid == hold.status().pid
    eventually(workspace.is_clean)
    with pytest.raises(SupervisorError, match="ended"):
        eventually(lambda: observer.status() is None)
    observer.close()


def test_a_stopped_supervisor_is_named_with_the_remedy(workspace: Workspace) -> None:
    with supervisor.hold(workspace.stores):
        pid = workspace.supervisor_pid() or 0
        kill(pid, signal.SIGSTOP)
        try:
            assert supervisor.find(workspace.root) == pid
            with pytest.raises(SupervisorError, match=f"kill -CONT {pid}"):
                supervisor.Hold(workspace.root, answer_timeout_s=0.5)
        finally:
            kill(pid, signal.SIGCONT)


def test_a_state_that_cannot_be_written_is_written_once_it_can(workspace: Workspace, hold: supervisor.Hold) -> None:
    blocker = workspace.root / "run" / f"state.json.{workspace.supervisor_pid()}"
    blocker.mkdir()
    workspace.deploy("churn", hold=hold)
    assert hold.apply(["churn"], timeout_s=2).endpoints[0].status == "starting"
    blocker.rmdir()
    assert hold.apply(["churn"]).endpoints[0].status == "ready"


def test_a_supervisor_that_cannot_start_says_why(workspace: Workspace) -> None:
    (workspace.root / "run").write_text("no folder")
    with pytest.raises(SupervisorError, match=r"did not start: .*'.*/run'"):
        supervisor.hold(workspace.stores)
    (workspace.root / "run").unlink()


def test_settings_of_the_workspace_reach_the_supervisor(workspace: Workspace) -> None:
    workspace.stores.settings.lease_timeout_s = 0.0001 + 0.5
    with (
        supervisor.hold(workspace.stores) as hold,
        workspace.stores.metadata.transaction(),
        pytest.raises(SupervisorError, match="stayed in use"),
    ):
        hold.apply()


def test_metadata_that_cannot_be_read_are_reported_and_keep_no_supervisor_alive(workspace: Workspace) -> None:
    (workspace.root / "metadata.duckdb").write_text("no database at all")
    with supervisor.hold(workspace.stores) as hold:
        with pytest.raises(SupervisorError, match="metadata"):
            hold.apply()
        assert hold.status().endpoints == ()
    eventually(workspace.is_clean)
    (workspace.root / "metadata.duckdb").unlink()


def test_clients_and_the_start_of_a_supervisor_do_without_the_database() -> None:
    code = "import sys, {module}; assert not {{'sqlalchemy', 'duckdb', 'numpy'}} & set(sys.modules), sys.modules.keys()"
    for module in ("dwcp_jupyter.supervisor.client", "dwcp_jupyter.supervisor.daemon"):
        subprocess.run([sys.executable, "-c", code.format(module=module)], check=True)
    code = "import sys, dwcp_jupyter.supervisor.client; assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_public_names_can_all_be_had() -> None:
    for name in supervisor.__all__:
        assert getattr(supervisor, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        supervisor.nothing  # noqa: B018
