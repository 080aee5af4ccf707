"""A pipeline trains what it says, on the rows it says, and leaves nothing half done."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn import metrics as sk
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from dwcp_jupyter import flavors
from dwcp_jupyter.exceptions import DataValidationError, PipelineConfigError, PipelineError
from dwcp_jupyter.flavors import Signature
from dwcp_jupyter.pipeline import (
    CancelToken,
    MLPipeline,
    PipelineConfig,
    PipelineStage,
    RunStatus,
    StageProgress,
    TrialProgress,
)
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import Workspace


@pytest.fixture(scope="session")
def tumours():
    frame = load_breast_cancer(as_frame=True).frame
    inputs = frame.columns[:30]
    frame[inputs] /= frame[inputs].std()  # so that a linear model converges in a few steps
    return frame.assign(target=frame["target"].map({0: "malignant", 1: "benign"}))


@pytest.fixture
def run(stores, tmp_path):
    def run(data, target="target", progress=None, cancel=None, **fields):
        values = {
            "name": "p",
            "model_class": "LogisticRegression",
            "output_dir": tmp_path / "out",
            "save_intermediate": True,
            **fields,
        }
        config = PipelineConfig(data_source=data, target_column=target, **values)
        return MLPipeline(config, stores).run(progress=progress, cancel=cancel)

    return run


def predictions(run):
    return pd.read_csv(run.artifacts["test_predictions"])


class TestWholeRuns:
    def test_a_run_completes_every_stage_and_its_figures_are_those_of_its_predictions(self, run, tumours):
        events = []
        done = run(tumours, progress=events.append, metrics=["accuracy", "f1_score", "roc_auc"])
        assert done.status is RunStatus.COMPLETED
        assert done.status.value == "completed"
        assert done.stages_completed == list(PipelineStage)
        assert done.current_stage is None
        said = predictions(done)
        assert len(said) == round(0.2 * len(tumours))
        assert done.metrics["test_accuracy"] == pytest.approx(sk.accuracy_score(said.actual, said.predicted))
        positive = said.actual == "malignant"
        assert done.metrics["test_f1_score"] == pytest.approx(sk.f1_score(positive, said.predicted == "malignant"))
        assert done.metrics["test_roc_auc"] == pytest.approx(sk.roc_auc_score(positive, said.probability_malignant))
        low, high = done.intervals["test_accuracy"]
        assert low < done.metrics["test_accuracy"] < high
        assert {"cv_accuracy", "validation_accuracy", "cv_accuracy_std"} <= set(done.metrics)
        assert [e.stage for e in events if isinstance(e, StageProgress) and e.duration_s is not None] == list(
            PipelineStage
        )

    def test_the_package_takes_raw_columns_and_answers_as_the_pipeline_did(self, run, tumours):
        done = run(tumours, feature_transforms=[{"type": "scale", "columns": list(tumours.columns[:30])}])
        loaded = flavors.load_model(done.package_dir)
        assert loaded.signature.names == tuple(tumours.columns[:30])
        assert loaded.info.classes == ("benign", "malignant")
        unseen = done.reference.dropna()
        answer = loaded.predict(unseen.drop(columns="prediction"))
        assert (answer.values == unseen["prediction"].to_numpy()).all()

    def test_a_run_is_recorded_and_registers_with_its_data(self, run, tumours, stores):
        done = run(tumours)
        with stores.metadata.read() as connection:
            row = connection.execute(sa.select(schema.runs)).one()
        assert (row.id, row.status) == (done.run_id, "completed")
        assert schema.load(row.metrics)["test_accuracy"] == done.metrics["test_accuracy"]
        assert stores.frames.get(done.training_data.sha256).num_rows == len(tumours)
        version = Workspace(stores).register_run(done)
        assert version.run_id == done.run_id
        assert version.metrics["test_accuracy"] == done.metrics["test_accuracy"]
        assert Workspace(stores).registry.reference_data(version.id).rows == len(done.reference)
        kinds = [event.kind for event in stores.metadata.events()]
        assert kinds == ["run.started", "run.ended", "model.created", "version.registered", "reference.set"]

    def test_regression(self, run):
        frame = load_diabetes(as_frame=True).frame
        done = run(frame, model_class="Ridge", metrics=["rmse", "r2"])
        said = predictions(done)
        assert done.task == "regression"
        assert done.metrics["test_rmse"] == pytest.approx(sk.root_mean_squared_error(said.actual, said.predicted))
        assert 0.2 < done.metrics["test_r2"] < 0.7

    def test_many_classes(self, run):
        frame = load_wine(as_frame=True).frame
        done = run(frame, model_class="RandomForest", model_params={"n_estimators": 20})
        said = predictions(done)
        assert done.metrics["test_precision"] == pytest.approx(
            sk.precision_score(said.actual, said.predicted, average="macro", zero_division=0)
        )

    @pytest.mark.parametrize("labels", [("benign", "malignant"), (0, 1), (3, 7), (False, True), (0.0, 1.0)])
    def test_xgboost_keeps_labels_of_any_kind(self, run, tumours, labels):
        frame = tumours.assign(target=tumours["target"].map({"benign": labels[0], "malignant": labels[1]}))
        done = run(
            frame, model_type="xgboost", model_class="XGBoost", model_params={"n_estimators": 30, "max_depth": 3}
        )
        assert done.metrics["test_accuracy"] > 0.9
        loaded = flavors.load_model(done.package_dir)
        answer = loaded.predict(tumours.iloc[:, :30])
        assert set(map(repr, answer.values.tolist())) == set(map(repr, labels))
        assert repr(answer.classes) == repr(tuple(sorted(labels)))
        assert loaded.signature.outputs[0].type == Signature.infer({"a": [1]}, [labels[0]]).outputs[0].type
        said = pd.read_csv(done.artifacts["test_predictions"])
        assert set(map(repr, said.predicted.tolist())) == set(map(repr, labels))

    def test_the_same_seed_gives_the_same_figures(self, run, tumours):
        fields = {
            "enable_tuning": True,
            "tuning_trials": 4,
            "param_space": {"C": {"type": "float", "low": 1e-3, "high": 1, "log": True}},
        }
        first, second = run(tumours.iloc[:200], **fields), run(tumours.iloc[:200], **fields)
        assert first.metrics == second.metrics
        assert first.hyperparameters == second.hyperparameters
        assert run(tumours.iloc[:200], random_seed=1, **fields).metrics != first.metrics

    def test_awaiting_gives_the_same_as_calling(self, tumours, stores, tmp_path):
        config = PipelineConfig(
            name="p", data_source=tumours, target_column="target", model_class="GaussianNB", output_dir=tmp_path / "o"
        )
        awaited = asyncio.run(MLPipeline(config, stores).execute())
        assert awaited.metrics == MLPipeline(config, stores).run().metrics


class TestHonesty:
    def test_noise_scores_as_noise_also_with_automatic_features(self, run):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(600, 6)), columns=list("abcdef")).assign(y=rng.integers(0, 2, 600))
        done = run(frame, "y", enable_auto_feature_engineering=True, metrics=["accuracy"])
        half_width = 2.6 * (0.25 / 120) ** 0.5
        assert abs(done.metrics["test_accuracy"] - 0.5) < half_width
        assert any("not kept" in line for line in done.logs)

    def test_a_product_that_matters_is_found(self, run):
        rng = np.random.default_rng(0)
        frame = pd.DataFrame(rng.normal(size=(600, 4)), columns=list("abcd"))
        frame["y"] = (frame.a * frame.b > 0).astype(int)
        plain = run(frame, "y", metrics=["accuracy"])
        wider = run(frame, "y", metrics=["accuracy"], enable_auto_feature_engineering=True)
        assert plain.metrics["test_accuracy"] < 0.65
        assert wider.metrics["test_accuracy"] > 0.9
        loaded = flavors.load_model(wider.package_dir)
        assert loaded.signature.names == ("a", "b", "c", "d")

    def test_preparation_is_fitted_on_training_rows_only(self, run, tumours):
        done = run(tumours, feature_transforms=[{"type": "scale", "columns": ["mean radius"]}])
        loaded = flavors.load_model(done.package_dir)
        scaler = next(
            step for _, step, _ in loaded.native.named_steps["prepare"].transformers_ if hasattr(step, "mean_")
        )
        fitted_on = done.reference[done.reference["prediction"].isna()]
        assert scaler.n_samples_seen_ == len(fitted_on)
        assert scaler.mean_[0] == pytest.approx(fitted_on["mean radius"].mean())
        assert scaler.mean_[0] != pytest.approx(tumours["mean radius"].mean(), rel=1e-6)

    def test_tuning_does_not_see_the_test_rows(self, run, tumours):
        fields = {"enable_tuning": True, "tuning_method": "grid_search", "param_space": {"C": [0.01, 1.0]}}
        first = run(tumours, **fields)
        held_out = predictions(first)
        frame = tumours.copy()
        rows = sorted(set(range(len(frame))) - set())
        from dwcp_jupyter.pipeline.splitting import split

        config = PipelineConfig(name="p", data_source=frame, target_column="target")
        test = split(frame, config, "classification").test
        changed = frame.copy()
        position = changed.reset_index().merge(test.inputs.assign(_is_test=True), how="left")["_is_test"].notna()
        changed.loc[position.to_numpy(), changed.columns[:30]] = 0.0
        second = run(changed, **fields)
        assert len(rows) == len(frame)
        assert len(held_out) == len(test)
        assert [t.value for t in second.tuning_history] == [t.value for t in first.tuning_history]
        assert second.metrics["cv_accuracy"] == first.metrics["cv_accuracy"]
        assert second.metrics["test_accuracy"] != first.metrics["test_accuracy"]


class TestColumns:
    def test_text_constant_identifying_and_missing_columns_do_not_break_a_run(self, run, tumours):
        rng = np.random.default_rng(0)
        frame = tumours.assign(
            größe=rng.choice(["S", "M", "L", None], len(tumours)),
            constant=1,
            empty=np.nan,
            patient=[f"id-{number}" for number in range(len(tumours))],
            visited=pd.date_range("2026-01-01", periods=len(tumours)),
            smoker=rng.choice([True, False], len(tumours)),
        )
        frame.loc[::7, "mean radius"] = np.nan
        done = run(frame)
        log = "\n".join(done.logs)
        for name, reason in (
            ("constant", "constant"),
            ("patient", "identifies"),
            ("visited", "times"),
            ("empty", "no values"),
        ):
            assert f"Column '{name}' is left out" in log
            assert reason in log
        loaded = flavors.load_model(done.package_dir)
        assert {"größe", "smoker"} <= set(loaded.signature.names)
        row = frame.drop(columns="target").iloc[[0]][list(loaded.signature.names)]
        unseen = row.assign(größe="XXL")
        assert loaded.predict(unseen).values[0] in ("benign", "malignant")
        assert loaded.predict(row.assign(**{"mean radius": np.nan, "größe": None})).values[0] in ("benign", "malignant")

    def test_every_transform_of_the_guide_works_together(self, run, tumours):
        frame = tumours.iloc[:, [0, 1, 2, 30]].assign(kind=np.where(tumours["mean area"] > 1.7, "big", "small"))
        frame.loc[::9, "mean radius"] = np.nan
        done = run(
            frame,
            feature_transforms=[
                {"type": "impute", "columns": ["mean radius"], "strategy": "mean"},
                {"type": "scale", "columns": ["mean radius", "mean texture"]},
                {"type": "polynomial", "degree": 2, "columns": ["mean radius", "mean texture"]},
                {"type": "encode", "columns": ["kind"]},
            ],
        )
        assert pd.read_parquet(done.artifacts["data_engineered"]).shape[1] == 5 + 1 + 2
        assert done.metrics["test_accuracy"] > 0.85


class TestTuning:
    @pytest.mark.parametrize(
        ("method", "space", "count"),
        [
            (
                "optuna",
                {"C": {"type": "float", "low": 0.01, "high": 10, "log": True}, "fit_intercept": [True, False]},
                5,
            ),
            (
                "random_search",
                {"C": {"type": "float", "low": 0.01, "high": 10}, "max_iter": {"type": "int", "low": 200, "high": 400}},
                5,
            ),
            ("grid_search", {"C": [0.1, 1, 10], "fit_intercept": {"type": "categorical", "choices": [True, False]}}, 6),
        ],
    )
    def test_each_method_tries_its_space_and_the_best_is_trained(self, run, tumours, method, space, count):
        events = []
        done = run(
            tumours.iloc[:200],
            enable_tuning=True,
            tuning_method=method,
            tuning_trials=5,
            param_space=space,
            model_params={"tol": 1e-3},
            progress=events.append,
        )
        assert len(done.tuning_history) == count
        best = max((t for t in done.tuning_history if t.value is not None), key=lambda t: t.value)
        assert done.hyperparameters == {"tol": 1e-3, **best.params}
        assert done.metrics["cv_accuracy"] == pytest.approx(best.value)
        trials = [event for event in events if isinstance(event, TrialProgress)]
        assert [event.done for event in trials] == list(range(1, count + 1))

    @pytest.mark.filterwarnings("error::UserWarning:optuna")
    @pytest.mark.parametrize("method", ["optuna", "random_search"])
    def test_a_range_with_a_step_has_no_values_between(self, run, tumours, method):
        space = {
            "max_iter": {"type": "int", "low": 200, "high": 425, "step": 100},
            "C": {"type": "float", "low": 0.1, "high": 0.35, "step": 0.1},
        }
        done = run(
            tumours.iloc[:100], enable_tuning=True, tuning_method=method, tuning_trials=25, param_space=space,
            cross_validation_folds=2,
        )  # fmt: skip
        tried = [trial.params for trial in done.tuning_history]
        assert {params["max_iter"] for params in tried} == {200, 300, 400}
        assert {round(params["C"], 12) for params in tried} == {0.1, 0.2, 0.3}

    def test_a_loss_is_minimised(self, run, tumours):
        done = run(
            tumours.iloc[:200],
            enable_tuning=True,
            tuning_method="grid_search",
            param_space={"C": [1e-6, 1.0]},
            metrics=["log_loss"],
        )
        assert done.hyperparameters == {"C": 1.0}

    def test_the_time_out_ends_tuning_with_what_there_is(self, run, tumours):
        done = run(
            tumours, enable_tuning=True, tuning_method="random_search", tuning_timeout=0.5, tuning_trials=10_000,
            param_space={"C": {"type": "float", "low": 0.01, "high": 10}},
        )  # fmt: skip
        assert 1 <= len(done.tuning_history) < 10_000
        assert done.status is RunStatus.COMPLETED


class TestEnding:
    def test_cancelling_records_it_and_leaves_no_files(self, run, tumours, stores, tmp_path):
        token = CancelToken()

        def stop(event):
            if event.stage is PipelineStage.MODEL_TRAINING:
                token.cancel()

        done = run(tumours, progress=stop, cancel=token)
        assert done.status is RunStatus.CANCELLED
        assert list((tmp_path / "out").iterdir()) == []
        assert stores.metadata.events(kinds=["run.ended"])[0].payload["status"] == "cancelled"

    def test_an_interrupt_is_recorded_and_passed_on(self, run, tumours, stores, tmp_path):
        earlier = run(tumours)

        def interrupt(event):
            if event.stage is PipelineStage.MODEL_TESTING:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run(tumours, progress=interrupt)
        assert {Path(path).name for path in earlier.artifacts.values()} == {
            p.name for p in (tmp_path / "out").iterdir()
        }
        statuses = [event.payload["status"] for event in stores.metadata.events(kinds=["run.ended"])]
        assert statuses == ["completed", "cancelled"]

    def test_a_failing_stage_is_named_with_its_cause(self, run, tumours, stores):
        with pytest.raises(PipelineError, match="model_training") as caught:
            run(tumours, progress=_fail_at(PipelineStage.MODEL_TRAINING))
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert caught.value.stage == "model_training"
        (event,) = stores.metadata.events(kinds=["run.ended"])
        assert event.payload["status"] == "failed"

    def test_a_killed_run_leaves_earlier_files_as_they_were(self, run, tumours, stores, tmp_path):
        run(tumours)
        before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
        code = KILLED.format(root=str(stores.root), out=str(tmp_path / "out"))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120)
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "out").iterdir() if not p.name.endswith(".partial")}
        assert after == before
        assert stores.metadata.verify() is True

    def test_a_run_that_did_not_complete_is_not_registered(self, run, tumours, stores):
        token = CancelToken()
        token.cancel()
        with pytest.raises(PipelineError, match="cancelled"):
            Workspace(stores).register_run(run(tumours, cancel=token))


KILLED = """
import os, signal
from sklearn.datasets import load_breast_cancer
from dwcp_jupyter.pipeline import MLPipeline, PipelineConfig, PipelineStage

def die(event):
    if event.stage is PipelineStage.DEPLOYMENT_PREP:
        os.kill(os.getpid(), signal.SIGKILL)

config = PipelineConfig(name="p", data_source=load_breast_cancer(as_frame=True).frame, target_column="target",
                        model_class="GaussianNB", output_dir={out!r})
MLPipeline(config, {root!r}).run(progress=die)
"""


def _fail_at(stage):
    def progress(event):
        if event.stage is stage:
            raise ZeroDivisionError("division by zero")

    return progress


class TestConfiguration:
    def test_the_defaults_are_those_of_the_guide(self):
        config = PipelineConfig(name="x")
        expected = {
            "test_size": 0.2, "validation_size": 0.1, "random_seed": 42, "tuning_method": "optuna", "tuning_trials": 100,
            "tuning_timeout": 3600, "num_workers": 1, "backend": "gloo", "cross_validation_folds": 5, "early_stopping": True,
            "early_stopping_patience": 10, "checkpoint_interval": 10, "save_intermediate": True,
        }  # fmt: skip
        assert {name: getattr(config, name) for name in expected} == expected

    def test_an_unknown_field_is_refused_at_assignment_too(self):
        config = PipelineConfig(name="x")
        with pytest.raises(PipelineConfigError, match="Did you mean 'tuning_trials'"):
            config.tuning_trails = 5
        with pytest.raises(PipelineConfigError, match="Did you mean 'target_column'"):
            PipelineConfig.from_mapping({"name": "x", "target_colum": "y"})
        with pytest.raises(PipelineConfigError, match="needs a name"):
            PipelineConfig.from_yaml("target_column: y")

    def test_faults_are_told_all_at_once(self):
        config = PipelineConfig(
            name="x", test_size=0.9, validation_size=0.2, model_type="pytorch", tuning_method="optna", enable_tuning=True,
            cross_validation_folds=1, tuning_timeout=-1, feature_transforms=[{"type": "scal", "columns": []}],
        )  # fmt: skip
        with pytest.raises(PipelineConfigError) as caught:
            config.freeze()
        for part in ("data_source", "target_column", "test_size", "pytorch", "optna", "param_space", "cross_validation_folds",
                     "tuning_timeout", "Did you mean 'scale'", "name its columns"):  # fmt: skip
            assert part in str(caught.value)

    def test_a_run_keeps_its_configuration_whatever_happens_to_the_pipelines(self, run, tumours):
        config = PipelineConfig(name="p", data_source=tumours, target_column="target", model_params={"C": 1.0})
        frozen = config.freeze()
        config.model_params["C"] = 5.0
        config.name = "q"
        assert (frozen.name, frozen.model_params) == ("p", {"C": 1.0})
        with pytest.raises(PipelineConfigError, match="belongs to a run"):
            frozen.name = "z"
        json.dumps(frozen.to_json())

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"model_class": "RandomForrest"}, "Did you mean 'RandomForest'"),
            ({"model_class": "Lasso"}, "not for classification"),
            ({"model_params": {"n_estimaters": 5}, "model_class": "RandomForest"}, "Did you mean 'n_estimators'"),
            ({"enable_tuning": True, "param_space": {"D": [1]}}, "no parameter 'D'"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "float", "low": 5, "high": 1}}}, "'low' <= 'high'"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "float", "low": 0, "high": 1, "log": True}}}, "above 0"),
            ({"enable_tuning": True, "tuning_method": "grid_search", "param_space": {"C": {"type": "int", "low": 1, "high": 2}}}, "list of values"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "float", "low": 1, "high": 2, "stp": 1}}}, "no key 'stp'. Did you mean 'step'"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "categorical", "choices": [1], "log": True}}}, "Keys of categorical: type, choices"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "float", "low": 1, "high": 2, "step": 0}}}, "above 0 as 'step', not 0"),
            ({"enable_tuning": True, "param_space": {"max_iter": {"type": "int", "low": 1, "high": 9, "step": 1.5}}}, "a whole number above 0"),
            ({"enable_tuning": True, "param_space": {"max_iter": {"type": "int", "low": 1.5, "high": 9}}}, "needs whole numbers"),
            ({"enable_tuning": True, "param_space": {"C": {"type": "float", "low": 1, "high": 9, "step": 2, "log": True}}}, "has no 'step'"),
            ({"metrics": ["acuracy"]}, "Did you mean 'accuracy'"),
            ({"metrics": ["rmse"]}, "for regression"),
            ({"feature_transforms": [{"type": "polynomial", "columns": ["mean radius"], "degre": 3}]}, "Did you mean 'degree'"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_done_is_said_before_it_is_tried(self, run, tumours, fields, message):
        with pytest.raises(PipelineConfigError, match=message):
            run(tumours, **fields)


class TestBadData:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda f: f.iloc[:0], "no rows"),
            (lambda f: f[f.target == "benign"], "one class only"),
            (lambda f: f.rename(columns={"target": "tarjet"}), "Did you mean 'tarjet'"),
            (lambda f: f.assign(target=None), "No row has a value"),
            (lambda f: f.iloc[:10], "at least 20"),
            (lambda f: f.assign(**{"mean radius": np.inf}), "infinite"),
            (lambda f: f[["target"]], "no input column"),
            (lambda f: pd.concat([f, f[["mean radius"]]], axis=1), "repeat"),
            (lambda f: f.assign(target=["odd"] * 2 + ["even"] * (len(f) - 2)), "too rare"),
        ],
    )
    def test_data_that_cannot_be_trained_on_are_refused_with_the_reason(self, run, tumours, tmp_path, change, message):
        with pytest.raises((DataValidationError, PipelineError), match=message):
            run(change(tumours))
        assert not any((tmp_path / "out").glob("*"))

    def test_what_is_noteworthy_is_said(self, run, tumours):
        frame = pd.concat([tumours, tumours.iloc[1:4]]).assign(
            leak=lambda f: f.target.map({"benign": 0, "malignant": 1})
        )
        frame = frame.reset_index(drop=True)
        frame.loc[0, "target"] = None
        done = run(frame)
        text = " ".join(done.warnings)
        for part in ("1 rows without a target", "3 rows are duplicates", "'leak' determines the target alone"):
            assert part in text

    def test_files_are_read_and_wrong_ones_named(self, run, tumours, tmp_path):
        tumours.to_csv(tmp_path / "t.csv", index=False)
        tumours.to_parquet(tmp_path / "t.parquet")
        figures = [run(source).metrics for source in (tmp_path / "t.csv", str(tmp_path / "t.parquet"), tumours)]
        assert figures[0] == figures[1] == figures[2]
        (tmp_path / "twice.csv").write_text("a,a,target\n1,2,x\n")
        (tmp_path / "bad.parquet").write_bytes(b"no parquet")
        for source, message in (
            (tmp_path / "missing.csv", "There is no file"),
            (tmp_path / "twice.csv", "repeat"),
            (tmp_path / "bad.parquet", "cannot be read"),
            (tmp_path / "t.xlsx", "There is no file"),
            (42, "is of type int"),
        ):
            with pytest.raises((PipelineConfigError, DataValidationError), match=message):
                run(source)

    def test_the_callers_frame_is_left_alone(self, run, tumours):
        before = tumours.copy()
        run(tumours, feature_transforms=[{"type": "scale", "columns": ["mean radius"]}])
        pd.testing.assert_frame_equal(tumours, before)


def test_importing_the_domain_brings_nothing_heavy():
    code = "import sys, dwcp_jupyter.pipeline; assert not {'sklearn', 'pandas', 'optuna'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ}, timeout=60)
