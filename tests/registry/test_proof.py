"""A row that was changed without an event is found and named; what the registry does itself is always explained."""

import re
from datetime import timedelta
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from dwcp_jupyter.events import ChainBreak
from dwcp_jupyter.exceptions import IntegrityError, SettingError, WorkspaceError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, proof
from dwcp_jupyter.registry.folding import Fold
from dwcp_jupyter.serving import deploy
from dwcp_jupyter.serving.endpoints import EndpointConfig
from dwcp_jupyter.serving.preparing import Compile, prepare
from dwcp_jupyter.store import event_log, schema
from dwcp_jupyter.tracking import Tracker
from tests.registry.rewriting import as_before, rewrite


@pytest.fixture
def lived(guarded, clock, iris):
    """A registry in which everything has happened that can."""
    guarded.set_policy("production", {"reviewers": 1, "checks": ["bias.gap < 0.1"]})
    guarded.set_policy("staging", {"reviewers": 1}, model="nobody")
    guarded.set_policy("staging", None, model="nobody")
    guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.2})
    guarded.record_evidence("churn@1.0.0", "bias", {"gap": 0.05})
    guarded.approve_model(guarded.request_approval("churn@1.0.0", "ana"), "bo")
    guarded.reject_model(guarded.request_approval("churn@1.1.0", "ana"), "bo")
    guarded.promote_model("churn@1.0.0", "production")
    guarded.promote_model("churn@1.0.0", "staging")
    guarded.rollback("churn")
    guarded.set_alias("churn@1.1.0", "champion")
    guarded.set_alias("churn@1.2.0", "champion")
    guarded.set_alias("churn@1.2.0", "gone")
    guarded.remove_alias("churn", "gone")
    guarded.update_model("churn", {"description": "all", "tags": ["a"]})
    guarded.update_model("churn@1.1.0", {"custom_metadata": {"k": 1}})
    guarded.register_model(ModelMetadata(name="churn", task_type="classification", code="fit()"))
    guarded.register_model(ModelMetadata(name="draft"))
    guarded.record_evidence("churn@1.2.0", "alerts", {"critical": 0})
    for rows in (5, 7):
        guarded.set_reference_data("churn@1.2.0", iris[0].head(rows))
    guarded.delete_model("churn@1.2.0")
    guarded.restore_model("churn@1.2.0")
    guarded.delete_model("draft")
    guarded.register_model(ModelMetadata(name="draft", version="7.0.0"))
    guarded.delete_model("churn@1.1.0")
    guarded.collect_garbage(older_than=timedelta(0))
    guarded.create_version("draft", "7.1.0")
    clock.move(minutes=1)
    guarded.register_model(ModelMetadata(name="lost", code="lost()"), reference_data=iris[0].head(3))
    guarded.record_evidence("lost", "bias", {"gap": 0.3})
    guarded.delete_model("lost")
    _run(guarded)
    _serve(guarded)
    return guarded


def _run(registry):
    tracker = Tracker(registry._stores)
    with tracker.start("tried", params={"depth": 3}, tags=["first"], description="why") as run:
        run.log_metrics({"loss": 0.5})
        run.log_text("fine", "note.txt")
    with tracker.start("forgotten") as run:
        run.log_text("gone", "note.txt")
    tracker.delete_run(run)
    tracker.start("under way").log_text("so far", "note.txt")


def _serve(registry):
    """Write endpoints as a deployment does before the supervisor starts them: one, the same again, and a removed one."""
    stores, version = registry._stores, registry.get_model("churn@1.0.0")
    prepared = prepare(stores, registry, version, compile=Compile.AUTO, trust=None)
    claim = SimpleNamespace(id="nobody's")  # what is written needs no supervisor
    for name in ("live", "live", "ended"):
        said = {"config": EndpointConfig(), "lifetime": "detached", "server": None, "actor": None}
        deploy.put(stores, prepared, name=name, hold=claim, **said)
    with stores.metadata.transaction() as tx:
        deploy.remove(tx, deploy.find_row(tx.connection, "ended"), reason="undeployed")


def folded(registry):
    """Return what the events of a registry make."""
    found = Fold()
    with registry._stores.metadata.read() as connection:
        for event in event_log.read(connection):
            found.apply(event)
        runs = connection.execute(sa.select(schema.runs)).all()
    return {**found.tables, "artifact_references": proof.expected_references(found, runs)}


def best_known(registry, name):
    """Return of a table the row of which most columns are known, and these columns."""
    proven = proof.TABLES[name]
    known = folded(registry)[name]
    key = max(known, key=lambda key: (len(known[key]), key))
    table = proven.table
    with registry._stores.metadata.read() as connection:
        condition = [table.c[column] == value for column, value in zip(proven.keys, key, strict=True)]
        row = dict(connection.execute(sa.select(table).where(*condition)).one()._mapping)
    columns = known[key] if proven.is_partial else row
    return row, [name for name in columns if name not in proven.untold and name not in proven.keys]


def test_what_the_registry_does_is_explained_by_its_events(lived):
    assert lived.verify() is True
    with lived._stores.metadata.read() as connection:
        for name, proven in proof.TABLES.items():
            assert connection.execute(sa.select(proven.table)).all(), name


@pytest.mark.parametrize("name", proof.TABLES)
def test_a_change_of_any_column_is_found_and_named(lived, name):
    table, keys = proof.TABLES[name].table, proof.TABLES[name].keys
    before, columns = best_known(lived, name)
    condition = sa.and_(*(table.c[key] == before[key] for key in keys))
    assert columns
    for column in columns:
        former = before[column]
        forged = f"{former}x" if isinstance(table.c[column].type, sa.String) else (former or 0) + 1
        with lived._stores.metadata.transaction() as tx:
            tx.execute(sa.update(table).where(condition).values({column: forged}))
        found = lived.verify()
        assert not found, column
        assert f"in the table {name} was changed without an event: {column} is" in found.reason
        with lived._stores.metadata.transaction() as tx:
            tx.execute(sa.update(table).where(condition).values({column: former}))
    assert lived.verify() is True


@pytest.mark.parametrize("name", proof.TABLES)
def test_a_row_that_is_gone_or_put_in_is_found(lived, name):
    table, keys = proof.TABLES[name].table, proof.TABLES[name].keys
    row, _ = best_known(lived, name)
    with lived._stores.metadata.transaction() as tx:
        tx.execute(sa.delete(table).where(*(table.c[key] == row[key] for key in keys)))
    assert f"is gone from the table {name} without an event" in lived.verify().reason
    forged = {**row, keys[-1]: "forged", **({"name": "forged"} if name in ("models", "endpoints") else {})}
    with lived._stores.metadata.transaction() as tx:
        tx.execute(sa.insert(table).values(**row))
        tx.execute(sa.insert(table).values(**forged | ({"version": "0.0.1"} if name == "versions" else {})))
    assert f"stands in the table {name} without an event" in lived.verify().reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("versions", r"'1\.0\.0 [0-9a-f]{32}' of 'churn' in the table versions"),
        ("aliases", r"'champion' of 'churn@1\.2\.0' in the table aliases"),
        ("reference_data", r"' of 'churn@1\.2\.0' in the table reference_data"),
    ],
)
def test_a_changed_row_is_named_with_its_model(lived, name, words):
    table = proof.TABLES[name].table
    column = {"versions": "stage", "aliases": "version_id", "reference_data": "sha256"}[name]
    condition = (table.c.version == "1.0.0") if name == "versions" else sa.true()
    with lived._stores.metadata.transaction() as tx:
        tx.execute(sa.update(table).where(condition).values({column: "forged"}))
    assert re.search(words, lived.verify().reason)


def test_each_table_that_events_explain_is_proven():
    apart = {"schema_migrations", "events", "event_head", "run_metrics"}
    assert {table.name for table in schema.METADATA.sorted_tables} - apart == set(proof.TABLES)


def test_the_references_of_a_deployment_that_was_replaced_may_be_there_or_not(lived):
    table = schema.artifact_references
    former = table.c.owner.like("endpoint:%") & table.c.role.like("%/1")
    with lived._stores.metadata.transaction() as tx:
        assert tx.execute(sa.delete(table).where(former)).rowcount == 2
    assert lived.verify() is True


class TestEarlierReleases:
    def test_their_events_still_explain_the_rows(self, lived):
        as_before(lived._stores)
        assert lived.verify() is True

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ('UPDATE trash SET body = replace(body, \'"task_type":null\', \'"task_type":"else"\')', None),
            ("UPDATE trash SET body = replace(body, '\"development\"', '\"production\"')", "'lost 1.0.0'"),
            ("UPDATE trash SET body = replace(body, '0.3', '0.01')", "'lost 1.0.0'"),
            ("UPDATE trash SET deleted_by = 'nobody'", "deleted_by is 'nobody'"),
            ("DELETE FROM trash", "is gone from the table trash"),
            ("UPDATE reference_data SET sensitivity = '0.5'", "sensitivity is '0.5'"),
            ("DELETE FROM artifact_references WHERE role = 'package'", "is gone from the table artifact_references"),
            ("UPDATE runs SET status = 'completed'", "'under way"),
            ("UPDATE runs SET metrics = '{}'", "metrics is '{}'"),
            ("UPDATE runs SET created_by = 'nobody'", "created_by is 'nobody'"),
            ("UPDATE runs SET tags = '[\"else\"]' WHERE name = 'tried'", None),
            ("UPDATE endpoints SET version_id = 'another'", "version_id is 'another'"),
        ],
    )
    def test_what_they_carry_is_compared_and_no_more(self, lived, change, reason):
        as_before(lived._stores)
        with lived._stores.metadata.transaction() as tx:
            tx.connection.exec_driver_sql(change)
        found = lived.verify()
        assert found is True if reason is None else reason in found.reason

    def test_a_restored_forgery_is_found_though_it_has_its_event(self, lived):
        """An earlier release took over what lay in the trash, whatever it was."""
        row = folded(lived)["trash"]
        (version_id,) = next(key for key, values in row.items() if values["name"] == "lost")
        with lived._stores.metadata.transaction() as tx:
            fold = Fold()
            for event in event_log.read(tx.connection):
                fold.apply(event)
            values = {**fold.deletions[version_id].values, "stage": "production"}
            tx.record("version.restored", "model:lost@1.0.0", name="lost", **values)
        found = lived.verify()
        assert found.seq == lived._stores.metadata.head()[0]
        assert "restores 'lost@1.0.0' otherwise than it was recorded: stage is 'production'" in found.reason


class TestLaundering:
    """A row that was altered does not become sound by an event that takes it over."""

    def test_a_deletion_of_an_altered_version_is_found(self, lived):
        with lived._stores.metadata.transaction() as tx:
            table = schema.versions
            tx.execute(sa.update(table).where(table.c.version == "7.0.0").values(metrics='{"test_accuracy":0.99}'))
        lived.delete_model("draft@7.0.0")
        assert "deletes 'draft@7.0.0' otherwise than it was recorded: metrics is" in lived.verify().reason
        with pytest.raises(IntegrityError, match=r"deletes 'draft@7\.0\.0' otherwise"):
            lived.restore_model("draft@7.0.0")

    def test_the_completion_of_an_altered_draft_is_found(self, lived, classifier, iris, tmp_path):
        from dwcp_jupyter import flavors

        with lived._stores.metadata.transaction() as tx:
            table = schema.versions
            tx.execute(sa.update(table).where(table.c.version == "7.0.0").values(author="nobody"))
        flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
        lived.store_model_artifact("draft@7.0.0", tmp_path / "package")
        assert "completes 'draft@7.0.0' otherwise than it was recorded: author is" in lived.verify().reason


class TestSenselessEvents:
    @pytest.mark.parametrize(
        ("kind", "subject", "said"),
        [
            ("version.promoted", "model:churn@1.0.0", {"version_id": "nope", "target": "production"}),
            ("version.promoted", "model:churn@1.0.0", {}),
            ("version.registered", "model:churn@9.0.0", {"id": ["a", "list"]}),
            ("version.sealed", "model:churn@9.0.0", {"id": "nope"}),
            ("version.deleted", "model:churn@9.0.0", {"id": "nope"}),
            ("version.restored", "model:churn@9.0.0", {"id": "nope"}),
            ("model.updated", "model:zzz", {"description": "x"}),
            ("model.updated", "model:churn@9.9.9", {"description": "x"}),
            ("model.deleted", "model:zzz", {"model_id": "nope"}),
            ("alias.set", "model:churn@1.0.0", {"version_id": "nope", "alias": "a"}),
            ("approval.decided", "model:churn@1.0.0", {"approval_id": "nope"}),
            ("evidence.recorded", "model:churn@1.0.0", {"kind": "bias"}),
            ("trash.emptied", "model:churn@1.0.0", {"version_id": "nope"}),
            ("run.ended", "run:nope", {"status": "completed"}),
            ("run.deleted", "run:nope", {}),
            ("endpoint.updated", "endpoint:nope", {"id": "nope"}),
            ("endpoint.removed", "endpoint:nope", {"id": "nope"}),
            ("endpoint.deployed", "endpoint:nope", {"id": 7}),
        ],
    )
    def test_one_is_a_break_at_its_place(self, guarded, kind, subject, said):
        with guarded._stores.metadata.transaction() as tx:
            tx.record(kind, subject, **said)
        seq = guarded._stores.metadata.head()[0]
        found = guarded.verify()
        assert found == ChainBreak(
            seq=seq, reason=f"event {seq}, {kind} of '{subject}', changes what is not there, or does not say how"
        )
        guarded.set_alias("churn@1.0.0", "later")
        assert guarded.verify() == found

    def test_what_was_cannot_be_told_behind_one(self, guarded):
        with guarded._stores.metadata.transaction() as tx:
            tx.record("version.promoted", "model:churn@1.0.0", version_id="nope", target="production")
        with pytest.raises(IntegrityError, match="changes what is not there, so what was then cannot be told"):
            guarded.as_of("churn@production", guarded._stores.clock())

    def test_one_before_a_broken_link_is_told_first(self, guarded):
        def promote_nothing(body):
            if body["kind"] == "version.promoted":
                body["payload"]["version_id"] = "nope"

        rewrite(guarded._stores, promote_nothing)
        with guarded._stores.metadata.transaction() as tx:
            last = schema.events.c.seq == guarded._stores.metadata.head()[0]
            tx.execute(sa.update(schema.events).where(last).values(body="{}"))
        assert "changes what is not there" in guarded.verify().reason


class TestCheckpoints:
    def test_a_break_of_the_chain_comes_first(self, lived):
        checkpoint = lived._stores.metadata.head()
        assert lived.verify(checkpoint=checkpoint) is True
        with lived._stores.metadata.transaction() as tx:
            tx.execute(sa.update(schema.events).where(schema.events.c.seq == 3).values(body="{}"))
        assert lived.verify().seq == 3

    def test_the_form_that_is_shown_is_taken_too(self, guarded):
        seq, digest = guarded._stores.metadata.head()
        assert guarded.verify(checkpoint=f" {seq}:{digest}\n") is True
        assert guarded._stores.metadata.verify(checkpoint=f"{seq}:{digest}") is True
        assert "history was rewritten" in guarded.verify(checkpoint=f"{seq}:{'a' * 64}").reason
        assert f"the chain ends at {seq}" in guarded.verify(checkpoint=f"{seq + 1}:{'a' * 64}").reason

    def test_a_chain_rewritten_as_a_whole_is_found_by_it_alone(self, guarded):
        checkpoint = guarded._stores.metadata.head()

        def rename(body):
            body["actor"] = "nobody"

        rewrite(guarded._stores, rename)
        assert guarded.verify() is True
        assert "history was rewritten" in guarded.verify(checkpoint=checkpoint).reason

    @pytest.mark.parametrize("wrong", ["3:aa", "", "now", "3", ":", (1, 2), (3,), 5, f"-1:{'a' * 64}", f"0:{'a' * 64}"])
    def test_what_is_none_is_refused_in_a_sentence(self, guarded, wrong):
        with pytest.raises(SettingError, match=r"is no checkpoint\. Give number and hash of an event"):
            guarded.verify(checkpoint=wrong)

    @pytest.mark.parametrize("seq", [0, 3, -1])
    def test_a_head_that_somebody_wrote_is_a_break(self, guarded, seq):
        assert guarded.verify(checkpoint=(seq, "x")).seq == seq

    def test_a_head_that_somebody_removed_is_named(self, guarded):
        with guarded._stores.metadata.transaction() as tx:
            tx.execute(sa.delete(schema.head))
        assert "the head is gone" in guarded.verify().reason
        with pytest.raises(WorkspaceError, match="gone from the metadata"):
            guarded.set_alias("churn@1.0.0", "best")

    def test_a_workspace_that_was_removed_does_not_hold_against_one(self, tmp_path):
        registry = ModelRegistry(tmp_path / "w")
        assert registry.verify() is True
        assert "the chain ends at 0" in registry.verify(checkpoint=(3, "a" * 64)).reason
        assert not (tmp_path / "w").exists()
