"""A version's graph goes both ways, and other tools can read it."""

import datetime as dt
import json

import pytest
import sqlalchemy as sa

from dwcp_jupyter.exceptions import ModelNotFoundError
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.store import schema

RUN = "a" * 32


@pytest.fixture
def lineage(guarded):
    """churn 1.0.0 → 1.1.0 → 1.2.0 → 2.0.0 (by a run on named data, with code) and a branch 1.5.0 from 1.0.0."""
    said = {
        "training_dataset": "customers.csv",
        "custom_metadata": {"training_data_sha256": "d" * 64},
        "run_id": RUN,
        "code": "fit()",
        "git_commit": "abc",
    }
    guarded.register_model(ModelMetadata(name="churn", version="2.0.0", **said))
    guarded.register_model(ModelMetadata(name="churn", version="1.5.0", parent="churn@1.0.0"))
    endpoint = guarded.get_model("churn@2.0.0")
    with guarded._stores.metadata.transaction() as tx:
        values = dict.fromkeys(("spec", "created_at", "updated_at"), "now")
        values |= {"id": "e1", "name": "live", "model_id": endpoint.model_id, "version_id": endpoint.id}
        tx.execute(sa.insert(schema.endpoints).values(lifetime="caller", status="ready", **values))
    return guarded.get_model_lineage


def labels(nodes):
    return {node.label for node in nodes}


def test_the_graph_goes_both_ways(lineage):
    found = lineage("churn@1.1.0")
    assert labels(found.upstream()) == {"churn@1.0.0"}
    after = labels(found.downstream())
    assert after == {"churn@1.2.0", "churn@2.0.0", "live"}
    before = labels(lineage("churn@2.0.0").upstream())
    assert {"churn@1.0.0", "churn@1.1.0", "churn@1.2.0", "customers.csv", f"run {RUN[:8]}"} < before
    assert any(label.startswith("code ") for label in before)
    assert labels(lineage("churn@1.0.0").downstream()) >= {"churn@1.5.0", "churn@2.0.0"}


def test_data_and_code_go_through_the_run(lineage):
    edges = {(edge.source.partition(":")[0], edge.target.partition(":")[0]) for edge in lineage("churn@2.0.0").edges}
    assert edges >= {
        ("data", "run"),
        ("code", "run"),
        ("run", "version"),
        ("version", "endpoint"),
        ("version", "version"),
    }


def test_a_deleted_parent_ends_the_graph(guarded, lineage):
    guarded.delete_model("churn@1.1.0")
    assert labels(lineage("churn@1.2.0").upstream()) == set()


def test_it_is_drawn_and_written(lineage):
    shown = lineage("churn@2.0.0")._repr_mimebundle_()
    assert shown["text/html"].count("<rect") == 8
    assert "run aaaaaaaa → version churn@2.0.0  (made)" in shown["text/plain"]
    assert "<script" not in shown["text/html"]


def test_openlineage_accepts_its_events(lineage, tmp_path):
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    path = lineage("churn@2.0.0").write_openlineage(tmp_path / "events.jsonl")
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(written) == 5 - 1  # the branch is no part of it
    for record in written:
        event = RunEvent(
            eventType=RunState[record["eventType"]],
            eventTime=record["eventTime"],
            run=Run(**record["run"]),
            job=Job(**record["job"]),
            inputs=[InputDataset(**dataset) for dataset in record["inputs"]],
            outputs=[OutputDataset(**dataset) for dataset in record["outputs"]],
            producer=record["producer"],
        )
        again = json.loads(Serde.to_json(event))
        assert again["outputs"][0]["name"] == record["outputs"][0]["name"]
        assert dt.datetime.fromisoformat(again["eventTime"]).tzinfo is not None
    by_output = {record["outputs"][0]["name"]: record for record in written}
    assert {dataset["name"] for dataset in by_output["churn@2.0.0"]["inputs"]} == {"customers.csv", "churn@1.2.0"}
    assert by_output["churn@2.0.0"]["run"]["runId"].replace("-", "") == RUN


def test_a_version_that_is_not_there_has_none(lineage):
    with pytest.raises(ModelNotFoundError):
        lineage("churn@9.0.0")


def test_a_long_line_of_versions_is_cut_where_it_is_asked_to_be_and_never_drawn_whole(guarded):
    for number in range(3, 160):
        guarded.register_model(ModelMetadata(name="churn", version=f"1.{number}.0"))
    near = guarded.get_model_lineage("churn@1.50.0", generations=2)
    assert labels(near.nodes) == {f"churn@1.{number}.0" for number in (48, 49, 50, 51, 52)}
    assert near.is_cut
    assert len(near.edges) == 4
    whole = guarded.get_model_lineage("churn@1.50.0")
    assert (len(whole.nodes), whole.is_cut, whole.graph()) == (160, False, None)
    assert "160 things are too many to draw" in whole._repr_mimebundle_()["text/html"]
    assert not guarded.get_model_lineage("churn@1.159.0", generations=159).is_cut
