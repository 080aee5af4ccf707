"""What a route of the control plane is asked, or told to do.

The functions that answer live in modules which need the libraries of the stores; these are loaded with the first
question, in a thread, so that Jupyter starts without them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from dwcp_jupyter.events import Actor
from dwcp_jupyter.server.statuses import RequestError
from dwcp_jupyter.server.workspaces import WorkspaceEntry, Workspaces

__all__ = ["Question", "answer"]

B = TypeVar("B", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a route was asked.

    Attributes
    ----------
    actor : Actor
        Who asks: never what a body says, always who is signed in.
    parts : mapping of str to str
        The names in the path.
    arguments : mapping of str to str
        The query.
    body : bytes
        What was sent along, JSON.
    """

    workspaces: Workspaces
    entry: WorkspaceEntry
    actor: Actor
    parts: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def name(self) -> str:
        """The model or endpoint in the path; empty where there is none."""
        return self.parts.get("name", "")

    def content(self, kind: type[B]) -> B:
        """Return the body as a value; an empty one where nothing was sent.

        Raises
        ------
        RequestError
            If it is no JSON, or has other fields; it says which there are.
        """
        try:
            return msgspec.json.decode(self.body or b"{}", type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            known = ", ".join(kind.__struct_fields__)
            raise RequestError(f"The request's body cannot be taken: {exc}. It is JSON with: {known}.") from exc

    def integer(self, name: str, *, default: int, low: int, high: int | None = None) -> int:
        """Return a number of the query.

        Raises
        ------
        RequestError
            If it is no whole number within the limits.
        """
        text = self.arguments.get(name)
        if text is None:
            return default
        is_number = text.isascii() and text.isdigit() and len(text) < 19
        if is_number and low <= int(text) and (high is None or int(text) <= high):
            return int(text)
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise RequestError(f"{name}='{text}' is no usable number. It must be whole, {limits}.")


def answer(function: str, question: Question) -> dict[str, Any]:
    """Return what a function answers, named as ``module.function`` of this package."""
    module, _, name = function.partition(".")
    found: dict[str, Any] = getattr(importlib.import_module(f"dwcp_jupyter.server.{module}"), name)(question)
    return found
