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


@pytest.mark.parametrize("key", ["*", "a*", "?", "#", "$", "[0]", "a/b", "~", "~1", "0", "%"])
def test_a_name_is_searched_for_as_it_is_and_is_no_pattern(registry, key):
    numbers = {"metrics": {key: 1.0, "other": 5.0}, "custom_metadata": {key: "x", "other": "y"}}
    registry.register_model(ModelMetadata(name="has", version="1.0.0", **numbers))
    numbers = {"metrics": {"other": 1.0, f"{key}{key}": 1.0}, "custom_metadata": {"other": "x"}}
    registry.register_model(ModelMetadata(name="hasnot", version="1.0.0", **numbers))
    assert found(registry, f"metrics.`{key}` > 0") == ["has@1.0.0"]
    assert found(registry, f"metrics.`{key}` > 2") == []
    assert found(registry, f"custom_metadata.`{key}` = 'x'") == ["has@1.0.0"]
    assert found(registry, "", order_by=f"metrics.{key} desc") == ["has@1.0.0", "hasnot@1.0.0"]


def test_a_condition_as_wide_and_deep_as_may_be_is_answered(recorded):
    wide = " or ".join(["name = 'x'"] * 249 + ["tag = 'risk'"] + ["metrics.loss < -1"] * 249 + ["alias = 'none'"])
    assert found(recorded, wide) == ["churn@1.1.0", "churn@1.0.0"]
    deep = "(" * 48 + wide + ")" * 48
    assert found(recorded, deep) == ["churn@1.1.0", "churn@1.0.0"]


def test_a_backslash_in_a_pattern_stands_for_itself_where_it_is_written_twice(registry):
    registry.register_model(ModelMetadata(name="m", version="1.0.0", description="C:\\"))
    registry.register_model(ModelMetadata(name="n", version="1.0.0", description="C:/"))
    assert found(registry, "description like 'C:\\\\'") == ["m@1.0.0"]


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 400])
def test_a_number_beyond_all_numbers_is_compared_like_any(recorded, number):
    expected = ["churn@1.0.0", "fraud@1.0.0"] if number[0] == "-" else []
    assert found(recorded, f"metrics.loss > {number}") == expected


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


def test_a_limit_beyond_all_rows_is_everything(recorded):
    assert found(recorded, "", limit=2**70) == ALL


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
        ("name like '\\'", "at character 11: '.' ends with a backslash that nothing follows"),
        ("alias like 'a\\\\\\'", "ends with a backslash"),
        ("params.kernel like '%\\'", "ends with a backslash"),
        ("name = '\ud800'", "Character 9 of .* half of a surrogate pair"),
        ("name = 'a\0'", "Character 10 of .* a NUL"),
        (" or ".join(["name = 'x'"] * 5_000), "more than 500 comparisons"),
        (" and ".join(["(tag = 'x' or not tag = 'y')"] * 5_000), "more than 500 comparisons"),
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
        ({"order_by": 'metrics.a"b'}, "a name with a quote or a backslash"),
        ({"order_by": "metrics.a\\ desc"}, "a name with a quote or a backslash"),
        ({"order_by": "metrics.\ud800"}, "half of a surrogate pair"),
        ({"order_by": "metrics.a\0"}, "a NUL"),
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
