"""A checkpoint that was kept elsewhere is given back to ``%audit``, in the form in which it was shown."""

import pytest
import sqlalchemy as sa
from IPython.core.error import UsageError

from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import find
from tests.registry.rewriting import rewrite


@pytest.fixture
def kept(run):
    """A checkpoint as it is shown, after which something happened."""
    find().registry.register_model(ModelMetadata(name="churn"))
    shown = dict(
        line.split(maxsplit=1) for line in run("%audit")._view().to_text().splitlines() if "Checkpoint" in line
    )
    find().registry.set_alias("churn@1.0.0", "champion")
    return shown["Checkpoint"].strip()


def test_a_trail_that_goes_on_from_it_holds(run, kept):
    trail = run(f"%audit churn --checkpoint {kept}")
    assert trail.break_ is None
    assert str(trail.since) == kept
    assert "Compared with" in trail._view().to_text()


def test_a_history_that_was_rewritten_does_not(run, kept):
    rewrite(find().stores, lambda body: body.update(actor="nobody"))
    assert run("%audit").break_ is None
    assert "history was rewritten" in run(f"%audit --checkpoint {kept}").break_.reason


def test_rows_behind_the_trail_are_told_of_too(run, kept):
    with find().stores.metadata.transaction() as tx:
        tx.execute(sa.delete(schema.models))
    assert "'churn' is gone from the table models" in run(f"%audit --checkpoint {kept}").break_.reason


@pytest.mark.parametrize("wrong", ["3", "3:aa", "latest"])
def test_what_is_none_is_misuse(run, kept, wrong):
    with pytest.raises(UsageError, match=f"'{wrong}' is no checkpoint"):
        run(f"%audit --checkpoint {wrong}")
