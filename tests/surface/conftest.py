from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from dwcp_jupyter import supervisor
from tests.supervisor.workspaces import eventually
from tests.surface.jupyter import TOKEN, Jupyter

FILL = str(Path(__file__).with_name("deployed.py"))


def fill(jupyter: Jupyter, folder: Path, action: str = "") -> str:
    """Register models in `folder`, and deploy them where asked to, as a kernel of that server would."""
    command = [sys.executable, FILL, str(folder), action]
    done = subprocess.run(command, env=jupyter.kernel_environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


def end(jupyter: Jupyter) -> None:
    """Stop the server and make sure that nothing is left of its workspaces."""
    jupyter.stop()
    for folder in jupyter.root.rglob(".dwcp"):
        eventually(lambda folder=folder: not supervisor.runtime_dir(folder).exists())


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test for what it complains about."""
    expect.set_options(timeout=20_000)
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


@pytest.fixture(scope="package")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jupyter]:
    """A JupyterLab whose workspace has a model with two versions and two endpoints."""
    root = tmp_path_factory.mktemp("project")
    jupyter = Jupyter(root, tmp_path_factory.mktemp("home"))
    try:
        fill(jupyter, root, "deploy")
        yield jupyter
    finally:
        end(jupyter)


def open_lab(page: Page, jupyter: Jupyter) -> None:
    """Open JupyterLab with the panel in front."""
    page.goto(f"{jupyter.url}lab?token={TOKEN}")
    page.wait_for_function("window.jupyterapp?.restored.then(() => true)")
    tab = page.get_by_role("tab", name="Models and endpoints")
    if tab.get_attribute("aria-selected") != "true":
        tab.click()
    expect(page.locator("#dwcp-panel")).to_be_visible()
