"""What is deleted can come back, until it is emptied; then its files go, and no others."""

import os
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from dwcp_jupyter import flavors, hashing
from dwcp_jupyter.exceptions import IntegrityError, ModelNotFoundError, TransitionError, VersionExistsError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, Stage
from dwcp_jupyter.store import schema
from tests.registry.rewriting import as_before

NOW = {"grace": timedelta(0), "older_than": timedelta(0)}


@pytest.fixture
def other(guarded, iris):
    """A version whose model file no other one has."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=1).fit(*iris)
    return guarded.register_model(ModelMetadata(name="other"), model, input_example=iris[0], reference_data=iris[0])


def files(registry):
    return {path for path in (registry._stores.root / "artifacts" / "sha256").rglob("*") if path.is_file()}


def test_a_version_comes_back_with_all_that_belonged_to_it(guarded, other, iris):
    guarded.set_alias("other@1.0.0", "champion")
    guarded.record_evidence("other@1.0.0", "bias", {"difference": 0.1})
    before = guarded.get_model("other@champion")
    guarded.delete_model("other")
    with pytest.raises(ModelNotFoundError):
        guarded.get_model("other")
    assert [t.reference for t in guarded.list_trash()] == ["other@1.0.0"]
    assert "other@1.0.0" in guarded.list_trash()._repr_mimebundle_()["text/plain"]
    restored = guarded.restore_model("other@1.0.0")
    assert (restored.id, restored.aliases, restored.sha256) == (before.id, ("champion",), before.sha256)
    assert guarded.reference_data("other@1.0.0").rows == len(iris[0])
    assert guarded.evidence("other")["bias"] == {"difference": 0.1}
    assert len(guarded.load_model("other").predict(iris[0]).values) == len(iris[0])
    assert list(guarded.list_trash()) == []
    assert guarded._stores.metadata.verify()


def test_it_comes_back_among_the_versions_of_its_name(guarded):
    guarded.set_alias("churn@1.0.0", "champion")
    guarded.delete_model("churn@1.0.0")
    guarded.set_alias("churn@1.1.0", "champion")
    assert guarded.restore_model("churn").aliases == ()
    assert [v.version for v in guarded.list_versions("churn")] == ["1.2.0", "1.1.0", "1.0.0"]
    assert guarded.as_of("churn@1.0.0", guarded._stores.clock()).stage is Stage.STAGING


def test_a_name_is_free_at_once_and_the_deleted_one_does_not_take_its_place(guarded, other):
    guarded.delete_model("other")
    again = guarded.register_model(ModelMetadata(name="other", version="1.0.0"))
    assert again.id != other.id
    with pytest.raises(VersionExistsError, match="registered again"):
        guarded.restore_model("other@1.0.0")
    guarded.delete_model("other")
    assert guarded.restore_model(other.id).id == other.id


class TestWholeModels:
    @pytest.fixture
    def described(self, guarded, clock):
        """What a model is, with what is said of it as a whole."""
        guarded.update_model("churn", {"description": "THE MODEL", "tags": ["team-a"]})
        guarded.update_model("churn", {"custom_metadata": {"owner": "risk"}})
        guarded.set_alias("churn@1.1.0", "champion")
        clock.move(days=1)
        return guarded.describe_model("churn")

    @staticmethod
    def facts(model):
        kept = ("id", "name", "description", "tags", "custom_metadata", "task_type", "created_at", "aliases", "stages")
        return {name: getattr(model, name) for name in kept}

    @pytest.mark.parametrize("is_old", [False, True])
    def test_a_bare_name_brings_back_the_model_with_all_that_was_deleted_with_it(self, guarded, described, is_old):
        before = list(guarded.list_versions("churn"))
        guarded.delete_model("churn")
        if is_old:
            as_before(guarded._stores)
        restored = guarded.restore_model("churn")
        assert restored.reference == "churn@1.2.0"
        assert list(guarded.list_versions("churn")) == before
        assert self.facts(guarded.describe_model("churn")) == self.facts(described)
        assert list(guarded.list_trash()) == []
        assert guarded.verify() is True

    def test_what_was_deleted_by_itself_before_stays_in_the_trash(self, guarded, described):
        guarded.delete_model("churn@1.0.0")
        guarded.delete_model("churn")
        guarded.restore_model("churn")
        assert [v.version for v in guarded.list_versions("churn")] == ["1.2.0", "1.1.0"]
        assert [t.reference for t in guarded.list_trash()] == ["churn@1.0.0"]
        assert guarded.restore_model("churn").reference == "churn@1.0.0"
        assert guarded.verify() is True

    def test_one_version_comes_back_to_its_own_model_and_the_rest_later(self, guarded, described):
        guarded.delete_model("churn")
        assert guarded.restore_model("churn@1.0.0").model_id == described.id
        assert [v.version for v in guarded.list_versions("churn")] == ["1.0.0"]
        assert guarded.describe_model("churn").description == "THE MODEL"
        guarded.restore_model("churn")
        assert [v.version for v in guarded.list_versions("churn")] == ["1.2.0", "1.1.0", "1.0.0"]
        assert guarded.verify() is True

    def test_the_way_back_to_production_is_open_again(self, guarded):
        guarded.set_policy("production", {"reviewers": 0})
        for number in ("1.0.0", "1.1.0"):
            guarded.promote_model(f"churn@{number}", "production")
        guarded.promote_model("churn@1.1.0", "staging")
        guarded.delete_model("churn")
        guarded.restore_model("churn")
        assert guarded.rollback("churn").version == "1.1.0"

    def test_a_name_that_was_given_away_is_not_taken_back(self, guarded, described):
        guarded.delete_model("churn")
        guarded.register_model(ModelMetadata(name="churn", version="9.0.0"))
        with pytest.raises(VersionExistsError, match=r"registered again after the deletion.*'churn@1\.\d\.0'"):
            guarded.restore_model("churn")
        assert len(guarded.list_trash()) == 3
        guarded.restore_model("churn@1.0.0")
        assert [v.version for v in guarded.list_versions("churn")] == ["9.0.0", "1.0.0"]
        assert guarded.verify() is True

    def test_all_come_back_or_none(self, guarded, described):
        guarded.delete_model("churn")
        guarded.restore_model("churn@1.0.0")
        guarded.register_model(ModelMetadata(name="churn", version="1.2.0"))
        with pytest.raises(VersionExistsError, match=r"'churn@1\.2\.0' was registered again"):
            guarded.restore_model("churn")
        assert len(guarded.list_trash()) == 2


class TestTampering:
    """What lies in the trash is a row like any other; what the version was, its event says."""

    @staticmethod
    def alter(registry, **values):
        with registry._stores.metadata.transaction() as tx:
            tx.execute(sa.update(schema.trash).values(**values))

    @staticmethod
    def body(registry):
        with registry._stores.metadata.read() as connection:
            return connection.execute(sa.select(schema.trash.c.body)).scalar_one()

    @pytest.mark.parametrize("name", ["churn@1.0.0", "churn"])
    def test_a_body_that_was_changed_does_not_come_back_and_both_sums_are_said(self, guarded, name):
        guarded.delete_model("churn@1.0.0")
        former = self.body(guarded)
        forged = former.replace('"staging"', '"production"').replace("0.9}", "0.99}")
        self.alter(guarded, body=forged)
        with pytest.raises(IntegrityError, match=r"'churn 1\.0\.0' in the table trash was changed") as caught:
            guarded.restore_model(name)
        assert (caught.value.expected, caught.value.actual) == (
            hashing.sha256_bytes(former.encode()),
            hashing.sha256_bytes(forged.encode()),
        )
        assert caught.value.expected in str(caught.value)
        assert caught.value.actual in str(caught.value)
        assert [t.reference for t in guarded.list_trash()] == ["churn@1.0.0"]
        assert "in the table trash was changed without an event: body is" in guarded.verify().reason
        self.alter(guarded, body=former)
        assert guarded.restore_model(name).stage is Stage.STAGING
        assert guarded.verify() is True

    @pytest.mark.parametrize(
        ("old", "new"), [("0.9}", "0.99}"), ('"staging"', '"production"'), ("0.25", "0.01"), ('"bias"', '"documents"')]
    )
    def test_one_that_an_earlier_release_deleted_is_compared_with_what_its_events_say(self, guarded, old, new):
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.25})
        guarded.delete_model("churn@1.0.0")
        as_before(guarded._stores)
        former = self.body(guarded)
        self.alter(guarded, body=former.replace(old, new))
        with pytest.raises(IntegrityError, match="was changed without an event: body is"):
            guarded.restore_model("churn@1.0.0")
        self.alter(guarded, body=former)
        assert guarded.restore_model("churn@1.0.0").stage is Stage.STAGING
        assert guarded.verify() is True

    def test_evidence_altered_before_the_deletion_does_not_come_back(self, guarded):
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.25})
        with guarded._stores.metadata.transaction() as tx:
            tx.execute(sa.update(schema.evidence).values(body='{"gap":0.01}'))
        guarded.delete_model("churn@1.0.0")
        assert "in the table trash was changed" in guarded.verify().reason
        with pytest.raises(IntegrityError, match="in the table trash was changed"):
            guarded.restore_model("churn@1.0.0")

    def test_a_row_put_in_by_hand_does_not_come_back(self, guarded):
        guarded.delete_model("churn@1.0.0")
        with guarded._stores.metadata.transaction() as tx:
            row = dict(tx.execute(sa.select(schema.trash)).one()._mapping)
            tx.execute(sa.insert(schema.trash).values({**row, "version_id": "f" * 32, "version": "8.0.0"}))
        with pytest.raises(IntegrityError, match="stands in the table trash without an event"):
            guarded.restore_model("churn@8.0.0")
        assert guarded.restore_model("churn").version == "1.0.0"

    def test_nothing_comes_back_into_production_though_an_event_says_so(self, guarded):
        guarded.set_policy("production", {"reviewers": 0})
        version = guarded.promote_model("churn@1.0.0", "production")
        with guarded._stores.metadata.transaction() as tx:
            table = schema.versions
            values = dict(tx.execute(sa.select(table).where(table.c.id == version.id)).one()._mapping)
            body = {"values": values, "task_type": None, "aliases": [], "reference_data": [], "evidence": []}
            now = tx.now.isoformat(timespec="microseconds")
            row = {"version_id": version.id, "name": "churn", "version": "1.0.0", "size_bytes": version.size_bytes}
            row |= {"body": schema.dump(body), "deleted_at": now, "deleted_by": tx.actor.name}
            tx.insert(schema.trash, [row])
            tx.execute(sa.delete(table).where(table.c.id == version.id))
            tx.record("version.deleted", "model:churn@1.0.0", name="churn", **values)
        with pytest.raises(IntegrityError, match="would come back into production"):
            guarded.restore_model("churn@1.0.0")


@pytest.mark.parametrize("wrong", ["nobody", "churn@9.9.9", "churn@champion", "chrun@1.0.0"])
def test_what_the_trash_does_not_hold_is_said(guarded, wrong):
    guarded.delete_model("churn@1.0.0")
    with pytest.raises(ModelNotFoundError, match=r"It holds: churn@1\.0\.0"):
        guarded.restore_model(wrong)


def test_production_and_what_it_needs_cannot_be_deleted(guarded):
    guarded.set_policy("production", {"reviewers": 0})
    guarded.promote_model("churn@1.0.0", "production")
    for doomed in ("churn@1.0.0", "churn"):
        with pytest.raises(TransitionError, match="in production"):
            guarded.delete_model(doomed)
    assert len(guarded.list_versions("churn")) == 3
    assert list(guarded.list_trash()) == []


class TestGarbage:
    def test_a_dry_run_tells_what_the_real_one_frees(self, guarded, other, iris):
        before = files(guarded)
        sizes = {path: path.stat().st_size for path in before}
        guarded.delete_model("other")
        assert guarded.collect_garbage(grace=timedelta(0)).blobs == 0  # it lies in the trash
        would = guarded.collect_garbage(dry_run=True, **NOW)
        assert files(guarded) == before
        assert would.versions == ("other@1.0.0",)
        report = guarded.collect_garbage(**NOW)
        gone = before - files(guarded)
        assert (report.blobs, report.bytes) == (would.blobs, would.bytes)
        assert report.blobs == len(gone) > 0
        assert report.bytes == sum(sizes[path] for path in gone)
        assert guarded.load_model("churn@1.0.0").predict(iris[0]) is not None
        with pytest.raises(ModelNotFoundError):
            guarded.restore_model("other@1.0.0")
        assert "freed" in report._repr_mimebundle_()["text/plain"]

    def test_shared_files_stay_as_long_as_one_version_needs_them(self, guarded, classifier, iris, tmp_path):
        guarded.delete_model("churn")
        flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
        for _ in range(2):
            guarded.register_model(ModelMetadata(name="twin"), artifact_path=tmp_path / "package")
        guarded.delete_model("twin@1.0.0")
        assert "twin@1.0.0" in guarded.collect_garbage(**NOW).versions
        assert guarded.load_model("twin@1.1.0").predict(iris[0]) is not None
        guarded.delete_model("twin")
        assert guarded.collect_garbage(**NOW).blobs > 0
        assert files(guarded) == set()

    def test_the_trash_is_kept_for_thirty_days(self, guarded, other, clock):
        guarded.delete_model("other")
        clock.move(days=29)
        assert guarded.collect_garbage(grace=timedelta(0)).versions == ()
        clock.move(days=2)
        assert guarded.collect_garbage(grace=timedelta(0)).versions == ("other@1.0.0",)

    def test_what_was_just_written_stays(self, guarded):
        guarded._stores.artifacts.put_bytes(b"about to be registered")
        assert guarded.collect_garbage(older_than=timedelta(0)).blobs == 0
        assert guarded.collect_garbage(**NOW).blobs == 1

    def test_bytes_kept_again_are_as_good_as_new(self, guarded):
        kept = guarded._stores.artifacts.put_bytes(b"old")
        (path,) = [p for p in files(guarded) if p.parent.name + p.name == kept.sha256]
        os.utime(path, (0, 0))
        guarded._stores.artifacts.put_bytes(b"old")
        assert time.time() - path.stat().st_mtime < 60
        assert guarded.collect_garbage().blobs == 0
        os.utime(path, (0, 0))
        assert guarded.collect_garbage().blobs == 1

    def test_what_was_never_finished_goes(self, guarded):
        partial = guarded._stores.root / "artifacts" / "sha256" / "ab" / ".x.partial"
        partial.parent.mkdir(exist_ok=True)
        partial.write_bytes(b"half")
        os.utime(partial, (0, 0))
        assert (guarded.collect_garbage().blobs, partial.exists()) == (1, False)

    def test_a_blob_renewed_while_it_is_removed_stays(self, guarded):
        artifacts = guarded._stores.artifacts
        kept = artifacts.put_bytes(b"contended")
        (blob,) = [b for b in artifacts.list_blobs() if b.sha256 == kept.sha256]
        assert not artifacts.remove(blob, unless_after=blob.written_at - timedelta(seconds=1))
        assert artifacts.read(kept.sha256) == b"contended"
        assert artifacts.remove(blob, unless_after=blob.written_at + timedelta(hours=1))
        assert not artifacts.remove(blob, unless_after=blob.written_at + timedelta(hours=1))

    def test_a_damaged_directory_stops_it_before_anything_is_removed(self, guarded):
        guarded._stores.artifacts.put_bytes(b"garbage")
        sha256 = guarded.get_model("churn@1.0.0").sha256
        (manifest,) = [p for p in files(guarded) if p.parent.name + p.name == sha256]
        manifest.chmod(0o644)
        manifest.write_bytes(b"{}")
        before = files(guarded)
        with pytest.raises(IntegrityError):
            guarded.collect_garbage(**NOW)
        assert files(guarded) == before

    def test_an_empty_workspace_has_no_garbage(self, tmp_path):
        registry = ModelRegistry(tmp_path / "w")
        assert registry.collect_garbage(**NOW).blobs == 0
        assert list(registry.list_trash()) == []
        with pytest.raises(ModelNotFoundError):
            registry.restore_model("m")
        assert not (tmp_path / "w").exists()
