"""What every metadata database must do: commit whole or not at all, in one chain, from many threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dwcp_jupyter import config
from dwcp_jupyter.events import Actor, Assurance, ChainBreak
from dwcp_jupyter.exceptions import SchemaTooNewError
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.metadata import Metadata

__all__ = ["MetadataContract"]

_ROUNDS = 25


def _write(metadata: Metadata, writer: str, rounds: int = _ROUNDS) -> None:
    for number in range(rounds):
        with metadata.transaction() as tx:
            tx.execute(sa.insert(schema.models).values(**_model_row(f"{writer}-{number}")))
            tx.record("model.registered", f"model:{writer}-{number}", number=number)


def _model_row(name: str) -> dict[str, str]:
    """Return a row of `schema.models`."""
    text = {"description": "", "tags": "{}", "custom_metadata": "{}", "created_at": "", "updated_at": ""}
    return {"id": f"id-{name}", "name": name, **text}


def _names(metadata: Metadata) -> list[str]:
    with metadata.read() as connection:
        return list(connection.execute(sa.select(schema.models.c.name).order_by(schema.models.c.name)).scalars())


def _open(root: Path, url: str) -> Metadata:
    return Metadata(root, settings=config.load(environ={}, metadata_url=url))


def _write_in_process(root: Path, url: str, writer: str) -> None:
    _write(_open(root, url), writer)


def _die_in_transaction(root: Path, url: str) -> None:
    with _open(root, url).transaction() as tx:
        tx.execute(sa.insert(schema.models).values(**_model_row("unfinished")))
        os.kill(os.getpid(), signal.SIGKILL)


class MetadataContract:
    """Subclass it and override `metadata_url`; ``url`` is what ``DWCP_METADATA_URL`` would hold."""

    @pytest.fixture
    def metadata_url(self) -> str:
        raise NotImplementedError("a subclass gives the URL of an empty database")

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "a folder, ünïcode #1%" / ".dwcp"

    @pytest.fixture
    def reopen(self, root: Path, metadata_url: str) -> Callable[[], Metadata]:
        return lambda: _open(root, metadata_url)

    @pytest.fixture
    def metadata(self, reopen: Callable[[], Metadata]) -> Metadata:
        return reopen()

    def test_a_commit_is_seen_by_a_second_opener(self, metadata: Metadata, reopen: Callable[[], Metadata]) -> None:
        _write(metadata, "a", rounds=2)
        assert _names(reopen()) == ["a-0", "a-1"]

    def test_an_exception_keeps_neither_rows_nor_events(self, metadata: Metadata) -> None:
        _write(metadata, "a", rounds=1)
        with pytest.raises(KeyError), metadata.transaction() as tx:
            tx.execute(sa.insert(schema.models).values(**_model_row("b")))
            tx.record("model.registered", "model:b")
            raise KeyError
        assert _names(metadata) == ["a-0"]
        assert metadata.head()[0] == 1
        assert metadata.verify() is True

    def test_a_nested_transaction_ends_with_the_outer_one(self, metadata: Metadata) -> None:
        with pytest.raises(KeyError), metadata.transaction() as outer:
            with metadata.transaction() as inner:
                inner.execute(sa.insert(schema.models).values(**_model_row("inner")))
                assert inner is outer
            raise KeyError
        assert _names(metadata) == []

    def test_a_read_inside_a_transaction_sees_it(self, metadata: Metadata) -> None:
        with metadata.transaction() as tx:
            tx.execute(sa.insert(schema.models).values(**_model_row("x")))
            assert _names(metadata) == ["x"]

    def test_a_read_inside_a_read_works(self, metadata: Metadata) -> None:
        _write(metadata, "a", rounds=1)
        with metadata.read() as connection:
            assert _names(metadata) == ["a-0"]
            assert connection.execute(sa.select(sa.func.count()).select_from(schema.models)).scalar() == 1

    def test_events_come_back_as_recorded(self, metadata: Metadata) -> None:
        actor = Actor(name="Zoë <admin>", assurance=Assurance.AUTHENTICATED)
        with metadata.transaction(actor) as tx:
            tx.record("alias.set", "model:κ", alias="champion", value=0.1, nested={"b": [1, None]})
        (event,) = metadata.events()
        assert (event.seq, event.kind, event.subject, event.actor) == (1, "alias.set", "model:κ", actor)
        assert event.payload == {"alias": "champion", "value": 0.1, "nested": {"b": [1, None]}}
        assert metadata.events(after=1) == metadata.events(kinds=["other"]) == metadata.events(subject="model:x") == []
        assert metadata.events(kinds=["alias.set"], subject="model:κ") == [event]

    def test_an_event_that_is_no_json_leaves_nothing(self, metadata: Metadata) -> None:
        with pytest.raises(ValueError, match="JSON"), metadata.transaction() as tx:
            tx.execute(sa.insert(schema.models).values(**_model_row("x")))
            tx.record("model.registered", "model:x", score=float("nan"))
        assert _names(metadata) == []

    def test_threads_lose_nothing(self, metadata: Metadata) -> None:
        threads = [threading.Thread(target=_write, args=(metadata, f"t{n}")) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(_names(metadata)) == metadata.head()[0] == 4 * _ROUNDS
        assert metadata.verify() is True

    def test_processes_lose_nothing_and_keep_one_chain(self, root: Path, metadata_url: str, metadata: Metadata) -> None:
        context = multiprocessing.get_context("spawn")
        arguments = [(root, metadata_url, f"p{n}") for n in range(3)]
        workers = [context.Process(target=_write_in_process, args=a) for a in arguments]
        for worker in workers:
            worker.start()
        _write(metadata, "parent")
        for worker in workers:
            worker.join(120)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert len(set(_names(metadata))) == metadata.head()[0] == 4 * _ROUNDS
        assert metadata.verify() is True

    def test_a_process_killed_in_a_transaction_leaves_nothing_and_no_lock(
        self, root: Path, metadata_url: str, metadata: Metadata
    ) -> None:
        _write(metadata, "a", rounds=1)
        worker = multiprocessing.get_context("spawn").Process(target=_die_in_transaction, args=(root, metadata_url))
        worker.start()
        worker.join(60)
        assert worker.exitcode == -signal.SIGKILL
        assert _names(metadata) == ["a-0"]
        _write(metadata, "b", rounds=1)
        assert metadata.verify() is True

    def test_a_child_forked_in_a_transaction_does_not_end_it(self, metadata: Metadata) -> None:
        with metadata.transaction() as tx:
            tx.execute(sa.insert(schema.models).values(**_model_row("parent")))
            tx.record("model.registered", "model:parent")
            child = os.fork()
            if child == 0:  # what a data loader's worker does: nothing with us, then an ordinary end
                os._exit(0 if _leaves_alone(tx) else 1)
            assert os.waitpid(child, 0)[1] == 0
        assert _names(metadata) == ["parent"]
        assert metadata.verify() is True

    def test_a_forked_child_can_write_once_the_parent_is_done(self, metadata: Metadata) -> None:
        _write(metadata, "parent", rounds=3)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _write(metadata, "child", rounds=3)
                code = 0
            finally:
                os._exit(code)
        assert os.waitpid(child, 0)[1] == 0
        assert len(_names(metadata)) == 6
        assert metadata.verify() is True

    @pytest.mark.parametrize("column", ["body", "hash", "subject"])
    def test_a_changed_event_is_found(self, metadata: Metadata, column: str) -> None:
        _write(metadata, "a", rounds=3)
        with metadata.transaction() as tx:
            tx.execute(sa.update(schema.events).where(schema.events.c.seq == 2).values({column: "forged"}))
        found = metadata.verify()
        assert isinstance(found, ChainBreak)
        assert not found
        assert found.seq == 2

    def test_a_removed_event_is_found(self, metadata: Metadata) -> None:
        _write(metadata, "a", rounds=3)
        with metadata.transaction() as tx:
            tx.execute(sa.delete(schema.events).where(schema.events.c.seq == 2))
        found = metadata.verify()
        assert isinstance(found, ChainBreak)
        assert "missing" in found.reason

    def test_truncation_is_found_against_a_checkpoint(self, metadata: Metadata) -> None:
        _write(metadata, "a", rounds=2)
        shorter = metadata.head()
        _write(metadata, "b", rounds=1)
        checkpoint = metadata.head()
        with metadata.transaction() as tx:
            tx.execute(sa.delete(schema.events).where(schema.events.c.seq == 3))
            tx.execute(sa.update(schema.head).values(seq=shorter[0], hash=shorter[1]))
        assert metadata.verify() is True
        assert isinstance(metadata.verify(checkpoint=checkpoint), ChainBreak)

    def test_a_workspace_of_a_newer_release_is_refused(
        self, metadata: Metadata, reopen: Callable[[], Metadata]
    ) -> None:
        with metadata.transaction() as tx:
            tx.execute(sa.insert(schema.migrations).values(number=9999, name="future", applied_at=""))
        with pytest.raises(SchemaTooNewError, match="9999"):
            reopen().head()

    def test_the_tables_are_those_of_the_schema(self, metadata: Metadata) -> None:
        _write(metadata, "a", rounds=1)
        with metadata.read() as connection:
            inspector = sa.inspect(connection)
            found = {name: {c["name"] for c in inspector.get_columns(name)} for name in inspector.get_table_names()}
        assert found == {table.name: set(table.columns.keys()) for table in schema.METADATA.sorted_tables}


def _leaves_alone(_tx: object) -> bool:
    import gc

    gc.collect()
    return True
