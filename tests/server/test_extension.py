from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dwcp_jupyter
from dwcp_jupyter import exceptions
from tests.surface.jupyter import labextension_folder

REPOSITORY = Path(__file__).parents[2]


def test_jupyter_loads_no_store_and_no_numeric_library_with_the_extension() -> None:
    script = (
        "import jupyter_server.serverapp, sys; before = set(sys.modules);"
        "from dwcp_jupyter import _jupyter_server_extension_points as points; points();"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy = {"duckdb", "numpy", "onnxruntime", "pandas", "pyarrow", "sklearn", "skops", "sqlalchemy"}
    assert heavy & set(done.stdout.split()) == set()


def test_the_panel_has_the_version_of_the_package() -> None:
    source = json.loads((REPOSITORY / "labextension" / "package.json").read_text())
    assert source["version"] == dwcp_jupyter.__version__
    built = json.loads((labextension_folder() / "package.json").read_text())
    assert built["version"] == dwcp_jupyter.__version__


def test_the_lock_file_names_no_host() -> None:
    lock = (REPOSITORY / "labextension" / "yarn.lock").read_text()
    assert "http:" not in lock
    assert "https:" not in lock


def test_installing_enables_the_server_extension() -> None:
    folder = REPOSITORY / "dwcp_jupyter" / "server" / "jupyter-config"
    (path,) = folder.iterdir()
    assert json.loads(path.read_text()) == {"ServerApp": {"jpserver_extensions": {"dwcp_jupyter": True}}}


def test_the_extension_points_are_those_that_jupyter_finds(jp_serverapp: Any) -> None:
    manager = jp_serverapp.extension_manager
    assert manager.extensions["dwcp_jupyter"].enabled
    assert type(next(iter(manager.extension_apps["dwcp_jupyter"]))).__name__ == "DwcpExtension"
    assert dwcp_jupyter._jupyter_labextension_paths() == [{"src": "labextension", "dest": "dwcp_jupyter"}]


@pytest.mark.parametrize("request_", [{}, {"op": "hold"}, {"op": "hold", "root": 5}, {"op": "dance", "root": "/"}])
def test_what_a_kernel_may_ask_is_told_when_it_asks_something_else(extension: Any, request_: dict[str, Any]) -> None:
    with pytest.raises(exceptions.DwcpError, match='"op": "hold"'):
        extension.answer_kernel(request_)


def test_a_workspace_that_is_not_there_is_not_held(extension: Any, jp_root_dir: Path) -> None:
    with pytest.raises(exceptions.WorkspaceError, match="There is no workspace"):
        extension.answer_kernel({"op": "hold", "root": str(jp_root_dir / ".dwcp")})
    assert list(jp_root_dir.iterdir()) == []
