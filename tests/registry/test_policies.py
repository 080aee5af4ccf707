"""What a policy leaves out, it does not change; what nobody could satisfy, or endlessly long text, is no policy."""

import time

import pytest

from dwcp_jupyter.events import Actor, Assurance
from dwcp_jupyter.exceptions import ApprovalError, GateError, InvalidMetadataError, PolicyError
from dwcp_jupyter.registry import ModelRegistry, StagePolicy


def signed_in(registry, name):
    return ModelRegistry(registry._stores, actor=Actor(name=name, assurance=Assurance.AUTHENTICATED))


class TestWhatIsLeftOut:
    def test_production_keeps_its_reviewer(self, guarded):
        for said in (
            "checks: ['metrics.test_accuracy >= 0.5']",
            {},
            {"expires_after_days": 3},
            StagePolicy(expires_after_days=3.0),
            StagePolicy(),
        ):
            for model in (None, "churn"):
                assert guarded.set_policy("production", said, model=model).reviewers == 1
                with pytest.raises(ApprovalError, match="nobody was asked"):
                    guarded.promote_model("churn@1.0.0", "production")

    @pytest.mark.parametrize("said", ["reviewers: 0", StagePolicy(reviewers=0)])
    def test_none_are_needed_where_that_is_written_out(self, guarded, said):
        assert guarded.set_policy("production", said).reviewers == 0
        assert guarded.promote_model("churn@1.0.0", "production").stage == "production"

    def test_a_models_own_policy_inherits_field_by_field(self, guarded):
        guarded.set_policy(
            "production",
            {"reviewers": 3, "roles": {"risk": ["a", "b", "c"]}, "require": ["risk"], "expires_after_days": 2},
        )
        own = guarded.set_policy("production", {"checks": ["metrics.auc > 0.5"]}, model="churn")
        assert (own.reviewers, own.require, own.expires_after_days) == (3, ("risk",), 2.0)
        assert [str(check) for check in own.checks] == ["metrics.auc > 0.5"]
        guarded.set_policy("production", {"reviewers": 2, "checks": ["metrics.f1 > 0.1"]})
        own = guarded.policy("production", model="churn")
        assert (own.reviewers, own.require, [str(check) for check in own.checks]) == (2, (), ["metrics.auc > 0.5"])
        assert (
            guarded.set_policy("production", {"require": []}, model="churn").checks
            == guarded.policy("production").checks
        )

    def test_the_id_of_a_model_means_the_model(self, guarded):
        churn = guarded.get_model("churn@1.0.0").model_id
        guarded.set_policy("@champion", {"reviewers": 2}, model=churn)
        assert guarded.policy("@champion", model="churn").reviewers == 2
        assert guarded.policy("@champion", model=churn).reviewers == 2
        with pytest.raises(ApprovalError, match="nobody was asked"):
            guarded.set_alias("churn@1.0.0", "champion")

    def test_elsewhere_nothing_is_asked_for(self, guarded):
        assert guarded.set_policy("staging", {"checks": []}).reviewers == 0

    def test_a_policy_that_was_read_can_be_changed_and_set_again(self, guarded):
        import dataclasses

        guarded.set_policy("production", {"reviewers": 2, "expires_after_days": 5})
        found = dataclasses.replace(guarded.policy("production", model="churn"), reviewers=3, checks=())
        assert guarded.set_policy("production", found, model="churn") == found
        assert guarded.verify() is True


class TestWhatDemandsProof:
    def test_it_is_not_lifted_by_somebody_who_only_says_who_they_are(self, guarded):
        demanding = {"reviewers": 1, "assurance": "authenticated"}
        guarded.set_policy("production", demanding)
        for change in (
            lambda: guarded.set_policy("production", "reviewers: 0", model="churn"),
            lambda: guarded.set_policy("production", "reviewers: 0"),
            lambda: guarded.set_policy("production", "assurance: asserted", model="churn"),
            lambda: guarded.set_policy("production", None),
        ):
            with pytest.raises(ApprovalError, match=r"cannot change .* it takes authenticated people only"):
                change()
        assert guarded.policy("production", model="churn") == StagePolicy.parse(demanding)
        ana = signed_in(guarded, "ana")
        assert ana.set_policy("production", "reviewers: 0\nassurance: asserted", model="churn").reviewers == 0
        assert ana.set_policy("production", None).reviewers == 1
        assert guarded.set_policy("production", {"reviewers": 2}, model="churn").reviewers == 2

    def test_what_another_model_inherits_is_not_lifted_either(self, guarded):
        guarded.set_policy("production", {"reviewers": 2})
        guarded.set_policy("production", {"assurance": "authenticated"}, model="churn")
        with pytest.raises(ApprovalError, match="the policy of production for 'churn'"):
            guarded.set_policy("production", {"reviewers": 0})
        assert guarded.policy("production", model="churn").reviewers == 2
        guarded.set_policy("production", {"reviewers": 0}, model="other")
        guarded.set_policy("staging", {"reviewers": 1})


class TestWhatNobodyCouldSatisfy:
    @pytest.mark.parametrize(
        ("said", "fault"),
        [
            ("reviewers: 5\nroles: {risk: [ana]}", r"5 must approve, but only 1 may"),
            ("reviewers: 2\nroles: {risk: [ana], lead: ['ANA ', \"ana\\u200b\"]}", r"2 must approve, but only 1 may"),
            ("require: [risk]\nroles: {risk: []}", "nobody has the role 'risk'"),
            ("require: [risk]\nroles: {risk: [' ']}", "nobody has the role 'risk'"),
            ("stages: [staging]", "only a protected alias has them"),
        ],
    )
    def test_it_is_refused_and_changes_nothing(self, guarded, said, fault):
        with pytest.raises(PolicyError, match=fault):
            guarded.set_policy("production", said)
        assert guarded.policy("production") == StagePolicy(reviewers=1)

    def test_it_is_judged_with_what_it_inherits(self, guarded):
        guarded.set_policy("production", {"roles": {"risk": ["ana", "bo"]}})
        assert guarded.set_policy("production", {"require": ["risk"]}, model="churn").require == ("risk",)
        with pytest.raises(PolicyError, match="3 must approve, but only 2 may"):
            guarded.set_policy("production", {"reviewers": 3}, model="churn")
        with pytest.raises(PolicyError, match="for 'churn', which inherits from it: require: nobody has the role"):
            guarded.set_policy("production", {"roles": {"lead": ["ana"]}})
        assert guarded.policy("production").roles == {"risk": ("ana", "bo")}


class TestWhatCostsNoMoreThanItsLength:
    BOMB = "\n".join(
        ["roles:", "  a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        + [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    )
    MERGES = "\n".join(
        ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9))]
    )

    @pytest.mark.parametrize("said", [BOMB, MERGES])
    def test_aliases_of_yaml_are_refused_at_once(self, said):
        before = time.perf_counter()
        with pytest.raises(PolicyError, match=r"has the YAML alias '\*a0'. Write out what it stands for"):
            StagePolicy.parse(said)
        assert time.perf_counter() - before < 2

    def test_a_value_that_stands_for_more_than_it_shows_is_shown_cut(self):
        shared = ["x"] * 9
        for _ in range(9):
            shared = [shared] * 9
        before = time.perf_counter()
        for said in (
            {"roles": shared},
            {"roles": {"a": shared}},
            {"checks": [shared]},
            {"assurance": shared},
            [shared],
        ):
            with pytest.raises(PolicyError) as refused:
                StagePolicy.parse(said)
            assert len(str(refused.value)) < 500
        assert time.perf_counter() - before < 2

    @pytest.mark.parametrize(
        ("said", "fault"),
        [
            ("checks: " + "[" * 20_000, "nested too deep"),
            ("x" * 70_000, "above the limit of 65536"),
            ("reviewers: 2020-13-45", "no YAML"),
        ],
    )
    def test_text_that_python_cannot_read_is_no_policy(self, said, fault):
        with pytest.raises(PolicyError, match=fault):
            StagePolicy.parse(said)


class TestNumbersThatNoFloatHolds:
    def test_they_are_no_evidence(self, guarded):
        for value in (10**400, -(10**5000)):
            with pytest.raises(InvalidMetadataError, match="cannot be compared with others"):
                guarded.record_evidence("churn@1.0.0", "bias", {"gap": value})
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 10**300})
        assert guarded.evidence("churn@1.0.0")["bias"] == {"gap": 10**300}

    @pytest.mark.parametrize(
        ("value", "shown"),
        [(10**400, "above 1.79769e+308"), (-(10**5000), "below -1.79769e+308")],
        ids=["large", "small"],
    )
    def test_those_kept_before_are_compared_all_the_same(self, value, shown):
        policy = StagePolicy.parse({"checks": ["bias.gap <= 0.1", "bias.gap >= 0.1"]})
        evidence = {"bias": {"gap": value}}
        assert {result.found for result in policy.results(evidence)} == {f"it is {shown}"}
        assert [result.is_passed for result in policy.results(evidence)] == [value < 0, value > 0]

    def test_a_gate_says_so(self, guarded):
        from dwcp_jupyter.store import schema

        guarded.set_policy("production", {"reviewers": 0, "checks": ["bias.gap <= 0.1"]})
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 1})
        with guarded._stores.metadata.transaction() as tx:
            tx.execute(schema.evidence.update().values(body='{"gap":1' + "0" * 400 + "}"))
        with pytest.raises(GateError, match=r"bias.gap <= 0.1: it is above 1.79769e\+308"):
            guarded.promote_model("churn@1.0.0", "production")


def test_a_policy_for_what_is_hardly_another_name_is_warned_of(guarded, recwarn):
    guarded.set_policy("production", {"reviewers": 3}, model="later")
    guarded.set_policy("production", {"reviewers": 3}, model="churn")
    assert not recwarn
    with pytest.warns(UserWarning, match=r"no model 'chrun' yet\..*churn"):
        guarded.set_policy("production", {"reviewers": 3}, model="chrun")
    assert guarded.policy("production", model="chrun").reviewers == 3
