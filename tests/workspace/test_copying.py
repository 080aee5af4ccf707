"""All metadata arrive in another database, or in a file and back, or nothing does."""

import shutil
import sqlite3

import pytest
import sqlalchemy as sa

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import IntegrityError, WorkspaceError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import Workspace


def rows_of(stores):
    """Return every row of every table."""
    with stores.metadata.read() as connection:
        return {
            table.name: [
                tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))
            ]
            for table in schema.METADATA.sorted_tables
            if table.name != schema.migrations.name
        }


@pytest.fixture
def full(tmp_path, classifier, iris):
    """A workspace in which something lies in almost every table."""
    with store.open(tmp_path / "full") as stores:
        workspace = Workspace(stores)
        registry = workspace.registry
        for name in ("iris", "\u00e9t\u00e9 '; --"[:3]):
            registry.register_model(
                ModelMetadata(name=name, metrics={"auc": 0.1 + 0.2}), classifier, input_example=iris[0].head(2)
            )
        registry.register_model(ModelMetadata(name="iris"))
        registry.set_reference_data("iris@1.0.0", iris[0])
        registry.set_alias("iris@1.0.0", "champion")
        registry.set_policy("production", {"reviewers": 1, "checks": ["metrics.auc >= 0.1"]})
        registry.record_evidence("iris@1.0.0", "bias", {"gap": 1e-17})
        registry.promote_model("iris@1.0.0", "staging")
        registry.approve_model(registry.request_approval("iris@1.0.0", "ana"), "bo", "\u2713 'ok'")
        registry.promote_model("iris@1.0.0", "production")
        registry.delete_model("iris@1.1.0")
        yield workspace


@pytest.fixture
def empty(tmp_path, metadata_url):
    settings = config.load(metadata_url=metadata_url)
    with store.open(tmp_path / "empty", settings=settings) as stores:
        yield Workspace(stores)


def test_a_copy_is_the_same_in_another_database(full, empty, metadata_url, tmp_path):
    if metadata_url in {"duckdb", "sqlite"}:
        metadata_url = f"{metadata_url}:///{tmp_path}/other.db"
    copied = full.copy(metadata_url)
    with store.open(full.stores.root, settings=config.load(metadata_url=metadata_url)) as stores:
        assert rows_of(stores) == rows_of(full.stores)
        other = Workspace(stores).registry
        assert other.verify(checkpoint=full.stores.metadata.head()) is True
        assert other.get_model("iris@production") == full.registry.get_model("iris@production")
        assert other.load_model("iris@champion").info.flavor == "sklearn"
        other.set_alias("iris@1.0.0", "moved")  # and it goes on from there
        assert other.verify() is True
    assert copied.head == full.stores.metadata.head()
    assert copied.rows["versions"] == 2
    with pytest.raises(WorkspaceError, match="holds a workspace already"):
        full.copy(metadata_url)


def test_a_backup_comes_back(full, empty, tmp_path):
    file = tmp_path / "kept.backup"
    full.backup(file)
    assert [path.name for path in tmp_path.glob("*") if "backup" in path.name] == ["kept.backup"]
    before = file.read_bytes()
    empty.restore(file)
    assert rows_of(empty.stores) == rows_of(full.stores)
    assert empty.registry.verify() is True
    assert file.read_bytes() == before
    with pytest.raises(WorkspaceError, match="holds a workspace already"):
        empty.restore(file)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE artifact_references SET size_bytes = size_bytes + 1",
        "UPDATE reference_data SET sensitivity = '0.5'",
        "UPDATE versions SET stage = 'production' WHERE stage != 'production'",
        "DELETE FROM trash",
        "UPDATE backup_sums SET sha256 = 'x' WHERE name = 'models'",
        "DELETE FROM events WHERE seq = (SELECT max(seq) FROM events)",
    ],
)
def test_a_changed_backup_is_refused_whole(full, tmp_path, change):
    file = tmp_path / "kept.backup"
    full.backup(file)
    with sqlite3.connect(file) as connection:
        assert connection.execute(change).rowcount > 0
    connection.close()
    with store.open(tmp_path / "other") as stores:
        with pytest.raises(IntegrityError, match="Nothing was"):
            Workspace(stores).restore(file)
        assert not any(rows for name, rows in rows_of(stores).items() if name != "event_head")
        assert stores.metadata.head()[0] == 0


@pytest.mark.parametrize(
    ("change", "lacking"),
    [
        ("DROP TABLE trash", "table 'trash'"),
        ("DROP TABLE event_head", "table 'event_head'"),
        ("DROP TABLE trash; DELETE FROM backup_sums WHERE name = 'trash'", "table 'trash'"),
        ("ALTER TABLE endpoints DROP COLUMN place", "column 'place' of its table 'endpoints'"),
    ],
)
def test_a_backup_that_lacks_a_part_is_refused_naming_it(full, empty, tmp_path, change, lacking):
    file = tmp_path / "kept.backup"
    full.backup(file)
    with sqlite3.connect(file) as connection:
        connection.executescript(change)
    connection.close()
    with pytest.raises(WorkspaceError, match=rf"lacks the {lacking}.*Nothing was restored; take another backup"):
        empty.restore(file)
    assert not any(rows for name, rows in rows_of(empty.stores).items() if name != "event_head")


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500, None])
def test_what_is_no_backup_is_refused(full, tmp_path, content):
    file = tmp_path / "kept.backup"
    full.backup(file)
    file.write_bytes(file.read_bytes()[:5000] if content is None else content)
    with store.open(tmp_path / "other") as stores:
        with pytest.raises(WorkspaceError, match="Give a file that %dwcp backup wrote"):
            Workspace(stores).restore(file)
        assert not stores.metadata.exists


def test_a_backup_overwrites_nothing_and_leaves_nothing_where_it_cannot_be_written(full, tmp_path):
    file = tmp_path / "kept.backup"
    file.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="Give a new name"):
        full.backup(file)
    assert file.read_bytes() == b"mine"
    with pytest.raises(FileNotFoundError, match="Make it first"):
        full.backup(tmp_path / "nowhere" / "file")
    with pytest.raises(FileNotFoundError, match="no file"):
        full.restore(tmp_path / "nothing")


def test_an_altered_workspace_is_not_copied(full, tmp_path):
    with full.stores.metadata.transaction() as tx:
        tx.execute(sa.update(schema.versions).values(stage="production"))
    with pytest.raises(IntegrityError, match=r"does not hold.*Nothing was copied"):
        full.copy(f"sqlite:///{tmp_path}/other.db")
    shutil.rmtree(tmp_path / "full" / "run", ignore_errors=True)
    with store.open(full.stores.root, settings=config.load(metadata_url=f"sqlite:///{tmp_path}/other.db")) as stores:
        assert stores.metadata.head()[0] == 0
