"""What a route of the control plane is asked.

The functions that answer live in `reading`, which needs the libraries of the stores; that module is loaded with the
first question, in a thread, so that Jupyter starts without them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dwcp_jupyter.server.workspaces import WorkspaceEntry, Workspaces

__all__ = ["Question", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a route was asked.

    Attributes
    ----------
    name : str
        The model or endpoint in the path; empty where there is none.
    arguments : mapping of str to str
        The query.
    """

    workspaces: Workspaces
    entry: WorkspaceEntry
    name: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)


def answer(reader: str, question: Question) -> dict[str, Any]:
    """Return what the function `reader` of `reading` answers."""
    found: dict[str, Any] = getattr(importlib.import_module("dwcp_jupyter.server.reading"), reader)(question)
    return found
