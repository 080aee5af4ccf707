"""Ctrl-C stops what is under way, and nothing else: the next call finds everything as it was."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dwcp_jupyter import config, store
from dwcp_jupyter.store import interrupting
from dwcp_jupyter.store.lease import Lease

INTERRUPTED = """
import json, os, random, signal, sys, threading
from dwcp_jupyter import config, store

signal.signal(signal.SIGINT, signal.default_int_handler)  # started in the background, interrupts are ignored
chance = random.Random(7)
stores = store.open(sys.argv[1], settings=config.load(metadata_url=sys.argv[2]))
metadata = stores.metadata
with metadata.transaction() as tx:  # what is imported and opened once takes longest
    tx.record("model.updated", "model:x", number=-1)
said, kept, acknowledged = [], [], 1
for _ in range(int(sys.argv[3])):
    timer = threading.Timer(chance.uniform(0.01, 0.06), os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        while True:
            with metadata.transaction() as tx:
                tx.record("model.updated", "model:x", number=acknowledged)
            acknowledged += 1
    except BaseException as exc:
        kept.append(exc)  # with its frames, as a notebook keeps it
    timer.join()
    found = len(metadata.events())
    said.append([type(kept[-1]).__name__, found - acknowledged, metadata.head()[0] - found, metadata.verify() is True])
    acknowledged = found
said[-1].append(found)
print(json.dumps(said), flush=True)
input()
"""


@pytest.fixture(autouse=True)
def _interruptible():
    """Take interrupts as a shell in the foreground does, however the tests were started."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.parametrize("url", ["duckdb", "sqlite"])
def test_whenever_it_comes_it_is_an_interrupt_and_the_next_call_answers(tmp_path, url):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "w"), url, "40"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        ending = threading.Timer(120, process.kill)
        ending.start()
        line = process.stdout.readline()
        lease = Lease(tmp_path / "w" / "metadata.lock", timeout_s=5.0)  # whoever was interrupted keeps nothing
        is_free = url != "duckdb" or lease.acquire()
        lease.release()
        process.communicate("\n", timeout=60)
        ending.cancel()
    said = json.loads(line)
    assert is_free
    with store.open(tmp_path / "w", settings=config.load(metadata_url=url)) as stores:  # what was said to be there is
        assert stores.metadata.head()[0] == said[-1].pop()
    assert {kind for kind, *_ in said} == {"KeyboardInterrupt"}
    assert {more for _, more, _, _ in said} <= {0, 1}  # committed, and not said any more
    assert {(missing, is_sound) for _, _, missing, is_sound in said} == {(0, True)}


def test_who_waits_for_another_process_can_be_interrupted(tmp_path):
    with store.open(tmp_path / "w") as stores:
        with stores.metadata.transaction() as tx:
            tx.record("model.updated", "model:x")
        stores.metadata.close()
        other = Lease(tmp_path / "w" / "metadata.lock", timeout_s=5.0)
        assert other.acquire()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            stores.metadata.head()
        timer.join()
        other.release()
        assert time.monotonic() - began < 5.0
        assert stores.metadata.head()[0] == 1


def test_who_waits_for_another_thread_can_be_interrupted(tmp_path):
    with store.open(tmp_path / "w") as stores:
        with stores.metadata.transaction() as tx:
            tx.record("model.updated", "model:x")
        is_in, is_over = threading.Event(), threading.Event()

        def stay():
            with stores.metadata.read():
                is_in.set()
                is_over.wait(30)

        other = threading.Thread(target=stay)
        other.start()
        is_in.wait(30)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            stores.metadata.head()
        timer.join()
        is_over.set()
        other.join()
        assert stores.metadata.head()[0] == 1


def test_an_interrupt_waits_until_the_block_is_through():
    done = []

    def run():
        with interrupting.held():
            with interrupting.held():
                signal.raise_signal(signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_interrupt_is_let_in_where_nothing_is_half_done():
    def run():
        with interrupting.held():
            signal.raise_signal(signal.SIGINT)
            interrupting.let_in()
            raise AssertionError("it was not let in")

    with pytest.raises(KeyboardInterrupt):
        run()


def test_where_interrupts_are_ignored_they_stay_ignored():
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupting.held():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, handler)
