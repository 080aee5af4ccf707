"""Deciding and moving versions in the panel of a real JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Locator, Page, expect
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import store
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from tests.surface.conftest import end, open_lab
from tests.surface.jupyter import Jupyter

Make = Callable[[str], ModelRegistry]


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A JupyterLab with Jupyter's own token, so that the panel acts as the operating system's user."""
    root = tmp_path_factory.mktemp("decided")
    started = Jupyter(root, tmp_path_factory.mktemp("home"))
    yield started
    end(started)


@pytest.fixture
def make(jupyter: Jupyter, iris: Any, classifier: LogisticRegression) -> Iterator[Make]:
    """Register a model of its own for each test, with two versions in staging."""
    with store.open(jupyter.root / ".dwcp") as stores:
        registry = ModelRegistry(stores)

        def register(name: str) -> ModelRegistry:
            for version, accuracy in (("1.0.0", 0.95), ("1.1.0", 0.97)):
                metadata = ModelMetadata(name=name, version=version, metrics={"accuracy": accuracy})
                registry.register_model(metadata, model=classifier, input_example=iris[0].head(2))
                registry.promote_model(f"{name}@{version}", "staging")
            return registry

        yield register


def request_of(page: Page, reference: str) -> Locator:
    return page.get_by_role("list", name="Approvals").locator("> li").filter(has_text=reference)


def unfold(page: Page, model: str) -> None:
    page.get_by_role("button", name=re.compile(f"^{model}")).click()


def choose(page: Page, reference: str, action: str) -> None:
    """Choose an action in the menu of a version."""
    page.get_by_role("button", name=f"Actions for {reference}").click()
    page.get_by_role("menuitem", name=re.compile(re.escape(action))).click()


def version_of(page: Page, reference: str) -> Locator:
    name, _, version = reference.partition("@")
    return page.get_by_role("list", name=f"Versions of {name}").locator("> li").filter(has_text=version)


def confirm(page: Page, action: str, request: str, text: str | None = None) -> Any:
    """Give a text, confirm, and return what the server was sent."""
    dialog = page.get_by_role("dialog")
    if text is not None:
        dialog.get_by_role("textbox").fill(text)
    with page.expect_request(lambda sent: _is(sent, request)) as sent:
        dialog.get_by_role("button", name=action, exact=True).click()
    return sent.value.post_data_json


def _is(sent: Any, path: str) -> bool:
    return sent.method != "GET" and fnmatchcase(urlsplit(sent.url).path, f"*/dwcp/api/{path}")


def test_a_request_is_judged_and_the_version_goes_into_production_and_back(
    page: Page, jupyter: Jupyter, make: Make
) -> None:
    registry = make("judged")
    registry.set_policy("production", {"reviewers": 1, "checks": ["metrics.accuracy >= 0.9"]}, model="judged")
    first = registry.request_approval("judged@1.0.0", "ana", "production")
    registry.approve_model(first, "bo")
    registry.promote_model("judged@1.0.0", "production")
    registry.request_approval("judged@1.1.0", "ana", "production", "fewer misses <b>here</b>")
    open_lab(page, jupyter)
    row = request_of(page, "judged@1.1.0")
    for text in ("staging→production", "ana asks: “fewer misses <b>here</b>”", "accuracy", "0.97", "1 check passed"):
        expect(row).to_contain_text(text)
    expect(row).to_contain_text("Lacks 1 more approval.")
    row.get_by_role("button", name="Approve").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    row.get_by_role("button", name="Approve").click()
    assert confirm(page, "Approve", "approvals/*/approve", "seen on the holdout") == {"comment": "seen on the holdout"}
    expect(row).to_have_count(0)
    (decision,) = registry.list_approvals("judged@1.1.0")[0].decisions
    assert (decision.comment, decision.is_approved, decision.assurance) == ("seen on the holdout", True, "asserted")
    unfold(page, "judged")
    choose(page, "judged@1.1.0", "Move to production")
    expect(page.get_by_role("dialog")).to_contain_text("goes back to staging")
    assert confirm(page, "Move", "models/judged/versions/1.1.0/promote") == {"stage": "production"}
    expect(version_of(page, "judged@1.1.0")).to_contain_text("production")
    expect(version_of(page, "judged@1.0.0")).to_contain_text("staging")
    choose(page, "judged@1.1.0", "Roll back")
    expect(page.get_by_role("dialog")).to_contain_text("Put judged@1.0.0 back into production?")
    assert confirm(page, "Roll back", "models/judged/rollback") == {"expected": "1.0.0"}
    expect(version_of(page, "judged@1.0.0")).to_contain_text("production")
    assert registry.get_model("judged@production").version == "1.0.0"


def test_a_refusal_is_shown_whole_with_what_can_be_done(page: Page, jupyter: Jupyter, make: Make) -> None:
    registry = make("gated")
    checks = ["metrics.accuracy >= 0.99", {"documents": ["model_card"]}]
    registry.set_policy("production", {"reviewers": 1, "checks": checks}, model="gated")
    open_lab(page, jupyter)
    unfold(page, "gated")
    choose(page, "gated@1.1.0", "Move to production")
    confirm(page, "Move", "models/gated/versions/1.1.0/promote")
    dialog = page.get_by_role("dialog").filter(has_text="Refused")
    expect(dialog).to_contain_text("'gated@1.1.0' cannot go to production: 2 of 2 checks failed.")
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["metrics.accuracy >= 0.99: it is 0.97", "documents.model_card exists: no model_card is recorded"]
    )
    expect(dialog).to_contain_text("Record the missing evidence")
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_have_count(0)
    registry.set_policy("production", {"reviewers": 1}, model="gated")
    choose(page, "gated@1.1.0", "Move to production")
    confirm(page, "Move", "models/gated/versions/1.1.0/promote")
    expect(dialog).to_contain_text("nobody was asked to approve it")
    dialog.get_by_role("button", name="Ask for approval…").click()
    expect(dialog).to_have_count(0)
    sent = confirm(page, "Ask", "approvals", "it is time")
    assert sent == {"model": "gated@1.1.0", "stage": "production", "justification": "it is time"}
    row = request_of(page, "gated@1.1.0")
    expect(row).to_contain_text("A second person must.")
    expect(row.get_by_role("button")).to_have_count(0)
    assert registry.get_model("gated@1.1.0").stage == "staging"


def test_aliases_are_set_and_removed_and_a_version_is_archived(page: Page, jupyter: Jupyter, make: Make) -> None:
    registry = make("named")
    open_lab(page, jupyter)
    unfold(page, "named")
    choose(page, "named@1.0.0", "Set an alias")
    assert confirm(page, "Set", "models/named/aliases/steady", "steady") == {"version": "1.0.0"}
    expect(version_of(page, "named@1.0.0")).to_contain_text("@steady")
    choose(page, "named@1.0.0", "Set an alias")
    confirm(page, "Set", "models/named/aliases/*", "a/b c")
    refusal = page.get_by_role("dialog").filter(has_text="Refused")
    expect(refusal).to_contain_text("is no alias name")
    refusal.get_by_role("button", name="Close").click()
    choose(page, "named@1.0.0", "Remove the alias steady")
    confirm(page, "Remove", "models/named/aliases/steady")
    expect(version_of(page, "named@1.0.0")).not_to_contain_text("@steady")
    choose(page, "named@1.0.0", "Archive")
    confirm(page, "Archive", "models/named/versions/1.0.0/promote")
    expect(version_of(page, "named@1.0.0")).to_contain_text("archived")
    assert registry.get_model("named@1.0.0").stage == "archived"


def test_a_version_has_a_tab_with_its_lineage_and_history(page: Page, jupyter: Jupyter, make: Make) -> None:
    registry = make("traced")
    data = {"training_dataset": "flowers <b>2025</b>.csv"}
    registry.register_model(ModelMetadata(name="traced", version="1.2.0", parent="traced@1.1.0", **data))
    open_lab(page, jupyter)
    unfold(page, "traced")
    choose(page, "traced@1.1.0", "Lineage and history")
    lineage = page.get_by_role("region", name="Lineage of traced@1.1.0")
    nodes = ("version traced@1.0.0", "version traced@1.1.0", "version traced@1.2.0", "data flowers <b>2025</b>.csv")
    for node in nodes:
        expect(lineage.get_by_role("button", name=node)).to_be_visible()
    expect(lineage.get_by_role("button", name=nodes[1])).to_have_attribute("aria-pressed", "true")
    lineage.get_by_role("button", name=nodes[3]).press("Enter")
    expect(lineage.locator("dl")).to_contain_text("flowers <b>2025</b>.csv")
    expect(lineage.locator(".dwcp-Box.dwcp-mod-far")).to_have_count(2)  # the versions before the one made of the data
    history = page.get_by_role("region", name="History of traced@1.1.0")
    expect(history.locator("tbody tr")).to_have_count(2)
    expect(history.locator("tbody tr").first).to_contain_text("development → staging")
    registry.set_alias("traced@1.1.0", "champion")
    expect(history.locator("tbody tr").first).to_contain_text("alias champion set")
    history.get_by_role("checkbox").check()
    expect(history.locator("tbody tr")).to_have_count(6)
    lineage.get_by_role("button", name=nodes[2]).click()
    lineage.locator("dl").get_by_role("button", name="traced@1.2.0").click()
    expect(page.get_by_role("region", name="Lineage of traced@1.2.0")).to_be_visible()


def test_a_long_list_of_versions_is_shown_in_pages(page: Page, jupyter: Jupyter, make: Make) -> None:
    registry = make("many")
    for number in range(23):
        registry.register_model(ModelMetadata(name="many", version=f"2.{number}.0"))
    open_lab(page, jupyter)
    unfold(page, "many")
    versions = page.get_by_role("list", name="Versions of many").locator("> li")
    expect(versions).to_have_count(20)
    expect(versions.first).to_contain_text("2.22.0")
    page.get_by_role("button", name="Show more versions").click()
    expect(versions).to_have_count(25)
    expect(versions.last).to_contain_text("1.0.0")
    expect(page.get_by_role("button", name="Show more versions")).to_have_count(0)
