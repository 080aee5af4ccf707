"""The whole machine-learning life cycle inside Jupyter.

Importing this package loads the standard library only. Each domain (``registry``, ``pipeline``, ``serving`` …)
is a sub-package that is loaded when it is first touched; `load_ipython_extension` brings the magics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dwcp_jupyter._version import __version__

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from dwcp_jupyter.workspace import Workspace

__all__ = ["Workspace", "__version__", "load_ipython_extension", "unload_ipython_extension"]


def __getattr__(name: str) -> Any:
    if name == "Workspace":
        from dwcp_jupyter.workspace import Workspace

        return Workspace
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Add the magics: ``%load_ext dwcp_jupyter``."""
    from dwcp_jupyter import magics

    magics.load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take the magics away again: ``%unload_ext dwcp_jupyter``."""
    from dwcp_jupyter import magics

    magics.unload(ipython)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Tell JupyterLab where the prebuilt panel lies."""
    return [{"src": "labextension", "dest": "dwcp_jupyter"}]


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    """Tell the Jupyter server what to load; imported only there."""
    from dwcp_jupyter.server.extension import DwcpExtension

    return [{"module": "dwcp_jupyter.server.extension", "app": DwcpExtension}]
