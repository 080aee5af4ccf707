"""A real shell with the magics, on a workspace of its own."""

import atexit
from contextlib import contextmanager

from IPython.core.interactiveshell import InteractiveShell

import dwcp_jupyter
from dwcp_jupyter.workspace import find


@contextmanager
def opened_shell(tmp_path, monkeypatch):
    """Yield a shell; afterwards its workspace is stopped and nothing of it stays."""
    monkeypatch.setenv("DWCP_HOME", str(tmp_path / "w"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    dwcp_jupyter.load_ipython_extension(shell)
    yield shell
    find().stop()
    find().close()
    dwcp_jupyter.unload_ipython_extension(shell)
    close_shell(shell)
    InteractiveShell.clear_instance()


def close_shell(shell):
    """Let go of a shell, which otherwise stays until the process ends and is then emptied with all others, slowly."""
    shell.history_manager.end_session()
    shell.history_manager.close()
    atexit.unregister(shell.atexit_operations)
