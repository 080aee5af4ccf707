"""What was at a moment is what the chain says, whatever the clocks of those who wrote it."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from dwcp_jupyter import clock as clocks
from dwcp_jupyter.exceptions import ModelNotFoundError
from dwcp_jupyter.registry import ModelMetadata, Stage
from tests.registry.rewriting import rewrite


def times(registry):
    return [event.time for event in registry._stores.metadata.events()]


class TestClocks:
    def test_no_event_is_stamped_before_the_one_it_continues(self, guarded, clock):
        version = guarded.register_model(ModelMetadata(name="late"))
        clock.move(seconds=-3)  # as on another machine
        guarded.promote_model("churn@1.0.0", "archived")
        guarded.set_alias("late@1.0.0", "champion")
        clock.move(seconds=5)
        guarded.set_alias("late@1.0.0", "challenger")
        assert times(guarded) == sorted(times(guarded))
        assert times(guarded)[-2] == version.created_at
        assert times(guarded)[-1] == clock()
        assert guarded.verify() is True

    def test_what_was_can_be_asked_of_any_moment_in_between(self, guarded, clock):
        clock.move(seconds=3)
        registered = guarded.register_model(ModelMetadata(name="late"))
        clock.move(seconds=-3)
        guarded.update_model("late@1.0.0", {"description": "said"})
        for milliseconds in range(-4000, 4000, 500):
            moment = registered.created_at + timedelta(milliseconds=milliseconds)
            if moment < registered.created_at:
                with pytest.raises(ModelNotFoundError, match="meant no version at"):
                    guarded.as_of("late", moment)
            else:
                assert guarded.as_of("late", moment).description == "said"

    def test_times_that_went_back_in_an_earlier_release_leave_no_hole(self, guarded, clock):
        """The promotion bears an earlier time than the registration that it follows."""

        def turn_back(body):
            if body["kind"] == "version.promoted" and body["subject"] == "model:churn@1.2.0":
                body["time"] = clocks.to_text(clocks.from_text(body["time"]) - timedelta(seconds=3))

        registered = guarded.get_model("churn@1.2.0").created_at
        rewrite(guarded._stores, turn_back)
        assert guarded.verify() is True
        for seconds in (-3, -2, -1, 0, 1):
            moment = registered + timedelta(seconds=seconds)
            assert guarded.as_of("churn@1.2.0", moment).stage is Stage.STAGING
        with pytest.raises(ModelNotFoundError):
            guarded.as_of("churn@1.2.0", registered - timedelta(seconds=4))

    def test_a_clock_that_was_far_ahead_does_not_rule_what_follows(self, guarded, clock):
        clock.move(days=400)
        guarded.set_alias("churn@1.0.0", "wrong-year")
        clock.move(days=-400)
        guarded.set_alias("churn@1.0.0", "champion")
        assert times(guarded)[-1] == clock()
        assert guarded.as_of("churn@champion", clock()).version == "1.0.0"
        assert guarded.verify() is True


class TestMoments:
    @pytest.fixture
    def moved(self, guarded, clock):
        """A model that was archived at noon on the second of March."""
        clock.time = datetime(2026, 3, 2, 12, tzinfo=UTC)
        guarded.promote_model("churn@1.0.0", "archived")
        return guarded

    def test_of_a_day_its_end_counts_in_utc(self, moved, clock):
        assert moved.as_of("churn@1.0.0", date(2026, 3, 1)).stage is Stage.STAGING
        assert moved.as_of("churn@1.0.0", date(2026, 3, 2)).stage is Stage.ARCHIVED
        clock.time = datetime(2026, 3, 2, 23, 59, 59, 999999, tzinfo=UTC)
        moved.set_alias("churn@1.1.0", "last")
        assert moved.as_of("churn@last", date(2026, 3, 2)).version == "1.1.0"
        with pytest.raises(ModelNotFoundError, match="2026-02-28T23:59:59 UTC"):
            moved.as_of("churn@1.0.0", date(2026, 2, 28))

    def test_a_moment_without_a_time_zone_is_read_as_utc(self, moved):
        noon = datetime(2026, 3, 2, 12)  # noqa: DTZ001
        assert moved.as_of("churn@1.0.0", noon).stage is Stage.ARCHIVED
        assert moved.as_of("churn@1.0.0", noon.replace(tzinfo=timezone(timedelta(hours=1)))).stage is Stage.STAGING

    @pytest.mark.parametrize("wrong", ["2026-03-02", 1772409600, None])
    def test_what_is_no_moment_is_refused_in_a_sentence(self, moved, wrong):
        with pytest.raises(
            TypeError, match=r"and no moment\. Give a datetime, or a date for the end of that day in UTC"
        ):
            moved.as_of("churn@1.0.0", wrong)
