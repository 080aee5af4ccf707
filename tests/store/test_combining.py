"""A process that has the file open does the writes of those who wait; whoever dies, each write is there once or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from dwcp_jupyter import store
from dwcp_jupyter.events import Actor
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.registry.recording import REGISTER
from dwcp_jupyter.store.combining import Operation, Request, Spool, Write

OTHER = """
import sys
from dwcp_jupyter.events import Actor
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
registry = ModelRegistry(sys.argv[1], actor=Actor(name="other"))
version = registry.register_model(ModelMetadata(name="m", version=sys.argv[2] or None), bump="patch")
print(version.reference, version.created_by, flush=True)
"""


@pytest.fixture
def stores(tmp_path):
    opened = store.open(tmp_path / "w")
    ModelRegistry(opened).register_model(ModelMetadata(name="m"))
    yield opened
    opened.close()


@pytest.fixture
def other(stores):
    """Return a function that starts another process which registers a version of 'm', and waits."""
    started = []

    def start(version="", *, is_waiting=True):
        command = [sys.executable, "-c", OTHER, str(stores.root), version]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        folder = stores.root / "run" / "spool"
        if is_waiting:
            eventually(lambda: list(folder.glob(f"{started[-1].pid}-*.request")))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def eventually(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def holding(stores):
    """Have the file open, as within a burst."""
    with stores.metadata._open().connection():
        yield Spool(stores.root / "run" / "spool")


def versions(stores):
    return [version.version for version in ModelRegistry(stores).list_versions("m")][::-1]


def test_who_waits_is_served_by_who_has_the_file(stores, other):
    with holding(stores):
        waiting = [other(), other(), other("2.0.0")]
        ModelRegistry(stores).register_model(ModelMetadata(name="m"), bump="patch")
        told = sorted(process.communicate(timeout=30)[0].strip() for process in waiting)
    assert [text.partition(" ")[2] for text in told] == ["other"] * 3
    assert sorted(text.partition(" ")[0].partition("@")[2] for text in told) == sorted(
        set(versions(stores)) - {"1.0.0", "1.0.1"}
    )
    assert len(versions(stores)) == 5
    assert [event.actor.name for event in stores.metadata.events(kinds=["version.registered"])][-3:] == ["other"] * 3
    assert stores.metadata.verify() is True
    assert list((stores.root / "run" / "spool").iterdir()) == []


def test_a_write_that_cannot_be_done_fails_with_who_wanted_it(stores, other):
    with holding(stores):
        process = other("1.0.0")
        mine = ModelRegistry(stores).register_model(ModelMetadata(name="m"), bump="patch")
    told, error = process.communicate(timeout=60)
    assert (told, process.returncode) == ("", 1)
    assert "VersionExistsError" in error
    assert versions(stores) == ["1.0.0", mine.version]


def test_a_request_of_a_process_that_died_is_thrown_away(stores, other):
    with holding(stores):
        process = other()
        process.send_signal(signal.SIGKILL)
        process.wait()
        ModelRegistry(stores).register_model(ModelMetadata(name="m"), bump="patch")
    assert versions(stores) == ["1.0.0", "1.0.1"]
    assert list((stores.root / "run" / "spool").iterdir()) == []


def test_who_was_claimed_by_a_process_that_died_before_the_commit_does_it_itself(stores, other):
    with holding(stores) as spool:
        process = other()
        assert len(spool.claim()) == 1
    assert process.communicate(timeout=30)[0] == "m@1.0.1 other\n"
    assert versions(stores) == ["1.0.0", "1.0.1"]


def test_who_was_served_by_a_process_that_died_after_the_commit_finds_its_write(stores, other):
    with holding(stores) as spool:
        process = other()
        (request,) = spool.claim()
        with stores.metadata.transaction() as tx:
            request.operation.run(tx, [request.write])
    assert process.communicate(timeout=30)[0] == "m@1.0.1 other\n"
    assert versions(stores) == ["1.0.0", "1.0.1"]


def test_who_can_leave_no_request_waits_for_its_turn(stores, other):
    (stores.root / "run" / "spool").write_text("in the way")
    with holding(stores):
        process = other(is_waiting=False)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)  # it has started, and waits
    assert process.communicate(timeout=30)[0] == "m@1.0.1 other\n"
    assert versions(stores) == ["1.0.0", "1.0.1"]


def test_a_write_that_breaks_off_in_the_middle_takes_no_other_with_it(stores, tmp_path):
    def break_off(tx, _):
        tx.record("model.updated", "model:m", half=True)
        raise RuntimeError("in the middle")

    class WithOne(Spool):
        def claim(self):
            operation = Operation(name="", run=break_off, find=lambda *_: None)
            return [Request(path, operation, {"request": {}, "actor": "other", "assurance": "asserted"})]

    path = tmp_path / "one.taken"
    stores.metadata._open().spool = WithOne(tmp_path)
    mine = ModelRegistry(stores).register_model(ModelMetadata(name="m"), bump="patch")
    assert versions(stores) == ["1.0.0", mine.version]
    assert [event.kind for event in stores.metadata.events()][-1] == "version.registered"
    assert json.loads(path.with_suffix(".done").read_text()) is None


def test_what_another_release_left_is_left_to_its_owner(tmp_path):
    spool = Spool(tmp_path)
    ticket = spool.ticket(REGISTER, Write(request={}, actor=Actor(name="me")))
    ticket._content["release"] = "99.0.0"
    assert ticket.wait(0) is False
    assert spool.claim() == []
    assert ticket.take_back() is True
    assert ticket.take_back() is False
    ticket.close()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_request_is_no_reason_to_fail(tmp_path):
    (tmp_path / "1-a.request").write_text("not JSON")
    descriptor = os.open(tmp_path / "2-b.request", os.O_RDWR | os.O_CREAT)
    os.close(descriptor)
    assert Spool(tmp_path).claim() == []


@pytest.mark.parametrize("name", ["os:system", "dwcp_jupyter.hashing:sha256_bytes", "dwcp_jupyter.nothing:X", "", ":"])
def test_only_operations_of_this_package_have_a_name(name):
    assert Operation.named(name) is None
    assert Operation.named(REGISTER.name) is REGISTER
