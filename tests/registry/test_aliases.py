"""A protected alias is given as production is entered: by the policy's terms, and by nobody's back door."""

import pytest

from dwcp_jupyter.events import Actor, Assurance
from dwcp_jupyter.exceptions import (
    ApprovalError,
    GateError,
    InvalidNameError,
    ModelNotFoundError,
    PolicyError,
    TransitionError,
)
from dwcp_jupyter.registry import ApprovalState, ModelMetadata, ModelRegistry

POLICY = """
reviewers: 1
checks: ['metrics.test_accuracy >= 0.91', 'bias.gap <= 0.1']
stages: [staging, production]
"""


@pytest.fixture
def protected(guarded):
    """The three versions in staging, 1.0.0 being the champion, and `champion` protected afterwards."""
    guarded.set_alias("churn@1.0.0", "champion")
    guarded.set_policy("@champion", POLICY)
    guarded.record_evidence("churn@1.2.0", "bias", {"gap": 0.05})
    return guarded


def approve(registry, reference, *, target="@champion"):
    request = registry.request_approval(reference, "ana", target, "it is better")
    return registry.approve_model(request, "bo", "seen")


class TestSetting:
    def test_it_takes_the_approval_of_another_person(self, protected):
        with pytest.raises(
            ApprovalError, match=r"'churn@1\.2\.0' cannot become '@champion': nobody was asked.*--ask WHY"
        ):
            protected.set_alias("churn@1.2.0", "champion")
        asked = protected.request_approval("churn@1.2.0", "dora", "@champion", "fewer misses")
        assert (str(asked.stage), asked.missing) == ("@champion", "1 more approval")
        assert asked.stage == "@champion"
        assert "churn@1.2.0 to @champion" in asked._repr_mimebundle_()["text/plain"]
        assert list(protected.list_approvals(state="pending")) == [asked]
        with pytest.raises(ApprovalError, match="second person"):
            protected.approve_model(asked, "dora")
        assert protected.approve_model(asked, "bo").state is ApprovalState.APPROVED
        assert "champion" in protected.set_alias("churn@1.2.0", "champion", dry_run=True).aliases
        assert protected.get_model("churn@champion").version == "1.0.0"
        assert protected.set_alias("churn@1.2.0", "champion").aliases == ("champion",)
        assert protected.get_model("churn@champion").version == "1.2.0"
        event = protected._stores.metadata.events(kinds=["alias.set"])[-1]
        assert event.payload["approval_id"] == asked.id
        assert protected.history("churn")[-1].change == "alias champion set"
        assert protected.verify() is True

    def test_a_refusal_names_all_that_is_missing(self, protected):
        protected.register_model(ModelMetadata(name="churn", version="2.0.0", metrics={"test_accuracy": 0.5}))
        protected.promote_model("churn@1.0.0", "development")
        with pytest.raises(GateError) as refused:
            protected.set_alias("churn@1.0.0", "champion")
        assert refused.value.failures == (
            "stage is staging or production: it is development",
            "metrics.test_accuracy >= 0.91: it is 0.9",
            "bias.gap <= 0.1: not recorded",
        )
        assert "3 of 3 checks failed" in str(refused.value)
        assert "Besides: 'churn@1.0.0' cannot become '@champion': nobody was asked" in str(refused.value)
        approve(protected, "churn@1.1.0")
        with pytest.raises(GateError) as refused:
            protected.set_alias("churn@1.1.0", "champion")
        assert refused.value.failures == ("bias.gap <= 0.1: not recorded",)
        assert "Besides" not in str(refused.value)
        with pytest.raises(TransitionError, match="is a draft"):
            protected.set_alias("churn@2.0.0", "champion")
        assert protected.get_model("churn@champion").version == "1.0.0"

    def test_an_approval_for_one_place_is_none_for_another(self, protected):
        approve(protected, "churn@1.2.0", target="production")
        with pytest.raises(ApprovalError, match="nobody was asked"):
            protected.set_alias("churn@1.2.0", "champion")
        approve(protected, "churn@1.2.0")
        protected.set_policy("@challenger", {"reviewers": 1})
        with pytest.raises(ApprovalError, match="nobody was asked"):
            protected.set_alias("churn@1.2.0", "challenger")
        with pytest.raises(ApprovalError, match="nobody was asked"):
            protected.set_alias("churn@1.1.0", "challenger")
        protected.set_alias("churn@1.2.0", "champion")

    def test_an_approval_grows_old_and_stale(self, protected, clock):
        import sqlalchemy as sa

        from dwcp_jupyter.store import schema

        asked = approve(protected, "churn@1.2.0")
        change = sa.update(schema.versions).where(schema.versions.c.version == "1.2.0")
        former = protected.get_model("churn@1.2.0").sha256
        for value, state in (("0" * 64, ApprovalState.STALE), (former, ApprovalState.APPROVED)):
            with protected._stores.metadata.transaction() as tx:
                tx.execute(change.values(sha256=value))
            assert protected.get_approval(asked.id).state is state
        clock.move(days=15)
        with pytest.raises(ApprovalError, match="is expired"):
            protected.set_alias("churn@1.2.0", "champion")

    def test_a_request_of_a_version_that_cannot_stand_there_any_more_is_stale(self, protected):
        asked = approve(protected, "churn@1.2.0")
        protected.promote_model("churn@1.2.0", "archived")
        assert protected.get_approval(asked.id).state is ApprovalState.STALE

    def test_who_may_judge_and_how_sure_it_must_be_is_the_policys(self, protected):
        protected.set_policy("@champion", {"roles": {"risk": ["cleo"]}, "assurance": "authenticated"})
        ana, bo, cleo = (
            ModelRegistry(protected._stores, actor=Actor(name=name, assurance=Assurance.AUTHENTICATED))
            for name in ("ana", "bo", "cleo")
        )
        with pytest.raises(ApprovalError, match="requests by authenticated people only"):
            protected.request_approval("churn@1.2.0", "ana", "@champion")
        asked = ana.request_approval("churn@1.2.0", target_stage="@champion")
        assert "none of the roles" in bo.find_obstacle(asked)
        with pytest.raises(ApprovalError, match="decisions by authenticated people only"):
            protected.approve_model(asked, "cleo")
        cleo.approve_model(asked)
        assert protected.set_alias("churn@1.2.0", "champion").version == "1.2.0"

    def test_what_is_not_asked_for_is_told(self, protected):
        with pytest.raises(ApprovalError, match=r"@challenger asks for no approval.*with set_alias"):
            protected.request_approval("churn@1.2.0", "ana", "@challenger")
        with pytest.raises(TransitionError, match="is '@champion' already"):
            protected.request_approval("churn@1.0.0", "ana", "@champion")
        protected.promote_model("churn@1.2.0", "development")
        with pytest.raises(TransitionError, match=r"takes versions in staging or production\. Move it there first"):
            protected.request_approval("churn@1.2.0", "ana", "@champion")
        assert list(protected.list_approvals()) == []


class TestPolicies:
    def test_one_model_may_be_protected_and_another_not(self, guarded):
        guarded.register_model(ModelMetadata(name="other"))
        guarded.set_policy("@champion", {}, model="churn")
        assert guarded.policy("@champion", model="churn").reviewers == 1
        assert guarded.policy("@champion").reviewers == 0
        guarded.set_alias("other@1.0.0", "champion")
        with pytest.raises(ApprovalError):
            guarded.set_alias("churn@1.0.0", "champion")
        guarded.set_policy("@champion", {"reviewers": 1})
        guarded.set_policy("@champion", {"reviewers": 0}, model="other")
        guarded.set_alias("other@1.0.0", "champion")
        guarded.remove_alias("other", "champion")

    def test_lifting_the_policy_frees_the_alias(self, protected):
        protected.set_policy("@champion", None)
        protected.set_alias("churn@1.1.0", "champion")
        protected.remove_alias("churn", "champion")
        assert protected.verify() is True

    @pytest.mark.parametrize("wrong", ["@", "@@x", "@production", "@v1.0.0", "@a b"])
    def test_what_cannot_be_an_alias_is_no_target(self, guarded, wrong):
        with pytest.raises(InvalidNameError):
            guarded.set_policy(wrong, {})
        with pytest.raises(InvalidNameError):
            guarded.request_approval("churn@1.0.0", "ana", wrong)

    def test_stages_that_are_none_are_told(self, guarded):
        with pytest.raises(PolicyError, match=r"stages: No stage 'stagin'\. Did you mean 'staging'"):
            guarded.set_policy("@champion", {"stages": ["stagin"]})


class TestBackDoors:
    def test_it_is_not_removed_while_it_is_protected(self, protected):
        with pytest.raises(ApprovalError, match=r"cannot be removed.*another version, or lift its policy first"):
            protected.remove_alias("churn", "champion")
        assert protected.get_model("churn@champion").version == "1.0.0"

    def test_the_version_that_carries_it_is_not_deleted(self, protected):
        for reference in ("churn@1.0.0", "churn"):
            with pytest.raises(ApprovalError, match="cannot be deleted with it"):
                protected.delete_model(reference)
        assert len(protected.list_versions("churn")) == 3
        approve(protected, "churn@1.2.0")
        protected.set_alias("churn@1.2.0", "champion")
        protected.delete_model("churn@1.0.0")

    def test_a_restored_version_does_not_bring_it_back(self, guarded):
        guarded.set_alias("churn@1.0.0", "champion")
        guarded.set_alias("churn@1.0.0", "own")
        guarded.delete_model("churn@1.0.0")
        guarded.set_policy("@champion", {"reviewers": 1})
        assert guarded.restore_model("churn@1.0.0").aliases == ("own",)
        with pytest.raises(ModelNotFoundError):
            guarded.get_model("churn@champion")
        assert guarded.verify() is True


class TestNames:
    @pytest.mark.parametrize("wrong", ["V1.0.0", "Production", "\uff50roduction", "\uff561.0.0", "V2", "\uff11.0"])
    def test_what_reads_as_a_stage_or_a_version_is_no_alias(self, guarded, wrong):
        with pytest.raises(InvalidNameError, match="would be read as that stage or version"):
            guarded.set_alias("churn@1.0.0", wrong)

    def test_one_that_an_earlier_release_took_can_be_removed(self, guarded):
        from dwcp_jupyter.store import schema

        guarded.set_alias("churn@1.0.0", "old")
        with guarded._stores.metadata.transaction() as tx:
            tx.execute(schema.aliases.update().values(alias="V1.0.0"))
        guarded.remove_alias("churn", "V1.0.0")
        assert guarded.describe_model("churn").aliases == {}

    def test_a_composed_form_is_the_same_alias(self, guarded):
        guarded.set_alias("churn@1.0.0", "e\u0301t\u00e9")
        guarded.remove_alias("churn", "\u00e9te\u0301")
        assert guarded.describe_model("churn").aliases == {}


def test_an_archived_version_is_given_no_protected_alias(guarded):
    guarded.set_policy("@champion", "reviewers: 1")
    asked = approve(guarded, "churn@1.2.0")
    guarded.promote_model("churn@1.2.0", "archived")
    (found,) = [item for item in guarded.list_approvals() if item.id == asked.id]
    assert found.state is ApprovalState.STALE
    with pytest.raises(ApprovalError):
        guarded.set_alias("churn@1.2.0", "champion")
