"""Who may run code: the loader's policy against every place that a file can come from."""

import os

import pytest

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import SettingError, UntrustedArtifactError
from dwcp_jupyter.flavors import Trust, decide_trust, packing, weigh_trust


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"some bytes")
    path.chmod(0o600)
    return path


@pytest.fixture
def total(file):
    return hashing.sha256_file(file)


OTHER = "f" * 64


@pytest.mark.parametrize("given_by_path", [True, False])
@pytest.mark.parametrize(
    ("policy", "by_path", "as_artifact"),
    [
        (None, True, False),
        ("own", True, False),
        ("none", False, False),
        ("SUM", True, True),
        (f"SUM,{OTHER}", True, True),
        (OTHER, False, False),
        ("own,SUM", True, True),
        (f"own,{OTHER}", True, False),
        (Trust(), False, False),
        (Trust(own=True), True, False),
    ],
)
def test_policies(file, total, policy, by_path, as_artifact, given_by_path):
    policy = policy.replace("SUM", total) if isinstance(policy, str) else policy
    decision = weigh_trust(total, trust=policy, path=file if given_by_path else None)
    assert decision.granted is (by_path if given_by_path else as_artifact)
    assert decision.sha256 == total
    assert decision.reason


def test_the_setting_decides_where_no_argument_does(file, total, monkeypatch):
    for setting, granted in (("none", False), ("own", True), (total, True), (OTHER, False)):
        monkeypatch.setenv("DWCP_TRUST", setting)
        assert weigh_trust(total, path=file).granted is granted
    monkeypatch.setenv("DWCP_TRUST", "own")
    assert not weigh_trust(total, trust="none", path=file).granted


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_can_write_is_not_own(file, total, mode):
    file.chmod(mode)
    decision = weigh_trust(total, path=file)
    assert not decision.granted
    assert "others can write" in decision.reason
    assert weigh_trust(total, trust=total, path=file).granted


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400])
def test_a_file_that_others_can_only_read_is_own(file, total, mode):
    file.chmod(mode)
    assert weigh_trust(total, path=file).granted


@pytest.mark.parametrize(("mode", "granted"), [(0o777, False), (0o770, False), (0o1777, True), (0o755, True)])
def test_folders_that_others_can_exchange_files_in_count(file, total, mode, granted):
    inner = file.parent / "shared" / "inner"
    inner.mkdir(parents=True)
    moved = file.rename(inner / "model.pkl")
    inner.parent.chmod(mode)
    decision = weigh_trust(total, path=moved)
    assert decision.granted is granted


def test_a_file_of_another_user_is_not_own(file, total, monkeypatch):
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    assert f"belongs to user id {me}" in weigh_trust(total, path=file).reason


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_given_to_another_user_is_not_own(file, total):
    os.chown(file, 12345, 12345)
    assert "belongs to user id 12345" in weigh_trust(total, path=file).reason


def test_a_link_is_judged_by_what_it_points_to(file, total, tmp_path):
    link = tmp_path / "link.pkl"
    link.symlink_to(file)
    assert weigh_trust(total, path=link).granted
    file.chmod(0o666)
    assert not weigh_trust(total, path=link).granted


@pytest.fixture
def folder(tmp_path):
    """The folder of a model, with its sum."""
    folder = tmp_path / "model"
    (folder / "variables").mkdir(parents=True)
    for path in (folder / "saved_model.pb", folder / "variables" / "data"):
        path.write_bytes(b"some bytes")
        path.chmod(0o600)
    for path in (folder, folder / "variables"):
        path.chmod(0o755)
    return folder, packing.sha256(folder)


def test_a_folder_of_which_nobody_else_can_change_anything_is_own(folder):
    path, total = folder
    assert weigh_trust(total, path=path).granted
    assert not weigh_trust(total, trust="none", path=path).granted
    assert not weigh_trust(total).granted
    assert weigh_trust(total, trust=total).granted


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
@pytest.mark.parametrize("part", ["", "variables", "saved_model.pb", "variables/data"])
def test_a_folder_in_which_others_can_change_anything_is_not_own(part, mode, folder):
    path, total = folder
    (path / part).chmod(mode)
    decision = weigh_trust(total, path=path)
    assert not decision.granted
    assert f"others can write '{path / part}'" in decision.reason
    assert "chmod -R go-w" in decision.reason


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("part", ["", "variables", "variables/data"])
def test_a_folder_with_anything_of_another_user_is_not_own(part, folder):
    path, total = folder
    os.chown(path / part, 12345, 12345)
    assert "belongs to user id 12345" in weigh_trust(total, path=path).reason


def test_a_folder_with_links_or_other_bytes_is_not_own(folder, file):
    path, total = folder
    assert "holds other bytes" in weigh_trust(OTHER, path=path).reason
    (path / "variables" / "link").symlink_to(file)
    assert "no regular file" in weigh_trust(total, path=path).reason


@pytest.mark.parametrize(("mode", "granted"), [(0o777, False), (0o1777, True)])
def test_what_lies_above_a_folder_counts_as_above_a_file(mode, granted, folder, tmp_path):
    path, total = folder
    (tmp_path / "shared").mkdir()
    moved = path.rename(tmp_path / "shared" / "model")
    (tmp_path / "shared").chmod(mode)
    assert weigh_trust(total, path=moved).granted is granted


def test_other_bytes_than_those_at_the_path_are_not_own(file):
    decision = weigh_trust(OTHER, path=file)
    assert not decision.granted
    assert "holds other bytes" in decision.reason


def test_folders_pipes_and_nothing_are_not_own(file, total, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "missing"):
        assert not weigh_trust(total, path=path).granted


def test_the_refusal_prints_the_line_that_would_allow_it(file, total):
    call = "registry.load_model('churn@1.0.0', trust='{sha256}')"
    with pytest.raises(UntrustedArtifactError) as caught:
        decide_trust(total, trust="none", path=file, call=call)
    assert f"registry.load_model('churn@1.0.0', trust='{total}')" in str(caught.value)
    assert caught.value.sha256 == total
    assert decide_trust(total, trust=total).granted


def test_braces_in_the_line_are_left_alone(total):
    with pytest.raises(UntrustedArtifactError, match=r"load\('\{odd\}\.pkl'"):
        decide_trust(total, trust="none", call="load('{odd}.pkl', trust='{sha256}')")


@pytest.mark.parametrize("text", ["", "yes", "all", "none,own", "abc", "0" * 63, "own;none", f"none,{OTHER}", "*"])
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(SettingError, match="no decision"):
        Trust.parse(text)


def test_policies_are_written_as_they_are_read():
    for text in ("own", "none", OTHER, f"own,{OTHER}"):
        assert str(Trust.parse(text)) == text
    assert Trust.parse(OTHER.upper()).sums == {OTHER}
