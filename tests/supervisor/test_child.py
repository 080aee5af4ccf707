"""The channel from the child's side, spoken to over a real socket pair."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dwcp_jupyter.supervisor.child import Channel
from dwcp_jupyter.supervisor.state import State, write_state


class Parent:
    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        stream.settimeout(10)
        self.lines = stream.makefile("rb")

    def send(self, **message: Any) -> None:
        self.stream.sendall(json.dumps(message).encode() + b"\n")

    def receive(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lines.readline())
        return found


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "DWCP_PROCESS_KEY": "replica/1/1",
        "DWCP_PROCESS_INDEX": "2",
        "DWCP_STATE_FILE": str(tmp_path / "state.json"),
        "DWCP_RUNTIME_DIR": str(tmp_path),
        "DWCP_SCRATCH_DIR": str(tmp_path / "scratch" / "one"),
        "DWCP_SOCKET": "/tmp/x.sock",
    }


@pytest.fixture
def pair(environ: dict[str, str]) -> Iterator[tuple[Parent, Channel]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Parent(ours), Channel(theirs, environ)


def test_a_child_learns_who_it_is_and_hides_its_descriptors_from_its_own_children(
    environ: dict[str, str], tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    listener = socket.create_server(("127.0.0.1", 0))
    environ |= {"DWCP_CHANNEL_FD": str(theirs.detach()), "DWCP_LISTEN_FD": str(listener.fileno())}
    os.set_inheritable(listener.fileno(), True)
    channel = Channel.from_environ(environ)
    assert (channel.key, channel.index, channel.socket_path) == ("replica/1/1", 2, "/tmp/x.sock")
    assert channel.listen_fd == listener.fileno()
    assert not os.get_inheritable(listener.fileno())
    assert not {"DWCP_CHANNEL_FD", "DWCP_LISTEN_FD"} & environ.keys()
    write_state(tmp_path / "state.json", State(sequence=7))
    assert channel.read_state().sequence == 7
    channel.ready(port=1)
    assert Parent(ours).receive() == {"ready": True, "port": 1}
    listener.close()
    ours.close()
    channel._connection.close()


def test_a_program_started_by_hand_is_told_so() -> None:
    with pytest.raises(RuntimeError, match="by the supervisor"):
        Channel.from_environ({})


def test_beats_are_sent_at_most_twice_a_second(pair: tuple[Parent, Channel]) -> None:
    parent, channel = pair
    for _ in range(1000):
        channel.beat()
    channel.failed("end")
    assert [parent.receive(), parent.receive()] == [{"beat": True}, {"failed": "end"}]


def test_a_beat_never_blocks_even_when_the_supervisor_does_not_read(pair: tuple[Parent, Channel]) -> None:
    _, channel = pair
    channel._connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            channel._connection.send(b"x" * 4096)
    channel._connection.setblocking(True)
    channel.beat()
    assert channel._beaten_at == float("-inf")


def test_messages_are_handled_in_order_where_the_child_wants_them(pair: tuple[Parent, Channel]) -> None:
    parent, channel = pair
    seen: list[object] = []
    names: set[str] = set()

    def ask(message: dict[str, Any]) -> dict[str, Any]:
        names.add(threading.current_thread().name)
        seen.append(message)
        return {"sum": message["a"] + message["b"]}

    channel.listen(
        on_state=seen.append, on_ask=ask, on_drain=lambda: seen.append("drain"), on_lost=threading.Event().wait
    )
    parent.send(state=3)
    parent.send(ask=1, message={"a": 1, "b": 2})
    assert parent.receive() == {"answer": 1, "message": {"sum": 3}}
    parent.send(ask=2, message={"a": 1})
    assert parent.receive() == {"answer": 2, "message": {"error": "KeyError: 'b'"}}
    assert seen == [3, {"a": 1, "b": 2}, {"a": 1}]
    assert names == {"dwcp-channel"}


def test_a_child_that_answers_no_questions_says_so(pair: tuple[Parent, Channel]) -> None:
    parent, channel = pair
    channel.listen(on_lost=threading.Event().wait)
    parent.send(ask=1)
    assert parent.receive()["message"] == {"error": "This process answers no questions."}


LONELY = """
import sys, threading
from dwcp_jupyter.supervisor.child import Channel
channel = Channel.from_environ()
channel.listen(on_lost=lambda: print("flushed", flush=True))
channel.ready()
threading.Event().wait()
"""


@pytest.mark.parametrize("message", [b"", b'{"drain": true}\n', b"no json\n"])
def test_a_child_ends_when_its_supervisor_is_gone_or_it_has_nothing_to_drain(
    environ: dict[str, str], message: bytes
) -> None:
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", LONELY],
            env={**os.environ, **environ, "DWCP_CHANNEL_FD": str(theirs.fileno())},
            pass_fds=[theirs.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child,
    ):
        theirs.close()
        assert Parent(ours).receive() == {"ready": True}
        if message:
            ours.sendall(message)
        else:
            ours.shutdown(socket.SHUT_RDWR)
        output, _ = child.communicate(timeout=20)
        assert child.returncode == 0
        assert ("flushed" in output) == (b"drain" not in message)


def test_the_childs_side_is_free_of_heavy_imports() -> None:
    code = "import sys, dwcp_jupyter.supervisor.child; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("asyncio", "sqlalchemy", "psutil", "traitlets", "numpy", "duckdb"):
        assert f"'{heavy}'" not in loaded
