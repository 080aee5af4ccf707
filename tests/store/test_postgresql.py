"""What is PostgreSQL's alone: a server that stops, waits, moments and passwords."""

import sys

import pytest
import sqlalchemy as sa

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import LeaseTimeoutError, MissingExtraError, SettingError, WorkspaceError
from dwcp_jupyter.server.reading import sequence_of
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.workspace import Workspace


@pytest.fixture
def url(postgresql):
    with postgresql.schema() as url:
        yield url


@pytest.fixture
def open_metadata(url, tmp_path):
    opened = []

    def open_(**settings):
        opened.append(Metadata(tmp_path / "w", settings=config.load(metadata_url=url, **settings)))
        return opened[-1]

    yield open_
    for metadata in opened:
        metadata.close()


def record(metadata, number=0):
    with metadata.transaction() as tx:
        tx.record("policy.set", "policy:*/production", number=number)


def test_reading_creates_nothing(open_metadata, postgresql, url):
    metadata = open_metadata()
    assert (metadata.exists, metadata.head()[0], metadata.events()) == (False, 0, [])
    name = url.rpartition("%3D")[2]
    with postgresql.connect() as connection:
        query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = %s"
        assert connection.execute(query, [name]).fetchone() == (0,)
    record(metadata)
    assert metadata.exists
    assert open_metadata().exists


def test_a_read_sees_one_moment(open_metadata):
    reader, writer = open_metadata(), open_metadata()
    record(writer)
    with reader.read() as connection:
        count = sa.select(sa.func.count()).select_from(schema.events)
        assert connection.execute(count).scalar() == 1
        record(writer)
        assert connection.execute(count).scalar() == 1
    assert reader.head()[0] == 2


def test_a_read_cannot_write(open_metadata):
    metadata = open_metadata()
    record(metadata)
    with pytest.raises(WorkspaceError, match="read-only"), metadata.read() as connection:
        connection.execute(sa.delete(schema.events))
    assert metadata.verify() is True


def test_a_writer_that_waits_too_long_says_so(open_metadata):
    holder, waiting = open_metadata(), open_metadata(lease_timeout_s=0.2)
    record(holder)
    with holder.transaction(), pytest.raises(LeaseTimeoutError, match="stayed in use"):
        record(waiting)  # another process, as far as the server can tell
    record(waiting, number=2)
    assert holder.head()[0] == 2


def test_a_server_that_was_restarted_is_used_again(open_metadata, postgresql):
    metadata = open_metadata()
    record(metadata)
    postgresql.stop()
    try:
        with pytest.raises(WorkspaceError, match="cannot be reached"):
            record(metadata)
    finally:
        postgresql.start()
    record(metadata, number=2)
    assert [event.payload["number"] for event in metadata.events()] == [0, 2]
    assert metadata.verify() is True


def test_a_server_that_stops_in_the_middle_of_a_write_keeps_nothing_of_it(open_metadata, postgresql):
    metadata = open_metadata()
    record(metadata)

    def write_and_stop():
        with metadata.transaction() as tx:
            tx.record("policy.removed", "policy:*/production")
            postgresql.stop("immediate")

    try:
        with pytest.raises(WorkspaceError, match="cannot be reached"):
            write_and_stop()
    finally:
        postgresql.start()
    assert metadata.head()[0] == 1
    record(metadata)
    assert metadata.verify() is True


def test_no_password_is_shown(tmp_path):
    settings = config.load(metadata_url="postgresql://ada:secret-7@127.0.0.1:1/models", lease_timeout_s=2)
    stores = store.open(tmp_path / "w", settings=settings)
    with pytest.raises(WorkspaceError) as caught:
        stores.metadata.head()
    assert "ada:***@127.0.0.1:1/models" in str(caught.value)
    workspace = Workspace(stores)
    for shown in (caught.value, stores, stores.metadata, workspace, workspace.doctor()):
        assert "secret-7" not in f"{shown!r} {shown}"


def test_a_missing_driver_is_named_with_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    metadata = Metadata(tmp_path / "w", settings=config.load(metadata_url="postgresql://host/models"))
    with pytest.raises(MissingExtraError, match=r"dwcp-jupyter\[postgres\]"):
        metadata.head()


def test_a_url_that_is_none_does_not_show_its_password(tmp_path):
    with pytest.raises(SettingError) as caught:
        Metadata(tmp_path, settings=config.load(metadata_url="postgresql//ada:secret-7@host"))
    assert "secret-7" not in str(caught.value)


def test_a_server_learns_what_other_machines_did(url, tmp_path):
    here, there = (store.open(tmp_path / name, settings=config.load(metadata_url=url)) for name in ("here", "there"))
    assert sequence_of(here) == 0
    record(there.metadata)
    assert sequence_of(here) == 1
    for stores in (here, there):
        stores.close()
