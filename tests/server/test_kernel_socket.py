from __future__ import annotations

import json
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.server.kernel_socket import KernelSocket


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="dk", dir="/tmp") as folder:
        yield Path(folder)


def hold(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("op") != "hold":
        raise WorkspaceError(f"no {request.get('op')}")
    return {"workspace": "abc"}


@pytest.fixture
def listening(base: Path) -> Iterator[KernelSocket]:
    made = KernelSocket(base, hold)
    yield made
    made.close()


def talk(path: Path, *lines: bytes) -> list[dict[str, Any]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        answers = []
        with connection.makefile("rb") as stream:
            for line in lines:
                connection.sendall(line + b"\n")
                answers.append(json.loads(stream.readline()))
        return answers


def test_only_its_owner_can_reach_the_socket(listening: KernelSocket) -> None:
    assert stat.S_IMODE(listening.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(listening.path.parent.stat().st_mode) == 0o700


def test_several_requests_go_over_one_connection(listening: KernelSocket) -> None:
    request = json.dumps({"op": "hold"}).encode()
    assert talk(listening.path, request, request) == [{"ok": True, "workspace": "abc"}] * 2


def test_a_refusal_says_why(listening: KernelSocket) -> None:
    assert talk(listening.path, b'{"op": "dance"}') == [{"ok": False, "error": "WorkspaceError", "message": "no dance"}]


@pytest.mark.parametrize("line", [b"", b"hold", b"[1]", b'"hold"', b"\xff\xfe", b"{", b"x" * 70_000])
def test_nonsense_is_refused_and_harms_nobody(listening: KernelSocket, line: bytes) -> None:
    (answer,) = talk(listening.path, line)
    assert answer["ok"] is False
    assert answer["error"] == "RequestError"
    assert talk(listening.path, b'{"op": "hold"}')[0]["ok"] is True


def test_a_kernel_that_goes_away_in_the_middle_harms_nobody(listening: KernelSocket) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(str(listening.path))
        connection.sendall(b'{"op"')
    assert talk(listening.path, b'{"op": "hold"}')[0]["ok"] is True


def test_closing_leaves_nothing_behind(base: Path) -> None:
    KernelSocket(base, hold).close()
    assert list(base.iterdir()) == []


def test_the_sockets_of_killed_servers_are_removed_and_those_of_living_ones_kept(
    base: Path, listening: KernelSocket
) -> None:
    dead = base / "dwcp-server-dead"
    dead.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        bound.bind(str(dead / "kernels.sock"))
    unrelated = base / "dwcp-server-of-another-kind"
    unrelated.mkdir()
    other = KernelSocket(base, hold)
    try:
        assert not dead.exists()
        assert unrelated.exists()
        assert talk(listening.path, b'{"op": "hold"}')[0]["ok"] is True
    finally:
        other.close()


def test_a_folder_in_which_nothing_can_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        KernelSocket(tmp_path / "missing", hold)


def test_a_path_too_long_for_a_socket_leaves_no_folder_behind(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with pytest.raises(OSError):
        KernelSocket(deep, hold)
    assert list(deep.iterdir()) == []
    assert os.access(deep, os.W_OK)
