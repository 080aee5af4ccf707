"""Modules from ``.pt`` and ``.pth`` files, which run what they say: read only after the loader decided so (`trust`).

Such a file is a TorchScript archive, which holds its own code, or a pickled module, whose class must be importable
where it is loaded. One that holds parameters only is no model: nothing in it says what to compute with them.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import pickles

__all__ = ["load_module"]


def load_module(path: Path, kind: str) -> torch.nn.Module:
    """Return the module in a file whose trust was decided, on the CPU and in eval mode.

    Raises
    ------
    FlavorError
        If it holds none, or one of a class that is not importable.
    """
    if kind in pickles.FORMATS:
        loaded = pickles.load(path)
    elif _is_script(path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=DeprecationWarning)  # of TorchScript, which the file is
            loaded = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    else:
        loaded = _unpickled(path)
    if isinstance(loaded, torch.nn.Module):
        return loaded.to("cpu").eval()
    raise _no_model(path, loaded)


def _is_script(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except (AttributeError, ImportError) as exc:
        raise FlavorError(
            f"'{path.name}' holds a module whose class is not importable here: {exc}. Put the class into a module that "
            "is installed; or pass the module itself with input_example=, which needs no class when it is loaded."
        ) from exc


def _no_model(path: Path, loaded: Any) -> FlavorError:
    if isinstance(loaded, Mapping):
        names = ", ".join(map(repr, list(loaded)[:3]))
        return FlavorError(
            f"'{path.name}' holds parameters ({names}, …) and no module to compute with them. Build the module, call "
            "its load_state_dict, and pass the module itself with input_example=."
        )
    return FlavorError(
        f"'{path.name}' holds a {type(loaded).__name__}, which is no module of PyTorch. Save the module itself."
    )
