"""What the magics of the registry show and refuse: the trail's details, words, dry runs, conditions, files."""

import pytest
from IPython import get_ipython
from IPython.core.error import UsageError

from dwcp_jupyter.exceptions import ApprovalError, FilterError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.workspace import find


@pytest.fixture
def registry(shell):
    registry = find().registry
    registry.register_model(ModelMetadata(name="churn", version="1.0.0", metrics={"accuracy": 0.9, "gain": 2.0}))
    registry.register_model(ModelMetadata(name="churn", version="1.1.0", metrics={"accuracy": 0.9, "gain": 3.0}))
    registry.register_model(ModelMetadata(name="churn2", version="1.0.0"))
    return registry


def told(trail):
    """What the trail says of each kind of event, the newest first."""
    table = trail._view().blocks[1]
    return [(row[2], row[3], row[-1]) for row in table.rows]


class TestAudit:
    def test_a_policy_is_told_by_what_changed_and_what_was_before(self, run, registry):
        registry.set_policy("production", {"reviewers": 2, "checks": ["metrics.accuracy > 0.9"]})
        registry.set_policy("production", {"reviewers": 1, "checks": ["metrics.accuracy > 0.9"]})
        registry.set_policy("production", {"reviewers": 1, "checks": ["metrics.accuracy > 0.9"]})
        registry.set_policy("production", None)
        assert told(run("%audit */production")) == [
            (
                "policy.removed",
                "*/production",
                "checks left open (before: metrics.accuracy > 0.9), reviewers left open (before: 1)",
            ),
            ("policy.set", "*/production", "nothing changed"),
            ("policy.set", "*/production", "reviewers 1 (before: 2)"),
            ("policy.set", "*/production", "checks metrics.accuracy > 0.9, reviewers 2"),
        ]

    def test_the_roles_of_a_policy_are_told_with_their_people(self, run, registry):
        registry.set_policy("production", {"roles": {"lead": ["ana", "bo"], "risk": ["cleo"]}})
        assert told(run("%audit */production"))[0][2] == "roles lead (ana; bo); risk (cleo)"

    def test_evidence_and_updates_are_told_by_their_values(self, run, registry):
        values = {"demographic_parity_difference": 0.12345, "n": 1000, "groups": ["a"], "ratio": 0.8, "extra": 1}
        registry.record_evidence("churn@1.0.0", "bias", values)
        registry.update_model("churn", {"tags": ["risk", "eu"], "description": "x" * 200, "custom_metadata": {"a": 1}})
        (_, _, updated), (_, _, recorded) = told(run("%audit churn"))[:2]
        assert recorded == "bias: demographic_parity_difference 0.1235, extra 1, n 1,000 and 1 more"
        assert "tags risk; eu" in updated
        assert "custom_metadata a (1)" in updated
        assert "x…" in updated
        assert "x" * 70 not in updated

    def test_a_model_is_told_with_its_own_policies_and_no_others(self, run, registry):
        registry.set_policy("production", {"reviewers": 2})
        registry.set_policy("production", {"reviewers": 0}, model="churn")
        registry.set_policy("@champion", {"reviewers": 1}, model="churn2")
        trail = run("%audit churn")
        assert ("policy.set", "churn/production", "reviewers 0") in told(trail)
        assert {event.subject for event in trail.events if event.kind == "policy.set"} == {"policy:churn/production"}
        assert [event.seq for event in trail.events] == sorted(event.seq for event in trail.events)
        assert run("%audit churn@1.0.0").events == run("%audit model:churn@1.0.0").events

    def test_what_is_shown_can_be_asked(self, run, registry):
        registry.set_policy("production", {"reviewers": 2})
        registry.set_policy("@champion", {"reviewers": 1}, model="churn2")
        trail = run("%audit")
        for (_, shown, _), event in zip(told(trail), reversed(trail.events), strict=True):
            assert event in run(f"%audit {shown}").events

    def test_a_request_says_where_to(self, run, registry, with_model):
        run("%register iris --model forest --stage staging")
        run("%promote iris@1.0.0 production --ask why --by ana")
        assert told(run("%audit iris@1.0.0"))[0][2] == "to production, state pending, justification why"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("%dwcp gc dry-run", "'gc' takes no 'dry-run'. Did you mean '--dry-run'?"),
        ("%dwcp gc extra", "'gc' takes no 'extra'. It takes --dry-run and --gone."),
        ("%dwcp stop now", "'stop' takes no 'now'. Leave it out"),
        ("%dwcp trash old@1.0.0", "'trash' takes no 'old@1.0.0'"),
        ("%dwcp copy sqlite:///x.db", "'copy' takes no 'sqlite:///x.db'. It takes --to."),
        ("%promote churn@1.0.0 champion", "An alias is written with its sign: %promote churn@1.0.0 @champion"),
        ("%promote churn@1.0.0 prodction", "Did you mean 'production'"),
        ("%promote churn@1.0.0 champion --ask why", "%promote churn@1.0.0 @champion"),
        ("%models --where \"stage = 'prod'\"", "no stage 'prod'. Stages: development, staging, production, archived."),
        ("%models --where \"created_at > 'yesterday'\"", "'yesterday' is no date"),
        ("%compare churn@1.0.0 churn@1.1.0 --higher gain --lower gain", "cannot both more and less be better"),
        ("%approve --dry-run", "Name the request"),
    ],
)
def test_what_is_not_taken_is_refused(run, registry, line, message):
    with pytest.raises(UsageError) as caught:
        run(line)
    assert message in str(caught.value)


class TestDryRuns:
    def test_a_dry_run_says_that_nothing_changed(self, run, registry, with_model, capsys):
        run("%register iris --model forest")
        run("%promote iris@1.0.0 staging --dry-run")
        assert "Dry run: nothing changed" in (shown := capsys.readouterr().out)
        assert "'iris@1.0.0' may go to staging" in shown
        run("%promote iris@1.0.0 @champion --dry-run -o kept")
        assert "'iris@1.0.0' may become '@champion'" in capsys.readouterr().out
        assert with_model.user_ns["kept"].aliases == ("champion",)
        assert find().registry.get_model("iris").stage == "development"
        run("%promote iris@1.0.0 staging")
        assert "Dry run" not in capsys.readouterr().out

    def test_a_way_back_is_rehearsed(self, run, registry, with_model, capsys):
        find().registry.set_policy("production", {"reviewers": 0})
        for version in ("1.0.0", "1.1.0"):
            run("%register iris --model forest --stage staging")
            run(f"%promote iris@{version} production")
        assert run("%rollback iris --dry-run").version == "1.0.0"
        assert "'iris@1.0.0' would come back" in capsys.readouterr().out
        assert find().registry.get_model("iris@production").version == "1.1.0"

    def test_a_decision_is_rehearsed_by_its_rules(self, run, registry, with_model, capsys):
        run("%register iris --model forest --stage staging")
        request = run("%promote iris@1.0.0 production --ask why --by ana")
        assert run(f"%approve {request.id} --by bo --dry-run") == request
        assert f"'bo' may approve request {request.id[:8]} for 'iris@1.0.0'" in capsys.readouterr().out
        assert run(f"%reject {request.id} --dry-run") == request
        with pytest.raises(ApprovalError, match="second person"):
            run(f"%approve {request.id} --by ana --dry-run")
        assert find().registry.get_approval(request.id) == request


class TestConditions:
    def test_a_search_without_hits_says_so(self, run, registry):
        for line in ('%models --where "metrics.accuracy > 1"', '%models churn --where "metrics.accuracy > 1"'):
            text = run(line)._view().to_text()
            assert "meets the condition metrics.accuracy > 1." in text
            assert "yet" not in text
        assert "has the name 'churn' and meets the condition" in text
        text = run("%models --stage staging --where \"name = 'churn'\"")._view().to_text()
        assert "No version has the stage 'staging' and meets the condition name = 'churn'." in text
        assert "meets the condition" in registry.search_versions("metrics.none > 1")._view().to_text()

    def test_all_that_is_recorded_can_be_asked_for(self, run, registry):
        said = {"git_commit": "abc", "training_dataset": "spring", "framework_version": "2.1", "author": "ana"}
        registry.register_model(ModelMetadata(name="churn", version="2.0.0", framework="sklearn", **said))
        for condition in (
            "git_commit = 'abc'",
            "training_dataset like 'spr%'",
            "framework_version = '2.1' and not flavor = 'x' or author != 'bo'",
            "author != 'bo' and sha256 != 'x' or author = 'ana'",
        ):
            assert [v.reference for v in registry.search_versions(condition)] == ["churn@2.0.0"], condition

    @pytest.mark.parametrize(
        "condition",
        [
            "created_at > '2020'",
            "created_at >= '2020-02' and created_at < '2999-12-31 10:00'",
            "created_at < '2999-12-31T10:00:00.5Z' and created_at like '2%'",
            "stage like 'Dev%' and stage != 'Staging'",
        ],
    )
    def test_dates_and_stages_are_compared(self, registry, condition):
        assert len(registry.search_versions(condition)) == 3

    @pytest.mark.parametrize(
        ("condition", "message"),
        [
            ("stage = 'prod'", "At character 1, 'stage': no stage 'prod'. Stages: development"),
            ("name = 'x' or stage = 'productoin'", "At character 15, 'stage': .* Did you mean 'production'"),
            ("stage > 'development'", "a stage is not more or less than another"),
            ("stage = 3", "compare it with a text in quotes"),
            ("created_at > 'yesterday'", "'yesterday' is no date. Write one such as '2026-11-23'"),
            ("created_at > '2026-13'", "is no date"),
            ("created_at > '2026-02-30'", "is no date"),
            ("created_at > '2026-02-20T25:00'", "is no date"),
        ],
    )
    def test_what_no_version_could_meet_is_refused(self, registry, condition, message):
        with pytest.raises(FilterError, match=message):
            registry.search_versions(condition)


class TestCompare:
    def test_the_direction_of_a_metric_is_said(self, run, registry):
        assert run("%compare churn@1.0.0 churn@1.1.0 --higher gain").winner == "churn@1.1.0"
        assert run("%compare churn@1.0.0 churn@1.1.0 --primary gain --lower gain").winner == "churn@1.0.0"


class TestFiles:
    @pytest.mark.parametrize(
        ("line", "error", "message"),
        [
            ("%audit --export {there}", FileExistsError, "file exists. It is not written over. Name another file."),
            ("%audit --export {folder}/none/a", FileNotFoundError, "no such file or directory. Look at the path"),
            ("%lineage churn@1.0.0 --openlineage {folder}/none/a", FileNotFoundError, "Look at the path"),
            ("%lineage churn@1.0.0 --openlineage {folder}", IsADirectoryError, "is a directory. Name a file."),
            ("%dwcp restore {folder}/none", FileNotFoundError, "There is no file"),
        ],
    )
    def test_trouble_with_a_file_is_one_line(self, registry, tmp_path, capsys, line, error, message):
        (tmp_path / "there").write_text("x")
        result = get_ipython().run_cell(line.format(there=tmp_path / "there", folder=tmp_path))
        assert isinstance(result.error_in_exec, error)
        shown = capsys.readouterr().out
        assert message in shown
        assert "Traceback" not in shown
        assert len(shown.strip().splitlines()) == 1

    def test_trouble_of_the_notebooks_own_code_keeps_its_traceback(self, shell, with_model, capsys):
        result = shell.run_cell("%%register iris\nwith open('/none/a') as file:\n    model = file")
        assert isinstance(result.error_in_exec, FileNotFoundError)
        shown = capsys.readouterr().out
        assert "Traceback" in shown
        assert "model = file" in shown
