"""``%dwcp gc`` where several databases keep their files in one place."""

import pytest
from IPython.core.error import UsageError

from dwcp_jupyter import config, store
from dwcp_jupyter.exceptions import WorkspaceError


def test_it_names_the_others_and_takes_who_is_gone(monkeypatch, tmp_path, request):
    place = str(tmp_path / "shared")
    monkeypatch.setenv("DWCP_ARTIFACT_URL", place)
    run = request.getfixturevalue("run")
    with store.open(tmp_path / "other", settings=config.load(artifact_url=place)) as other:
        other.artifacts.put_bytes(b"model")
    run("%dwcp init")
    would = run("%dwcp gc --dry-run")
    assert [("other/metadata.duckdb" in named) for named in would.others] == [True]
    with pytest.raises(WorkspaceError, match=r"--gone (\w{8})") as refused:
        run("%dwcp gc")
    owner = str(refused.value).partition("--gone ")[2][:8]
    assert run(f"%dwcp gc --gone {owner}").others == ()
    assert "owner.forgotten" in str(run("%audit").events)
    with pytest.raises(UsageError, match="goes with 'gc'"):
        run(f"%dwcp stop --gone {owner}")
