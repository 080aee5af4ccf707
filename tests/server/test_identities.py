"""An identity counts as proven only where the provider tells people apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.identity import (
    IdentityProvider,
    LegacyIdentityProvider,
    PasswordIdentityProvider,
    User,
)

from dwcp_jupyter.events import Actor, Assurance, local_actor
from dwcp_jupyter.server.extension import DwcpExtension
from dwcp_jupyter.server.identities import JUPYTERHUB, STOCK, actor_of, provider_name
from tests.server.people import OtherPeople, People

PEOPLE = "tests.server.people.People"


def hub_user(name: str, **more: Any) -> User:
    user = User(username=name)
    user.hub_user = {"name": name, "scopes": [], **more}  # type: ignore[attr-defined]
    return user


def test_a_trusted_provider_proves_who_a_person_is() -> None:
    actor = actor_of(User(username="ana", display_name="Bo"), People(), trusted={PEOPLE})
    assert actor == Actor(name="ana", assurance=Assurance.AUTHENTICATED)


@pytest.mark.parametrize("trusted", [(), (JUPYTERHUB,), ("People",), ("tests.server.people",)])
def test_a_provider_that_nobody_named_asserts(trusted: tuple[str, ...]) -> None:
    assert actor_of(User(username="ana"), People(), trusted=trusted) == Actor(name="ana")


def test_a_subclass_of_a_trusted_provider_is_another_one() -> None:
    assert actor_of(User(username="ana"), OtherPeople(), trusted={PEOPLE}).assurance is Assurance.ASSERTED


@pytest.mark.parametrize("kind", [IdentityProvider, PasswordIdentityProvider, LegacyIdentityProvider])
def test_a_provider_with_one_secret_for_all_proves_nobody(kind: type[IdentityProvider]) -> None:
    provider = kind(token="t")
    assert provider_name(provider) in STOCK
    assert actor_of(User(username="ana"), provider, trusted=STOCK) == Actor(name="ana")


@pytest.mark.parametrize("trusted", [(), (PEOPLE,)])
def test_a_made_up_user_is_the_one_who_runs_the_server(trusted: tuple[str, ...]) -> None:
    stock = IdentityProvider(token="t")
    assert actor_of(User(username="0123456789abcdef" * 2, name="Anonymous Io"), stock, trusted=()) == local_actor()
    assert actor_of(User(username="f" * 32), People(), trusted=trusted) == local_actor()


@pytest.mark.parametrize(("kind", "assurance"), [("user", "authenticated"), ("service", "asserted")])
def test_a_service_of_a_hub_is_no_person(kind: str, assurance: str) -> None:
    assert str(actor_of(hub_user("ana", kind=kind), People(), trusted={PEOPLE}).assurance) == assurance


def test_every_setting_of_the_server_part_is_documented() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    for name in DwcpExtension.class_own_traits(config=True):
        assert f"`c.DwcpExtension.{name}`" in readme
        assert DwcpExtension.class_traits()[name].help


async def test_with_jupyters_own_token_the_panel_acts_as_the_user_of_its_notebooks(ask: Any) -> None:
    actor = (await ask("dwcp/api/status")).json["actor"]
    assert actor == {"name": local_actor().name, "assurance": "asserted"}


class TestNamingAProviderThatCannotBeTrusted:
    @pytest.fixture
    def jp_server_config(self) -> dict[str, Any]:
        return {
            "ServerApp": {"jpserver_extensions": {"dwcp_jupyter": True}},
            "DwcpExtension": {"trusted_identity_providers": [STOCK[1], PEOPLE]},
        }

    def test_is_told_and_counts_for_nothing(self, extension: Any, jp_logging_stream: Any, caplog: Any) -> None:
        assert extension._trusted() == {PEOPLE}
        assert f"'{STOCK[1]}'" in caplog.text
        assert "identity_provider_class" in caplog.text
