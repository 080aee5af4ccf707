"""Whole servers in processes of their own: what comes back, what ends, and what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dwcp_jupyter import store, supervisor
from dwcp_jupyter.server.workspaces import workspace_id
from dwcp_jupyter.serving.lifetimes import ask_server
from tests.server.echo_gateway import deploy_echo
from tests.supervisor.workspaces import eventually
from tests.surface.jupyter import Jupyter


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Jupyter]]:
    made: list[Jupyter] = []

    def make(**options: Any) -> Jupyter:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        made.append(Jupyter(root, tmp_path / "home", command="server", **options))
        return made[-1]

    yield make
    for server in made:
        server.stop(signal.SIGKILL)
        for folder in server.root.rglob(".dwcp"):
            supervisor.stop(folder)
            eventually(lambda folder=folder: not supervisor.runtime_dir(folder).exists())


def deploy(folder: Path, server: Jupyter | None = None) -> Path:
    """Deploy to the workspace in `folder` as a kernel of `server` does: ask to hold it, then apply."""
    folder.mkdir(exist_ok=True)
    root = folder / ".dwcp"
    with store.open(root) as stores:
        deploy_echo(stores, "echo")
        if server is not None:
            assert ask_server(root, server.kernel_environment()) is not None
            with supervisor.hold(stores) as hold:
                hold.apply(["echo"])
    return root


def answer(server: Jupyter, path: str = "dwcp/v2") -> dict[str, Any] | None:
    """Return what the echoing gateway says, None while it does not answer."""
    with contextlib.suppress(urllib.error.HTTPError):
        found: dict[str, Any] = server.get(path)
        return found
    return None


def test_endpoints_end_with_the_server_and_come_back_with_it_on_their_port(make_server: Callable[..., Jupyter]) -> None:
    server = make_server()
    root = deploy(server.root, server)
    first = eventually(lambda: answer(server))
    path = Path(server.kernel_environment()["DWCP_SERVER_SOCKET"])
    server.stop()
    eventually(lambda: not psutil.pid_exists(first["pid"]) and supervisor.find(root) is None)
    assert not supervisor.runtime_dir(root).exists()
    assert not path.parent.exists()

    server.start()
    second = eventually(lambda: answer(server))
    assert second["pid"] != first["pid"]
    assert second["headers"]["host"] == first["headers"]["host"]
    killed = Path(server.kernel_environment()["DWCP_SERVER_SOCKET"])
    server.stop(signal.SIGKILL)
    eventually(lambda: not psutil.pid_exists(second["pid"]) and supervisor.find(root) is None)
    assert killed.exists()
    assert ask_server(root, {"DWCP_SERVER_SOCKET": str(killed)}) is None

    server.start()
    third = eventually(lambda: answer(server))
    assert third["headers"]["host"] == first["headers"]["host"]
    assert not killed.parent.exists()


def test_nested_workspaces_come_back_too_and_are_forgotten_when_they_are_gone(
    make_server: Callable[..., Jupyter],
) -> None:
    server = make_server()
    kept, gone = deploy(server.root / "kept", server), deploy(server.root / "gone", server)
    memory = server.home / "data" / "dwcp_jupyter" / "held.json"
    assert json.loads(memory.read_text()) == {str(server.root): [str(gone), str(kept)]}
    server.stop()
    eventually(lambda: supervisor.find(kept) is None and supervisor.find(gone) is None)
    gone.rename(gone.with_name("moved"))
    server.start()
    eventually(lambda: answer(server, f"dwcp/w/{workspace_id(kept)}/v2"))
    eventually(lambda: json.loads(memory.read_text()) == {str(server.root): [str(kept)]})


def test_a_workspace_outside_the_servers_root_is_refused_and_a_stopped_one_is_started_again(
    make_server: Callable[..., Jupyter], tmp_path: Path
) -> None:
    server = make_server()
    elsewhere = tmp_path / "elsewhere"
    outside = deploy(elsewhere)
    assert ask_server(outside, server.kernel_environment()) is None
    (server.root / "link").symlink_to(elsewhere)
    assert ask_server(server.root / "link" / ".dwcp", server.kernel_environment()) is None
    assert supervisor.find(outside) is None

    root = deploy(server.root / "team", server)
    eventually(lambda: answer(server, f"dwcp/w/{workspace_id(root)}/v2"))
    assert supervisor.stop(root)
    assert ask_server(root, server.kernel_environment()) is not None
    eventually(lambda: answer(server, f"dwcp/w/{workspace_id(root)}/v2"))


def test_a_workspace_named_by_the_servers_own_setting_may_lie_anywhere(
    make_server: Callable[..., Jupyter], tmp_path: Path
) -> None:
    root = deploy(tmp_path / "elsewhere")
    server = make_server(environ={"DWCP_HOME": str(root)})
    assert eventually(lambda: answer(server))["target"] == "/v2"
    held = ask_server(root, server.kernel_environment())
    assert held is not None
    assert held.base_url.endswith("/user/ada/dwcp/")
    server.stop()
    eventually(lambda: supervisor.find(root) is None)


@pytest.mark.skipif(os.getuid() != 0, reason="only root believes that it can write to /proc")
def test_jupyter_works_with_damaged_metadata_and_where_no_socket_can_be_made(
    make_server: Callable[..., Jupyter], tmp_path: Path
) -> None:
    (tmp_path / "root" / ".dwcp").mkdir(parents=True)
    (tmp_path / "root" / ".dwcp" / "metadata.duckdb").write_bytes(b"no database" * 500)
    server = make_server(environ={"XDG_RUNTIME_DIR": "/proc"})
    assert server.get("api/status")["kernels"] == 0
    with pytest.raises(urllib.error.HTTPError):
        server.get("dwcp/api/models")
    log = server.stop()
    assert "are not back" in log
    assert "no socket for kernels can be made in '/proc'" in log


def test_kernels_get_the_servers_settings_root_and_socket(make_server: Callable[..., Jupyter], tmp_path: Path) -> None:
    """Asked of a real kernel, by executing a notebook through the server's own kernel manager."""
    server = make_server(environ={"DWCP_MAX_QUEUE": "7"})
    code = "import os; print({k: v for k, v in os.environ.items() if k.startswith('DWCP_')})"
    kernel = json.loads(server.fetch("api/kernels", b"{}"))
    connection = server.home / "runtime" / f"kernel-{kernel['id']}.json"
    script = (
        "import sys; from jupyter_client import BlockingKernelClient as K; k = K(connection_file=sys.argv[1]);"
        "k.load_connection_file(); k.start_channels(); k.wait_for_ready(timeout=60);"
        "k.execute_interactive(sys.argv[2], timeout=60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(connection), code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = eval(done.stdout)  # the kernel's own repr of a dictionary
    assert found["DWCP_SERVER_ROOT"] == str(server.root)
    assert found["DWCP_SERVER_SOCKET"] == server.kernel_environment()["DWCP_SERVER_SOCKET"]
    assert found["DWCP_MAX_QUEUE"] == "7"
