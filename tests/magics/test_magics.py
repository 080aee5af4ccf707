"""The magics in a real shell: they parse, call and return; errors are one line; unloading leaves nothing."""

import contextlib
import io
import shutil
import subprocess
import sys
import time

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError

import dwcp_jupyter
from dwcp_jupyter import exceptions, magics
from dwcp_jupyter.magics import errors
from dwcp_jupyter.magics.completion import complete
from dwcp_jupyter.workspace import find

LINE = [
    "approve",
    "audit",
    "compare",
    "deploy",
    "drift",
    "dwcp",
    "endpoints",
    "lineage",
    "models",
    "predict",
    "promote",
    "register",
    "reject",
    "rollback",
    "runs",
    "undeploy",
]
CELL = ["pipeline", "register"]


def test_the_magics_are_those_of_this_release():
    assert magics.names() == {"line": LINE, "cell": CELL}


def test_loading_adds_and_unloading_takes_all_away(shell):
    def state():
        manager = shell.magics_manager
        return (
            {kind: dict(found) for kind, found in manager.magics.items()},
            dict(manager.registry),
            list(shell.Completer.custom_matchers),
            {event: list(found) for event, found in shell.events.callbacks.items()},
        )

    dwcp_jupyter.unload_ipython_extension(shell)
    before = state()
    dwcp_jupyter.load_ipython_extension(shell)
    dwcp_jupyter.load_ipython_extension(shell)
    assert set(LINE) <= set(shell.magics_manager.magics["line"])
    assert len(shell.Completer.custom_matchers) == len(before[2]) + 1
    assert state()[3] == before[3]  # no hooks on cells
    dwcp_jupyter.unload_ipython_extension(shell)
    assert state() == before


def test_a_shell_without_a_workspace_can_look_and_creates_nothing(run, tmp_path):
    assert run("%models") == ()
    assert run("%endpoints") == ()
    assert run("%dwcp").exists is False
    assert run("%dwcp doctor")
    assert not (tmp_path / "w").exists()


def test_register_as_a_line_keeps_model_signature_metrics_and_reference(run, with_model):
    version = run("%register iris --model forest --data flowers --metrics scores --tag small --version v1.0.0 -o kept")
    assert repr(version) == "ModelVersion(iris@1.0.0, stage=development)"
    assert version.metrics == {"accuracy": 0.97}
    assert version.tags == ("small",)
    assert [c.name for c in version.signature.inputs] == list(with_model.user_ns["flowers"].columns)
    assert with_model.user_ns["kept"] is version
    assert find().registry.reference_data("iris").rows == 150


def test_register_as_a_cell_runs_its_body_and_keeps_it_as_code(run, with_model):
    cell = (
        "%%register iris --data flowers --bump auto --stage staging\n"
        '"""Fit on fewer rows.\n\nA second paragraph."""\n'
        "from sklearn.tree import DecisionTreeClassifier\n"
        "model = DecisionTreeClassifier(random_state=0).fit(flowers, flowers.iloc[:, 0] > 5)\n"
    )
    version = run(cell)
    assert version.changelog == "Fit on fewer rows.\n\nA second paragraph."
    assert version.stage == "staging"
    assert "DecisionTreeClassifier" in find().stores.artifacts.read(version.code_sha256).decode()
    assert "DecisionTreeClassifier" in type(with_model.user_ns["model"]).__name__


def test_a_cell_to_register_is_compiled_as_the_notebook_and_not_as_this_package(run, with_model):
    run(
        "%%register iris --model forest\n"
        "from dataclasses import dataclass, fields\n"
        "@dataclass\n"
        "class Limits:\n"
        "    low: int\n"
        "kind = fields(Limits)[0].type\n"
    )
    assert with_model.user_ns["kind"] is int


def test_a_cell_whose_body_fails_registers_nothing(shell, run, with_model, tmp_path):
    with pytest.raises(ZeroDivisionError):
        run("%%register iris\nmodel = 1 / 0")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("%register", "required: name"),
        ("%register iris --model forst", "Did you mean 'forest'"),
        ("%register iris --model forest --version 1.0", "no semantic version"),
        ("%register ../iris --model forest", "is no model name"),
        ("%register iris --model flowers", "No flavor keeps"),
        ("%register iris --model forest --metrics flowers --bump huge", "invalid choice"),
        ("%models nothing", "No model 'nothing'"),
        ("%promote nothing staging", "No model 'nothing'"),
        ("%deploy iris --replicas many", "no number of replicas"),
        ("%deploy iris --replicas 3:1", "MAX at least MIN"),
        ("%deploy nothing", "No model 'nothing'"),
        ("%deploy nothing --name a/b", "argument --name: 'a/b' is no endpoint name"),
        ("%predict nothing flowers", "Nothing is deployed"),
        ("%undeploy nothing", "No endpoint 'nothing'"),
        ("%drift nothing", "No model 'nothing'"),
        ("%dwcp nonsense", "invalid choice"),
        ("%models -o 1x", "no variable name"),
        ("%%pipeline p\n- just a list", "no fields"),
        ("%%pipeline p\na: [1,", "no YAML"),
        ("%%pipeline p\ndata_source: {{missing}}", "no variable 'missing'"),
        ("%%pipeline p --deploy\ntarget_column: x", "--deploy needs --register"),
        ("%%pipeline p\ntarget_colum: x", "Did you mean 'target_column'"),
        ("%%pipeline p\ntarget_column: x", "data_source is missing"),
        ("%%pipeline p --version 1.0.0\ndata_source: {{flowers}}", "--version needs --register"),
        ("%%pipeline p --register --version 1.0\ndata_source: {{flowers}}", "no semantic version"),
        ("%%pipeline a/b --register\ndata_source: {{flowers}}", "is no model name"),
        ("%%pipeline p --register a/b\ndata_source: {{flowers}}", "is no model name"),
        ("%%pipeline p -o 1x\ndata_source: {{flowers}}", "'1x' is no variable name"),
        ("%%pipeline p\ndata_source: a{{flowers}}.csv", "stands within a text, and 'flowers' is of type 'DataFrame'"),
        ("%%pipeline p\ndata_source: {{flowers}} [", "{{flowers}}"),
        ("%register iris --model forest -o 1x", "'1x' is no variable name"),
        ("%register iris --model forest -o class", "'class' is no variable name"),
        ("%register iris --model nothing", "is None"),
        ("%register iris", "--model VAR"),
        ("%register iris --model forest --metrics flowers", "a DataFrame"),
        ("%register iris --model forest --metrics ages", "a Series"),
        ("%register iris --model forest --metrics high", "a text"),
        ("%register iris --model forest --metrics unknown", "is nan"),
        ("%register iris --tag 'large", "is not closed"),
        ("%models --stage foo", "invalid choice: 'foo'"),
        ("%dwcp copy", "Say where to"),
        ("%dwcp backup", "Name the file"),
        ("%dwcp status --to sqlite", "--to goes with 'copy'"),
        ("%models iris@1.0.0 --where \"tag = 'a'\"", "Leave --where out"),
        ("%models --where \"tags = 'a'\"", "Did you mean 'tag'"),
        ("%models iris@1.0.0 --stage staging --tag a", "Leave --stage and --tag out"),
    ],
)
def test_misuse_is_a_usage_error_that_says_what_to_do(run, with_model, code, message, tmp_path):
    flowers = with_model.user_ns["flowers"]
    with_model.user_ns.update(nothing=None, ages=flowers.iloc[0], high={"acc": "high"}, unknown={"acc": float("nan")})
    with pytest.raises(UsageError) as caught:
        run(code)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 1500
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("line", ["a/b", "iris --version 1.0", "iris -o 1x", "iris --version v1.0.0", "iris --tag 'a"])
def test_a_cell_that_cannot_be_registered_is_not_run(run, with_model, line):
    run("%register iris --model forest --version 1.0.0")
    with pytest.raises(UsageError):
        run(f"%%register {line}\nmodel, was_run = forest, True")
    assert "was_run" not in with_model.user_ns


def test_a_pipeline_whose_version_is_taken_is_not_run(run, with_model):
    run("%register iris --model forest --version 1.0.0")
    with pytest.raises(UsageError, match=r"'iris@1\.0\.0' is registered already"):
        run("%%pipeline iris --register --version 1.0.0\ndata_source: {{flowers}}\ntarget_column: petal_width")
    assert find().status().runs == 0


def test_a_cell_to_register_may_hold_magics_and_commands(run, with_model):
    version = run('%%register iris\n"""Timed."""\n%time model = forest\n!true\nfound = !echo a\n')
    assert version.changelog == "Timed."
    assert with_model.user_ns["found"] == ["a"]
    assert b"%time model = forest" in find().stores.artifacts.read(version.code_sha256)


def test_a_cell_to_register_that_is_no_python_is_not_run(run, with_model):
    with pytest.raises(SyntaxError):
        run("%%register iris\nwas_run = True\nmodel = = forest")
    assert "was_run" not in with_model.user_ns


def test_quotes_hold_a_value_together_and_are_no_part_of_it(run, with_model):
    version = run("""%register iris --model forest --tag '<b>x</b>' --tag "two words" --tag back\\slash""")
    assert version.tags == ("<b>x</b>", "two words", "back\\slash")


def test_models_are_listed_by_stage_and_tag(run, with_model):
    run("%register iris --model forest --tag small --stage staging")
    run("%register iris --model forest --tag large")
    assert [v.version for v in run("%models iris")] == ["1.1.0", "1.0.0"]
    assert [v.version for v in run("%models iris --stage staging")] == ["1.0.0"]
    assert [v.version for v in run("%models iris --tag large")] == ["1.1.0"]
    assert [m.name for m in run("%models --tag small")] == ["iris"]
    assert "No model has the tag 'zz'." in run("%models --tag zz")._view().to_text()
    assert [v.reference for v in run("%models --where \"stage = 'staging'\"")] == ["iris@1.0.0"]
    assert [v.version for v in run("%models iris --where \"tag = 'large'\"")] == ["1.1.0"]
    assert run("%models iris --stage staging --where \"tag = 'large'\"") == ()
    assert "No version has the stage 'archived'" in run("%models iris --stage archived")._view().to_text()
    assert "no model yet" not in run("%models --stage production")._view().to_text()


def test_a_model_that_is_none_makes_no_draft_and_a_draft_is_marked(run, with_model):
    run("%register iris --model forest")
    with pytest.raises(UsageError, match="is None"):
        run("model = None\n%register iris")
    find().registry.create_version("iris", "2.0.0")
    assert "development (draft)" in run("%models iris")._view().to_text()


def test_a_removed_workspace_is_made_anew(run, with_model, tmp_path):
    for _ in range(3):
        run("%register iris --model forest")
    shutil.rmtree(tmp_path / "w")
    assert run("%register iris --model forest").version == "1.0.0"
    find().close()
    query = "from dwcp_jupyter.workspace import find; print(find().registry.list_versions('iris'))"
    done = subprocess.run([sys.executable, "-c", query], capture_output=True, text=True, timeout=60)
    assert "iris@1.0.0" in done.stdout, done.stderr


@pytest.mark.parametrize("place", ["data_source: {{stem}}.csv", 'data_source: "{{folder}}/{{ stem }}.csv"'])
def test_a_variable_stands_within_a_text_of_a_pipeline_too(shell, place):
    from dwcp_jupyter.magics.pipeline import _fields

    shell.user_ns.update(stem="a: [b", folder="c")
    assert _fields(place, shell.user_ns.__getitem__)["data_source"] in ("a: [b.csv", "c/a: [b.csv")


def test_what_a_variable_says_is_never_read_as_yaml():
    from dwcp_jupyter.magics.pipeline import _fields

    frame, evil = object(), "x\ntarget_column: y # {{frame}} \ue0000\ue001"
    cell = "data_source: {{frame}}\n{{key}}: '{{frame}}'\nmetrics: [{{evil}}, 'a {{evil}}']\nfolds: {{n}}\nb: n={{n}}"
    variables = {"frame": frame, "evil": evil, "n": 3, "key": "k"}
    fields = _fields(cell, variables.__getitem__)
    assert fields == {"data_source": frame, "k": frame, "metrics": [evil, f"a {evil}"], "folds": 3, "b": "n=3"}


@pytest.mark.parametrize("code", ["%deploy --help", "%dwcp -h", "%%register --help\npass"])
def test_help_is_shown_where_it_is_asked_for(run, code):
    name = code.split()[0].lstrip("%")
    assert name in run(code)._view().to_text()
    assert "options:" in run(code)._view().to_text()


def test_the_table_of_magics_says_what_they_do(run):
    text = run("%dwcp help")._view().to_text()
    assert "Move a version to another stage, let an alias mean it, or ask" in text
    assert "[-" not in text
    assert "::" not in run("%dwcp help deploy")._view().to_text()


def test_a_usage_error_is_shown_in_one_line(shell, with_model):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        shell.run_cell("%models nothing")
    assert "Traceback" not in out.getvalue()
    assert out.getvalue().count("\n") <= 2


def test_a_failure_is_raised_as_itself_and_shown_by_its_message(shell, run, with_model):
    run("%register iris --model forest --data flowers --stage staging")
    with pytest.raises(exceptions.ApprovalError):
        run("%promote iris@1.0.0 production")
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        shell.run_cell("%promote iris@1.0.0 production")
    assert "ApprovalError: 'iris@1.0.0' cannot go to production" in out.getvalue()
    assert "File" not in out.getvalue()


def leaves(cls):
    below = cls.__subclasses__()
    return {cls, *(leaf for child in below for leaf in leaves(child))} if below else {cls}


def test_every_error_has_its_place_in_the_table():
    raised = {cls for cls in leaves(exceptions.DwcpError) if cls.__module__ == exceptions.__name__}
    assert set(errors.TABLE) == raised - {exceptions.DwcpError}
    assert {f"{cls.__name__}" for cls in raised} | {"did_you_mean"} == set(exceptions.__all__)


def test_every_error_is_a_builtin_too_and_is_drawn_in_the_tree():
    for cls in errors.TABLE:
        assert any(
            base.__module__ == "builtins" and base not in (Exception, BaseException, object) for base in cls.__mro__
        )
        assert cls.__name__ in exceptions.__doc__


@pytest.mark.parametrize("name", [*(f"%{n}" for n in LINE), *(f"%%{n}" for n in CELL)])
def test_every_magic_says_what_it_does_with_an_example_in_python(name):
    from dwcp_jupyter.magics.help import Help

    text = Help(topic=name)._view().to_text()
    assert "dwcp_jupyter.Workspace()" in text
    assert name in Help()._view().to_text()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%dw", []),
        ("%dwcp st", ["status", "stop"]),
        ("%dwcp help dep", ["deploy"]),
        ("%dwcp doctor dep", []),
        ("%register iris --stage st", ["staging"]),
        ("%register iris --stage pr", []),
        ("%models --stage pr", ["production"]),
        ("%deploy --name x i", ["iris", "iris@1.0.0", "iris@best", "iris@development"]),
        ("%models --tag x iris@b", ["iris@best"]),
        ("%models iris i", []),
        ("%%pipeline iris --register i", ["iris"]),
        ("%promote -o x iris@1.0.0 st", ["staging"]),
        ("%models i", ["iris", "iris@1.0.0", "iris@best", "iris@development"]),
        ("%promote iris@1.0.0 st", ["staging"]),
        ("%register iris --model for", ["forest"]),
        ("%register iris --bump ma", ["major"]),
        ("%deploy iris --re", ["--replicas"]),
        ("%deploy iris@b", ["iris@best"]),
        ("%predict x flo", ["flowers"]),
        ("print('%models i", []),
        ("%unknown i", []),
    ],
)
def test_completion_knows_commands_flags_models_and_variables(run, with_model, line, expected):
    run("%register iris --model forest")
    find().registry.set_alias("iris@1.0.0", "best")
    assert complete(line, line.split()[-1], with_model) == expected


def test_completion_reaches_the_user_through_the_completer(run, with_model):
    run("%register iris --model forest")
    with provisionalcompleter():
        found = [c.text for c in with_model.Completer.completions("%promote iris@1.0.0 sta", 23)]
    assert any(text.endswith("staging") for text in found)


def test_completion_of_an_unreadable_workspace_is_empty(with_model, tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "metadata.duckdb").write_bytes(b"broken" * 1000)
    assert complete("%models i", "i", with_model) == []
    (tmp_path / "w" / "metadata.duckdb").unlink()


@pytest.mark.parametrize("code", ["", "x = 1\n", "%%pipeline p\n", "%register iris\n\n"])
def test_completion_of_an_empty_line_is_no_error(shell, code, capsys):
    with provisionalcompleter():
        list(shell.Completer.completions(code, len(code)))
    assert "Traceback" not in "".join(capsys.readouterr())


HOLDER = """
import sys
from dwcp_jupyter import store
with store.open(sys.argv[1]).metadata.transaction():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_completion_waits_for_nobody(run, with_model, tmp_path, capfd):
    run("%register iris --model forest")
    find().close()
    assert complete("%models i", "i", with_model)
    find().close()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "w")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout.readline() == "held\n"
        began = time.monotonic()
        assert complete("%models i", "i", with_model) == []
        assert time.monotonic() - began < 1
    finally:
        holder.communicate("", timeout=30)
    assert "Waiting" not in "".join(capfd.readouterr())


LOADED = """
import sys
import dwcp_jupyter
heavy = [m for m in {heavy!r} if m in sys.modules]
assert not heavy, heavy
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "dwcp_jupyter")
heavy = [m for m in {loaded!r} if m in sys.modules]
assert not heavy, heavy
shell.run_line_magic("unload_ext", "dwcp_jupyter")
"""
HEAVY = [
    "IPython",
    "numpy",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "duckdb",
    "sklearn",
    "jinja2",
    "fsspec",
    "yaml",
    "asyncio",
]
NOT_AT_LOAD = [
    "numpy",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "duckdb",
    "sklearn",
    "fsspec",
    "uvicorn",
    "onnxruntime",
    "tornado",
]


def test_importing_and_loading_bring_nothing_heavy():
    code = LOADED.format(heavy=HEAVY, loaded=NOT_AT_LOAD)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def asked(features):
    """What `%predict` may be given, and what it must refuse."""
    rows = features.to_dict(orient="records")
    given = {"rows": features, "one": features.iloc[[0]], "array": features.to_numpy(), "dicts": rows[:2]}
    given |= {"row": features.iloc[0], "lists": features.head(2).to_numpy().tolist()}
    refused = {"number": 5, "text": "five", "nothing": None, "narrow": features.to_numpy()[:, :2], "empty": []}
    return given | refused | {"mixed": [rows[0], 3]}


def test_the_whole_way_from_a_cell_to_drift(run, shell, iris):
    features, species = iris
    shell.user_ns["data"] = features.assign(species=species)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        result = run(
            "%%pipeline flowers --register --deploy\n"
            "data_source: {{data}}\n"
            "target_column: species\n"
            "model_class: LogisticRegression\n"
            "metrics: [accuracy]\n"
            "save_intermediate: false\n"
            f"output_dir: {find().stores.root}/out\n"
        )
    assert result.metrics["test_accuracy"] > 0.8
    assert "10/10 deployment prep" in out.getvalue()
    shell.user_ns.update(asked(features))
    answer = run("%predict flowers rows")
    assert answer.model_version == "1.0.0"
    assert len(answer.predictions) == 150
    assert sum(a == b for a, b in zip(answer.predictions, species, strict=True)) > 130
    report = run("%drift flowers")
    assert report.n_current == 150
    assert not report.drifted
    shell.user_ns["rows"] = features.assign(petal_length=features["petal_length"] + 4)
    assert "petal_length" in run("%drift flowers --data rows").drifted
    for name in ("one", "row", "array", "lists", "dicts"):
        found = run(f"%predict flowers {name}").predictions
        assert found == answer.predictions[: {"array": 150, "lists": 2, "dicts": 2}.get(name, 1)], name
    for name in ("number", "text", "nothing", "narrow", "mixed", "empty"):
        with pytest.raises(UsageError):
            run(f"%predict flowers {name}")
    assert [endpoint.name for endpoint in run("%endpoints")] == ["flowers"]
    assert "It served flowers@1.0.0." in run("%undeploy flowers")._view().to_text()
    assert run("%endpoints") == ()
    began = time.monotonic()
    assert run("%dwcp stop").supervisor_pid is None
    assert time.monotonic() - began < 60


def test_a_function_is_deployed_by_the_sum_that_its_refusal_names(run, shell, iris):
    shell.user_ns["flowers"] = iris[0]
    version = run(
        "%%register rule --model by_size --data flowers\n"
        "def by_size(frame):\n"
        "    return (frame['petal_length'] > 2.5).to_numpy()\n"
    )
    with pytest.raises(exceptions.UntrustedArtifactError) as refused:
        run("%deploy rule")
    run(f"%deploy rule --trust {refused.value.sha256}")
    try:
        shell.user_ns["row"] = iris[0].iloc[[0]]
        assert run("%predict rule row").predictions == [False]
    finally:
        run("%undeploy rule")
        run("%dwcp stop")
    assert version.framework == "python_function"


def test_the_metadata_are_kept_in_a_file_and_copied(run, tmp_path, with_model):
    run("%register iris --model forest")
    assert run(f"%dwcp backup {tmp_path}/kept").rows["versions"] == 1
    copied = run(f"%dwcp copy --to sqlite:///{tmp_path}/other.db")
    assert "every link holds" in copied._view().to_text()
    with pytest.raises(exceptions.WorkspaceError, match="holds a workspace already"):
        run(f"%dwcp restore {tmp_path}/kept")
