"""Optional parts of the installation.

The base install is light; heavy libraries come by extras. The module that needs one imports it through
`require`, at its own top, and is itself what is loaded lazily. A missing library ends in one error that
prints the line which installs it.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from dwcp_jupyter.exceptions import MissingExtraError

__all__ = ["is_installed", "require"]


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Return the imported `module`.

    Parameters
    ----------
    module : str
        Dotted name, e.g. ``"onnxruntime"``.
    extra : str
        The extra of this package that installs it, e.g. ``"onnx"``.
    purpose : str
        What needs it, as the start of the error's sentence, e.g. ``"Compiled serving"``.

    Raises
    ------
    MissingExtraError
        If the library is not installed. A library that is installed and fails while it is imported raises
        its own error: reinstalling would not help.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as exc:
        if exc.name is None or not (module == exc.name or module.startswith(exc.name + ".")):
            raise
        raise MissingExtraError(purpose=purpose, package=exc.name, extra=extra) from exc


def is_installed(module: str) -> bool:
    """Return whether `module` can be found, without importing it."""
    return importlib.util.find_spec(module) is not None
