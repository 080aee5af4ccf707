"""A Jupyter server that two people use: each has a token, or comes through a proxy that names them."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.identity import IdentityProvider, User

PEOPLE = ("ana", "bo", "cleo")


class People(IdentityProvider):
    """Knows each person by a token, or by the header of a proxy; as a browser's cookie, that one is not enough."""

    def get_user(self, handler: Any) -> User | None:
        secret = handler.request.headers.get("Authorization", "").partition(" ")[2]
        handler.has_secret = secret in {f"{name}-secret" for name in PEOPLE}
        if handler.has_secret:
            return User(username=secret.removesuffix("-secret"))
        named = handler.request.headers.get("X-Person")
        return User(username=named) if named in PEOPLE else None

    def is_token_authenticated(self, handler: Any) -> bool:
        return bool(handler.has_secret)


class OtherPeople(People):
    """The same under another name, which nobody trusts."""
