"""What a run keeps to measure drift against: a fresh sample of the same population has not drifted, a changed one has."""

import numpy as np
import pandas as pd
import pytest

from dwcp_jupyter import flavors
from dwcp_jupyter.monitoring import MLMonitor, compare
from dwcp_jupyter.pipeline import MLPipeline, PipelineConfig
from dwcp_jupyter.workspace import Workspace


def population(rows, seed):
    rng = np.random.default_rng(seed)
    inputs = pd.DataFrame(rng.normal(size=(rows, 4)), columns=list("abcd"))
    return inputs.assign(y=inputs["a"] / 2 + rng.normal(size=rows))


LABELS = {
    "regression": lambda y: y,
    "rare class": lambda y: (y > 1.2).astype(int),
    "text": lambda y: np.where(y > 1.2, "high", "low"),
    "truth": lambda y: y > 1.2,
}


@pytest.fixture
def trained(stores, tmp_path):
    """Return a function that trains a forest, which knows its training rows by heart."""

    def trained(kind, **fields):
        frame = population(3000, 0).assign(y=lambda f: LABELS[kind](f["y"]))
        values = {
            "model_params": {"n_estimators": 20},
            "save_intermediate": False,
            "cross_validation_folds": 2,
            **fields,
        }
        config = PipelineConfig(name="p", data_source=frame, target_column="y", output_dir=tmp_path / "out", **values)
        return MLPipeline(config, stores).run()

    return trained


def asked(model, inputs):
    return inputs.assign(prediction=model.predict(inputs).values)


@pytest.mark.parametrize("kind", LABELS)
def test_a_fresh_sample_has_not_drifted_though_the_model_knows_its_training_rows_by_heart(trained, kind):
    run = trained(kind)
    model = flavors.load_model(run.package_dir)
    for seed in (1, 2, 3):
        columns = compare(run.reference, asked(model, population(1000, seed).drop(columns="y"))).columns
        assert "prediction" in {column.name for column in columns}
        assert [column.name for column in columns if column.is_drifted] == []


def test_boosting_that_stopped_early_has_not_drifted_either(trained):
    run = trained("regression", model_type="xgboost", model_class="XGB", model_params={"n_estimators": 200})
    model = flavors.load_model(run.package_dir)
    columns = compare(run.reference, asked(model, population(1000, 1).drop(columns="y"))).columns
    assert [column.name for column in columns if column.is_drifted] == []


@pytest.mark.parametrize("kind", LABELS)
def test_the_monitor_of_a_registered_run_finds_changed_answers_only(trained, stores, kind):
    run = trained(kind)
    version = Workspace(stores).register_run(run)
    model = flavors.load_model(run.package_dir)
    fresh = asked(model, population(1000, 1).drop(columns="y"))
    with MLMonitor(version.id, stores=stores) as monitor:
        assert monitor.check_drift(fresh).drifted == []
        assert monitor.check_drift(fresh.assign(prediction=fresh["prediction"].max())).drifted == ["prediction"]
        assert monitor.check_drift(fresh.assign(prediction=fresh["prediction"].where(fresh.index > 300))).drifted == [
            "prediction"
        ]


def test_only_rows_that_the_model_was_not_fitted_on_have_an_answer(trained):
    run = trained("regression")
    answered = run.reference["prediction"].notna()
    assert (len(run.reference), int(answered.sum())) == (3000, 900)
    assert list(run.reference.columns) == ["a", "b", "c", "d", "prediction"]
