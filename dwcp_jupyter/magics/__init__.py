"""The magics: each parses its line, makes one public call and returns the value.

`load` adds them to a shell and `unload` takes them away again. Nothing heavy is imported before one is used, and no
hook is put on the shell's cells.
"""

from __future__ import annotations

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics

from dwcp_jupyter.magics import completion
from dwcp_jupyter.magics.guarding import GuardingMagics
from dwcp_jupyter.magics.monitoring import MonitoringMagics
from dwcp_jupyter.magics.pipeline import PipelineMagics
from dwcp_jupyter.magics.registry import RegistryMagics
from dwcp_jupyter.magics.serving import ServingMagics
from dwcp_jupyter.magics.tracking import TrackingMagics
from dwcp_jupyter.magics.workspace import WorkspaceMagics

__all__ = ["CLASSES", "load", "names", "unload"]

CLASSES: tuple[type[Magics], ...] = (
    WorkspaceMagics,
    RegistryMagics,
    GuardingMagics,
    PipelineMagics,
    TrackingMagics,
    ServingMagics,
    MonitoringMagics,
)


def names() -> dict[str, list[str]]:
    """Return the magics' names by kind, ``"line"`` and ``"cell"``."""
    found: dict[str, list[str]] = {"line": [], "cell": []}
    for cls in CLASSES:
        for kind, members in cls.magics.items():
            found[kind].extend(members)
    return {kind: sorted(members) for kind, members in found.items()}


def load(shell: InteractiveShell) -> None:
    """Add the magics and their completion to `shell`; doing so twice changes nothing."""
    unload(shell)
    for cls in CLASSES:
        shell.register_magics(cls)
    completion.add(shell)


def unload(shell: InteractiveShell) -> None:
    """Take away what `load` added."""
    completion.remove(shell)
    manager = shell.magics_manager
    for kind, members in names().items():
        for name in members:
            manager.magics[kind].pop(name, None)
    for cls in CLASSES:
        manager.registry.pop(cls.__name__, None)
