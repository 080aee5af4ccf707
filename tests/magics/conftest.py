"""A shell with the magics, on a workspace of its own."""

import pytest
from IPython.core.interactiveshell import InteractiveShell

import dwcp_jupyter
from dwcp_jupyter.workspace import find


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.setenv("DWCP_HOME", str(tmp_path / "w"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    dwcp_jupyter.load_ipython_extension(shell)
    yield shell
    find().stop()
    find().close()
    dwcp_jupyter.unload_ipython_extension(shell)
    shell.history_manager.end_session()
    InteractiveShell.clear_instance()


@pytest.fixture
def run(shell):
    def run(code):
        result = shell.run_cell(code)
        result.raise_error()
        return result.result

    return run


@pytest.fixture
def with_model(shell, classifier, iris):
    shell.user_ns.update(forest=classifier, flowers=iris[0], scores={"accuracy": 0.97})
    return shell
