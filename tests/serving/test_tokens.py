"""The token is a secret, and one per workspace."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.serving.tokens import TokenCheck, ensure_token, read_token


def test_a_token_is_made_once_and_kept(tmp_path):
    token = ensure_token(tmp_path)
    assert len(token) >= 32
    assert ensure_token(tmp_path) == read_token(tmp_path) == token
    assert (tmp_path / "run" / "token").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["token"]


def test_many_first_deployments_at_once_agree_on_one_token(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: ensure_token(tmp_path), range(16)))) == 1


def test_a_token_that_others_can_read_is_none(tmp_path):
    ensure_token(tmp_path)
    (tmp_path / "run" / "token").chmod(0o644)
    with pytest.raises(WorkspaceError, match="can be read by others"):
        read_token(tmp_path)


def test_an_empty_token_opens_nothing(tmp_path):
    ensure_token(tmp_path)
    (tmp_path / "run" / "token").write_text("")
    with pytest.raises(WorkspaceError, match="is empty"):
        read_token(tmp_path)


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (b"Bearer secret", True),
        (b"TOKEN secret", True),
        (b"secret", False),
        (b"Basic secret", False),
        (b"", False),
        (b"Bearer ", False),
        (b"Bearer \xff", False),
    ],
)
def test_only_the_token_opens(header, is_right):
    assert TokenCheck("secret")(header) is is_right
