"""Artifacts on an S3 server that answers, and on one that fails half-way."""

import importlib
import itertools
import multiprocessing
import sys
from datetime import UTC, datetime, timedelta

import pytest

from dwcp_jupyter import config, hashing, store
from dwcp_jupyter.exceptions import ArtifactNotFoundError, IntegrityError, MissingExtraError, WorkspaceError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.store.artifacts import ArtifactStore
from dwcp_jupyter.workspace.diagnosis import diagnose
from dwcp_jupyter.workspace.reports import Outcome
from tests.s3 import KEYS, Proxy

_NUMBERS = itertools.count()
LARGE = bytes(range(256)) * 800


@pytest.fixture
def proxy(s3):
    proxy = Proxy(s3.port)
    yield proxy
    proxy.close()


@pytest.fixture
def bucket(s3, proxy, monkeypatch):
    """The URL of an empty bucket, reached through the proxy."""
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": proxy.url}.items():
        monkeypatch.setenv(name, value)
    name = f"bucket-{next(_NUMBERS)}"
    ArtifactStore(f"s3://{name}")._filesystem.call_s3("create_bucket", Bucket=name)
    return f"s3://{name}/models"


@pytest.fixture
def artifacts(bucket):
    return ArtifactStore(bucket)


@pytest.fixture
def registry(bucket, tmp_path):
    with store.open(tmp_path / "w", settings=config.load(artifact_url=bucket)) as stores:
        yield ModelRegistry(stores)


def overwrite(artifacts, sha256, data):
    artifacts._filesystem.pipe_file(artifacts._path(sha256), data)


def test_bytes_files_and_folders_come_back(artifacts, tmp_path):
    kept = artifacts.put_bytes(b"model")
    assert artifacts.put_bytes(b"model") == kept
    assert artifacts.read(kept.sha256) == b"model"
    (tmp_path / "package" / "sub").mkdir(parents=True)
    (tmp_path / "package" / "a.bin").write_bytes(LARGE)
    (tmp_path / "package" / "sub" / "\u00e9 b").write_bytes(b"")
    tree = artifacts.put_tree(tmp_path / "package")
    fetched = artifacts.fetch_tree(tree.sha256, tmp_path / "back")
    assert (fetched / "a.bin").read_bytes() == LARGE
    assert (fetched / "sub" / "\u00e9 b").read_bytes() == b""
    assert {blob.sha256 for blob in artifacts.list_blobs()} >= {kept.sha256, hashing.sha256_bytes(LARGE), tree.sha256}


def test_what_another_process_wrote_is_seen_at_once(artifacts, bucket):
    other, sha256 = ArtifactStore(bucket), hashing.sha256_bytes(b"new")
    assert not artifacts.exists(sha256)
    assert artifacts.list_blobs() == []
    other.put_bytes(b"new")
    assert artifacts.exists(sha256)
    assert [blob.sha256 for blob in artifacts.list_blobs()] == [sha256]


def test_changed_bytes_are_refused_and_missing_ones_named(artifacts, tmp_path):
    sha256 = artifacts.put_bytes(b"model").sha256
    overwrite(artifacts, sha256, b"m0del")
    for load in (lambda: artifacts.read(sha256), lambda: artifacts.fetch_file(sha256, tmp_path / "out")):
        with pytest.raises(IntegrityError, match=sha256):
            load()
    assert not (tmp_path / "out").exists()
    overwrite(artifacts, sha256, b"cut")
    assert artifacts.put_bytes(b"model").sha256 == sha256  # of another size, so it is written again
    assert artifacts.read(sha256) == b"model"
    with pytest.raises(ArtifactNotFoundError):
        artifacts.read(hashing.sha256_bytes(b"never"))


def test_a_model_is_registered_loaded_and_collected(registry, classifier, iris):
    registry.register_model(ModelMetadata(name="iris"), classifier, input_example=iris[0].head(2))
    assert list(registry.load_model("iris").predict(iris[0].head(3)).values) == list(
        classifier.predict(iris[0].head(3))
    )
    registry.delete_model("iris@1.0.0")
    freed = registry.collect_garbage(older_than=timedelta(0), grace=timedelta(0))
    assert freed.blobs > 0
    assert registry._stores.artifacts.list_blobs() == []


@pytest.mark.parametrize("fault", ["cut upload", "cut answer", "busy"])
def test_an_upload_that_fails_registers_nothing_and_can_be_repeated(registry, proxy, classifier, iris, fault):
    proxy.fault, proxy.method, proxy.after = fault, "PUT", 10
    with pytest.raises(WorkspaceError, match="could not be written"):
        registry.register_model(ModelMetadata(name="iris"), classifier, input_example=iris[0].head(2))
    assert proxy.failed > 0
    proxy.fault = ""
    assert registry.list_models() == ()
    for blob in registry._stores.artifacts.list_blobs():
        registry._stores.artifacts.read(blob.sha256)  # what is there is whole
    registry.register_model(ModelMetadata(name="iris"), classifier, input_example=iris[0].head(2))
    assert registry.load_model("iris").predict(iris[0].head(1)).values is not None


@pytest.mark.parametrize("fault", ["cut download", "busy"])
def test_a_download_that_fails_gives_nothing(artifacts, proxy, tmp_path, fault):
    sha256 = artifacts.put_bytes(LARGE).sha256
    proxy.fault, proxy.method = fault, "GET"
    for load in (lambda: artifacts.read(sha256), lambda: artifacts.fetch_file(sha256, tmp_path / "out")):
        with pytest.raises(WorkspaceError, match="could not be read"):
            load()
    assert not (tmp_path / "out").exists()
    proxy.fault = ""
    assert artifacts.read(sha256) == LARGE


def test_age_is_told_by_the_clock_of_the_store(artifacts, proxy):
    proxy.fault, proxy.method = "late", "HEAD"
    ahead = artifacts.now() - datetime.now(UTC)
    assert timedelta(days=2.9) < ahead < timedelta(days=3.1)


def test_a_bucket_that_is_not_there_is_named_with_the_remedy(bucket, tmp_path):
    artifacts = ArtifactStore("s3://no-such-bucket/models")
    with pytest.raises(WorkspaceError, match=r"s3://no-such-bucket/models.*Create the bucket"):
        artifacts.put_bytes(b"x")
    with pytest.raises(WorkspaceError, match="Create the bucket"):
        artifacts.ask()


def test_a_store_that_cannot_be_reached_is_named_with_the_remedy(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(WorkspaceError, match="AWS_ENDPOINT_URL"):
        ArtifactStore(bucket).put_bytes(b"x")


def test_missing_keys_are_named(bucket, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(WorkspaceError, match="AWS_ACCESS_KEY_ID"):
        ArtifactStore(bucket).put_bytes(b"x")


def _use(artifacts, sha256, results):
    results.put(artifacts.read(sha256))


def test_a_forked_child_opens_the_store_anew(artifacts):
    sha256 = artifacts.put_bytes(b"model").sha256
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    child = context.Process(target=_use, args=(artifacts, sha256, results))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert results.get() == b"model"
    assert artifacts.read(sha256) == b"model"


def test_a_missing_library_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(
        importlib.import_module("fsspec.registry")._registry, "s3", raising=False
    )  # where fsspec keeps what it imported
    with pytest.raises(MissingExtraError, match=r"dwcp-jupyter\[s3\]"):
        ArtifactStore("s3://bucket/models").read("0" * 64)


def test_the_doctor_says_that_the_store_does_not_answer(registry, proxy):
    registry.register_model(ModelMetadata(name="iris"))
    proxy.fault = "busy"
    (found,) = (check for check in diagnose(registry._stores).checks if check.name == "Artifacts")
    assert found.outcome is Outcome.FAILED
    assert "s3://bucket-" in found.finding
