"""Artifacts are what their sums say, or they are refused."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import ArtifactNotFoundError, IntegrityError
from dwcp_jupyter.store.artifacts import ArtifactStore


@pytest.fixture
def artifacts(tmp_path):
    return ArtifactStore(tmp_path / "artifacts")


def blob_path(tmp_path: Path, sha256: str) -> Path:
    return tmp_path / "artifacts" / "sha256" / sha256[:2] / sha256[2:]


@given(data=st.binary(max_size=10_000))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_bytes_come_back_and_are_named_by_their_sum(artifacts, data):
    kept = artifacts.put_bytes(data)
    assert kept.sha256 == hashing.sha256_bytes(data)
    assert kept.size_bytes == len(data)
    assert artifacts.read(kept.sha256) == data


def test_equal_content_is_kept_once(artifacts, tmp_path):
    (tmp_path / "a").write_bytes(b"same")
    assert artifacts.put_file(tmp_path / "a") == artifacts.put_bytes(b"same")
    assert len([p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()]) == 1


def test_changed_bytes_are_refused_naming_both_sums(artifacts, tmp_path):
    sha256 = artifacts.put_bytes(b"model").sha256
    path = blob_path(tmp_path, sha256)
    path.chmod(0o600)
    path.write_bytes(b"m0del")
    for load in (lambda: artifacts.read(sha256), lambda: artifacts.fetch_file(sha256, tmp_path / "out")):
        with pytest.raises(IntegrityError, match=sha256) as caught:
            load()
        assert caught.value.expected == sha256
        assert caught.value.actual == hashing.sha256_bytes(b"m0del")
        assert caught.value.actual in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damaged", [b"", b"sama", b"same and more"])
def test_to_keep_the_bytes_again_mends_a_damaged_blob(artifacts, tmp_path, damaged):
    kept = artifacts.put_bytes(b"same")
    path = blob_path(tmp_path, kept.sha256)
    path.chmod(0o644)
    path.write_bytes(damaged)
    (tmp_path / "a").write_bytes(b"same")
    assert artifacts.put_file(tmp_path / "a") == kept
    assert artifacts.read(kept.sha256) == b"same"


def test_a_missing_artifact_is_named(artifacts, tmp_path):
    with pytest.raises(ArtifactNotFoundError, match="0" * 64):
        artifacts.read("0" * 64)
    with pytest.raises(ArtifactNotFoundError):
        artifacts.fetch_file("0" * 64, tmp_path / "out")


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63])
def test_what_is_no_sum_is_refused(artifacts, name):
    with pytest.raises(ValueError, match="SHA-256"):
        artifacts.read(name)


def test_a_directory_comes_back_file_by_file(artifacts, tmp_path):
    source = tmp_path / "package"
    (source / "sub").mkdir(parents=True)
    (source / "a.txt").write_bytes(b"a")
    (source / "sub" / "ü b.bin").write_bytes(b"")
    tree = artifacts.put_tree(source)
    assert tree.size_bytes == 1
    out = artifacts.fetch_tree(tree.sha256, tmp_path / "out")
    assert {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()} == {
        "a.txt": b"a",
        "sub/ü b.bin": b"",
    }
    assert artifacts.put_tree(out) == tree


@pytest.mark.parametrize("hostile", ["../escape", "/etc/escape", "a/../../escape"])
def test_a_manifest_that_leaves_its_folder_is_refused(artifacts, tmp_path, hostile):
    inner = artifacts.put_bytes(b"x")
    manifest = artifacts.put_bytes(
        hashing.canonical_json(
            {"format": "dwcp-tree-1", "files": [{"path": hostile, "sha256": inner.sha256, "size_bytes": 1}]}
        )
    )
    with pytest.raises(IntegrityError, match="outside"):
        artifacts.fetch_tree(manifest.sha256, tmp_path / "out")
    assert not list(tmp_path.rglob("escape"))


@pytest.mark.parametrize("content", [b"", b"[]", b"not json", b'{"format":"other","files":[]}'])
def test_a_blob_that_is_no_directory_is_refused_as_one(artifacts, content):
    with pytest.raises(IntegrityError, match="not a directory"):
        artifacts.list_tree(artifacts.put_bytes(content).sha256)


def test_links_and_special_files_are_refused(artifacts, tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    with pytest.raises(ValueError, match="symbolic link"):
        artifacts.put_tree(folder)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="regular file"):
        artifacts.put_file(tmp_path / "pipe")


FULL_DISK = """
import resource, signal, sys
from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.store.artifacts import ArtifactStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    ArtifactStore(sys.argv[1]).put_bytes(b"x" * 5000)
except WorkspaceError as error:
    print(error)
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "artifacts")], capture_output=True, text=True, timeout=60
    )
    assert "Nothing of it was kept" in done.stdout, done.stderr
    assert not [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 1000
