"""A reference means what it says: where it cannot, the call is refused and nothing changes."""

from datetime import date

import pytest

from dwcp_jupyter.exceptions import (
    AmbiguousModelError,
    ApprovalError,
    InvalidNameError,
    InvalidVersionError,
    ModelNotFoundError,
    TransitionError,
)
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.registry.names import reference_of


@pytest.fixture
def produced(guarded):
    """The three versions were in production in turn; 1.1.0 would come back."""
    guarded.set_policy("production", {"reviewers": 0})
    for number in range(3):
        guarded.promote_model(f"churn@1.{number}.0", "production")
    return guarded


class TestRollingBack:
    @pytest.mark.parametrize("reference", ["churn@1.0.0", "churn@1.2.0", "churn@production"])
    def test_a_version_that_would_not_come_back_is_refused(self, produced, reference):
        with pytest.raises(
            TransitionError, match=rf"'churn@1\.1\.0' would come back, not '{reference}'.*promote_model"
        ):
            produced.rollback(reference)
        with pytest.raises(TransitionError, match="would come back"):
            produced.rollback(reference, dry_run=True)
        assert produced.get_model("churn@production").version == "1.2.0"

    @pytest.mark.parametrize("reference", ["churn@9.9.9", "churn@nosuchalias"])
    def test_what_means_nothing_is_refused(self, produced, reference):
        with pytest.raises(ModelNotFoundError, match=reference.partition("@")[2]):
            produced.rollback(reference)
        assert produced.get_model("churn@production").version == "1.2.0"

    def test_the_version_that_comes_back_may_be_named(self, produced):
        produced.set_alias("churn@1.1.0", "fallback")
        for reference in ("churn@1.1.0", "churn@v1.1.0", "churn@fallback", produced.get_model("churn@1.1.0")):
            assert produced.rollback(reference, dry_run=True).version == "1.1.0"
        assert produced.rollback("churn@1.1.0").stage == "production"

    def test_the_expected_version_is_taken_in_every_spelling(self, produced):
        for expected in ("1.1.0", "v1.1.0", "churn@1.1.0", "churn@v1.1.0", produced.get_model("churn@1.1.0")):
            assert produced.rollback("churn", dry_run=True, expected=expected).version == "1.1.0"
        for expected in ("1.0.0", "churn@1.0.0", "9.9.9", "other@1.1.0"):
            with pytest.raises(TransitionError, match=rf"'churn@1\.1\.0' would come back, not '{expected}'"):
                produced.rollback("churn", expected=expected)
        with pytest.raises(InvalidVersionError):
            produced.rollback("churn", expected="1.1")
        assert produced.get_model("churn@production").version == "1.2.0"


class TestValuesInstead:
    def test_a_version_is_taken_wherever_its_reference_is(self, guarded, tmp_path):
        version = guarded.get_model("churn@1.1.0")
        other = guarded.get_model("churn@1.0.0")
        for call in (
            guarded.get_model,
            guarded.resolve,
            guarded.reference_data,
            guarded.load_model,
            guarded.get_model_lineage,
            guarded.evidence,
            guarded.list_approvals,
            guarded.list_comparisons,
            guarded.history,
            guarded.list_versions,
        ):
            call(version)
        assert guarded.describe_model(version).name == "churn"
        assert guarded.describe_model(guarded.list_models()[0]).name == "churn"
        assert guarded.as_of(version, date(2026, 4, 1)).version == "1.1.0"
        assert guarded.set_alias(version, "champion").version == "1.1.0"
        guarded.remove_alias(version, "champion")
        guarded.update_model(version, {"description": "new"})
        guarded.record_evidence(version, "bias", {"gap": 0.1})
        assert guarded.compare_models(other, version).winner == "churn@1.1.0"
        assert guarded.request_approval(version, "dora").model == "churn@1.1.0"
        assert guarded.fetch(version, tmp_path / "package").exists()
        assert guarded.create_version(version, "2.0.0").name == "churn"
        assert guarded.promote_model(version, "development").stage == "development"
        guarded.delete_model(version)
        assert guarded.restore_model(guarded.list_trash()[0]).version == "1.1.0"
        guarded.register_model(ModelMetadata(name="child", parent=other))
        assert guarded.get_model("child").parent_id == other.id

    @pytest.mark.parametrize("wrong", [None, 7, ["churn"], {"name": "churn"}, ModelMetadata(name="churn")])
    def test_anything_else_is_refused_shortly(self, registry, wrong):
        for call in (registry.get_model, registry.delete_model, registry.history, registry.list_versions):
            with pytest.raises(TypeError, match=r"names no model. Give 'NAME' or 'NAME@VERSION'"):
                call(wrong)
        with pytest.raises(TypeError, match="names no model"):
            registry.promote_model(wrong, "staging")

    def test_a_model_means_its_name(self, guarded):
        assert reference_of(guarded.list_models()[0]) == "churn"


class TestCertainty:
    def test_what_is_written_to_a_version_takes_one_that_leaves_no_choice(self, guarded, iris, tmp_path):
        with pytest.raises(AmbiguousModelError):
            guarded.sign_model("churn", tmp_path / "model.key")
        with pytest.raises(AmbiguousModelError):
            guarded.set_reference_data("churn", iris[0])
        guarded.set_reference_data("churn@1.0.0", iris[0])

    def test_a_bare_name_loads_the_highest_version_that_has_a_file(self, guarded, tmp_path):
        guarded.create_version("churn", "2.0.0")
        assert guarded.load_model("churn").info.flavor == "sklearn"
        assert guarded.fetch("churn", tmp_path / "package").exists()
        assert guarded.get_model("churn").version == "2.0.0"
        with pytest.raises(ModelNotFoundError, match=r"'churn@2\.0\.0' is a draft"):
            guarded.load_model("churn@2.0.0")

    def test_where_there_are_only_drafts_the_highest_is_named(self, registry):
        for version in ("1.0.0", "1.1.0"):
            registry.register_model(ModelMetadata(name="m", version=version))
        with pytest.raises(ModelNotFoundError, match=r"'m@1\.1\.0' is a draft"):
            registry.load_model("m")


class TestAliases:
    def test_one_that_differs_only_in_case_from_a_protected_one_is_refused(self, guarded):
        guarded.set_policy("@champion", {"reviewers": 1}, model="churn")
        for alias in ("Champion", "CHAMPION", "ｃhampion"):
            with pytest.raises(InvalidNameError, match="differs only in case from 'champion', which a policy protects"):
                guarded.set_alias("churn@1.0.0", alias)
            with pytest.raises(InvalidNameError, match="differs only in case"):
                guarded.set_alias("churn@1.0.0", alias, dry_run=True)
        with pytest.raises(InvalidNameError, match="differs only in case"):
            guarded.request_approval("churn@1.0.0", "dora", "@Champion")
        with pytest.raises(ApprovalError):
            guarded.set_alias("churn@1.0.0", "champion")
        assert not guarded.get_model("churn@1.0.0").aliases

    def test_one_that_differs_only_in_case_from_another_of_the_model_is_refused(self, guarded):
        guarded.set_alias("churn@1.0.0", "best")
        with pytest.raises(InvalidNameError, match="'Best' differs only in case from 'best', an alias of 'churn'"):
            guarded.set_alias("churn@1.1.0", "Best")
        guarded.set_alias("churn@1.1.0", "best")
        guarded.remove_alias("churn", "best")
        assert guarded.set_alias("churn@1.1.0", "Best").aliases == ("Best",)

    def test_a_lifted_policy_reserves_nothing(self, guarded):
        guarded.set_policy("@champion", {"reviewers": 1})
        guarded.set_policy("@champion", None)
        assert guarded.set_alias("churn@1.0.0", "Champion").aliases == ("Champion",)

    def test_latest_would_lie(self, guarded):
        for alias in ("latest", "Latest"):
            with pytest.raises(InvalidNameError, match="The highest version is what the name alone means: 'churn'"):
                guarded.set_alias("churn@1.2.0", alias)


class TestAdvice:
    def test_the_way_to_an_empty_stage_is_one_that_can_be_gone(self, guarded):
        def advice(stage):
            with pytest.raises(ModelNotFoundError) as refused:
                guarded.get_model(f"churn@{stage}")
            return str(refused.value)

        assert advice("production").endswith("Move one there with %promote churn@1.2.0 production.")
        assert advice("development").endswith("Move one there with %promote churn@1.2.0 development.")
        guarded.promote_model("churn@1.2.0", "development")
        assert advice("production").endswith("Move one there with %promote churn@1.1.0 production.")
        for number in range(2):
            guarded.promote_model(f"churn@1.{number}.0", "archived")
        assert advice("production").endswith("%promote churn@1.2.0 staging, then %promote churn@1.2.0 production.")
        guarded.promote_model("churn@1.2.0", "archived")
        guarded.create_version("churn", "2.0.0")
        assert advice("production").endswith("Register one with %%register churn.")
