"""Versions are found by what is recorded of them, alike on every database; what cannot be understood is said where."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.exceptions import FilterError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.registry.searching import _fields
from dwcp_jupyter.store.filtering import parse_filter


@pytest.fixture
def recorded(registry):
    """Five versions of three models."""
    said = {
        "churn@1.0.0": {"metrics": {"test_accuracy": 0.9, "loss": 0.4}, "tags": ["risk"], "author": "ana"},
        "churn@1.1.0": {"metrics": {"test_accuracy": 0.95}, "tags": ["risk", 'a","b'], "hyperparameters": {"depth": 3}},
        "churn@1.10.0": {"metrics": {"test_accuracy": 1}, "hyperparameters": {"depth": "3", "kernel": "rbf"}},
        "fraud@1.0.0": {
            "metrics": {"f1 score": 0.5, "loss": 1e-30},
            "tags": [","],
            "custom_metadata": {"site": "Zürich"},
        },
        "été@1.0.0": {"description": "50% off'; DROP TABLE versions; --", "framework": "xgboost", "changelog": "new"},
    }
    for reference, values in said.items():
        name, _, version = reference.partition("@")
        registry.register_model(ModelMetadata(name=name, version=version, **values))
    registry.set_alias("churn@1.1.0", "champion")
    return registry


def found(registry, condition, **given):
    return [version.reference for version in registry.search_versions(condition, **given)]


ALL = ["churn@1.10.0", "churn@1.1.0", "churn@1.0.0", "fraud@1.0.0", "été@1.0.0"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("", ALL),
        ("metrics.test_accuracy >= 0.95", ["churn@1.10.0", "churn@1.1.0"]),
        ("metrics.test_accuracy == 1", ["churn@1.10.0"]),
        ("metrics.test_accuracy <> 1", ["churn@1.1.0", "churn@1.0.0"]),
        ("not metrics.test_accuracy = 1", ["churn@1.1.0", "churn@1.0.0"]),
        ("metrics.loss < 1e-20", ["fraud@1.0.0"]),
        ("metrics.`f1 score` = .5", ["fraud@1.0.0"]),
        ("metrics.none > 0", []),
        ("tag = 'risk' and name = 'churn'", ["churn@1.1.0", "churn@1.0.0"]),
        ("tag != 'risk'", ["churn@1.10.0", "fraud@1.0.0", "été@1.0.0"]),
        ("tag = ','", ["fraud@1.0.0"]),
        ("tag = 'a'", []),
        ("tag = 'a\",\"b'", ["churn@1.1.0"]),
        ("params.depth = 3", ["churn@1.1.0"]),
        ("params.depth = '3'", ["churn@1.10.0"]),
        ("hyperparameters.kernel like 'r%'", ["churn@1.10.0"]),
        ("custom_metadata.site = 'Zürich'", ["fraud@1.0.0"]),
        ("alias = 'champion'", ["churn@1.1.0"]),
        ("alias != 'champion' and name = 'churn'", ["churn@1.10.0", "churn@1.0.0"]),
        ("alias like 'ch%'", ["churn@1.1.0"]),
        ("name = 'e\u0301te\u0301'", ["été@1.0.0"]),
        ("version = 'v1.1.0'", ["churn@1.1.0"]),
        ("stage = 'Development' and author = 'ana'", ["churn@1.0.0"]),
        ("framework = 'XGBoost'", ["été@1.0.0"]),
        ("description like '50\\%%' and changelog = \"new\"", ["été@1.0.0"]),
        ("description = '50% off''; DROP TABLE versions; --'", ["été@1.0.0"]),
        ("name = 'fraud' or name = 'churn' and tag = 'risk'", ["churn@1.1.0", "churn@1.0.0", "fraud@1.0.0"]),
        ("(NAME = 'fraud' OR name = 'churn') AND NOT (tag = 'risk')", ["churn@1.10.0", "fraud@1.0.0"]),
        ("created_at > '2020' and created_at < '2999'", ALL),
        ("task_type = 'regression'", []),
    ],
)
def test_what_is_recorded_is_found(recorded, condition, expected):
    assert found(recorded, condition) == expected


def test_pages_put_together_are_everything(recorded):
    pages, last = [], None
    while page := found(recorded, "", limit=2, after=last):
        pages += page
        last = page[-1]
    assert pages == ALL


def test_the_best_come_first_and_those_without_the_metric_last(recorded):
    best = found(recorded, "", order_by="metrics.test_accuracy desc", limit=4)
    assert best == ["churn@1.10.0", "churn@1.1.0", "churn@1.0.0", "fraud@1.0.0"]
    assert found(recorded, "name = 'churn'", order_by="version")[0] == "churn@1.0.0"
    assert found(recorded, "", order_by="created_at desc")[0] == "été@1.0.0"


def test_aliases_come_with_the_versions(recorded):
    (version,) = recorded.search_versions("alias = 'champion'")
    assert version == recorded.get_model("churn@champion")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("metrics.auc >", "at character 14: a value is missing"),
        ("metric.auc > 1", "at character 1: no field 'metric.auc'. Did you mean 'metrics'"),
        ("name 'x'", "at character 6: ''x'' is no operator"),
        ("name = x", "at character 8: 'x' is no value. Put texts in quotes"),
        ("name = 'x' stage = 'y'", "at character 12: 'stage' does not continue"),
        ("(name = 'x'", "at character 12: a '\\)' is missing"),
        ("name = 'x", "at character 8: ''x' cannot be read"),
        ("name = 'x' and", "at character 15: a field is missing"),
        ("metrics > 1", "say of what"),
        ("name = 3", "compare it with a text in quotes"),
        ("name.x = '3'", "compare it with a text in quotes"),
        ("tag > 'x'", "write tag = 'x'"),
        ("metrics.x like 3", "like compares with a text"),
        ('metrics.`a"b` = 3', "a quote or a backslash"),
        ("(" * 60 + "name = 'x'" + ")" * 60, "nested deeper than 50"),
        ("1 = 1", "no field '1'"),
    ],
)
def test_what_cannot_be_understood_is_said_with_its_place(recorded, condition, message):
    with pytest.raises(FilterError, match=message):
        recorded.search_versions(condition)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"order_by": "auc desc"}, "is no order"),
        ({"order_by": "metrics.auc down"}, "is no order"),
        ({"after": "churn@champion"}, "is no version"),
        ({"after": "churn@1.0.0", "order_by": "name"}, "leave out order_by"),
    ],
)
def test_an_order_or_a_page_that_is_none_is_refused(recorded, given, message):
    with pytest.raises(FilterError, match=message):
        recorded.search_versions("", **given)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from(["name", "=", "'x'", "(", ")", "and", "not", "or", "1", "like", "tag"])).map(" ".join)
)
def test_any_text_is_a_condition_or_refused(text):
    with contextlib.suppress(FilterError):
        str(parse_filter(text, _fields("duckdb")))
