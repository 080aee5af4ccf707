"""A text run as a module of its own, which nobody can import: its name is unique and is given back.

What raises in it shows the lines of the text in its traceback: the module's loader knows them.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import uuid
from collections.abc import Mapping
from types import CodeType
from typing import Any

from dwcp_jupyter.exceptions import FlavorError

__all__ = ["run_module"]


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file

    def get_source(self, fullname: str) -> str:  # noqa: ARG002 - it loads one module
        return self._text

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 - it loads one module
        return compile(self._text, self._file, "exec", dont_inherit=True)


def run_module(text: str, names: Mapping[str, Any], *, file: str) -> dict[str, Any]:
    """Return the names that a text defines.

    Parameters
    ----------
    names : mapping
        What is there before it runs.
    file : str
        What its tracebacks call it.

    Raises
    ------
    FlavorError
        If it ends the process. Whatever else it raises, it raises.
    """
    name = f"_dwcp_function_{uuid.uuid4().hex}"
    spec = importlib.util.spec_from_loader(name, _Loader(text, f"{name}/{file}"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module).update(names)
    sys.modules[name] = module  # dataclasses look their annotations up there
    try:
        spec.loader.exec_module(module)
    except SystemExit as exc:
        raise FlavorError(f"'{file}' ends the process ({exc!r}) where it should define a function.") from exc
    finally:
        del sys.modules[name]
    return vars(module)
