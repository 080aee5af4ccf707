"""A notebook in a real JupyterLab deploys; the endpoint outlives its kernel and answers under the server's address."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
from playwright.sync_api import Page, expect

from tests.supervisor.workspaces import eventually
from tests.surface.conftest import end, open_lab
from tests.surface.jupyter import Jupyter

TRAIN = """
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
X, y = load_wine(return_X_y=True, as_frame=True)
wine = LogisticRegression(max_iter=5000).fit(X, y)
"""
REGISTER = """
from dwcp_jupyter import Workspace
from dwcp_jupyter.registry import ModelMetadata
Workspace().registry.register_model(ModelMetadata(name="wine", metrics={"accuracy": 0.97}), wine, input_example=X.head())
"""
CELLS = [
    "%load_ext dwcp_jupyter",
    TRAIN,
    REGISTER,
    "%deploy wine --name cellar",
    "rows = X.head(3)",
    "%predict cellar rows",
]


def test_an_endpoint_deployed_in_a_notebook_outlives_its_kernel(page: Page, tmp_path: Path) -> None:
    root = tmp_path / "project"
    root.mkdir()
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source.strip()) for source in CELLS],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},  # else a dialog asks for it
    )
    nbformat.write(notebook, root / "wine.ipynb")
    jupyter = Jupyter(root, tmp_path / "home")
    try:
        open_lab(page, jupyter)
        _run(page)
        assert _errors(page) == []
        listed = page.get_by_role("list", name="Endpoints")
        expect(listed).to_contain_text("cellar")
        expect(listed).to_contain_text("wine@1.0.0")
        (kernel,) = jupyter.get("api/kernels")
        page.evaluate("id => window.jupyterapp.serviceManager.kernels.shutdown(id)", kernel["id"])
        eventually(lambda: jupyter.get("api/kernels") == [])
        row = {item["name"]: 1.0 for item in jupyter.get("dwcp/v2/models/cellar")["inputs"]}
        answer = json.loads(jupyter.fetch("dwcp/invocations/cellar", json.dumps(row).encode()))
        assert len(answer["predictions"]) == 1
        expect(listed).to_contain_text("ready")
    finally:
        end(jupyter)


def _run(page: Page) -> None:
    """Open the notebook and run all its cells, once its kernel is there."""
    page.evaluate(
        """async () => {
          const app = window.jupyterapp;
          const widget = await app.commands.execute('docmanager:open', {path: 'wine.ipynb', factory: 'Notebook'});
          await widget.context.ready;
          await widget.sessionContext.ready;
          await widget.sessionContext.session.kernel.info;
          await app.commands.execute('notebook:run-all-cells');
        }"""
    )


def _errors(page: Page) -> list[str]:
    return page.evaluate(
        """() => {
          const cells = window.jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells;
          const outputs = cells.flatMap(cell => cell.outputs);
          return outputs.filter(item => item.output_type === 'error').map(item => `${item.ename}: ${item.evalue}`);
        }"""
    )
