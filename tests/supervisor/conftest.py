from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dwcp_jupyter import supervisor
from tests.supervisor.workspaces import Workspace, eventually


@pytest.fixture(autouse=True)
def quick_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DWCP_HANG_TIMEOUT_S", "3")
    monkeypatch.setenv("DWCP_DRAIN_TIMEOUT_S", "10")


@pytest.fixture
def make_workspace(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    made: list[Workspace] = []

    def make(root: Path | None = None) -> Workspace:
        made.append(Workspace(root or tmp_path / f"ws{len(made)}"))
        return made[-1]

    yield make
    for workspace in made:
        supervisor.stop(workspace.root)
        eventually(workspace.is_clean)
        workspace.stores.close()


@pytest.fixture
def workspace(make_workspace: Callable[..., Workspace]) -> Workspace:
    return make_workspace()


@pytest.fixture
def hold(workspace: Workspace) -> Iterator[supervisor.Hold]:
    with supervisor.hold(workspace.stores) as held:
        yield held
