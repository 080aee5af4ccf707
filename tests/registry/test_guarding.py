"""Nothing gets to production that nobody approved, and what was there can be told for any moment."""

import dataclasses
from datetime import UTC, datetime

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
from dwcp_jupyter.registry import ApprovalState, ModelMetadata, ModelRegistry, Stage, StagePolicy


def approve(registry, reference, *reviewers, requested_by="ana"):
    request = registry.request_approval(reference, requested_by, Stage.PRODUCTION, "it is better")
    for reviewer in reviewers or ("bo",):
        request = registry.approve_model(request.id, reviewer, "seen")
    return request


def produce(registry, reference):
    approve(registry, reference)
    return registry.promote_model(reference, "production")


class TestApprovals:
    def test_production_takes_an_approval_by_another_person(self, guarded):
        with pytest.raises(ApprovalError, match="nobody was asked"):
            guarded.promote_model("churn@1.0.0", "production")
        request = guarded.request_approval("churn@1.0.0", "data-scientist", Stage.PRODUCTION, "accuracy > 0.9")
        assert (request.state, request.missing) == (ApprovalState.PENDING, "1 more approval")
        with pytest.raises(ApprovalError, match="lacks 1 more approval"):
            guarded.promote_model("churn@1.0.0", "production")
        with pytest.raises(ApprovalError, match="second person"):
            guarded.approve_model(request.id, " Data-Scientist", "mine")
        approved = guarded.approve_model(request.id, "ml-lead", "Approved after validation on holdout set")
        assert approved.state is ApprovalState.APPROVED
        assert [(d.reviewer, d.comment) for d in approved.decisions] == [
            ("ml-lead", "Approved after validation on holdout set")
        ]
        assert guarded.promote_model("churn@1.0.0", "production").stage is Stage.PRODUCTION
        assert guarded.get_model("churn@production").version == "1.0.0"

    def test_a_rejection_ends_a_request_and_a_new_one_may_be_made(self, guarded):
        request = guarded.request_approval("churn@1.0.0", "ana")
        assert guarded.reject_model(request, "bo", "no card").state is ApprovalState.REJECTED
        with pytest.raises(ApprovalError, match="rejected and takes no decision"):
            guarded.approve_model(request, "cleo")
        with pytest.raises(ApprovalError, match="is rejected"):
            guarded.promote_model("churn@1.0.0", "production")
        approve(guarded, "churn@1.0.0")
        guarded.promote_model("churn@1.0.0", "production")

    def test_one_request_at_a_time(self, guarded):
        guarded.request_approval("churn@1.0.0", "ana")
        with pytest.raises(ApprovalError, match="pending already"):
            guarded.request_approval("churn@1.0.0", "bo")
        guarded.request_approval("churn@1.1.0", "bo")

    def test_a_request_expires(self, guarded, clock):
        request = guarded.request_approval("churn@1.0.0", "ana")
        clock.move(days=15)
        with pytest.raises(ApprovalError, match="expired"):
            guarded.approve_model(request, "bo")
        approve(guarded, "churn@1.0.0")
        clock.move(days=15)
        with pytest.raises(ApprovalError, match="is expired"):
            guarded.promote_model("churn@1.0.0", "production")
        assert {a.state for a in guarded.list_approvals()} == {ApprovalState.EXPIRED}

    def test_a_changed_artifact_makes_an_approval_stale(self, guarded, classifier, iris):
        import sqlalchemy as sa

        from dwcp_jupyter.store import schema

        approve(guarded, "churn@1.0.0")
        for column, value in (("sha256", "0" * 64), ("metrics", '{"test_accuracy":0.99}')):
            with guarded._stores.metadata.transaction() as tx:
                before = tx.execute(sa.select(schema.versions.c[column]).where(schema.versions.c.version == "1.0.0"))
                former = before.scalar()
                change = sa.update(schema.versions).where(schema.versions.c.version == "1.0.0")
                tx.execute(change.values({column: value}))
            with pytest.raises(ApprovalError, match="is stale"):
                guarded.promote_model("churn@1.0.0", "production")
            with guarded._stores.metadata.transaction() as tx:
                tx.execute(change.values({column: former}))
        guarded.promote_model("churn@1.0.0", "production")

    def test_as_many_reviewers_and_roles_as_the_policy_says(self, guarded):
        guarded.set_policy(
            "production",
            "reviewers: 2\nroles: {ml-lead: [bo, dora], risk: [Cleo]}\nrequire: [risk]",
        )
        request = guarded.request_approval("churn@1.0.0", "ana")
        assert request.missing == "2 more approvals and an approval by risk"
        with pytest.raises(ApprovalError, match="none of the roles"):
            guarded.approve_model(request, "eve")
        guarded.approve_model(request, "bo")
        with pytest.raises(ApprovalError, match="has decided"):
            guarded.approve_model(request, "BO ")
        after = guarded.approve_model(request, "dora")
        assert (after.state, after.missing) == (ApprovalState.PENDING, "an approval by risk")
        assert guarded.approve_model(request, "cleo").state is ApprovalState.APPROVED
        guarded.promote_model("churn@1.0.0", "production")

    def test_a_stricter_policy_counts_for_what_was_approved_before(self, guarded):
        approve(guarded, "churn@1.0.0")
        guarded.set_policy("production", {"reviewers": 2}, model="churn")
        (asked,) = guarded.list_approvals()
        assert (asked.state, asked.missing) == (ApprovalState.PENDING, "1 more approval")
        with pytest.raises(ApprovalError, match="lacks 1 more approval"):
            guarded.promote_model("churn@1.0.0", "production")
        with pytest.raises(ApprovalError, match="pending already"):
            guarded.request_approval("churn@1.0.0", "eve")
        guarded.approve_model(asked, "cleo")
        assert guarded.promote_model("churn@1.0.0", "production").stage is Stage.PRODUCTION

    def test_a_looser_policy_counts_for_what_lacked_before(self, guarded, clock):
        produce(guarded, "churn@1.1.0")
        guarded.set_policy("production", {"reviewers": 2})
        asked = approve(guarded, "churn@1.0.0")
        assert asked.state is ApprovalState.PENDING
        guarded.set_policy("production", {"reviewers": 1})
        assert list(guarded.list_approvals("churn@1.0.0", state="pending")) == []
        (found,) = guarded.list_approvals("churn@1.0.0", state="approved")
        assert (found.id, found.missing) == (asked.id, None)
        with pytest.raises(ApprovalError, match=r"is approved and takes no decision\. The version can go there"):
            guarded.approve_model(asked, "cleo")
        guarded.promote_model("churn@1.0.0", "production")
        guarded.promote_model("churn@1.1.0", "production")
        clock.move(days=100)
        assert guarded.rollback("churn").version == "1.0.0"
        assert guarded.verify() is True

    def test_a_request_that_a_new_policy_makes_hopeless_does_not_block_another(self, guarded):
        guarded.set_policy("production", {"reviewers": 1, "roles": {"lead": ["bo", "cleo"]}})
        asked = guarded.request_approval("churn@1.0.0", "ana")
        with pytest.raises(ApprovalError, match="pending already"):
            guarded.request_approval("churn@1.0.0", "cleo")
        guarded.set_policy("production", {"reviewers": 1, "roles": {"lead": ["ana", "dora"]}, "require": ["lead"]})
        with pytest.raises(ApprovalError, match="pending already"):
            guarded.request_approval("churn@1.0.0", "eve")
        guarded.set_policy("production", {"reviewers": 1, "roles": {"lead": ["ana"]}})
        again = guarded.request_approval("churn@1.0.0", "eve")
        assert guarded.approve_model(again, "ana").state is ApprovalState.APPROVED
        assert guarded.get_approval(asked.id).state is ApprovalState.PENDING
        guarded.promote_model("churn@1.0.0", "production")

    def test_an_approval_by_somebody_who_lost_the_role_does_not_count(self, guarded):
        guarded.set_policy("production", {"reviewers": 1, "roles": {"lead": ["bo"]}})
        asked = approve(guarded, "churn@1.0.0")
        guarded.set_policy("production", {"reviewers": 1, "roles": {"lead": ["cleo"]}})
        assert guarded.get_approval(asked.id).missing == "1 more approval"

    @pytest.mark.parametrize("reviewers", [("ana", "Ana "), ("bo", "BO", "b\u200bo")])
    def test_rows_by_hand_count_for_people_and_never_for_who_asked(self, guarded, reviewers):
        from dwcp_jupyter.store import schema

        guarded.set_policy("production", {"reviewers": 2})
        asked = guarded.request_approval("churn@1.0.0", "ana")
        row = {"approval_id": asked.id, "assurance": "asserted", "is_approved": 1, "comment": "", "decided_at": "2026"}
        row["decided_at"] = "2026-03-01T00:00:00.000000+00:00"
        with guarded._stores.metadata.transaction() as tx:
            tx.insert(schema.decisions, [{**row, "reviewer": name, "name": name} for name in reviewers])
        with pytest.raises(ApprovalError, match=r"lacks [12] more approval"):
            guarded.promote_model("churn@1.0.0", "production")

    def test_a_name_that_is_none_neither_asks_nor_decides(self, guarded):
        asked = guarded.request_approval("churn@1.0.0", "ana")
        for name in ("", "  ", "\u200b", "a\0b", "\ud800", "x" * 257, "a\nb"):
            for act in (
                lambda name: guarded.request_approval("churn@1.1.0", name),
                lambda name: guarded.approve_model(asked, name),
                lambda name: guarded.reject_model(asked, name),
                lambda name: Actor(name=name),
            ):
                with pytest.raises(InvalidNameError, match=r"no name of a person"):
                    act(name)
        assert list(guarded.list_approvals()) == [asked]

    def test_a_name_that_looks_the_same_is_the_same_person(self, guarded):
        asked = guarded.request_approval("churn@1.0.0", "ana s\u00e1")
        other = guarded.request_approval("churn@1.1.0", "bo")
        guarded.set_policy("production", {"reviewers": 2})
        guarded.approve_model(other, "ana s\u00e1")
        for alike in ("ana\u200b s\u00e1", "ANA  SA\u0301", "\uff21na \u3000s\u00e1", "ana\u00a0s\u00e1\ufe0f"):
            with pytest.raises(ApprovalError, match="second person"):
                guarded.approve_model(asked, alike)
            with pytest.raises(ApprovalError, match="has decided"):
                guarded.approve_model(other, alike)

    def test_a_request_of_an_archived_version_is_stale(self, guarded):
        asked = guarded.request_approval("churn@1.0.0", "ana")
        other = guarded.request_approval("churn@1.1.0", "ana")
        guarded.promote_model("churn@1.1.0", "development")
        guarded.promote_model("churn@1.0.0", "archived")
        assert [found.id for found in guarded.list_approvals(state="pending")] == [other.id]
        assert [found.id for found in guarded.list_approvals(state="stale")] == [asked.id]
        with pytest.raises(ApprovalError, match="is stale and takes no decision"):
            guarded.approve_model(asked, "bo")

    def test_an_approval_lasts_until_it_expires_whatever_evidence_says_meanwhile(self, guarded, clock):
        guarded.set_policy("production", {"reviewers": 1, "checks": ["bias.gap <= 0.1"]})
        approve(guarded, "churn@1.0.0")
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.2})
        with pytest.raises(GateError):
            guarded.promote_model("churn@1.0.0", "production")
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.1})
        for stage in ("production", "staging", "production"):
            guarded.promote_model("churn@1.0.0", stage)
        produce_again = guarded.request_approval("churn@1.1.0", "ana")
        guarded.approve_model(produce_again, "bo")
        guarded.record_evidence("churn@1.1.0", "bias", {"gap": 0.0})
        guarded.promote_model("churn@1.1.0", "production")
        guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.9})
        clock.move(days=30)
        assert guarded.rollback("churn").version == "1.0.0"

    def test_a_policy_may_ask_for_people_who_signed_in(self, guarded):
        guarded.set_policy("production", {"reviewers": 1, "assurance": "authenticated"})
        ana, bo = (
            ModelRegistry(guarded._stores, actor=Actor(name=name, assurance=Assurance.AUTHENTICATED))
            for name in ("ana", "bo")
        )
        with pytest.raises(ApprovalError, match="requests by authenticated people only"):
            guarded.request_approval("churn@1.0.0", "ana")
        request = ana.request_approval("churn@1.0.0")
        with pytest.raises(ApprovalError, match="decisions by authenticated people only"):
            guarded.approve_model(request, "bo")
        with pytest.raises(ApprovalError, match="cannot act as 'cleo'"):
            bo.approve_model(request, "cleo")
        assert ana.find_obstacle(request).startswith("'ana' asked")
        assert bo.find_obstacle(request) is None
        assert bo.approve_model(request).state is ApprovalState.APPROVED
        assert guarded.promote_model("churn@1.0.0", "production").stage is Stage.PRODUCTION

    def test_what_was_only_asserted_does_not_count_once_proof_is_demanded(self, guarded):
        bo, cleo = (
            ModelRegistry(guarded._stores, actor=Actor(name=name, assurance=Assurance.AUTHENTICATED))
            for name in ("bo", "cleo")
        )
        guarded.set_policy("production", {"reviewers": 2})
        asserted = guarded.request_approval("churn@1.0.0", "ana")
        bo.approve_model(asserted)
        proven = cleo.request_approval("churn@1.1.0")
        guarded.approve_model(proven, "dora")
        guarded.set_policy("production", {"reviewers": 1, "assurance": "authenticated"})
        assert guarded.get_approval(asserted.id).missing == "a request by an authenticated person"
        assert guarded.get_approval(proven.id).missing == "1 more approval"
        for version in ("churn@1.0.0", "churn@1.1.0"):
            with pytest.raises(ApprovalError, match="lacks"):
                guarded.promote_model(version, "production")
        with pytest.raises(ApprovalError, match="Reject it, and ask again"):
            cleo.approve_model(asserted)
        assert cleo.reject_model(asserted).state is ApprovalState.REJECTED
        assert bo.approve_model(proven).state is ApprovalState.APPROVED
        assert guarded.promote_model("churn@1.1.0", "production").stage is Stage.PRODUCTION

    @pytest.mark.parametrize("wrong", ["", "abc", "f" * 32, "zzzz", None])
    def test_a_request_that_is_not_there_is_named(self, guarded, wrong):
        guarded.request_approval("churn@1.0.0", "ana")
        with pytest.raises(ApprovalError, match="There is no request"):
            guarded.approve_model(wrong, "bo")

    def test_a_request_is_found_by_its_beginning(self, guarded):
        request = guarded.request_approval("churn@1.0.0", "ana")
        assert guarded.approve_model(request.id[:8], "bo").id == request.id

    def test_what_needs_no_approval_or_cannot_go_there_is_not_asked_for(self, guarded):
        with pytest.raises(ApprovalError, match="no approval"):
            guarded.request_approval("churn@1.0.0", "ana", "development")
        guarded.register_model(ModelMetadata(name="draft"))
        with pytest.raises(TransitionError):
            guarded.request_approval("draft@1.0.0", "ana", "production")
        assert list(guarded.list_approvals()) == []

    def test_the_inbox_shows_what_waits(self, guarded):
        pending = guarded.request_approval("churn@1.0.0", "ana", justification="<script>")
        approve(guarded, "churn@1.1.0")
        assert list(guarded.list_approvals(state="pending")) == [pending]
        assert len(guarded.list_approvals("churn")) == 2
        assert [a.model for a in guarded.list_approvals("churn@1.1.0")] == ["churn@1.1.0"]
        shown = guarded.list_approvals()._repr_mimebundle_()
        assert "1 more approval" in shown["text/plain"]
        assert "<script>" not in shown["text/html"]
        assert "Lacks" in pending._repr_mimebundle_()["text/plain"]

    def test_every_decision_is_an_event_with_its_actor(self, guarded):
        approve(guarded, "churn@1.0.0")
        asked, judged = guarded._stores.metadata.events(kinds=["approval.requested", "approval.decided"])
        assert (asked.actor.name, judged.actor.name) == ("ana", "bo")
        assert asked.actor.assurance is Assurance.ASSERTED
        assert judged.payload["comment"] == "seen"

    @pytest.mark.parametrize("is_collected", [False, True])
    def test_a_request_keeps_the_name_of_a_version_that_is_deleted(self, guarded, clock, is_collected):
        asked = guarded.request_approval("churn@1.0.0", "ready")
        guarded.delete_model("churn@1.0.0")
        if is_collected:
            clock.move(days=400)
            guarded.collect_garbage()
        assert [(a.id, a.model) for a in guarded.list_approvals()] == [(asked.id, "churn@1.0.0")]
        assert guarded.get_approval(asked.id).model == "churn@1.0.0"
        assert [a.id for a in guarded.list_approvals("churn@1.0.0")] == [asked.id]


class TestGates:
    POLICY = """
    checks:
      - metrics.test_accuracy >= 0.91
      - bias.demographic_parity_difference <= 0.05
      - documents: [model_card]
      - alerts.critical == 0
    """

    def test_a_refusal_names_every_failed_check_with_its_value(self, guarded):
        guarded.set_policy("production", self.POLICY)
        guarded.record_evidence("churn@1.0.0", "alerts", {"critical": 2})
        with pytest.raises(GateError) as refused:
            guarded.promote_model("churn@1.0.0", "production")
        assert refused.value.failures == (
            "metrics.test_accuracy >= 0.91: it is 0.9",
            "bias.demographic_parity_difference <= 0.05: not recorded",
            "documents.model_card exists: no model_card is recorded",
            "alerts.critical == 0: it is 2",
        )
        assert "4 of 4 checks failed" in str(refused.value)
        assert guarded.get_model("churn@1.0.0").stage is Stage.STAGING

    def test_evidence_that_passes_opens_the_gate(self, guarded):
        guarded.set_policy("production", self.POLICY + "\n    reviewers: 0", model="churn")
        reference = "churn@1.2.0"
        guarded.record_evidence(reference, "alerts", {"critical": 1})
        guarded.record_evidence(reference, "alerts", {"critical": 0})
        guarded.record_evidence(reference, "bias", {"demographic_parity_difference": 0.05})
        guarded.record_evidence(reference, "documents", {"model_card": "sha256:1"})
        assert guarded.evidence(reference)["metrics"] == {"test_accuracy": 0.92}
        assert guarded.promote_model(reference, "production").stage is Stage.PRODUCTION

    @pytest.mark.parametrize("said", [None, "", "  ", False, 0, [], {}])
    def test_what_names_no_document_is_none(self, guarded, said):
        guarded.set_policy("production", {"reviewers": 0, "checks": [{"documents": ["dpia"]}]})
        guarded.record_evidence("churn@1.0.0", "documents", {"dpia": said})
        with pytest.raises(GateError, match=r"documents\.dpia exists: recorded as .*, which names no document"):
            guarded.promote_model("churn@1.0.0", "production")
        guarded.record_evidence("churn@1.0.0", "documents", {"dpia": {"sha256": "1"}})
        assert guarded.promote_model("churn@1.0.0", "production").stage is Stage.PRODUCTION

    def test_a_models_own_policy_counts_before_that_for_all(self, guarded):
        guarded.set_policy("staging", {"checks": ["metrics.auc > 0.5"]})
        guarded.set_policy("staging", {"checks": []}, model="churn")
        guarded.register_model(ModelMetadata(name="churn", version="3.0.0"))
        assert guarded.policy("staging").checks
        assert guarded.policy("staging", model="churn") == StagePolicy(reviewers=0)
        assert guarded.set_policy("staging", None, model="churn").checks
        assert guarded.set_policy("staging", None) == StagePolicy(reviewers=0)
        assert guarded.policy("production").reviewers == 1

    def test_a_near_name_is_suggested(self, guarded):
        guarded.set_policy("production", {"checks": ["metrics.test_acuracy > 0.5"]})
        with pytest.raises(GateError, match="Did you mean 'test_accuracy'"):
            guarded.promote_model("churn@1.0.0", "production")

    @pytest.mark.parametrize("kind", ["metrics", "a b", "", "../x"])
    def test_evidence_of_no_kind_is_refused(self, guarded, kind):
        with pytest.raises(InvalidNameError):
            guarded.record_evidence("churn@1.0.0", kind, {"x": 1})

    @pytest.mark.parametrize(
        ("said", "fault"),
        [
            ("reviewers: -1", "no number of people"),
            ("reviewers: many", "no number of people"),
            ("reviewers: true", "no number of people"),
            ("reviewer: 1", "Did you mean 'reviewers'"),
            ("- 1", "a mapping of fields"),
            ("a: [", "no YAML"),
            ("checks: metrics.a > 1", "no list of checks"),
            ("checks: ['__import__(\"os\")']", "no check"),
            ("checks: ['metrics.a > high']", "'high'"),
            ("checks: ['metrics.a > nan']", "no limit"),
            ("checks: [{documents: card}]", "no list of names"),
            ("require: [risk]", "nobody has the role 'risk'"),
            ("roles: [a]", "no mapping"),
            ("expires_after_days: 0", "no number of days"),
            ("assurance: sure", "none of: asserted, authenticated"),
            ("!!python/object/apply:os.system ['true']", "no YAML"),
        ],
    )
    def test_a_policy_that_cannot_be_one_is_refused_and_changes_nothing(self, guarded, said, fault):
        with pytest.raises(PolicyError, match=fault):
            guarded.set_policy("production", said)
        assert guarded.policy("production") == StagePolicy(reviewers=1)

    def test_all_faults_are_told_at_once(self, guarded):
        with pytest.raises(PolicyError, match=r"reviewers: .*; checks: .*"):
            guarded.set_policy("production", {"reviewers": "x", "checks": [3]})

    def test_a_policy_is_kept_as_it_was_said(self, guarded):
        said = StagePolicy.parse(self.POLICY + "\n    roles: {a: [b]}\n    reviewers: 1\n    expires_after_days: 0.5")
        assert guarded.set_policy("production", said) == said == guarded.policy("production")
        assert "metrics.test_accuracy >= 0.91" in said._repr_mimebundle_()["text/plain"]


class TestRollback:
    def test_production_has_one_version(self, guarded):
        produce(guarded, "churn@1.0.0")
        produce(guarded, "churn@1.1.0")
        assert guarded.get_model("churn@1.0.0").stage is Stage.STAGING
        assert guarded.get_model("churn@production").version == "1.1.0"

    def test_a_rollback_swaps_without_a_new_approval(self, guarded, clock):
        produce(guarded, "churn@1.0.0")
        produce(guarded, "churn@1.1.0")
        clock.move(days=100)
        assert guarded.rollback("churn").version == "1.0.0"
        assert guarded.get_model("churn@1.1.0").stage is Stage.STAGING
        assert guarded.rollback("churn").version == "1.1.0"
        with pytest.raises(ApprovalError, match="expired"):
            guarded.promote_model("churn@1.0.0", "production")

    def test_a_rejected_version_does_not_come_back(self, guarded):
        produce(guarded, "churn@1.0.0")
        produce(guarded, "churn@1.1.0")
        guarded.set_policy("production", {"reviewers": 3})
        with pytest.raises(ApprovalError):
            guarded.rollback("churn")
        assert guarded.get_model("churn@production").version == "1.1.0"

    def test_nothing_to_go_back_to_is_said(self, guarded):
        with pytest.raises(TransitionError, match="ever in production"):
            guarded.rollback("churn")
        produce(guarded, "churn@1.0.0")
        with pytest.raises(TransitionError, match="nothing to go back to"):
            guarded.rollback("churn")
        produce(guarded, "churn@1.1.0")
        guarded.promote_model("churn@1.0.0", "archived")
        with pytest.raises(TransitionError, match="archived now"):
            guarded.rollback("churn")
        with pytest.raises(TransitionError, match="Only production"):
            guarded.rollback("churn", "staging")
        with pytest.raises(ModelNotFoundError):
            guarded.rollback("nobody")

    def test_an_empty_production_is_filled_by_its_last_version(self, guarded):
        produce(guarded, "churn@1.0.0")
        guarded.promote_model("churn@1.0.0", "staging")
        assert guarded.rollback("churn").version == "1.0.0"


class TestAsOf:
    def test_what_was_in_production_on_that_day(self, guarded, clock):
        before = clock.move(days=1)
        clock.move(days=1)
        produce(guarded, "churn@1.0.0")
        first = clock.move(days=1)
        clock.move(days=1)
        produce(guarded, "churn@1.1.0")
        second = clock.move(days=1)
        clock.move(days=1)
        guarded.rollback("churn")
        guarded.delete_model("churn@1.1.0")
        clock.move(days=1)

        with pytest.raises(ModelNotFoundError, match=r"Versions then: 1\.0\.0, 1\.1\.0, 1\.2\.0"):
            guarded.as_of("churn@production", before)
        assert guarded.as_of("churn@production", first).version == "1.0.0"
        assert guarded.as_of("churn@production", second).version == "1.1.0"
        assert guarded.as_of("churn@production", clock()).version == "1.0.0"
        naive = second.replace(tzinfo=None)
        assert guarded.as_of("churn@production", naive).version == "1.1.0"

    def test_the_present_is_what_the_events_say(self, guarded, clock):
        produce(guarded, "churn@1.0.0")
        guarded.set_alias("churn@1.1.0", "champion")
        guarded.update_model("churn@1.1.0", {"tags": ["a"], "description": "new"})
        guarded.register_model(ModelMetadata(name="churn", task_type="classification"))
        for reference in ("churn@1.0.0", "churn@production", "churn@champion", "churn"):
            assert guarded.as_of(reference, clock()) == guarded.get_model(reference)

    def test_an_alias_meant_what_it_meant(self, guarded, clock):
        guarded.set_alias("churn@1.0.0", "champion")
        then = clock.move(days=1)
        clock.move(days=1)
        guarded.set_alias("churn@1.2.0", "champion")
        guarded.remove_alias("churn", "champion")
        found = guarded.as_of("churn@champion", then)
        assert (found.version, found.aliases) == ("1.0.0", ("champion",))
        with pytest.raises(ModelNotFoundError):
            guarded.as_of("churn@champion", clock())

    def test_a_name_used_again_is_another_model(self, guarded, clock, classifier, iris):
        then = clock.move(days=1)
        clock.move(days=1)
        guarded.delete_model("churn")
        guarded.register_model(ModelMetadata(name="churn", version="7.0.0"))
        assert guarded.as_of("churn", clock()).version == "7.0.0"
        assert guarded.as_of("churn", then).version == "1.2.0"
        with pytest.raises(ModelNotFoundError):
            guarded.as_of("churn@1.0.0", clock())

    def test_a_neighbours_name_is_another_model(self, guarded, clock):
        guarded.register_model(ModelMetadata(name="churn2"))
        guarded.register_model(ModelMetadata(name="chur_"))
        assert {change.version for change in guarded.history("churn")} == {"1.0.0", "1.1.0", "1.2.0"}
        assert guarded.as_of("churn2", clock()).version == "1.0.0"

    def test_the_history_is_told(self, guarded):
        produce(guarded, "churn@1.0.0")
        produce(guarded, "churn@1.1.0")
        guarded.rollback("churn")
        told = [(c.version, c.change) for c in guarded.history("churn")][-5:]
        assert told == [
            ("1.0.0", "staging → production"),
            ("1.0.0", "production → staging (replaced by 1.1.0)"),
            ("1.1.0", "staging → production"),
            ("1.1.0", "production → staging (rolled back)"),
            ("1.0.0", "staging → production (rollback)"),
        ]
        assert "rolled back" in guarded.history("churn")._repr_mimebundle_()["text/plain"]
        with pytest.raises(ModelNotFoundError):
            guarded.history("nobody")


def test_an_empty_workspace_is_not_created_by_asking(tmp_path):
    registry = ModelRegistry(tmp_path / "w")
    with pytest.raises(ApprovalError):
        registry.approve_model("abcd", "bo")
    for ask in (
        lambda: registry.rollback("m"),
        lambda: registry.request_approval("m"),
        lambda: registry.as_of("m", datetime(2026, 1, 1, tzinfo=UTC)),
    ):
        with pytest.raises(ModelNotFoundError):
            ask()
    assert list(registry.list_approvals()) == []
    assert not (tmp_path / "w").exists()


def test_values_cannot_be_changed(guarded):
    request = guarded.request_approval("churn@1.0.0", "ana")
    with pytest.raises(dataclasses.FrozenInstanceError):
        request.state = ApprovalState.APPROVED
