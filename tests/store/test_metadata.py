"""The metadata contract on each database, and what is DuckDB's alone: the lease."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dwcp_jupyter import config, events, hashing, store
from dwcp_jupyter.exceptions import LeaseTimeoutError, SettingError, WorkspaceError
from dwcp_jupyter.store import leased
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.testing.metadata import MetadataContract


class TestDuckDB(MetadataContract):
    @pytest.fixture
    def metadata_url(self):
        return "duckdb"


class TestPostgreSQL(MetadataContract):
    @pytest.fixture
    def metadata_url(self, postgresql):
        with postgresql.schema() as url:
            yield url


class TestSQLite(MetadataContract):
    @pytest.fixture
    def metadata_url(self):
        return "sqlite"


HOLDER = """
import os, sys
from dwcp_jupyter import store
stores = store.open(sys.argv[1])
with stores.metadata.transaction() as tx:
    print("held", os.getpid(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """A process in the middle of a transaction."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "w")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith("held")
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_stopped_holder_ends_in_a_time_out_that_names_it(tmp_path, holder):
    os.kill(holder.pid, signal.SIGSTOP)
    stores = store.open(tmp_path / "w", settings=config.load(lease_timeout_s=0.5))
    with pytest.raises(LeaseTimeoutError, match=str(holder.pid)) as caught:
        stores.metadata.head()
    assert caught.value.holder_pid == holder.pid
    assert caught.value.waited_s >= 0.5


def test_a_wait_that_was_given_up_leaves_no_claim(tmp_path, holder):
    impatient = store.open(tmp_path / "w", settings=config.load(lease_timeout_s=0.2))
    with pytest.raises(LeaseTimeoutError):
        impatient.metadata.head()
    holder.stdin.close()
    holder.wait(30)
    assert store.open(tmp_path / "w").metadata.head()[0] == 0
    assert impatient.metadata.head()[0] == 0


def test_who_waits_over_a_second_learns_who_holds_it(tmp_path, holder, caplog):
    stores = store.open(tmp_path / "w")
    reader = threading.Thread(target=stores.metadata.head)
    reader.start()
    deadline = time.monotonic() + 20
    while str(holder.pid) not in caplog.text:
        assert time.monotonic() < deadline
        reader.join(0.05)
    holder.stdin.close()
    reader.join(30)
    assert not reader.is_alive()


def test_a_burst_keeps_the_file_open_and_gives_it_back_soon_after(tmp_path):
    stores = store.open(tmp_path / "w")
    for number in range(3):
        with stores.metadata.transaction() as tx:
            tx.record("model.updated", "model:x", number=number)
    held = stores.metadata._connections
    assert isinstance(held, leased.LeasedConnections)
    deadline = time.monotonic() + 10
    while held._lease.is_held:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert held._connection is None


def _loop(root: Path, seconds: float, queue) -> None:
    metadata = store.open(root).metadata
    longest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        with metadata.transaction() as tx:
            tx.record("model.updated", "model:x")
        longest = max(longest, time.monotonic() - began)
    queue.put(longest)


def test_writers_in_bursts_let_each_other_in(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    workers = [context.Process(target=_loop, args=(tmp_path / "w", 3.0, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    longest = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert max(longest) < 15  # none starves for the whole run and beyond
    assert store.open(tmp_path / "w").metadata.verify() is True


def test_nothing_is_created_by_reading(tmp_path):
    stores = store.open(tmp_path / "w")
    assert stores.metadata.events() == []
    assert stores.metadata.verify() is True
    assert list(tmp_path.iterdir()) == []


def test_the_first_write_announces_the_workspace_in_one_line(tmp_path, capsys):
    with store.open(tmp_path / "w").metadata.transaction() as tx:
        tx.record("model.updated", "model:x")
    assert capsys.readouterr().err == f"dwcp_jupyter: created the workspace {tmp_path / 'w'}\n"


def test_the_sequence_file_follows_the_chain(tmp_path):
    stores = store.open(tmp_path / "w")
    for _ in range(2):
        with stores.metadata.transaction() as tx:
            tx.record("model.updated", "model:x")
    assert int((tmp_path / "w" / "run" / "sequence").read_text()) == 2


def test_a_workspace_removed_under_our_feet_is_made_anew(tmp_path):
    stores = store.open(tmp_path / "w")
    with stores.metadata.transaction() as tx:
        tx.record("model.updated", "model:x")
    (tmp_path / "w").rename(tmp_path / "gone")
    assert stores.metadata.head()[0] == 0
    with stores.metadata.transaction() as tx:
        tx.record("model.updated", "model:y")
    assert stores.metadata.head()[0] == 1


def _remove(root):
    shutil.rmtree(root)


def _remove_file_alone(root):
    for path in root.glob("metadata.*"):
        path.unlink()


@pytest.mark.parametrize("pause_s", [0, 0.3], ids=["in a burst", "after a burst"])
@pytest.mark.parametrize("remove", [_remove, _remove_file_alone])
@pytest.mark.parametrize("url", ["duckdb", "sqlite"])
def test_what_is_written_after_a_removal_is_on_disk(tmp_path, url, remove, pause_s):
    settings = config.load(metadata_url=url)
    stores = store.open(tmp_path / "w", settings=settings)
    for _ in range(3):  # a burst, or a pool with a connection
        _record(stores)
    for _ in range(3):  # a file made anew often has the inode of the one before
        time.sleep(pause_s)
        remove(tmp_path / "w")
        _record(stores)
        assert stores.metadata.head()[0] == 1
        stores.close()
        assert len(store.open(tmp_path / "w", settings=settings).metadata.events()) == 1


@pytest.mark.parametrize("url", ["duckdb", "sqlite"])
def test_a_removal_in_the_middle_of_a_write_is_refused(tmp_path, url):
    stores = store.open(tmp_path / "w", settings=config.load(metadata_url=url))
    _record(stores)
    with pytest.raises(WorkspaceError, match="were removed while"), stores.metadata.transaction():
        shutil.rmtree(tmp_path / "w")
    _record(stores)
    assert stores.metadata.head()[0] == 1


def test_a_removed_file_that_another_store_of_the_process_has_open_is_refused(tmp_path):
    one, other = store.open(tmp_path / "w"), store.open(tmp_path / "w")
    _record(one)
    with one.metadata.read():
        shutil.rmtree(tmp_path / "w")
        with pytest.raises(WorkspaceError, match="Repeat"):
            _record(other)
    _record(other)
    assert other.metadata.head()[0] == 1


@pytest.mark.parametrize("name", ["metadata.duckdb", "metadata.sqlite"])
def test_a_damaged_file_is_named(tmp_path, name):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / name).write_bytes(b"this is no database" * 1000)
    stores = store.open(tmp_path / "w", settings=config.load(metadata_url=name.split(".")[1]))
    with pytest.raises(WorkspaceError, match=name):
        stores.metadata.head()
    assert (tmp_path / "w" / name).read_bytes() == b"this is no database" * 1000


@pytest.mark.parametrize("url", ["nonsense", "mysql://host/db"])
def test_a_url_that_cannot_hold_metadata_is_refused(tmp_path, url):
    with pytest.raises(SettingError, match="metadata_url"):
        Metadata(tmp_path, settings=config.load(metadata_url=url))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+psycopg2://host/db", r"'psycopg2'.* pip install 'dwcp-jupyter\[postgres\]'"),
        ("postgresql+asyncpg://host/db", r"'asyncpg'.* pip install 'dwcp-jupyter\[postgres\]'"),
        ("postgresql+nonsense://host/db", "does not know"),
    ],
)
def test_a_driver_that_is_not_installed_is_named(tmp_path, url, message):
    metadata = Metadata(tmp_path, settings=config.load(metadata_url=url))
    with pytest.raises(SettingError, match=message):
        metadata.head()


def test_who_does_not_wait_gets_nothing_while_another_process_has_the_file(tmp_path, holder):
    metadata = store.open(tmp_path / "w").metadata
    with metadata.read_at_once() as connection:
        assert connection is None
    holder.stdin.close()
    holder.wait(30)
    with metadata.read_at_once() as connection:
        assert connection is not None


def test_who_does_not_wait_gets_nothing_while_another_thread_is_in_a_call(tmp_path):
    metadata = store.open(tmp_path / "w").metadata
    refused = []

    def look():
        with pytest.raises(LeaseTimeoutError), metadata.read_at_once():
            pass
        refused.append(True)

    with metadata.transaction():
        thread = threading.Thread(target=look)
        thread.start()
        thread.join(10)
    assert refused


FULL_DISK = """
import resource, sys
from dwcp_jupyter import store
from dwcp_jupyter.exceptions import WorkspaceError
import signal
stores = store.open(sys.argv[1])
with stores.metadata.transaction() as tx:
    tx.record("model.updated", "model:x", kept=True)
stores.close()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = max(p.stat().st_size for p in stores.root.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, size + 4096))
failed = False
try:
    with stores.metadata.transaction() as tx:
        tx.record("model.updated", "model:x", ballast="x" * 8_000_000)
except WorkspaceError as error:
    failed = "cannot be used" in str(error)
print("refused" if failed else "taken")
"""


@pytest.mark.parametrize("url", ["duckdb", "sqlite"])
def test_a_full_disk_is_an_error_and_keeps_what_was_there(tmp_path, url):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "w")],
        env={**os.environ, "DWCP_METADATA_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "refused" in done.stdout, done.stdout + done.stderr
    metadata = store.open(tmp_path / "w", settings=config.load(metadata_url=url)).metadata
    assert [event.payload for event in metadata.events()] == [{"kept": True}]
    assert metadata.verify() is True


def test_a_folder_that_duckdb_would_misread_is_refused(tmp_path):
    with pytest.raises(WorkspaceError, match="Rename that folder"):
        _record(store.open(tmp_path / "what?" / ".dwcp"))


def _record(stores):
    with stores.metadata.transaction() as tx:
        tx.record("model.updated", "model:x")


def test_a_child_forked_in_the_middle_of_a_call_is_refused_and_loses_nothing(tmp_path):
    stores = store.open(tmp_path / "w")
    with stores.metadata.transaction() as tx:
        tx.record("model.updated", "model:parent")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _record(store.open(tmp_path / "other"))  # another workspace is free
                stores.metadata._local.transaction = None
                stores.metadata.head()
            except WorkspaceError as error:
                code = 0 if "forked in the middle" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
    assert stores.metadata.head()[0] == 1


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"seq":1}', "NaN", "\x00"])
def test_a_body_that_is_none_of_an_event_is_a_break_even_with_its_own_hash(body):
    row = (1, "model.created", "model:m", "2026-01-01T00:00:00.000000+00:00", body, hashing.sha256_bytes(body.encode()))
    found = events.find_break([row])
    assert found == events.ChainBreak(seq=1, reason="event 1 was changed: its body is none of an event")
