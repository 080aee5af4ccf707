"""Decisions to load a model file that can run code, as the workspace remembers them.

The decision itself is made by `flavors.decide_trust`; here it becomes an event, before anything is loaded, and is
honoured again for the same bytes and the same actor: nobody inherits what another one dared.
"""

from __future__ import annotations

from collections.abc import Callable

from dwcp_jupyter import flavors
from dwcp_jupyter.events import Actor, local_actor
from dwcp_jupyter.store import Stores

__all__ = ["recorder", "was_granted"]


def was_granted(stores: Stores, sha256: str, *, trust: flavors.Trust | str | None, actor: Actor | None) -> bool:
    """Return whether the policy is ``own`` and `actor` decided to load these bytes earlier."""
    if not flavors.Trust.parse(trust).own:
        return False
    name = (actor or local_actor()).name
    found = stores.metadata.events(kinds=["trust.decided"], subject=_subject(sha256))
    return any(event.actor.name == name for event in found)


def recorder(stores: Stores, model: str, *, actor: Actor | None) -> Callable[[flavors.TrustDecision], None]:
    """Return what writes a granted decision down, for `flavors.load_model` and `flavors.adopt_file`.

    Parameters
    ----------
    model : str
        The model's name or reference for which it was decided.
    """

    def record(decision: flavors.TrustDecision) -> None:
        with stores.metadata.transaction(actor) as tx:
            tx.record(
                "trust.decided",
                _subject(decision.sha256),
                sha256=decision.sha256,
                policy=decision.policy,
                reason=decision.reason,
                model=model,
            )

    return record


def _subject(sha256: str) -> str:
    return f"artifact:{sha256}"
