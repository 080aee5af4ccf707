"""Several databases may keep their files in one artifact store, and none of them frees what another one needs."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.store.artifacts import ArtifactStore
from dwcp_jupyter.workspace import Workspace
from tests.s3 import KEYS

NOW = {"grace": timedelta(seconds=-5), "older_than": timedelta(0)}
"""An S3 tells the time by whole seconds, so what was written just now may seem to be of the next one."""


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path, monkeypatch):
    """An artifact store that belongs to no workspace folder."""
    if request.param == "folder":
        return str(tmp_path / "shared")
    server = request.getfixturevalue("s3")
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    bucket = f"owners-{tmp_path.name.replace('_', '-').lower()}"[:60].rstrip("-")
    ArtifactStore(f"s3://{bucket}")._filesystem.call_s3("create_bucket", Bucket=bucket)
    return f"s3://{bucket}/models"


@pytest.fixture
def opened(tmp_path, place):
    """Opens a workspace by its name; the artifact store is the shared one unless `artifact_url` says otherwise."""
    with ExitStack() as stack:

        def open_(name, **settings):
            settings = config.load(**{"artifact_url": place, **settings})
            return Workspace(stack.enter_context(store.open(tmp_path / name, settings=settings)))

        yield open_


@pytest.fixture
def mine(opened, metadata_url):
    """A workspace on each database."""
    return opened("mine", metadata_url=metadata_url)


def register(workspace, classifier, iris, name="prod"):
    return workspace.registry.register_model(ModelMetadata(name=name), classifier, input_example=iris[0].head(2))


def records(workspace):
    artifacts = workspace.stores.artifacts
    filesystem = artifacts._filesystem
    paths = filesystem.find(f"{artifacts._base}/owners")
    return {Path(path).name: json.loads(filesystem.cat_file(path)) for path in paths}


def put_unneeded(workspace, data=b"needed by nobody"):
    return workspace.stores.artifacts.put_bytes(data).sha256


def test_files_of_another_database_are_not_freed_and_it_is_named(mine, opened, classifier, iris):
    other = opened("other")
    register(other, classifier, iris)
    garbage = put_unneeded(mine)
    before = mine.registry.list_models(), len(mine.events)
    with pytest.raises(
        WorkspaceError, match=r"other/metadata\.duckdb' .*No file was removed.*DWCP_ARTIFACT_URL.*--gone"
    ):
        mine.registry.collect_garbage(**NOW)
    assert other.registry.load_model("prod").predict(iris[0].head(3)).values is not None
    assert mine.stores.artifacts.exists(garbage)
    assert (mine.registry.list_models(), len(mine.events)) == before
    with pytest.raises(WorkspaceError, match="keeps the files of other databases"):
        other.registry.collect_garbage(**NOW)


def test_the_trash_is_not_emptied_either(mine, opened, classifier, iris):
    register(mine, classifier, iris, "mine")
    mine.registry.delete_model("mine")
    put_unneeded(opened("other"))
    with pytest.raises(WorkspaceError):
        mine.registry.collect_garbage(**NOW)
    assert mine.registry.restore_model("mine@1.0.0").version == "1.0.0"


def test_a_dry_run_tells_what_would_be_freed_and_why_it_would_not(mine, opened):
    put_unneeded(mine)
    assert mine.registry.collect_garbage(dry_run=True, **NOW).others == ()
    put_unneeded(opened("other"), b"needed by the other")
    would = mine.registry.collect_garbage(dry_run=True, **NOW)
    assert would.blobs == 2
    (named,) = would.others
    assert "other/metadata.duckdb" in named
    shown = would._repr_mimebundle_()
    assert "other/metadata.duckdb" in shown["text/plain"]
    assert "Nothing can be removed" in shown["text/html"]


def test_a_store_of_its_own_is_collected(mine):
    garbage = put_unneeded(mine)
    assert mine.registry.collect_garbage(**NOW).blobs == 1
    assert not mine.stores.artifacts.exists(garbage)


def test_a_record_is_there_before_the_first_file_and_holds_no_password(opened, place):
    workspace = opened("mine")
    seen = []
    artifacts = workspace.stores.artifacts

    def look():
        workspace.stores.owners.claim()
        seen.append((len(records(workspace)), len(artifacts.list_blobs())))

    ArtifactStore(place, before_write=look).put_bytes(b"first")
    assert seen == [(1, 0)]
    ((name, record),) = records(workspace).items()
    assert name == f"{record['id']}.json"
    assert record["name"].endswith("/mine/metadata.duckdb")


def test_a_server_is_named_without_user_and_password(opened, postgresql, tmp_path):
    with postgresql.schema() as url:
        workspace = opened("mine", metadata_url=url.replace("dwcp@", "dwcp:s3cret@") + "&password=s3cret")
        put_unneeded(workspace)
        ((_, record),) = records(workspace).items()
        assert record["name"].startswith("postgresql ")
        assert "s3cret" not in json.dumps(record)
        assert "dwcp@" not in record["name"]


def test_two_schemas_of_one_server_are_two_owners_and_two_folders_of_one_schema_are_one(opened, postgresql):
    with postgresql.schema() as first, postgresql.schema() as second:
        a, b, again = opened("a", metadata_url=first), opened("b", metadata_url=second), opened("c", metadata_url=first)
        for workspace in (a, again):
            put_unneeded(workspace)
        assert len(records(a)) == 1
        assert again.registry.collect_garbage(**NOW).blobs == 1
        put_unneeded(b)
        assert len(records(a)) == 2
        with pytest.raises(WorkspaceError, match="other databases"):
            a.registry.collect_garbage(**NOW)


def test_bytes_that_are_there_already_make_an_owner_too(mine, opened):
    put_unneeded(mine)
    other = opened("other")
    put_unneeded(other)
    assert len(records(mine)) == 2
    with pytest.raises(WorkspaceError, match="other databases"):
        mine.registry.collect_garbage(**NOW)


def test_a_database_of_an_earlier_release_is_recorded_when_it_writes_or_collects(mine, classifier, iris):
    register(mine, classifier, iris)
    for path in mine.stores.artifacts._filesystem.find(f"{mine.stores.artifacts._base}/owners"):
        mine.stores.artifacts._filesystem.rm_file(path)
    with store.open(mine.stores.root, settings=mine.stores.settings) as stores:
        again = Workspace(stores)
        assert again.registry.collect_garbage(dry_run=True, **NOW).blobs == 0
        assert records(again) == {}
        again.registry.collect_garbage(**NOW)
        assert len(records(again)) == 1


def test_an_owner_that_begins_while_garbage_is_collected_keeps_its_files(mine, opened, classifier, iris):
    other = opened("other")
    kept = put_unneeded(mine, b"both keep these bytes")

    def meanwhile():
        """What another process does when all is listed and nothing is removed yet."""
        put_unneeded(other, b"both keep these bytes")
        return iter(())

    class Begins:
        def __iter__(self):
            return meanwhile()

    stores = mine.stores
    with pytest.raises(WorkspaceError, match=r"other/metadata\.duckdb"):
        store.collect(stores.metadata, stores.artifacts, stores.owners, grace=NOW["grace"], without=Begins())
    assert other.stores.artifacts.read(kept) == b"both keep these bytes"


def test_a_copy_keeps_what_it_needs(mine, opened, classifier, iris, tmp_path):
    register(mine, classifier, iris)
    url = f"sqlite:///{tmp_path}/copy.sqlite"
    mine.copy(url)
    twin = opened("mine", metadata_url=url)
    twin.registry.register_model(ModelMetadata(name="later"), classifier.__class__(max_iter=300).fit(*iris))
    mine.registry.delete_model("prod")
    with pytest.raises(WorkspaceError, match=r"copy\.sqlite"):
        mine.registry.collect_garbage(**NOW)
    for name in ("prod", "later"):
        assert twin.registry.load_model(name).predict(iris[0].head(3)).values is not None
    with pytest.raises(WorkspaceError, match="other databases"):
        twin.registry.collect_garbage(**NOW)


class TestGone:
    def test_a_database_that_is_said_to_be_gone_does_not_count_and_that_is_recorded(self, mine, opened):
        kept = put_unneeded(opened("other"))
        put_unneeded(mine, b"mine")
        (other,) = mine.stores.owners.others()
        for said in (other.id, other.id[:8], other.name):
            assert mine.stores.owners.find(said) == other
        said = other.id[:8]
        assert mine.registry.collect_garbage(dry_run=True, gone=[said], **NOW).others == ()
        assert len(records(mine)) == 2
        assert mine.registry.collect_garbage(gone=[said], **NOW).blobs == 2
        assert not mine.stores.artifacts.exists(kept)
        event = mine.events[-1]
        assert (event.kind, event.subject, event.payload["name"]) == (
            "owner.forgotten",
            f"owner:{other.id}",
            other.name,
        )
        assert f"{other.id}.json" not in records(mine)
        assert mine.registry.verify() is True

    def test_one_of_several_is_not_enough(self, mine, opened):
        for name in ("b", "c"):
            put_unneeded(opened(name))
        put_unneeded(mine)
        first, _ = mine.stores.owners.others()
        with pytest.raises(WorkspaceError, match="other databases"):
            mine.registry.collect_garbage(gone=[first.id], **NOW)
        assert len(records(mine)) == 3

    def test_who_is_no_owner_is_refused(self, mine, opened):
        put_unneeded(opened("other"))
        put_unneeded(mine)
        with pytest.raises(WorkspaceError, match=r"'nobody' is none .*other/metadata\.duckdb"):
            mine.registry.collect_garbage(gone=["nobody"], **NOW)

    def test_who_writes_again_is_an_owner_again(self, mine, opened, tmp_path):
        other = opened("other")
        put_unneeded(other)
        put_unneeded(mine)
        (gone,) = mine.stores.owners.others()
        mine.registry.collect_garbage(gone=[gone.id], **NOW)
        put_unneeded(opened("other"))
        with pytest.raises(WorkspaceError, match="other databases"):
            mine.registry.collect_garbage(**NOW)


class TestFolders:
    """A store on a file system, most of all the one in the workspace folder."""

    @pytest.fixture
    def place(self, tmp_path):
        return str(tmp_path / "shared")

    def files(self, root):
        return {path.relative_to(root).parts[0] for path in (root / "artifacts").rglob("*") if path.is_file()}

    @pytest.mark.parametrize("url", ["duckdb", "sqlite"])
    def test_a_workspace_in_one_folder_leaves_no_record_and_may_be_moved(self, opened, tmp_path, url):
        workspace = opened("mine", artifact_url="", metadata_url=url)
        put_unneeded(workspace)
        assert not (tmp_path / "mine" / "artifacts" / "owners").exists()
        workspace.registry.register_model(ModelMetadata(name="draft"))
        workspace.close()
        shutil.move(tmp_path / "mine", tmp_path / "moved")
        moved = opened("moved", artifact_url="", metadata_url=url)
        assert moved.registry.collect_garbage(**NOW).blobs == 1

    def test_two_databases_of_one_folder_know_each_other(self, opened, tmp_path):
        first, second = (opened("mine", artifact_url="", metadata_url=url) for url in ("duckdb", "sqlite"))
        first.init()
        second.init()
        kept = put_unneeded(first)
        for workspace, other in ((first, "metadata.sqlite"), (second, "metadata.duckdb")):
            with pytest.raises(WorkspaceError, match=rf"{other}'.*move a file away"):
                workspace.registry.collect_garbage(**NOW)
        with pytest.raises(WorkspaceError, match=r"is not gone: its file is there"):
            second.registry.collect_garbage(gone=[str(tmp_path / "mine" / "metadata.duckdb")], **NOW)
        assert first.stores.artifacts.exists(kept)
        first.close()
        (tmp_path / "mine" / "metadata.duckdb").rename(tmp_path / "elsewhere")
        assert second.registry.collect_garbage(**NOW).blobs == 1

    def test_a_copy_beside_the_same_folder_counts(self, opened, postgresql, classifier, iris):
        home = opened("mine", artifact_url="")
        register(home, classifier, iris)
        with postgresql.schema() as url:
            home.copy(url)
            server = opened("mine", artifact_url="", metadata_url=url)
            register(server, classifier.__class__(max_iter=300).fit(*iris), iris, "later")
            with pytest.raises(WorkspaceError, match="postgresql"):
                home.registry.collect_garbage(**NOW)
            with pytest.raises(WorkspaceError, match=r"metadata\.duckdb"):
                server.registry.collect_garbage(**NOW)
            assert server.registry.load_model("later").predict(iris[0].head(3)).values is not None

    def test_who_writes_into_the_folder_of_another_workspace_is_seen_there_and_sees_it(self, opened, tmp_path):
        home = opened("home", artifact_url="")
        put_unneeded(home)
        home.init()
        guest = opened("guest", artifact_url=str(tmp_path / "home" / "artifacts"))
        put_unneeded(guest)
        with pytest.raises(WorkspaceError, match=r"guest/metadata\.duckdb"):
            home.registry.collect_garbage(**NOW)
        with pytest.raises(WorkspaceError, match=r"home/metadata\.duckdb"):
            guest.registry.collect_garbage(**NOW)

    def test_a_folder_that_two_workspaces_link_to_is_shared(self, opened, tmp_path):
        (tmp_path / "disk").mkdir()
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "artifacts").symlink_to(tmp_path / "disk")
        a, b = (opened(name, artifact_url="") for name in ("a", "b"))
        put_unneeded(a)
        put_unneeded(b)
        with pytest.raises(WorkspaceError, match=r"b/metadata\.duckdb"):
            a.registry.collect_garbage(**NOW)

    def test_a_folder_copied_by_hand_is_another_owner(self, opened, tmp_path):
        first = opened("first", metadata_url="sqlite")
        put_unneeded(first)
        first.close()
        shutil.copytree(tmp_path / "first", tmp_path / "second")
        second = opened("second", metadata_url="sqlite")
        put_unneeded(second, b"second")
        with pytest.raises(WorkspaceError, match=r"second/metadata\.sqlite"):
            first.registry.collect_garbage(**NOW)

    def test_a_database_made_anew_is_another_owner_than_the_one_that_lay_there(self, opened, tmp_path):
        first = opened("mine", metadata_url="sqlite")
        kept = put_unneeded(first)
        first.close()
        shutil.move(tmp_path / "mine", tmp_path / "moved")
        second = opened("mine", metadata_url="sqlite")
        put_unneeded(second, b"second")
        with pytest.raises(WorkspaceError, match=r"mine/metadata\.sqlite"):
            second.registry.collect_garbage(**NOW)
        assert second.stores.artifacts.exists(kept)

    def test_a_record_that_cannot_be_read_counts(self, opened, tmp_path):
        workspace = opened("mine")
        put_unneeded(workspace)
        (tmp_path / "shared" / "owners" / "strange.json").write_text("{")
        with pytest.raises(WorkspaceError, match="a record that cannot be read"):
            workspace.registry.collect_garbage(**NOW)
        workspace.registry.collect_garbage(gone=["strange"], **NOW)
        assert list(records(workspace)) == [f"{workspace.stores.owners._own().id}.json"]

    def test_nothing_is_kept_where_no_record_can_be(self, opened, tmp_path):
        workspace = opened("mine")
        (tmp_path / "shared").mkdir()
        (tmp_path / "shared" / "owners").write_text("in the way")
        with pytest.raises(WorkspaceError, match="nothing was kept or removed"):
            put_unneeded(workspace)
        assert workspace.stores.artifacts.list_blobs() == []
        with pytest.raises(WorkspaceError):
            workspace.registry.collect_garbage(**NOW)

    def test_a_copy_that_does_not_arrive_leaves_no_record(self, opened, tmp_path):
        from sqlalchemy import update

        from dwcp_jupyter.store import schema

        workspace = opened("mine")
        workspace.registry.register_model(ModelMetadata(name="draft"))
        put_unneeded(workspace)
        with workspace.stores.metadata.transaction() as tx:
            tx.execute(update(schema.versions).values(stage="production"))
        with pytest.raises(ValueError, match="Nothing was copied"):
            workspace.copy(f"sqlite:///{tmp_path}/copy.sqlite")
        assert len(records(workspace)) == 1

    def test_a_restored_backup_is_an_owner(self, opened, tmp_path, classifier, iris):
        workspace = opened("mine")
        register(workspace, classifier, iris)
        workspace.backup(tmp_path / "kept.backup")
        restored = opened("restored")
        restored.restore(tmp_path / "kept.backup")
        workspace.registry.delete_model("prod")
        with pytest.raises(WorkspaceError, match=r"restored/metadata\.duckdb"):
            workspace.registry.collect_garbage(**NOW)
        assert restored.registry.load_model("prod").predict(iris[0].head(3)).values is not None

    def test_the_shell_takes_who_is_gone(self, opened, tmp_path, place):
        workspace, other = opened("mine"), opened("other")
        put_unneeded(workspace)
        put_unneeded(other)
        (owner,) = workspace.stores.owners.others()
        workspace.close()
        code = "import sys; from dwcp_jupyter.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "gc", "--path", str(tmp_path / "mine")]
        environ = {**os.environ, "DWCP_ARTIFACT_URL": place}
        refused = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120)
        assert refused.returncode == 1
        assert "other/metadata.duckdb" in refused.stderr
        done = subprocess.run(
            [*command, "--gone", owner.id[:8]], env=environ, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
