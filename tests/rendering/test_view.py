"""The display protocol: what Jupyter gets, and that it is the same each time."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from dwcp_jupyter.rendering import Bars, Displayed, Facts, Lines, Note, Table, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Displayed):
    name: str

    def _view(self) -> View:
        return View(
            self.name,
            [
                Facts({"name": self.name}),
                Table((self.name,), [(self.name,)]),
                Note(self.name),
                Bars(self.name, [self.name], {self.name: [1.0]}, x_label=self.name),
                Lines(self.name, [0, 1], {self.name: [1.0, 2.0]}, x_label=self.name, y_label=self.name),
            ],
            subtitle=self.name,
        )


def test_a_result_gives_text_and_html():
    bundle = Result(name="churn")._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    assert "churn" in bundle["text/plain"]
    assert "churn" in bundle["text/html"]


@pytest.mark.parametrize(
    ("include", "exclude", "kinds"),
    [
        ({"text/plain"}, None, {"text/plain"}),
        (None, {"text/plain"}, {"text/html"}),
        ({"image/png"}, None, set()),
    ],
)
def test_only_what_is_asked_for_is_made(include, exclude, kinds):
    assert set(Result(name="a")._repr_mimebundle_(include, exclude)) == kinds


def test_repr_stays_the_dataclass_own():
    assert repr(Result(name="a")) == "Result(name='a')"


def test_the_mixin_keeps_slots():
    assert not hasattr(Result(name="a"), "__dict__")


def test_the_same_result_is_shown_the_same_in_another_process():
    program = (
        "from dwcp_jupyter.rendering import *;"
        "v = View('t', [Facts({'a': 1.5}), Bars('b', ['x', 'y'], {'s': [1, 2]}, x_label='n')]);"
        "print(v.to_text()); print(v.to_html())"
    )
    outputs = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout
        for _ in range(2)
    }
    assert len(outputs) == 1


def test_what_results_import_loads_no_drawing_library():
    program = (
        "import sys; from dwcp_jupyter.rendering import Displayed, Table, View;"
        "sys.exit(any(name in sys.modules for name in ('jinja2', 'numpy', 'pandas', 'IPython')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_ipython_shows_the_view():
    formatters = pytest.importorskip("IPython.core.formatters")
    data, _ = formatters.DisplayFormatter().format(Result(name="churn"))
    assert data["text/html"].startswith("<div")
    assert data["text/plain"].startswith("churn\n─")
