"""Metrics are those of scikit-learn, under their usual names, and know how sure they are."""

import numpy as np
import pytest
from sklearn import metrics as sk

from dwcp_jupyter.exceptions import PipelineConfigError
from dwcp_jupyter.statistics.scores import SCORES, Answers, _counts, find_score, interval

RNG = np.random.default_rng(0)


def answers(k, n=300, labels=None):
    labels = labels or tuple(f"class {number}" for number in range(k))
    truth = RNG.integers(0, k, n)
    said = np.where(RNG.uniform(size=n) < 0.7, truth, RNG.integers(0, k, n))
    shares = RNG.dirichlet(np.ones(k), n) + 2 * np.eye(k)[said]
    names = np.asarray(labels)
    return Answers(
        y_true=names[truth], y_pred=names[said], probabilities=shares / shares.sum(1, keepdims=True), classes=labels
    )


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("name", ["balanced_accuracy", "precision", "recall", "f1_score", "mcc"])
def test_a_metric_of_counts_is_the_metric_of_the_rows(name, k):
    said = answers(k)
    assert SCORES[name].from_counts(_counts(said)) == pytest.approx(SCORES[name](said))


def test_metrics_of_two_classes_are_of_the_second():
    said = answers(2, labels=("no", "yes"))
    positive, taken = said.y_true == "yes", said.y_pred == "yes"
    assert SCORES["precision"](said) == pytest.approx(sk.precision_score(positive, taken))
    assert SCORES["roc_auc"](said) == pytest.approx(sk.roc_auc_score(positive, said.probabilities[:, 1]))
    assert SCORES["brier_score"](said) == pytest.approx(sk.brier_score_loss(positive, said.probabilities[:, 1]))
    assert SCORES["log_loss"](said) == pytest.approx(sk.log_loss(positive, said.probabilities[:, 1]))


def test_intervals_hold_their_value_and_shrink_with_rows():
    for name in ("accuracy", "f1_score", "roc_auc"):
        widths = []
        for n in (100, 1600):
            said = answers(2, n)
            low, high = interval(SCORES[name], said)
            assert low <= SCORES[name](said) <= high
            widths.append(high - low)
        assert widths[1] < widths[0] / 2
    assert interval(SCORES["f1_score"], said, seed=1) == interval(SCORES["f1_score"], said, seed=1)


def test_the_bootstrap_of_counts_agrees_with_that_of_rows():
    said = answers(2, 400)
    from_counts = interval(SCORES["f1_score"], said, resamples=2000)
    rows = [SCORES["f1_score"](said.take(RNG.integers(0, 400, 400))) for _ in range(300)]
    assert from_counts == pytest.approx(np.quantile(rows, [0.025, 0.975]), abs=0.02)


def test_what_is_not_defined_is_nan_not_a_number_made_up():
    said = Answers(y_true=np.array([1, 1]), y_pred=np.array([1, 0]), probabilities=np.full((2, 2), 0.5), classes=(0, 1))
    assert np.isnan(SCORES["roc_auc"](said))
    empty = Answers(y_true=np.array([]), y_pred=np.array([]))
    assert all(np.isnan(interval(SCORES["mae"], empty)))


@pytest.mark.parametrize(
    ("name", "task", "message"),
    [
        ("acuracy", "classification", "Did you mean 'accuracy'"),
        ("rmse", "classification", "for regression"),
        ("", "regression", "No metric ''"),
    ],
)
def test_an_unknown_metric_is_named_with_what_there_is(name, task, message):
    with pytest.raises(PipelineConfigError, match=message):
        find_score(name, task)


def test_aliases_mean_the_same():
    assert find_score("f1", "classification") is find_score("f1_score", "classification")
    assert find_score("root_mean_squared_error", "regression") is SCORES["rmse"]
