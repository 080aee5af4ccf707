"""Who acts in a registry: what its groups of operations share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dwcp_jupyter import store
from dwcp_jupyter.events import Actor, Assurance, local_actor, person_key
from dwcp_jupyter.exceptions import ApprovalError
from dwcp_jupyter.registry import resolution

__all__ = ["Acting"]


class Acting:
    """A workspace's stores, and in whose name they are changed."""

    _stores: store.Stores
    _actor: Actor | None
    _new_id: Callable[[], str]

    def _acting(self, name: str | None) -> Actor:
        """Return who acts: the registry's actor, or in Python whoever the caller says."""
        actor = self._actor or local_actor()
        if name is None:
            return actor
        said = Actor(name=name)
        if person_key(said.name) == person_key(actor.name):
            return actor
        if actor.assurance is Assurance.AUTHENTICATED:
            raise ApprovalError(
                f"You are signed in as '{actor.name}' and cannot act as '{said.name}'. Leave the name out."
            )
        return replace(said, name=said.name.strip())

    def _refuse_empty(self, model_id: str) -> None:
        """Raise for a workspace that does not exist yet; a change of nothing is no reason to create one."""
        if not self._stores.metadata.exists:
            with self._stores.metadata.read() as connection:
                resolution.resolve(connection, model_id)
