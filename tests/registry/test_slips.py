"""What is said wrong is refused in a sentence that names it, and leaves nothing behind."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from dwcp_jupyter import Workspace
from dwcp_jupyter.exceptions import GateError, InvalidMetadataError, ModelNotFoundError, TransitionError
from dwcp_jupyter.registry import ModelMetadata


@pytest.fixture
def ws(tmp_path):
    ws = Workspace(tmp_path / "w")
    yield ws
    ws.close()


@pytest.fixture
def measured(ws):
    """The drafts m@1.0.0 and m@2.0.0, of which the first has a metric more."""
    for version, metrics in (("1.0.0", {"brier": 0.1, "recall": 0.5}), ("2.0.0", {"brier": 0.2})):
        ws.registry.register_model(ModelMetadata(name="m", version=version, metrics=metrics))

    def compare(**options):
        return ws.registry.compare_models("m@1.0.0", "m@2.0.0", **options)

    return compare


class TestDirections:
    @pytest.mark.parametrize(
        ("said", "winner"),
        [
            *((higher, "m@2.0.0") for higher in (True, np.True_, "higher", "Higher", "maximize", "max")),
            *((lower, "m@1.0.0") for lower in (False, np.False_, "lower", "minimize", "min")),
        ],
    )
    def test_they_are_bools_or_words(self, measured, said, winner):
        assert measured(directions={"brier": said}).winner == winner

    @pytest.mark.parametrize("wrong", ["up", "true", 1, 0, None, "greater"])
    def test_anything_else_is_refused_with_the_choices(self, measured, wrong):
        with pytest.raises(InvalidMetadataError, match=r"no direction. Give True or 'higher', False or 'lower'"):
            measured(directions={"brier": wrong})

    def test_one_of_a_metric_that_nobody_has_is_refused(self, measured):
        with pytest.raises(
            InvalidMetadataError, match=r"'bier', a metric that neither version has. Did you mean 'brier'"
        ):
            measured(directions={"bier": "lower"})
        with pytest.raises(InvalidMetadataError, match="no dictionary"):
            measured(directions="lower")

    def test_a_metric_that_only_one_has_is_named_and_decides_nothing(self, measured):
        found = measured(directions={"brier": "higher"})
        assert found.winner == "m@2.0.0"
        assert found.reason == "better in brier. Left out, since only one of them has it: recall."


class TestRegisteringIntoAStage:
    @pytest.mark.parametrize("stage", ["production", "archived", "stagging"])
    def test_what_is_no_stage_to_register_into_leaves_nothing(self, ws, classifier, stage):
        with pytest.raises(TransitionError, match=f"{stage}.*staging"):
            ws.register("churn", classifier, version="1.0.0", stage=stage)
        assert not ws.registry.list_models()
        assert ws.register("churn", classifier, version="1.0.0", stage="staging").stage == "staging"

    def test_what_a_policy_refuses_leaves_nothing(self, ws, classifier):
        ws.registry.set_policy("staging", {"checks": ["metrics.accuracy >= 0.9"]})
        with pytest.raises(GateError, match="Nothing was registered") as refused:
            ws.register("churn", classifier, version="1.0.0", stage="staging", metrics={"accuracy": 0.5})
        assert refused.value.failures
        with pytest.raises(ModelNotFoundError):
            ws.registry.get_model("churn")
        found = ws.register("churn", classifier, version="1.0.0", stage="staging", metrics={"accuracy": 0.95})
        assert (found.version, found.stage) == ("1.0.0", "staging")
        assert ws.verify() is True

    def test_a_run_is_registered_so_too(self, ws, classifier):
        with ws.run("forest") as run:
            run.log_model(classifier)
        with pytest.raises(TransitionError):
            ws.register_run(run, stage="production")
        assert not ws.registry.list_models()
        assert ws.register_run(run, stage="staging").stage == "staging"


class TestMetadata:
    @pytest.mark.parametrize("wrong", ["x", {"name": "x"}])
    def test_it_is_model_metadata(self, ws, classifier, wrong):
        with pytest.raises(TypeError, match=r"Give ModelMetadata\(name='NAME'\)"):
            ws.registry.register_model(wrong, classifier)

    @pytest.mark.parametrize(
        ("field", "wrong", "match"),
        [
            ("framework", "sk-learn", "framework='sk-learn' is no choice. Did you mean 'sklearn'.*onnx"),
            ("training_started_at", "2026-01-01", "training_started_at='2026-01-01' is a str. Give a datetime"),
            ("training_started_at", date(2026, 1, 1), "training_started_at.* is a date. Give a datetime"),
            ("training_ended_at", datetime(2026, 1, 1), "training_ended_at=2026-01-01 00:00:00 has no time zone"),  # noqa: DTZ001
            ("code", Path("train.py"), "code=.*Path. Give a text"),
            ("tags", "risk", "tags='risk' is a str. Give a list"),
            ("tags", {"team": "risk"}, "tags=.* is a dict. Give a list"),
            ("parent", 7, "names no model"),
        ],
    )
    def test_a_field_that_cannot_be_kept_is_named(self, ws, field, wrong, match):
        with pytest.raises((InvalidMetadataError, TypeError), match=match):
            ws.registry.register_model(ModelMetadata(name="m", **{field: wrong}))
        assert not ws.registry.list_models()

    def test_what_is_right_is_kept(self, ws):
        started = datetime(2026, 1, 1, tzinfo=UTC)
        said = ModelMetadata(name="m", framework="SKLearn", training_started_at=started, code="fit()", tags=None)
        kept = ws.registry.register_model(said, bump="Minor")
        assert (kept.framework, kept.training_started_at, kept.tags) == ("sklearn", started, ())

    def test_tags_of_a_workspace_are_held_to_the_same(self, ws, classifier):
        for wrong in ("risk", {"team": "risk"}):
            with pytest.raises(InvalidMetadataError, match="Give a list"):
                ws.register("m", classifier, tags=wrong)
        assert ws.register("m", classifier, tags=None).tags == ()

    def test_a_bump_is_one_of_those_there_are(self, ws):
        with pytest.raises(InvalidMetadataError, match=r"bump='mayor' is no choice. Did you mean 'major'.*patch"):
            ws.registry.register_model(ModelMetadata(name="m"), bump="mayor")


class TestQuestions:
    def test_an_update_of_nothing_is_refused(self, ws):
        ws.registry.register_model(ModelMetadata(name="m"))
        for nothing in ({}, None, ["tags"]):
            with pytest.raises(ValueError, match=r"changes nothing. Give what is to change"):
                ws.registry.update_model("m", nothing)

    def test_a_state_is_taken_in_any_case_and_refused_with_the_choices(self, ws):
        assert not ws.registry.list_approvals(state="Pending")
        with pytest.raises(InvalidMetadataError, match=r"state='pendng' is no choice. Did you mean 'pending'.*stale"):
            ws.registry.list_approvals(state="pendng")

    def test_no_condition_is_none(self, ws):
        assert len(ws.runs(None)) == 0

    def test_garbage_is_older_than_a_timedelta(self, ws):
        with pytest.raises(TypeError, match=r"older_than=30 .*timedelta\(days=30\)"):
            ws.registry.collect_garbage(older_than=30)
        with pytest.raises(TypeError, match="grace='1h'"):
            ws.registry.collect_garbage(grace="1h")
        assert ws.registry.collect_garbage(older_than=timedelta(days=1)).versions == ()

    def test_a_version_asks_for_its_monitor_drift_and_trail(self, ws, classifier, iris):
        version = ws.register("m", classifier, data=iris[0])
        assert ws.monitor(version).version.version == "1.0.0"
        assert ws.drift(version, iris[0])
        assert ws.audit(version).events
