"""``%runs`` lists, finds, shows and compares; what is asked wrongly is told in one line."""

import pytest
from IPython.core.error import UsageError

from dwcp_jupyter.tracking import RunComparison, RunList, RunRecord
from dwcp_jupyter.workspace import find


@pytest.fixture
def tried(shell):
    for depth, loss in ((2, 0.4), (8, 0.2)):
        with find().run("forest", params={"depth": depth}) as run:
            run.log_metrics({"val_loss": loss})
    with find().run("ridge"):
        pass
    return find().runs()


def test_runs_are_listed_found_shown_and_set_side_by_side(run, shell, tried):
    listed = run("%runs -o all_runs")
    assert isinstance(listed, RunList)
    assert [r.name for r in listed] == ["ridge", "forest", "forest"]
    assert shell.user_ns["all_runs"] is listed
    assert [r.params["depth"] for r in run("%runs forest")] == [8, 2]
    assert [r.params["depth"] for r in run('%runs --where "metrics.val_loss < 0.3"')] == [8]
    assert [r.params["depth"] for r in run('%runs forest --sort "metrics.val_loss desc" --last 1')] == [2]
    shown = run(f"%runs {tried[0].id[:8]}")
    assert isinstance(shown, RunRecord)
    assert shown.name == "ridge"
    compared = run(f"%runs {tried[1].id} {tried[2].id[:12]}")
    assert isinstance(compared, RunComparison)
    assert compared.best("val_loss").id == tried[1].id


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%runs nothing", "There is no run 'nothing'"),
        ("%runs a b", "There is no run 'a'"),
        ("%runs forest forest", "named twice"),
        ("%runs forest ridge --last 0", "--last takes a number from 1"),
        ('%runs forest ridge --where "tag = 1"', "need no --where"),
        ('%runs --where "loss"', "no field 'loss'"),
        ("%runs --sort loss", "no order"),
    ],
)
def test_what_is_asked_wrongly_is_told_in_one_line(run, tried, line, said):
    with pytest.raises(UsageError, match=said):
        run(line)
