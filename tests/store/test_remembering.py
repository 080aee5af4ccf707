"""What was read under the lease is asked once, and never answered wrongly."""

import subprocess
import sys
import time

import pytest
from sqlalchemy import bindparam, delete, event, select, text, update

from dwcp_jupyter import config, store
from dwcp_jupyter.store import remembering, schema
from dwcp_jupyter.store.leased import BURST_S, LINGER_S

KEYS = select(schema.aliases.c.alias, schema.aliases.c.version_id).where(
    schema.aliases.c.model_id == bindparam("model")
)
ROW = {"model_id": "m", "alias": "champion", "version_id": "v1", "updated_at": "2026-01-01"}


def ask(connection):
    return [tuple(row) for row in remembering.rows_of(connection, KEYS, {"model": "m"}, table=schema.aliases)]


class RefusedError(Exception):
    pass


def refuse_after(write, metadata):
    """Let a transaction write and then be rolled back."""

    def run():
        with metadata.transaction() as tx:
            write(tx)
            raise RefusedError

    with pytest.raises(RefusedError):
        run()


@pytest.fixture
def metadata(stores):
    with stores.metadata.transaction() as tx:
        tx.insert(schema.aliases, [ROW])
    return stores.metadata


@pytest.fixture
def statements(metadata):
    """The statements that read aliases."""
    seen = []

    def note(_connection, _cursor, statement, *_):
        if "FROM aliases" in statement and statement.startswith("SELECT"):
            seen.append(statement)

    with metadata.read():
        engine = metadata._connections._engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_what_is_asked_twice_under_the_lease_is_read_once(metadata, statements):
    with metadata.read() as connection:
        assert ask(connection) == ask(connection) == [("champion", "v1")]
    assert len(statements) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda tx: tx.execute(update(schema.aliases).values(version_id="v2")),
        lambda tx: tx.execute(delete(schema.aliases)),
        lambda tx: tx.insert(schema.aliases, [ROW | {"alias": "a"}]),
        lambda tx: tx.insert(schema.aliases, [ROW | {"alias": "a"}, ROW | {"alias": "b"}]),
        lambda tx: tx.connection.exec_driver_sql("UPDATE aliases SET version_id = 'v3'"),
        lambda tx: tx.connection.exec_driver_sql("DELETE FROM aliases"),
        lambda tx: tx.execute(text("UPDATE aliases SET version_id = 'v3'")),
    ],
)
def test_a_write_to_the_table_is_seen_by_the_next_question(metadata, write):
    with metadata.transaction() as tx:
        before = ask(tx.connection)
        write(tx)
        after = ask(tx.connection)
        stored = [tuple(row) for row in tx.connection.execute(KEYS, {"model": "m"})]
    assert after == stored != before


def test_a_write_to_another_table_forgets_nothing(metadata, statements):
    with metadata.transaction() as tx:
        ask(tx.connection)
        tx.record("policy.set", "policy:*/production")
        ask(tx.connection)
    assert len(statements) == 1


def test_what_was_read_after_a_write_is_forgotten_when_that_is_rolled_back(metadata):
    def write(tx):
        tx.execute(update(schema.aliases).values(version_id="v2"))
        assert ask(tx.connection) == [("champion", "v2")]

    refuse_after(write, metadata)
    with metadata.read() as connection:
        assert ask(connection) == [("champion", "v1")]


def test_a_head_that_was_rolled_back_is_no_head(metadata):
    def write(tx):
        tx.record("policy.set", "policy:*/production")
        tx._append_events()

    before = metadata.head()
    refuse_after(write, metadata)
    with metadata.transaction() as tx:
        tx.record("policy.set", "policy:*/production")
    assert metadata.head()[0] == before[0] + 1
    assert metadata.verify() is True


WRITER = """
import sys
from sqlalchemy import update
from dwcp_jupyter import store
from dwcp_jupyter.store import schema
with store.open(sys.argv[1]) as stores, stores.metadata.transaction() as tx:
    tx.execute(update(schema.aliases).values(version_id="v2"))
    tx.record("policy.set", "policy:*/production")
"""


def test_what_another_process_wrote_is_seen_once_it_had_the_lease(metadata):
    with metadata.read() as connection:
        assert ask(connection) == [("champion", "v1")]
    with metadata.read() as connection:  # a burst: the file stays open
        assert ask(connection) == [("champion", "v1")]
    subprocess.run([sys.executable, "-c", WRITER, str(metadata.root)], check=True, timeout=60)
    with metadata.read() as connection:
        assert ask(connection) == [("champion", "v2")]
    with metadata.transaction() as tx:
        tx.record("policy.set", "policy:*/production")
    assert metadata.verify() is True


def test_rows_are_kept_no_longer_than_the_file(metadata, statements):
    with metadata.read() as connection:
        ask(connection)
    deadline = time.monotonic() + 10 * (LINGER_S + BURST_S)
    while metadata._connections._connection is not None and time.monotonic() < deadline:
        time.sleep(BURST_S)
    with metadata.read() as connection:
        ask(connection)
    assert len(statements) == 2


def test_many_rows_are_not_kept(metadata, statements):
    rows = [ROW | {"alias": f"a{number}"} for number in range(remembering._MOST_ROWS + 1)]
    with metadata.transaction() as tx:
        tx.insert(schema.aliases, rows)
    with metadata.read() as connection:
        assert len(ask(connection)) == len(ask(connection)) == len(rows) + 1
    assert len(statements) == 2


def test_no_more_rows_are_kept_than_have_room(metadata):
    rows = [ROW | {"model_id": f"m{number}"} for number in range(3 * remembering._MOST_ROWS)]
    with metadata.transaction() as tx:
        tx.insert(schema.aliases, rows)
    with metadata.read() as connection:
        for row in rows:
            remembering.rows_of(connection, KEYS, {"model": row["model_id"]}, table=schema.aliases)
            remembering.put(connection, KEYS, {"model": "m"}, [("a", "b")], table=schema.aliases)
        known = connection.info[remembering._KEPT]["aliases"]
        assert 1 < sum(map(len, known._rows.values())) == known._size <= remembering._MOST_ROWS


def test_what_has_no_room_drives_nothing_out(metadata, statements):
    with metadata.read() as connection:
        ask(connection)
        many = [("a", "b")] * (remembering._MOST_ROWS + 1)
        remembering.put(connection, KEYS, {"model": "many"}, many, table=schema.aliases)
        ask(connection)
    assert len(statements) == 1


def test_nothing_is_kept_once_the_file_is_given_back(metadata):
    with metadata.read() as connection:
        ask(connection)
        assert remembering.is_on(connection, table=schema.aliases)
    metadata.close()
    with metadata.read() as connection:
        assert not remembering.is_on(connection, table=schema.aliases)


@pytest.mark.parametrize("metadata_url", ["sqlite", "postgresql"], indirect=True)
def test_where_others_can_write_at_any_moment_nothing_is_kept(metadata_url, tmp_path):
    with store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url)) as stores:
        with stores.metadata.transaction() as tx:
            tx.insert(schema.aliases, [ROW])
        with stores.metadata.read() as connection:
            assert ask(connection) == [("champion", "v1")]
            assert remembering._KEPT not in connection.info
