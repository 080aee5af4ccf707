"""The way into production from a notebook: ask, judge, move, go back, compare, and read the trail."""

import json

import numpy as np
import pandas as pd
import pytest
from IPython.core.error import UsageError

from dwcp_jupyter.exceptions import ApprovalError, GateError
from dwcp_jupyter.workspace import find


@pytest.fixture
def staged(run, with_model):
    for _ in range(2):
        run("%register churn --model forest --stage staging --metrics scores")
    return with_model


def produce(run, reference):
    request = run(f'%promote {reference} production --ask "fewer misses" --by ana')
    run(f"%approve {request.id[:6]} --by bo --comment 'seen it'")
    return run(f"%promote {reference} production")


def test_a_version_goes_to_production_and_back(run, staged):
    with pytest.raises(ApprovalError, match="nobody was asked"):
        run("%promote churn@1.0.0 production")
    request = run('%promote churn@1.0.0 production --ask "fewer misses" --by ana -o asked')
    assert staged.user_ns["asked"] == request
    assert [a.id for a in run("%approve")] == [request.id]
    with pytest.raises(ApprovalError, match="second person"):
        run(f"%approve {request.id} --by ana")
    assert run(f"%approve {request.id} --by bo").decisions[0].reviewer == "bo"
    assert list(run("%approve")) == []
    assert run("%promote churn@1.0.0 production --dry-run").stage == "production"
    assert find().registry.get_model("churn@1.0.0").stage == "staging"
    run("%promote churn@1.0.0 production")
    produce(run, "churn@1.1.0")
    assert run("%rollback churn --dry-run").version == "1.0.0"
    assert find().registry.get_model("churn@production").version == "1.1.0"
    assert run("%rollback churn").version == "1.0.0"


def test_a_request_that_is_not_there_is_said(run, staged):
    with pytest.raises(ApprovalError, match="There is no request"):
        run("%approve nothing")


def test_a_request_is_rejected_with_its_reason(run, staged):
    request = run("%promote churn@1.0.0 production --ask why --by ana")
    assert run(f'%reject {request.id} --by bo --comment "no model card"').state == "rejected"


def test_a_failed_gate_is_an_error_of_its_own_not_misuse(run, staged):
    find().registry.set_policy("production", {"checks": ["metrics.accuracy > 0.99"]})
    with pytest.raises(GateError, match=r"metrics\.accuracy > 0\.99: it is 0\.97"):
        run("%promote churn@1.0.0 production")


def test_an_alias_is_set_and_one_that_is_protected_is_asked_for(run, staged):
    assert run("%promote churn@1.0.0 @champion").aliases == ("champion",)
    find().registry.set_policy("@champion", "stages: [staging]")
    with pytest.raises(ApprovalError, match=r"nobody was asked.*%promote churn@1\.1\.0 @champion --ask WHY"):
        run("%promote churn@1.1.0 @champion")
    request = run('%promote churn@1.1.0 @champion --ask "fewer misses" --by ana')
    assert [(str(a.stage), a.id) for a in run("%approve")] == [("@champion", request.id)]
    run(f"%approve {request.id} --by bo")
    assert run("%promote churn@1.1.0 @champion --dry-run").aliases == ("champion",)
    assert find().registry.get_model("churn@champion").version == "1.0.0"
    run("%promote churn@1.1.0 @champion")
    assert find().registry.get_model("churn@champion").version == "1.1.0"


def test_versions_are_compared_by_metrics_and_on_rows(run, staged, iris):
    staged.user_ns["later"] = iris[0].assign(species=iris[1])
    assert run("%compare churn@1.0.0 churn@1.1.0").winner is None
    compared = run("%compare churn@1.0.0 churn@1.1.0 --data later --target species -o compared")
    assert (compared.test.n, compared.winner) == (150, None)
    assert staged.user_ns["compared"] is compared


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%approve --by bo", "Name the request"),
        ("%reject", "required: request"),
        ("%rollback nothing", "No model 'nothing'"),
        ("%rollback churn", "ever in production"),
        ("%promote churn@1.0.0 production --by ana", "goes with --ask"),
        ("%promote churn@1.0.0 production --ask x --dry-run", "exclude each other"),
        ("%compare churn@1.0.0", "required: B"),
        ("%compare churn@1.0.0 churn@1.1.0 --data flowers", "Give both"),
        ("%compare churn@1.0.0 churn@1.1.0 --data flowers --target petal_widt", "Did you mean 'petal_width'"),
        ("%compare churn@1.0.0 churn@1.1.0 --data scores --target x", "of type 'dict'"),
        ("%compare churn@1.0.0 churn@1.1.0 --primary acuracy", "Did you mean 'accuracy'"),
        ("%audit --last 0", "shows nothing"),
    ],
)
def test_misuse_is_said_shortly(run, staged, line, message):
    with pytest.raises(UsageError) as caught:
        run(line)
    assert message in str(caught.value)


class TestAudit:
    def test_it_shows_who_did_what_and_that_the_chain_holds(self, run, staged):
        produce(run, "churn@1.0.0")
        trail = run("%audit churn")
        text = trail._view().to_text()
        assert "holds, all" in text
        for told in ("approval.requested", "justification fewer misses", "ana", "comment seen it", "asserted"):
            assert told in text
        assert {e.subject for e in run("%audit churn@1.1.0").events} == {"model:churn@1.1.0"}
        assert "earlier events are not shown" in run("%audit --last 1")._view().to_text()
        assert run("%audit nothing").events == ()

    def test_it_is_kept_elsewhere_and_proves_a_later_cut(self, run, staged, tmp_path):
        trail = run(f"%audit --export {tmp_path / 'trail.jsonl'}")
        lines = [json.loads(line) for line in (tmp_path / "trail.jsonl").read_text().splitlines()]
        assert len(lines) == len(trail.events)
        assert lines[-1]["hash"] == trail.checkpoint.hash
        checkpoint = (trail.checkpoint.seq, trail.checkpoint.hash)
        metadata = find().stores.metadata
        assert metadata.verify(checkpoint=checkpoint)
        with pytest.raises(FileExistsError):
            run(f"%audit --export {tmp_path / 'trail.jsonl'}")

    def test_a_break_is_told(self, run, staged):
        import sqlalchemy as sa

        from dwcp_jupyter.store import schema

        with find().stores.metadata.transaction() as tx:
            event = schema.events.c.seq == 1
            tx.execute(sa.update(schema.events).where(event).values(body="{}"))
        trail = run("%audit")
        assert trail.events == ()
        assert "broken at event 1" in trail._view().to_text()

    def test_a_row_changed_behind_its_back_is_told(self, run, staged):
        import sqlalchemy as sa

        from dwcp_jupyter.store import schema

        with find().stores.metadata.transaction() as tx:
            tx.execute(sa.update(schema.versions).values(metrics='{"accuracy":1.0}'))
        trail = run("%audit")
        assert "was changed without an event: metrics is" in trail.break_.reason
        text = trail._view().to_text()
        assert "holds, but" in text
        assert "version.registered" in text

    def test_an_empty_workspace_has_nothing_to_tell(self, run, tmp_path):
        assert "Nothing is recorded" in run("%audit")._view().to_text()
        assert not (tmp_path / "w").exists()


def test_a_comparison_of_regressors_is_told(run, with_model):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    frame["y"] = frame["a"] * 3
    for name, alpha in (("near", 0.1), ("far", 900)):
        with_model.user_ns[name] = Ridge(alpha=alpha).fit(frame[["a", "b"]][:100], frame["y"][:100])
        with_model.user_ns["inputs"] = frame[["a", "b"]]
        run(f"%register {name} --model {name} --data inputs")
    with_model.user_ns["frame"] = frame[100:]
    assert run("%compare far near --data frame --target y").winner == "near@1.0.0"


def test_the_trash_is_listed_and_emptied(run, staged):
    find().registry.delete_model("churn@1.0.0")
    assert [item.reference for item in run("%dwcp trash")] == ["churn@1.0.0"]
    assert run("%dwcp gc --dry-run").is_dry
    assert run("%dwcp gc").versions == ()
    assert find().registry.restore_model("churn@1.0.0").version == "1.0.0"
    with pytest.raises(UsageError, match="no dry run"):
        run("%dwcp stop --dry-run")
