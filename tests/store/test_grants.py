"""Roles of PostgreSQL: each person in their own name, and nothing that was said can be unsaid."""

import contextlib

import psycopg
import pytest
import sqlalchemy as sa

from dwcp_jupyter import config, flavors, store
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import SettingError, WorkspaceError
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from dwcp_jupyter.store import schema
from dwcp_jupyter.store.grants import grant_script
from dwcp_jupyter.workspace import Workspace

PEOPLE = ("ana", "bo", "o'hara-%s é")


@contextlib.contextmanager
def _roles(owner):
    for person in PEOPLE:
        owner.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN").format(psycopg.sql.Identifier(person)))
    try:
        yield
    finally:
        for person in PEOPLE:
            for statement in ("DROP OWNED BY {}", "DROP ROLE {}"):
                owner.execute(psycopg.sql.SQL(statement).format(psycopg.sql.Identifier(person)))


@pytest.fixture
def team(postgresql, tmp_path, classifier, iris):
    """A workspace that its owner made and granted to people; a function opens its registry as one of them."""
    flavors.save_model(classifier, tmp_path / "package", input_example=iris[0].head(2))
    opened = []
    with postgresql.schema() as url, postgresql.connect() as owner, _roles(owner):

        def open_as(person=None):
            mine = sa.make_url(url) if person is None else sa.make_url(url).set(username=person)
            text = mine.render_as_string(hide_password=False)
            opened.append(store.open(tmp_path / "w", settings=config.load(metadata_url=text)))
            return ModelRegistry(opened[-1], actor=None if person is None else Actor(name=person))

        registry = open_as()
        registry.register_model(ModelMetadata(name="iris"), artifact_path=tmp_path / "package")
        registry.promote_model("iris@1.0.0", "staging")
        script = Workspace(opened[-1]).grants(PEOPLE)
        owner.execute(f"SET search_path TO {url.rpartition('%3D')[2]}")
        for _ in range(2):  # once more changes nothing
            owner.execute(script)
        try:
            yield open_as
        finally:
            for one in opened:
                one.close()


def test_a_version_goes_into_production_by_two_people_who_are_themselves(team, tmp_path):
    ana, bo, ohara = map(team, PEOPLE)
    ana.register_model(ModelMetadata(name="iris"), artifact_path=tmp_path / "package")
    request = ana.request_approval("iris@1.0.0", "ana")
    with pytest.raises(WorkspaceError, match=r"does not let ana do that.*row-level security"):
        ana.approve_model(request, "bo")
    assert ana.list_approvals()[0].state == "pending"
    bo.approve_model(request, "bo")
    ana.promote_model("iris@1.0.0", "production")
    ohara.update_model("iris@1.0.0", {"description": "seen"})
    ohara.delete_model("iris@1.1.0")
    bo.restore_model("iris@1.1.0")
    assert bo.verify() is True
    with bo._stores.metadata.read() as connection:
        names = connection.execute(sa.select(schema.decisions.c.name)).scalars().all()
    assert names == ["bo"]


def test_nobody_acts_in_the_name_of_another(team):
    ana = team("ana")
    with pytest.raises(WorkspaceError, match="Act in your own name"):
        ana.request_approval("iris@1.0.0", "bo")
    with pytest.raises(WorkspaceError, match="Act in your own name"):
        ModelRegistry(ana._stores, actor=Actor(name="bo")).promote_model("iris@1.0.0", "archived")
    assert ana.get_model("iris@1.0.0").stage == "staging"
    assert ana.verify() is True


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events",
        "UPDATE events SET kind = 'x'",
        "DELETE FROM decisions",
        "UPDATE decisions SET is_approved = 1",
        "DELETE FROM approvals",
        "UPDATE approvals SET requested_by = 'ana'",
        "DELETE FROM event_head",
        "DELETE FROM schema_migrations",
        "DROP TABLE versions",
        "TRUNCATE events",
    ],
)
def test_what_was_said_cannot_be_unsaid(team, statement):
    bo = team("bo")
    with pytest.raises(WorkspaceError, match="does not let bo"), bo._stores.metadata.transaction() as tx:
        tx.execute(sa.text(statement))
    assert bo.verify() is True


def test_a_row_written_by_hand_is_found(team):
    bo = team("bo")
    with bo._stores.metadata.transaction() as tx:
        tx.execute(sa.update(schema.versions).values(stage="production"))
    assert "stage" in str(bo.verify())


def test_elsewhere_there_are_no_roles(stores):
    with pytest.raises(WorkspaceError, match="Only PostgreSQL has roles"):
        Workspace(stores).grants(["ana"])
    with pytest.raises(SettingError, match="No role is named"):
        grant_script([], sa.make_url("postgresql://x@/y"))
    assert 'TO "a""b";' in grant_script(['a"b'], sa.make_url("postgresql://x@/y"))


def _decision(request, **said):
    row = {"approval_id": request.id, "reviewer": "bo", "name": "bo", "assurance": "asserted"}
    return {**row, "is_approved": 1, "comment": "", "decided_at": "2026-03-01T00:00:00+00:00", **said}


@pytest.mark.parametrize(
    "said",
    [{"reviewer": "cleo"}, {"assurance": "authenticated"}, {"name": "ana"}, {"reviewer": "Bo"}],
    ids=["another key", "authenticated", "another name", "another form of the key"],
)
def test_a_decision_by_hand_that_is_not_ones_own_and_asserted_is_refused(team, said):
    ana, bo = team("ana"), team("bo")
    request = ana.request_approval("iris@1.0.0", "ana")
    with pytest.raises(WorkspaceError, match="row-level security"), bo._stores.metadata.transaction() as tx:
        tx.insert(schema.decisions, [_decision(request, **said)])
    with bo._stores.metadata.transaction() as tx:
        tx.insert(schema.decisions, [_decision(request)])
    with pytest.raises(WorkspaceError), bo._stores.metadata.transaction() as tx:
        tx.execute(sa.insert(schema.decisions).values(_decision(request, reviewer="bo ")))


def test_a_decision_by_hand_on_ones_own_request_is_refused(team):
    bo = team("bo")
    request = bo.request_approval("iris@1.0.0", "bo")
    with pytest.raises(WorkspaceError, match="row-level security"), bo._stores.metadata.transaction() as tx:
        tx.insert(schema.decisions, [_decision(request)])
    assert bo.get_approval(request.id).decisions == ()


@pytest.mark.parametrize("said", [{"assurance": "authenticated"}, {"state": "approved"}])
def test_a_request_by_hand_that_claims_more_is_refused(team, said):
    bo = team("bo")
    request = bo.request_approval("iris@1.0.0", "bo")
    with bo._stores.metadata.read() as connection:
        (row,) = connection.execute(sa.select(schema.approvals))
    with pytest.raises(WorkspaceError, match="row-level security"), bo._stores.metadata.transaction() as tx:
        tx.insert(schema.approvals, [{**row._mapping, "id": "0" * 32, **said}])
    assert [found.id for found in bo.list_approvals()] == [request.id]


def test_a_policy_is_the_owners_to_change(team):
    owner, ana = team(), team("ana")
    owner.set_policy("production", {"reviewers": 2})
    for change in (
        lambda: ana.set_policy("production", {"reviewers": 0}),
        lambda: ana.set_policy("production", {"reviewers": 0}, model="iris"),
        lambda: ana.set_policy("production", None),
        lambda: ana.set_policy("@champion", {"reviewers": 0}),
    ):
        with pytest.raises(WorkspaceError, match="does not let ana do that"):
            change()
    assert ana.policy("production").reviewers == 2
    assert owner.verify() is True


def test_who_is_granted_later_decides_too_and_the_others_still_do(team, postgresql):
    owner, ana, bo = team(), team("ana"), team("bo")
    url = owner._stores.metadata.url
    with postgresql.connect() as connection:
        connection.execute(f"SET search_path TO {url.render_as_string().rpartition('%3D')[2]}")
        connection.execute(grant_script(["bo"], url))
    request = bo.request_approval("iris@1.0.0", "bo")
    assert ana.approve_model(request, "ana").state == "approved"
