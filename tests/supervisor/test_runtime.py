from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from dwcp_jupyter.exceptions import SupervisorError
from dwcp_jupyter.supervisor import runtime_dir
from dwcp_jupyter.supervisor.lock import is_locked, take
from dwcp_jupyter.supervisor.logs import ProcessLog, prune
from dwcp_jupyter.supervisor.runtime import Layout, Record, read_record


@pytest.mark.parametrize("depth", [0, 1, 30])
@pytest.mark.parametrize("base", ["/run/user/1000", "x" * 200, ""])
def test_socket_paths_fit_wherever_the_workspace_and_the_folders_for_sockets_lie(
    tmp_path: Path, depth: int, base: str
) -> None:
    root = tmp_path.joinpath(*["folder"] * depth)
    folder = runtime_dir(root, {"XDG_RUNTIME_DIR": base})
    layout = Layout(root=root, runtime=folder)
    longest = layout.process_socket("replica/" + "k" * 200, 999, "abcdef")
    assert len(os.fsencode(longest)) < 104


def test_a_folder_for_sockets_with_a_long_path_is_not_used(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    assert not runtime_dir(tmp_path, {"XDG_RUNTIME_DIR": str(long)}).is_relative_to(long)
    assert runtime_dir("/ws", {"XDG_RUNTIME_DIR": "/tmp"}).parent == Path("/tmp")


def test_two_names_of_one_workspace_have_one_folder_and_two_workspaces_have_two(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert runtime_dir(tmp_path / "one") == runtime_dir(tmp_path / "link")
    assert runtime_dir(tmp_path / "one") != runtime_dir(tmp_path / "two")


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir(mode=0o700)
    layout = Layout(root=tmp_path / "ws", runtime=tmp_path / "sockets")
    layout.runtime.symlink_to(tmp_path / "target")
    with pytest.raises(SupervisorError, match="not a folder of this user alone"):
        layout.create()


@pytest.mark.parametrize("content", ["", "{}", "null", '{"pid": "x", "socket": 1}', "[1]"])
def test_a_record_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    path = tmp_path / "supervisor.json"
    assert read_record(path) is None
    path.write_text(content)
    assert read_record(path) is None
    Record(pid=5, socket="/tmp/s").write(path)
    assert read_record(path) == Record(pid=5, socket="/tmp/s")


def test_the_lock_is_one_process_s_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)
    descriptor = take(path)
    assert descriptor is not None
    assert take(path) is None
    assert is_locked(path)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    assert not is_locked(path)


def test_a_failure_is_reported_with_the_lines_of_its_own_start(tmp_path: Path) -> None:
    path = tmp_path / "replica.log"
    for start in range(2):
        log = ProcessLog(path)
        descriptor = log.open()
        assert log.tail() == ()
        os.write(descriptor, b"".join(b"start %d line %d\n\n" % (start, line) for line in range(30)))
        os.close(descriptor)
        assert log.tail() == tuple(f"start {start} line {line}" for line in range(10, 30))


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path: Path) -> None:
    log = ProcessLog(tmp_path / "replica.log")
    descriptor = log.open()
    os.write(descriptor, b"caf\xe9\n")
    os.close(descriptor)
    assert log.tail() == ("caf\ufffd",)
    (tmp_path / "replica.log").unlink()
    assert log.tail() == ()


def test_a_large_log_is_put_aside_and_old_ones_are_removed(tmp_path: Path) -> None:
    path = tmp_path / "replica.log"
    path.write_bytes(b"x" * (9 << 20))
    os.close(ProcessLog(path).open())
    assert path.stat().st_size == 0
    aside = tmp_path / "replica.log.1"
    assert aside.stat().st_size == 9 << 20
    os.utime(aside, (time.time() - 100, time.time() - 100))
    prune(tmp_path, older_than_s=50)
    assert [item.name for item in tmp_path.iterdir()] == ["replica.log"]
