"""The side panel in a real browser, on a real JupyterLab, with real models and endpoints."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from dwcp_jupyter import store
from dwcp_jupyter.registry import ModelRegistry
from tests.surface.conftest import end, fill, open_lab
from tests.surface.jupyter import Jupyter

MakeJupyter = Callable[..., Jupyter]


@pytest.fixture
def make_jupyter(tmp_path: Path) -> Iterator[MakeJupyter]:
    made: list[Jupyter] = []

    def make(**options: Any) -> Jupyter:
        root = tmp_path / "project"
        root.mkdir()
        made.append(Jupyter(root, tmp_path / "home", **options))
        return made[-1]

    yield make
    for jupyter in made:
        end(jupyter)


def api_requests(page: Page) -> list[str]:
    """Return the list to which every further request to the control plane is added."""
    seen: list[str] = []

    def note(request: Any) -> None:
        if "/dwcp/" in request.url:
            seen.append(request.url.partition("/api/")[2].partition("?")[0])

    page.on("request", note)
    return seen


def test_models_and_endpoints_are_shown_as_they_are(page: Page, filled: Jupyter) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    open_lab(page, filled)
    panel = page.locator("#dwcp-panel")
    model = panel.get_by_role("list", name="Models").locator("> li")
    expect(model).to_have_count(1)
    for text in ("iris", "1.1.0", "staging 1.0.0", "development 1.1.0", "@champion 1.1.0", "accuracy", "0.967"):
        expect(model).to_contain_text(text)
    endpoints = panel.get_by_role("list", name="Endpoints").locator("> li")
    expect(endpoints).to_have_count(2)
    quick, native = endpoints.filter(has_text="quick"), endpoints.filter(has_text="native").first
    for text in ("ready", "iris@1.1.0", "compiled", "1/1 replica", "Requests15", "Errors0", "ms"):
        expect(quick).to_contain_text(text)
    for text in ("ready", "iris@1.1.0", "native", "1/1 replica", "Requests0", "p50\N{EN DASH}"):
        expect(native).to_contain_text(text)
    expect(panel).to_contain_text("Models (1)")
    expect(panel).to_contain_text("Endpoints (2)")
    expect(panel).to_contain_text("Approvals (1)")
    expect(panel.get_by_title("Workspace in .dwcp")).to_have_text(filled.root.name)
    names = filled.get("dwcp/v2/models/native")["inputs"]
    row = {item["name"]: 1.0 for item in names}
    answer = json.loads(filled.fetch("dwcp/invocations/native", json.dumps(row).encode()))
    assert len(answer["predictions"]) == 1
    for text in ("Requests1", "ms"):  # without a reload
        expect(native).to_contain_text(text)
    assert complaints == []


def test_a_model_unfolds_into_its_versions_by_keyboard(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    row = page.get_by_role("button", name=re.compile("^iris"))
    expect(row).to_have_attribute("aria-expanded", "false")
    row.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    versions = page.get_by_role("list", name="Versions of iris").get_by_role("listitem")
    expect(versions).to_have_count(2)
    expect(versions.first).to_contain_text("1.1.0")
    expect(versions.last).to_contain_text("staging")
    row.press("Space")
    expect(versions).to_have_count(0)


def test_text_of_users_stays_text(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    page.get_by_role("button", name=re.compile("^iris")).click()
    expect(page.get_by_text("<img src=x onerror=window.isHacked=true>").first).to_be_visible()
    assert page.evaluate("window.isHacked") is None


def test_a_change_shows_by_itself_and_lists_are_asked_for_only_then(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    model = page.get_by_role("list", name="Models").locator("> li")
    expect(model).to_contain_text("@champion")
    seen = api_requests(page)
    with page.expect_response("**/dwcp/api/status*"), page.expect_response("**/dwcp/api/status*"):
        pass
    assert "models" not in seen
    with store.open(filled.root / ".dwcp") as stores:
        ModelRegistry(stores).set_alias("iris@1.0.0", "steady")
        expect(model).to_contain_text("@steady 1.0.0")
        ModelRegistry(stores).remove_alias("iris@steady", "steady")
        expect(model).not_to_contain_text("@steady")
    assert seen.count("models") == 2


def test_a_hidden_panel_asks_nothing(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    expect(page.get_by_role("list", name="Models")).to_be_visible()
    page.get_by_role("tab", name="File Browser").click()
    expect(page.locator("#dwcp-panel")).to_be_hidden()
    page.wait_for_load_state("networkidle")
    seen = api_requests(page)
    page.wait_for_timeout(9_000)  # more than two intervals: that nothing happens has no other sign
    assert seen == []
    with page.expect_request("**/dwcp/api/status*"):
        page.get_by_role("tab", name="Models and endpoints").click()
    expect(page.get_by_role("list", name="Models")).to_be_visible()


def test_refresh_asks_for_everything_again(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    expect(page.get_by_role("list", name="Models")).to_be_visible()
    with page.expect_response("**/dwcp/api/models*"), page.expect_response("**/dwcp/api/endpoints*"):
        page.get_by_role("button", name="Refresh models and endpoints").click()


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
def test_every_text_can_be_read_in_every_theme(page: Page, filled: Jupyter, theme: str) -> None:
    open_lab(page, filled)
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme)
    page.get_by_role("button", name=re.compile("^iris")).click()
    expect(page.get_by_role("list", name="Versions of iris").get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("list", name="Approvals")).to_contain_text("1 check passed")
    weak = page.evaluate(_WEAK_TEXTS)
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")
    assert weak == [], weak


_WEAK_TEXTS = """() => {
  const parse = text => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const over = (top, below) => {
    const a = top[3] ?? 1;
    return [0, 1, 2].map(i => top[i] * a + below[i] * (1 - a));
  };
  const background = element => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      layers.push(colour);
      if ((colour[3] ?? 1) === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const light = colour => {
    const [r, g, b] = colour.map(v => v / 255).map(v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const weak = [];
  for (const element of document.querySelectorAll('#dwcp-panel [class*=dwcp-], #dwcp-panel [class*=dwcp-] *')) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const below = background(element);
    const [a, b] = [light(over(parse(getComputedStyle(element).color), below)), light(below)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push([element.textContent, element.className, Math.round(ratio * 100) / 100]);
  }
  return weak;
}"""


def test_nothing_sticks_out_of_a_narrow_panel(page: Page, filled: Jupyter) -> None:
    open_lab(page, filled)
    expect(page.get_by_role("list", name="Endpoints")).to_be_visible()
    expect(page.get_by_role("list", name="Approvals")).to_be_visible()
    page.get_by_role("button", name=re.compile("^iris")).click()
    expect(page.get_by_role("list", name="Versions of iris").get_by_role("listitem")).to_have_count(2)
    wide = page.evaluate(
        "[...document.querySelectorAll('.dwcp-Section')].filter(e => e.scrollWidth > e.clientWidth).length"
    )
    assert wide == 0


def test_another_version_of_the_server_part_is_told_with_its_remedy(page: Page, filled: Jupyter) -> None:
    def newer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json={**response.json(), "version": "99.0.0"})

    page.route("**/dwcp/api/status*", newer)
    open_lab(page, filled)
    note = page.get_by_role("alert")
    expect(note).to_contain_text("the server 99.0.0")
    expect(note).to_contain_text("Reload the page")
    expect(page.get_by_role("list", name="Models")).to_have_count(0)


def test_an_empty_workspace_says_what_to_do_and_stays_empty(page: Page, make_jupyter: MakeJupyter) -> None:
    jupyter = make_jupyter()
    open_lab(page, jupyter)
    panel = page.locator("#dwcp-panel")
    expect(panel).to_contain_text("No model is registered yet.")
    expect(panel).to_contain_text("%%register my-model")
    expect(panel).to_contain_text("Nothing is deployed.")
    expect(panel).to_contain_text("%deploy my-model")
    assert not (jupyter.root / ".dwcp").exists()


def test_a_server_without_its_part_is_told_with_the_line_that_enables_it(page: Page, make_jupyter: MakeJupyter) -> None:
    open_lab(page, make_jupyter(has_server_part=False))
    expect(page.get_by_role("alert")).to_contain_text("jupyter server extension enable dwcp_jupyter")


def test_a_server_that_dies_is_told_and_the_panel_goes_on_when_it_is_back(
    page: Page, make_jupyter: MakeJupyter
) -> None:
    jupyter = make_jupyter()
    open_lab(page, jupyter)
    expect(page.locator("#dwcp-panel")).to_contain_text("Nothing is deployed.")
    jupyter.stop(signal.SIGKILL)
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_be_visible()
    jupyter.start()
    expect(page.locator("#dwcp-panel")).to_contain_text("Nothing is deployed.", timeout=60_000)
    expect(page.get_by_role("alert").filter(has_text="does not answer")).to_have_count(0)


def test_two_workspaces_under_one_server_can_be_chosen_between(page: Page, make_jupyter: MakeJupyter) -> None:
    jupyter = make_jupyter()
    team = jupyter.root / "team"
    team.mkdir()
    assert f"{jupyter.url.replace('127.0.0.1', 'localhost')}dwcp/w/" in fill(jupyter, team, "deploy")
    open_lab(page, jupyter)
    panel = page.locator("#dwcp-panel")
    expect(panel).to_contain_text("No model is registered yet.")
    panel.get_by_role("combobox", name="Workspace").select_option("team")
    expect(panel.get_by_role("list", name="Models")).to_contain_text("iris")
    expect(panel.get_by_role("list", name="Endpoints")).to_contain_text("quick")
    panel.get_by_role("combobox", name="Workspace").select_option("project")
    expect(panel).to_contain_text("No model is registered yet.")
