"""What is deleted can come back, until it is emptied; then its files go, and no others."""

import os
import time
from datetime import timedelta

import pytest

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import IntegrityError, ModelNotFoundError, TransitionError, VersionExistsError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, Stage

NOW = {"grace": timedelta(0), "older_than": timedelta(0)}


@pytest.fixture
def other(guarded, iris):
    """A version whose model file no other one has."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=1).fit(*iris)
    return guarded.register_model(ModelMetadata(name="other"), model, input_example=iris[0], reference_data=iris[0])


def files(registry):
    return {path for path in (registry._stores.root / "artifacts").rglob("*") if path.is_file()}


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


@pytest.mark.parametrize("wrong", ["nobody", "churn@9.9.9", "churn@champion", "chrun@1.0.0"])
def test_what_the_trash_does_not_hold_is_said(guarded, wrong):
    guarded.delete_model("churn@1.0.0")
    with pytest.raises(ModelNotFoundError, match=r"It holds: churn@1\.0\.0"):
        guarded.restore_model(wrong)


def test_production_and_what_it_needs_cannot_be_deleted(guarded):
    guarded.set_policy("production", {})
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
