"""A folder as one file: the same content has the same sum, and nothing leads out of it."""

import os
import stat
import zipfile

import pytest

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError
from dwcp_jupyter.flavors import packing

FILES = {"saved_model.pb": b"graph", "variables/variables.index": b"", "variables/deep/er": b"x" * 3_000_000}


def fill(folder, files=FILES):
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


@pytest.fixture
def folder(tmp_path):
    return fill(tmp_path / "model")


def test_what_was_packed_comes_back(folder, tmp_path):
    packing.pack(folder, tmp_path / "packed")
    packing.unpack(tmp_path / "packed", tmp_path / "again")
    found = {path.relative_to(tmp_path / "again").as_posix(): path.read_bytes() for path in _files(tmp_path / "again")}
    assert found == FILES


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_sum_of_a_folder_is_that_of_its_file(folder, tmp_path):
    packing.pack(folder, tmp_path / "packed")
    assert packing.sha256(folder) == packing.sha256(tmp_path / "packed") == hashing.sha256_file(tmp_path / "packed")


def test_only_names_and_content_count(folder, tmp_path):
    other = fill(tmp_path / "elsewhere", dict(reversed(FILES.items())))
    for path in _files(other):
        os.utime(path, (0, 0))
        path.chmod(0o755)
    (other / "empty").mkdir()
    assert packing.sha256(other) == packing.sha256(folder)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/more", "variables/deep/er"])
def test_other_content_has_another_sum(name, folder):
    before = packing.sha256(folder)
    (folder / name).write_bytes(b"other")
    assert packing.sha256(folder) != before


def test_the_sum_stays_from_release_to_release(tmp_path):
    fill(tmp_path / "model", {"saved_model.pb": b"graph", "variables/variables.index": b"index"})
    assert packing.sha256(tmp_path / "model") == "958b2b60d6f026398c0ade1e12f0e374490c9f03322af9100c326fd1ef43eae1"


@pytest.mark.parametrize("target", ["saved_model.pb", "/etc/passwd", "missing"])
def test_links_are_refused(target, folder, tmp_path):
    (folder / "variables" / "link").symlink_to(target)
    with pytest.raises(FlavorError, match="neither a plain file nor a folder"):
        packing.pack(folder, tmp_path / "packed")
    with pytest.raises(FlavorError, match="cp -rL"):
        packing.sha256(folder)


def test_linked_folders_and_pipes_are_refused(folder, tmp_path):
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(FlavorError, match="more"):
        packing.sha256(folder)
    (folder / "more").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(FlavorError, match="pipe"):
        packing.sha256(folder)


def crafted(path, name, *, mode=stat.S_IFREG | 0o600, how=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", how) as archive:
        member = zipfile.ZipInfo(name)
        member.external_attr, member.compress_type = mode << 16, how
        archive.writestr(member, b"evil")
    return path


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "a\\..\\evil", "./evil", "a//evil", ".."])
def test_names_that_lead_out_of_the_folder_are_refused(name, tmp_path):
    path = crafted(tmp_path / "packed", name)
    with pytest.raises(IntegrityError, match="is no file in the folder"):
        packing.unpack(path, tmp_path / "in" / "here")
    assert not (tmp_path / "in").exists()
    assert not (tmp_path / "evil").exists()


def test_links_and_compressed_files_are_not_unpacked(tmp_path):
    link = crafted(tmp_path / "link", "evil", mode=stat.S_IFLNK | 0o777)
    small = crafted(tmp_path / "small", "evil", how=zipfile.ZIP_DEFLATED)
    for path in (link, small):
        with pytest.raises(IntegrityError, match="not kept as a plain file"):
            packing.unpack(path, tmp_path / "here")


def test_what_is_no_zip_is_not_unpacked(tmp_path):
    (tmp_path / "packed").write_bytes(b"no zip")
    with pytest.raises(IntegrityError, match="cannot be unpacked"):
        packing.unpack(tmp_path / "packed", tmp_path / "here")


def test_a_saved_model_is_a_folder_with_its_file(folder, tmp_path):
    assert packing.is_saved_model(folder)
    assert not packing.is_saved_model(folder / "variables")
    assert not packing.is_saved_model(folder / "saved_model.pb")
    assert not packing.is_saved_model(tmp_path / "missing")
