"""Who acts: from the user that Jupyter's identity provider names to the actor of an event.

A policy may demand people who proved who they are, so an actor is *authenticated* only where the provider tells people
apart. Jupyter's own providers do not: their one token or password is everybody's, and the user they make up is a random
number. Such a user acts as the operating system's user of the server, *asserted*, as a notebook of that server does; so
asking in a notebook and approving in the panel is still one person. Any other provider is believed by its name in
``c.DwcpExtension.trusted_identity_providers`` only; its users are *asserted* otherwise. Named there by default is that
of JupyterHub, which lets the hub say who it is.

What this cannot tell: whoever runs code in a Jupyter server can act as the users of that server.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from jupyter_server.auth.identity import User

from dwcp_jupyter.events import Actor, Assurance, local_actor

__all__ = ["JUPYTERHUB", "STOCK", "actor_of", "provider_name"]

JUPYTERHUB = "jupyterhub.singleuser.extension.JupyterHubIdentityProvider"
STOCK = tuple(
    f"jupyter_server.auth.identity.{name}"
    for name in ("IdentityProvider", "PasswordIdentityProvider", "LegacyIdentityProvider")
)
"""Providers that nobody can make trusted: they know one secret, not people."""
_MADE_UP = re.compile(r"[0-9a-f]{32}")
"""The username that Jupyter gives to whoever has the token or the password."""


def provider_name(provider: object) -> str:
    """Return ``module.Class`` of an identity provider; a subclass has a name of its own."""
    kind = type(provider)
    return f"{kind.__module__}.{kind.__qualname__}"


def actor_of(user: User, provider: object, *, trusted: Collection[str]) -> Actor:
    """Return who acts.

    Parameters
    ----------
    user : User
        As the identity provider named it for this request.
    provider : object
        The server's identity provider.
    trusted : collection of str
        Names of the providers that prove who a person is.
    """
    if _MADE_UP.fullmatch(user.username):
        return local_actor()
    name = provider_name(provider)
    is_proven = name in trusted and name not in STOCK and _is_person(user)
    return Actor(name=user.username, assurance=Assurance.AUTHENTICATED if is_proven else Assurance.ASSERTED)


def _is_person(user: User) -> bool:
    """Return whether it is no service of a hub, which has a token and a name but is nobody."""
    from_hub: Any = getattr(user, "hub_user", None)
    return not isinstance(from_hub, dict) or from_hub.get("kind", "user") == "user"
