"""Functions that were written in the cells of a notebook: in a real shell, as they are registered, loaded and asked."""

import zipfile

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import load_model, save_model
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.workspace import find
from tests.shells import opened_shell

MODELS = """
import numpy as np
import pandas as pd
import xgboost
from sklearn.linear_model import LogisticRegression

frame = pd.DataFrame({"amount": np.linspace(-2, 2, 40), "age": np.arange(40.0)})
target = (frame["amount"] > 0.3).astype(int)
linear = LogisticRegression().fit(frame, target)
trees = xgboost.XGBClassifier(n_estimators=3).fit(frame, target)
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    with opened_shell(tmp_path, monkeypatch) as shell:
        yield shell


@pytest.fixture
def run(shell):
    def run(code):
        result = shell.run_cell(code, store_history=True)
        result.raise_error()
        return result.result

    return run


@pytest.fixture
def kept(shell, tmp_path):
    """Return a function that keeps a name of the shell and gives it back from its package, with the text kept."""
    count = iter(range(100))

    def keep(name="score"):
        folder = tmp_path / f"package-{next(count)}"
        info = save_model(shell.user_ns[name], folder)
        with zipfile.ZipFile(folder / "function.zip") as archive:
            text = archive.read("model.py").decode()
        return load_model(folder, trust=info.sha256).native, text

    return keep


def test_a_function_of_a_cell_combines_the_models_of_others(run, kept, shell):
    run(MODELS)
    run("def weighed(first, second, *, by=0.25):\n    return by * first + (1 - by) * second")
    run(
        "def score(data: pd.DataFrame) -> np.ndarray:\n"
        "    return weighed(linear.predict_proba(data)[:, 1], trees.predict_proba(data)[:, 1])"
    )
    function, text = kept()
    frame = shell.user_ns["frame"]
    np.testing.assert_array_equal(function(frame), shell.user_ns["score"](frame))
    assert "import pandas as pd" in text
    assert "IPython" not in text


def test_the_newest_run_of_a_cell_counts(run, kept):
    cell = "LIMIT = {}\ndef score(frame):\n    return [{} * LIMIT] * len(frame)"
    answers = []
    for limit, factor in ((1, 2), (3, 4), (1, 2)):  # the last is the first, run again
        run(cell.format(limit, factor))
        answers.append(kept()[0]([0]))
    assert answers == [[2], [12], [2]]


def test_classes_without_methods_are_told_apart_by_what_they_hold(run, kept):
    run("import enum, dataclasses, typing")
    cell = (
        "class Level(enum.Enum):\n    HIGH = {0}\n\n"
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass Rule:\n    limit: float = {0}\n    name: str = 'a'\n\n"
        "class Pair(typing.NamedTuple):\n    first: int\n    second: int = {0}\n"
    )
    run("def score(frame):\n    return [Level.HIGH.value + Rule().limit + Pair(0).second]")
    for value in (1, 5, 1):
        run(cell.format(value))
        assert kept()[0](None) == [3 * value]


def test_closures_decorators_and_indented_definitions_of_cells_are_kept(run, kept):
    run("import functools")
    run(
        "def clipped(low):\n"
        "    def around(function):\n"
        "        @functools.wraps(function)\n"
        "        def inner(frame):\n"
        "            return [max(low, value) for value in function(frame)]\n"
        "        return inner\n"
        "    return around"
    )
    run(
        "if True:\n    @clipped(2)\n    @clipped(1)\n    def score(frame):\n        '''Odd\n    text.'''\n        return frame"
    )
    function, text = kept()
    assert function([0, 3]) == [2, 3]
    assert "@clipped(2)\n@clipped(1)\ndef score(frame):\n    '''Odd\n    text.'''" in text


def test_annotations_stay_texts_where_a_cell_said_so(run, kept):
    run("from __future__ import annotations\nimport pandas as pd")
    run("def score(frame: pd.DataFrame | Nothing) -> Nothing:\n    return frame")
    function, text = kept()
    assert function.__annotations__ == {"frame": "pd.DataFrame | Nothing", "return": "Nothing"}
    assert text.index("from __future__ import annotations") < text.index("import pandas as pd")


def test_what_a_notebook_adds_to_python_does_not_travel(run, kept):
    run("def score(frame):\n    return [open(name).read() for name in frame]")
    assert "IPython" not in kept()[1]
    run("def score(frame):\n    return get_ipython()")
    with pytest.raises(FlavorError, match="'get_ipython', which 'score' uses, cannot be kept"):
        kept()
    run("def score(frame):\n    display(frame)\n    return frame")
    assert "import display" in kept()[1]


def test_cells_with_magics_are_read_as_python(run, kept):
    run("%precision 3\ndef score(frame):\n    return frame\nlater = !echo done")
    assert kept()[0]([1]) == [1]


def test_a_name_that_was_deleted_is_named(run, kept):
    run("LIMIT = 3\ndef score(frame):\n    return frame > LIMIT")
    run("del LIMIT")
    with pytest.raises(FlavorError, match="'LIMIT', which 'score' uses, cannot be kept: it is not defined"):
        kept()


def test_the_body_of_register_defines_the_function_it_registers(run, shell):
    run(MODELS)
    run(
        "%%register blend --version 1.0.0 --model score --data frame\n"
        "'''Weighs two models.'''\n"
        "def score(frame):\n"
        "    return (linear.predict_proba(frame)[:, 1] + trees.predict_proba(frame)[:, 1]) / 2"
    )
    workspace = find()
    version = workspace.registry.get_model("blend@1.0.0")
    assert (version.framework, version.flavor) == ("python_function", "python")
    assert [column.name for column in version.signature.inputs] == ["amount", "age"]


def test_a_registered_function_is_loaded_by_a_decision_alone(run, shell, monkeypatch):
    run(MODELS)
    run("def score(frame):\n    return linear.predict_proba(frame)[:, 1] * trees.predict(frame)")
    score, frame = shell.user_ns["score"], shell.user_ns["frame"]
    registry = find().registry
    registry.register_model(ModelMetadata(name="score", version="1.0.0"), model=score, input_example=frame)
    with pytest.raises(UntrustedArtifactError) as caught:
        registry.load_model("score@1.0.0")
    assert f"registry.load_model('score@1.0.0', trust='{caught.value.sha256}')" in str(caught.value)
    loaded = registry.load_model("score@1.0.0", trust=caught.value.sha256)
    np.testing.assert_array_equal(loaded.predict(frame).values, score(frame))
    events = find().stores.metadata.events(kinds=["trust.decided"])
    assert [event.payload["sha256"] for event in events] == [caught.value.sha256]


def test_a_function_that_cannot_be_kept_registers_nothing(run, shell):
    run("import sqlite3\nconnection = sqlite3.connect(':memory:')\ndef score(frame):\n    return connection")
    with pytest.raises(FlavorError, match=r"'connection', which 'score' uses, .*sqlite3\.Connection"):
        find().register("score", shell.user_ns["score"], data=pd.DataFrame({"a": [1.0]}))
    assert list(find().registry.list_models()) == []
