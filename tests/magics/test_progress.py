"""The line that tells how far a run is, in a real kernel and in a terminal's shell."""

from __future__ import annotations

import contextlib

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from dwcp_jupyter.magics.progress import LiveProgress

TRAIN = """%%pipeline flowers
data_source: {{flowers}}
target_column: species
model_class: LogisticRegression
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs cells in a kernel and returns the outputs of the last."""
    monkeypatch.setenv("DWCP_HOME", str(tmp_path / ".dwcp"))

    def execute(*sources):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
        client = NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
        )
        with contextlib.suppress(CellExecutionError):
            client.execute()
        return notebook.cells[-1].outputs

    return execute


LOAD = "%load_ext dwcp_jupyter"
FLOWERS = "from sklearn.datasets import load_iris\nflowers = load_iris(as_frame=True).frame.rename(columns={'target': 'species'})"


def shown(outputs):
    return [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]


def test_a_notebook_keeps_the_last_state_of_one_line(run):
    (line,) = shown(run(LOAD, FLOWERS, TRAIN))
    assert line.startswith("flowers  ████████████████████  10/10 done, ")


def test_a_run_that_fails_says_where_it_stopped(run):
    outputs = run(LOAD, f"{FLOWERS}\nflowers['species'] = 1", TRAIN)
    assert outputs[-1].output_type == "error"
    (line,) = shown(outputs)
    assert "data validation: stopped, " in line


def test_a_terminal_writes_over_one_line_and_ends_it(capsys):
    with LiveProgress("churn"):
        pass
    with pytest.raises(KeyError), LiveProgress("churn"):
        raise KeyError("x")
    assert capsys.readouterr().out == (
        "\rchurn  ░░░░░░░░░░░░░░░░░░░░  0/1 done, 0 s\n\rchurn  ░░░░░░░░░░░░░░░░░░░░  0/1 stopped, 0 s\n"
    )
