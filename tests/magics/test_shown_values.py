"""What versions, models, charts and graphs say of themselves, in text and in HTML alike."""

from datetime import UTC, datetime, timedelta

from dwcp_jupyter.flavors import Column, ColumnType, Signature
from dwcp_jupyter.registry import ModelVersion
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import Model, VersionList
from dwcp_jupyter.rendering import Graph, Lines, Node, View


def version(**said):
    return ModelVersion(id="1", model_id="m", name="wide", version="1.0.0", stage=Stage.DEVELOPMENT, **said)


def shown(block):
    return View("t", [block]).to_text().splitlines()[3:]


def test_a_condition_that_nothing_meets_is_told():
    text = VersionList(wanted={"condition": "metrics.x > 1"})._view().to_text()
    assert "No version meets the condition metrics.x > 1." in text
    text = VersionList([version()], wanted={"condition": "c"}).only(tag="a")._view().to_text()
    assert "No version has the tag 'a' and meets the condition c." in text


WHEN = datetime(2026, 11, 23, 6, 52, tzinfo=UTC)


def test_a_version_shows_all_that_is_known_of_it():
    known = version(
        author="ana",
        description="of the spring",
        created_at=WHEN,
        created_by="bo",
        task_type="classification",
        training_started_at=WHEN - timedelta(hours=2),
        training_ended_at=WHEN,
        run_id="r" * 32,
        git_commit="c" * 40,
        parent_id="p" * 32,
        size_bytes=20_000,
        hyperparameters={"depth": 3, "kernel": "rbf"},
        custom_metadata={"site": "Zürich"},
        signature=Signature(inputs=(), outputs=(Column(name="churned", type=ColumnType.BOOL, dtype="bool"),)),
    )
    expected = [
        "of the spring",
        "ana",
        "2026-11-23 06:52 UTC by bo",
        "classification",
        "from 2026-11-23 04:52 UTC to 2026-11-23 06:52 UTC (2 h)",
        "r" * 32,
        "c" * 40,
        "p" * 32,
        "20 kB",
        "rbf",
        "Zürich",
        "churned",
    ]
    for form in known._repr_mimebundle_().values():
        assert [said for said in expected if said not in form] == []


def test_what_a_version_has_not_is_not_shown():
    for form in version()._repr_mimebundle_().values():
        for said in ("Author", "Registered", "Trained", "Hyperparameter", "Metadata", "Metric", "Input", "Output"):
            assert said not in form


def test_many_hyperparameters_are_folded():
    text, html = version(hyperparameters={f"h{place:02}": place for place in range(40)})._repr_mimebundle_().values()
    assert "… and 28 more" in text
    assert html.index("h11<") < html.index("<details") < html.index("h12<")


def test_a_model_shows_itself():
    model = Model(
        id="m",
        name="churn",
        description="who leaves",
        task_type="classification",
        tags=("risk", "<b>"),
        custom_metadata={"owner": "ana"},
        created_at=WHEN,
        updated_at=WHEN,
        version_count=3,
        latest="1.2.0",
        stages={"production": "1.1.0"},
        aliases={"champion": "1.0.0"},
        metrics={"auc": 0.91},
    )
    text, html = model._repr_mimebundle_().values()
    for said in ("who leaves", "classification", "risk, ", "ana", "3", "production: 1.1.0", "champion: 1.0.0", "0.91"):
        assert said in text
        assert said in html
    assert "Metric of 1.2.0" in text
    assert "<b>" not in html
    assert repr(model) == "Model(churn, latest=1.2.0, versions=3)"


def test_what_a_title_says_is_not_said_again():
    def head(title):
        return shown(Lines(title, [0, 1], {"s": [1.0, 2.0]}, x_label="step", y_label="loss"))[0]

    assert head("loss") == "loss by step"
    assert head("loss (500 of 9,000 steps)") == "loss (500 of 9,000 steps) by step"
    assert head("Training") == "Training: loss by step"
    assert head("losses") == "losses: loss by step"
    nodes = [Node("a", "data 583181b0", "data"), Node("b", "churn@1.0.0", "version"), Node("c", "database", "data")]
    drawn = shown(Graph("", nodes, [("a", "b", "trained on"), ("c", "b", "")]))
    html = View("t", [Graph("", nodes, [])]).to_html()
    assert ">583181b0<" in html
    assert ">churn@1.0.0<" in html
    assert drawn == ["data 583181b0 → version churn@1.0.0  (trained on)", "data database → version churn@1.0.0"]
