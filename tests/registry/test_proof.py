"""A row that was changed without an event is found and named; what the registry does itself is always explained."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from dwcp_jupyter.registry import ModelMetadata, ModelRegistry, proof
from dwcp_jupyter.store import schema


@pytest.fixture
def lived(guarded, clock):
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
    guarded.register_model(ModelMetadata(name="churn", task_type="classification"))
    guarded.register_model(ModelMetadata(name="draft"))
    guarded.record_evidence("churn@1.2.0", "alerts", {"critical": 0})
    guarded.delete_model("churn@1.2.0")
    guarded.restore_model("churn@1.2.0")
    guarded.delete_model("draft")
    guarded.register_model(ModelMetadata(name="draft", version="7.0.0"))
    guarded.delete_model("churn@1.1.0")
    guarded.collect_garbage(older_than=timedelta(0))
    guarded.create_version("draft", "7.1.0")
    return guarded


def tables_of(registry):
    with registry._stores.metadata.read() as connection:
        return {name: len(connection.execute(sa.select(table)).all()) for name, (table, _) in proof._TABLES.items()}


def test_what_the_registry_does_is_explained_by_its_events(lived):
    assert lived.verify() is True
    assert all(tables_of(lived).values())


@pytest.mark.parametrize("name", proof._TABLES)
def test_a_change_of_any_column_is_found_and_named(lived, name):
    table, keys = proof._TABLES[name]
    for column in table.c:
        if column.name in proof._UNTOLD.get(name, ()) or column.name in keys:
            continue
        with lived._stores.metadata.transaction() as tx:
            before = tx.execute(sa.select(table)).first()
            condition = sa.and_(*(table.c[key] == getattr(before, key) for key in keys))
            former = getattr(before, column.name)
            forged = (former or 0) + 1 if not isinstance(column.type, sa.String) else f"{former}x"
            tx.execute(sa.update(table).where(condition).values({column.name: forged}))
        found = lived.verify()
        assert not found, column
        assert f"in the table {name} was changed without an event: {column.name} is" in found.reason
        with lived._stores.metadata.transaction() as tx:
            tx.execute(sa.update(table).where(condition).values({column.name: former}))
    assert lived.verify() is True


@pytest.mark.parametrize("name", proof._TABLES)
def test_a_row_that_is_gone_or_put_in_is_found(lived, name):
    table, keys = proof._TABLES[name]
    with lived._stores.metadata.transaction() as tx:
        row = dict(tx.execute(sa.select(table)).first()._mapping)
        tx.execute(sa.delete(table).where(*(table.c[key] == row[key] for key in keys)))
    assert "is gone from the table" in lived.verify().reason
    with lived._stores.metadata.transaction() as tx:
        tx.execute(sa.insert(table).values(**row))
        forged = {**row, keys[-1]: "forged", **({"name": "forged"} if name == "models" else {})}
        tx.execute(sa.insert(table).values(**forged | ({"version": "0.0.1"} if name == "versions" else {})))
    assert "without an event" in lived.verify().reason


def test_a_break_of_the_chain_comes_first(lived):
    checkpoint = lived._stores.metadata.head()
    assert lived.verify(checkpoint=checkpoint) is True
    with lived._stores.metadata.transaction() as tx:
        tx.execute(sa.update(schema.events).where(schema.events.c.seq == 3).values(body="{}"))
    assert lived.verify().seq == 3


def test_an_empty_workspace_holds(tmp_path):
    assert ModelRegistry(tmp_path / "w").verify() is True
    assert not (tmp_path / "w").exists()
