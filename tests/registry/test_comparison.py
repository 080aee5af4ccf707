"""Who is better is said where it can be said, and never by adding up what cannot be added."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.tree import DecisionTreeClassifier

from dwcp_jupyter.exceptions import InvalidMetadataError, ModelNotFoundError, SignatureError
from dwcp_jupyter.registry import ModelMetadata


@pytest.fixture
def compare(registry):
    """Compare versions with two sets of metrics."""

    def compare(a, b, **options):
        registry.register_model(ModelMetadata(name="m", version="1.0.0", metrics=a))
        registry.register_model(ModelMetadata(name="m", version="2.0.0", metrics=b))
        return registry.compare_models("m@1.0.0", "m@2.0.0", **options)

    return compare


def test_a_lower_loss_wins_although_its_sum_of_metrics_is_smaller(compare):
    comparison = compare({"log_loss": 0.9, "accuracy": 0.8}, {"log_loss": 0.2, "accuracy": 0.8})
    assert comparison.winner == "m@2.0.0"
    assert comparison.metrics_diff == pytest.approx({"log_loss": -0.7, "accuracy": 0.0})
    assert "better in log_loss, equal in accuracy" in comparison.reason


def test_equal_metrics_are_a_tie(compare):
    comparison = compare({"accuracy": 0.1 + 0.2}, {"accuracy": 0.3})
    assert comparison.winner is None
    assert comparison.metrics[0].better == "tie"


def test_metrics_that_contradict_each_other_have_no_winner_unless_one_decides(compare, registry):
    comparison = compare({"accuracy": 0.9, "rmse": 2.0}, {"accuracy": 0.8, "rmse": 1.0})
    assert comparison.winner is None
    assert "m@1.0.0 is better in accuracy, m@2.0.0 in rmse" in comparison.reason
    assert registry.compare_models("m@1.0.0", "m@2.0.0", primary_metric="rmse").winner == "m@2.0.0"


def test_a_metric_whose_direction_nothing_tells_decides_nothing(compare, registry):
    comparison = compare({"profit": 1.0}, {"profit": 2.0})
    assert comparison.winner is None
    assert comparison.metrics_diff == {"profit": 1.0}
    with pytest.raises(InvalidMetadataError, match="directions="):
        registry.compare_models("m@1.0.0", "m@2.0.0", primary_metric="profit")
    for direction, winner in ((True, "m@2.0.0"), (False, "m@1.0.0")):
        said = registry.compare_models("m@1.0.0", "m@2.0.0", directions={"profit": direction})
        assert said.winner == winner


def test_metrics_of_scikit_learn_are_compared_by_their_own_directions(compare, registry):
    a = {"cv_neg_mean_squared_error": -0.9, "davies_bouldin_score": 2.0, "neg_log_loss": -0.7}
    b = {"cv_neg_mean_squared_error": -0.1, "davies_bouldin_score": 0.5, "neg_log_loss": -0.2}
    assert compare(a, b).winner == "m@2.0.0"
    for metric in a:
        assert registry.compare_models("m@1.0.0", "m@2.0.0", primary_metric=metric).winner == "m@2.0.0"


def test_a_score_of_which_nothing_tells_the_direction_is_said_with_the_way_to_declare_it(compare, registry):
    alone = compare({"risk_score": 0.1}, {"risk_score": 0.9})
    assert alone.winner is None
    assert "nothing tells whether more 'risk_score' is better" in alone.reason
    assert "directions={'risk_score': True}" in alone.reason
    registry.register_model(ModelMetadata(name="m", version="3.0.0", metrics={"risk_score": 0.9, "accuracy": 0.9}))
    registry.register_model(ModelMetadata(name="m", version="4.0.0", metrics={"risk_score": 0.1, "accuracy": 0.8}))
    beside = registry.compare_models("m@3.0.0", "m@4.0.0")
    assert beside.winner == "m@3.0.0"
    assert "better in accuracy. Beside that, nothing tells whether more 'risk_score'" in beside.reason
    said = registry.compare_models("m@3.0.0", "m@4.0.0", directions={"risk_score": False})
    assert said.winner is None
    assert "nothing tells" not in said.reason


def test_a_metric_that_one_does_not_have_is_shown_and_decides_nothing(compare, registry):
    comparison = compare({"accuracy": 0.9, "f1": 0.5}, {"accuracy": 0.95})
    assert comparison.winner == "m@2.0.0"
    table = comparison.table().set_index("metric")
    assert np.isnan(table.loc["f1", "difference"])
    with pytest.raises(InvalidMetadataError, match=r"m@2\.0\.0 has no metric 'f1'"):
        registry.compare_models("m@1.0.0", "m@2.0.0", primary_metric="f1")


def test_without_metrics_nothing_is_said(compare):
    comparison = compare({}, {})
    assert comparison.winner is None
    assert comparison.metrics_diff == {}


def test_a_version_that_is_not_there_is_named_and_nothing_is_kept(compare, registry):
    compare({"accuracy": 0.1}, {"accuracy": 0.2})
    with pytest.raises(ModelNotFoundError):
        registry.compare_models("m@1.0.0", "m@3.0.0")
    assert len(registry.list_comparisons()) == 1


def test_comparisons_are_kept_with_who_made_them(compare, registry):
    first = compare({"accuracy": 0.1}, {"accuracy": 0.2})
    second = registry.compare_models("m@2.0.0", "m@1.0.0")
    registry.register_model(ModelMetadata(name="other"))
    assert list(registry.list_comparisons()) == [second, first]
    assert list(registry.list_comparisons("m@1.0.0")) == [second, first]
    assert list(registry.list_comparisons("m")) == [second, first]
    assert list(registry.list_comparisons("other")) == []
    assert first.actor
    assert first.time is not None


class TestOnTheSameRows:
    @pytest.fixture
    def rows(self):
        rng = np.random.default_rng(0)
        import pandas as pd

        inputs = pd.DataFrame(rng.normal(size=(600, 4)), columns=list("abcd"))
        label = np.where(inputs["a"] + inputs["b"] + rng.normal(0, 0.3, 600) > 0, "yes", "no")
        return inputs, label

    def register(self, registry, model, inputs, **said):
        metadata = ModelMetadata(name="p", **said)
        return registry.register_model(metadata, model, input_example=inputs.head(3)).reference

    def test_a_real_difference_wins_whatever_was_recorded(self, registry, rows):
        inputs, label = rows
        good = LogisticRegression().fit(inputs[:300], label[:300])
        poor = DecisionTreeClassifier(max_depth=1).fit(inputs[:300], label[:300])
        a = self.register(registry, poor, inputs, metrics={"accuracy": 0.99})
        b = self.register(registry, good, inputs, metrics={"accuracy": 0.90})
        assert registry.compare_models(a, b).winner == a
        comparison = registry.compare_models(a, b, data=inputs[300:], y_true=label[300:])
        assert comparison.winner == b
        assert comparison.test.name == "McNemar"
        assert "say the opposite" in comparison.reason
        for metric in ("roc_auc", "log_loss", "f1_score"):
            tested = registry.compare_models(a, b, data=inputs[300:], y_true=label[300:], primary_metric=metric)
            assert (tested.winner, tested.test.name) == (b, "paired permutation")
        assert registry.list_comparisons()[-2].test == comparison.test

    def test_a_difference_that_could_be_luck_is_a_tie(self, registry, rows):
        inputs, label = rows
        a, b = (
            self.register(registry, LogisticRegression(C=c).fit(inputs[:300], label[:300]), inputs, metrics={"f1": c})
            for c in (0.5, 1.0)
        )
        comparison = registry.compare_models(a, b, data=inputs[300:], y_true=label[300:])
        assert comparison.winner is None
        assert "luck" in comparison.reason

    def test_regressors_are_compared_by_their_squared_errors(self, registry, rows):
        inputs, _ = rows
        target = inputs["a"] * 2 + inputs["b"]
        near, far = (Ridge(alpha=alpha).fit(inputs[:300], target[:300]) for alpha in (0.1, 500))
        a, b = self.register(registry, near, inputs), self.register(registry, far, inputs)
        comparison = registry.compare_models(a, b, data=inputs[300:], y_true=target[300:])
        assert comparison.winner == a
        assert comparison.test.difference > 0

    @pytest.mark.parametrize("n", [1, 2, 5])
    @pytest.mark.parametrize("metric", [None, "mae"])
    def test_a_few_rows_never_name_a_winner_and_say_that_they_are_too_few(self, registry, rows, n, metric):
        inputs, _ = rows
        target = inputs["a"] * 2 + inputs["b"]
        near, far = (Ridge(alpha=alpha).fit(inputs[:300], target[:300]) for alpha in (0.1, 500))
        a, b = self.register(registry, near, inputs), self.register(registry, far, inputs)
        few = {"data": inputs[300 : 300 + n], "y_true": target[300 : 300 + n]}
        comparison = registry.compare_models(a, b, **few, primary_metric=metric)
        assert comparison.winner is None
        assert "cannot tell a difference from luck" in comparison.reason
        assert registry.list_comparisons()[0].reason == comparison.reason
        assert "too few rows for an interval" in comparison._repr_mimebundle_()["text/plain"]

    def test_a_clear_difference_wins_from_six_rows_on(self, registry, rows):
        inputs, _ = rows
        target = inputs["a"] * 2 + inputs["b"]
        near, far = (Ridge(alpha=alpha).fit(inputs[:300], target[:300]) for alpha in (0.1, 500))
        a, b = self.register(registry, near, inputs), self.register(registry, far, inputs)
        six = {"data": inputs[300:306], "y_true": target[300:306]}
        assert registry.compare_models(a, b, **six).winner == a
        assert registry.list_comparisons()[0].test.p_value == 2 / 2**6

    def test_a_metric_without_a_value_on_the_rows_is_refused_and_nothing_is_kept(self, registry, rows):
        inputs, label = rows
        target = inputs["a"] * 2
        a = b = self.register(registry, Ridge().fit(inputs, target), inputs)
        with pytest.raises(InvalidMetadataError, match="'r2' has no value on this one row"):
            registry.compare_models(a, b, data=inputs[:1], y_true=target[:1], primary_metric="r2")
        a = b = self.register(registry, LogisticRegression().fit(inputs, label), inputs)
        same = inputs[label == "yes"]
        with pytest.raises(InvalidMetadataError, match="'roc_auc' has no value on these"):
            registry.compare_models(a, b, data=same, y_true=["yes"] * len(same), primary_metric="roc_auc")
        assert list(registry.list_comparisons()) == []

    @pytest.mark.parametrize("value", [np.inf, -np.inf])
    def test_true_values_that_are_infinite_are_refused_saying_so(self, registry, rows, value):
        inputs, _ = rows
        target = inputs["a"] * 2
        a = b = self.register(registry, Ridge().fit(inputs, target), inputs)
        with pytest.raises(InvalidMetadataError, match=r"y_true is infinite \(inf\) in 1 of 20 rows, .* row 3"):
            registry.compare_models(a, b, data=inputs[:20], y_true=np.where(np.arange(20) == 3, value, target[:20]))

    def test_true_values_that_no_model_answers_are_refused(self, registry, rows):
        inputs, label = rows
        a = b = self.register(registry, LogisticRegression().fit(inputs, label), inputs)
        with pytest.raises(InvalidMetadataError, match="y_true holds 0, 1, and the models answer 'no', 'yes'"):
            registry.compare_models(a, b, data=inputs, y_true=(label == "yes").astype(int))

    def test_an_order_of_probabilities_counts_and_not_their_scale(self, registry, rows):
        """Two models that order all rows alike have one ROC AUC, however far apart their probabilities are."""
        inputs, label = rows
        strong = LogisticRegression().fit(inputs[:300], label[:300])
        weak = LogisticRegression().fit(inputs[:300], label[:300])
        weak.coef_, weak.intercept_ = strong.coef_ / 50, strong.intercept_ / 50
        a, b = self.register(registry, strong, inputs), self.register(registry, weak, inputs)
        asked = {"data": inputs[300:], "y_true": label[300:]}
        same = registry.compare_models(a, b, **asked, primary_metric="roc_auc")
        assert (same.winner, same.test.p_value) == (None, 1.0)
        assert registry.compare_models(a, b, **asked, primary_metric="log_loss").winner == a

    def test_what_cannot_be_tested_is_refused(self, registry, rows):
        inputs, label = rows
        a = b = self.register(registry, LogisticRegression().fit(inputs, label), inputs)
        ask = registry.compare_models
        with pytest.raises(InvalidMetadataError, match="both data and y_true"):
            ask(a, b, data=inputs)
        with pytest.raises(InvalidMetadataError, match="one true value"):
            ask(a, b, data=inputs, y_true=label[:5])
        with pytest.raises(InvalidMetadataError, match="missing"):
            ask(a, b, data=inputs, y_true=[None, *label[1:]])
        with pytest.raises(InvalidMetadataError, match="cannot be computed"):
            ask(a, b, data=inputs, y_true=label, primary_metric="profit")
        with pytest.raises(SignatureError):
            ask(a, b, data=inputs.drop(columns="a"), y_true=label)
        assert list(registry.list_comparisons()) == []


def test_a_comparison_shows_itself(compare, registry):
    comparison = compare({"accuracy": 0.5, "<b>": 1.0}, {"accuracy": 0.75, "<b>": 2.0})
    shown = comparison._repr_mimebundle_()
    assert "m@2.0.0: better in accuracy." in shown["text/plain"]
    assert "<b>" not in shown["text/html"].replace("&lt;b&gt;", "")
    assert "m@1.0.0" in registry.list_comparisons()._repr_mimebundle_()["text/plain"]
