"""What is fitted within a block logs itself, and only there."""

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dwcp_jupyter.tracking import Tracker


@pytest.fixture
def tracker(stores):
    return Tracker(stores)


def test_an_estimator_says_with_what_and_how_well_it_was_fitted(tracker, iris):
    features, species = iris
    original = LogisticRegression.__dict__["fit"]
    with tracker.start("auto") as run, run.autolog() as same:
        assert same is run
        scaled = StandardScaler().fit_transform(features)
        model = LogisticRegression(C=0.3, max_iter=500).fit(scaled, species)
    assert LogisticRegression.__dict__["fit"] is original
    known = tracker.get_run(run.id)
    assert (known.params["class"], known.params["C"]) == ("LogisticRegression", 0.3)
    assert known.metrics["training_score"] == model.score(scaled, species)
    assert known.metrics["fit_s"] > 0
    assert "with_mean" not in known.params


def test_fits_within_a_fit_belong_to_the_outer_one(tracker, iris):
    features, species = iris
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)), _GRID, cv=3)
    with tracker.start("search") as run, run.autolog():
        search.fit(features, species)
        RandomForestClassifier(n_estimators=5, n_jobs=2, random_state=0).fit(features, species)
    known = tracker.get_run(run.id)
    assert known.params["class"] == "GridSearchCV"
    assert known.params["best_logisticregression__C"] == search.best_params_["logisticregression__C"]
    assert known.metrics["best_cv_score"] == search.best_score_
    assert known.params["fit2.class"] == "RandomForestClassifier"
    assert not [name for name in known.params if name.startswith("fit3")]


_GRID = {"logisticregression__C": [0.1, 1.0]}


def test_what_boosting_calls_a_score_and_is_a_loss_is_called_one(tracker, iris):
    features, species = iris
    with tracker.start("boosting") as run, run.autolog():
        model = GradientBoostingClassifier(n_estimators=5, random_state=0).fit(features, species)
    known = tracker.get_run(run.id)
    assert known.history["train_loss"].values.tolist() == model.train_score_.tolist()
    assert model.train_score_[-1] < model.train_score_[0]
    assert "train_score" not in known.metrics


def test_a_network_draws_its_loss(tracker, iris):
    features, species = iris
    with tracker.start("curve") as run, run.autolog():
        network = MLPClassifier(max_iter=20, random_state=0)
        with pytest.warns(UserWarning, match="converge"):
            network.fit(features, species)
    assert tracker.get_run(run.id).history["loss"].values.tolist() == network.loss_curve_


def test_a_fit_that_fails_leaves_the_next_one_alone(tracker, iris):
    features, species = iris
    with tracker.start("failing") as run, run.autolog():
        with pytest.raises(ValueError, match="inconsistent"):
            LogisticRegression().fit(features, species[:5])
        LogisticRegression(max_iter=500).fit(features, species)
    assert tracker.get_run(run.id).params["fit2.class"] == "LogisticRegression"


def test_what_cannot_be_logged_is_a_warning_and_the_fit_goes_on(tracker, iris):
    features, species = iris
    contradicted = tracker.start("contradicted", params={"C": 7.0})
    with contradicted.autolog(), pytest.warns(UserWarning, match="'C' of run 'contradicted' is 7.0 already"):
        model = LogisticRegression(C=0.3, max_iter=500).fit(features, species)
    contradicted.end()
    assert model.predict(features).shape == (150,)
    ended = tracker.start("ended")
    ended.end()
    with ended.autolog(), pytest.warns(UserWarning, match="nothing can be logged"):
        LogisticRegression(max_iter=500).fit(features, species)


def test_nothing_is_logged_outside_the_block_and_its_end_puts_everything_back(tracker, iris):
    features, species = iris
    original = LogisticRegression.__dict__["fit"]
    with tracker.start("outside") as run:
        with pytest.raises(RuntimeError), run.autolog():
            raise RuntimeError
        LogisticRegression(max_iter=500).fit(features, species)
    assert LogisticRegression.__dict__["fit"] is original
    assert tracker.get_run(run.id).params == {}


def test_xgboost_logs_each_round_of_each_evaluation_set(tracker, iris):
    import xgboost

    features, species = iris
    target = (species == "virginica").astype(int)
    with tracker.start("boosted") as run, run.autolog():
        model = xgboost.XGBClassifier(n_estimators=7, max_depth=2)
        model.fit(features, target, eval_set=[(features, target)], verbose=False)
        data = xgboost.DMatrix(features, target)
        result = {}
        xgboost.train(
            {"objective": "binary:logistic", "eta": 0.5},
            data,
            num_boost_round=4,
            evals=[(data, "train")],
            evals_result=result,
            verbose_eval=False,
        )
    known = tracker.get_run(run.id)
    assert known.params["max_depth"] == 2
    np.testing.assert_allclose(
        known.history["validation_0_logloss"].values, model.evals_result()["validation_0"]["logloss"]
    )
    assert known.params["fit2.eta"] == 0.5
    np.testing.assert_allclose(known.history["train_logloss"].values, result["train"]["logloss"])
