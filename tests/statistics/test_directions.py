"""Names of metrics tell which way is better, or nothing does."""

import pytest
from sklearn import metrics as sk

from dwcp_jupyter.statistics import base_name, higher_is_better
from dwcp_jupyter.statistics.scores import _ALIASES, SCORES


@pytest.mark.parametrize("name", [*SCORES, *_ALIASES])
def test_every_metric_that_is_computed_here_has_its_own_direction(name):
    expected = SCORES[_ALIASES.get(name, name)].higher_is_better
    assert higher_is_better(name) is expected
    assert higher_is_better(f"test_{name}") is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_loss", False),
        ("Validation Loss", False),
        ("avg_latency_ms", False),
        ("demographic_parity_difference", False),
        ("weighted_f1", True),
        ("requests_per_s", True),
        ("head_brier_score", False),
        ("validation_0-logloss", False),
        ("ndcg@10", True),
        ("recall_at_5", True),
        ("oob_score", True),
        ("best_cv_score", True),
        ("mean_test_score", True),
        ("eval_neg_weighted_f1", False),
        ("profit", None),
        ("neg_profit", None),
        ("accuracy_std", None),
        ("std_test_score", None),
        ("", None),
    ],
)
def test_other_names_are_read_by_what_they_end_with(name, expected):
    assert higher_is_better(name) is expected


@pytest.mark.parametrize("part", ["", "cv_", "test_", "val_", "train_"])
@pytest.mark.parametrize("name", sk.get_scorer_names())
def test_more_of_every_scorer_of_scikit_learn_is_better(name, part):
    assert higher_is_better(part + name) is True


@pytest.mark.parametrize("name", sk.get_scorer_names())
def test_the_function_behind_a_scorer_has_the_scorers_sign(name):
    scorer = sk.get_scorer(name)
    assert higher_is_better(scorer._score_func.__name__) is (scorer._sign == 1)


@pytest.mark.parametrize("name", [name for name in sk.__all__ if name.endswith(("_score", "_loss", "_error"))])
def test_functions_of_scikit_learn_end_with_their_direction_but_one(name):
    assert higher_is_better(name) is (name.endswith("_score") and name != "davies_bouldin_score")


@pytest.mark.parametrize("stem", ["risk", "outlier", "anomaly", "drift", "credit", "health", "churn_model"])
def test_a_score_of_something_else_has_no_direction(stem):
    assert higher_is_better(f"{stem}_score") is None
    assert higher_is_better(f"test_{stem}_score") is None
    assert higher_is_better(f"neg_{stem}_score") is None


def test_only_the_part_of_the_data_is_taken_off():
    assert [base_name(name) for name in ("cv_mean_f1", "test_test_x", "tested")] == ["mean_f1", "test_x", "tested"]
