"""A version's graph goes both ways, and other tools can read it."""

import datetime as dt
import json
import re
import uuid

import pytest
import sqlalchemy as sa

from dwcp_jupyter.events import local_actor
from dwcp_jupyter.exceptions import ModelNotFoundError
from dwcp_jupyter.pipeline import PipelineConfig
from dwcp_jupyter.registry import ModelMetadata
from dwcp_jupyter.registry.lineage import NodeKind
from dwcp_jupyter.store import schema
from dwcp_jupyter.workspace import Workspace

RUN = "a" * 32


@pytest.fixture
def lineage(guarded):
    """churn 1.0.0 → 1.1.0 → 1.2.0 → 2.0.0 (by a run on named data, with code) and a branch 1.5.0 from 1.0.0."""
    said = {
        "training_dataset": "customers.csv",
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


def data_of(graph):
    return [(node.label, node.facts["sha256"]) for node in graph.nodes if node.kind is NodeKind.DATA]


class TestTrainingData:
    def test_data_given_at_registration_are_a_node_with_their_sum(self, guarded, classifier, iris):
        ws = Workspace(guarded._stores)
        ws.register("flowers", classifier, data=iris[0])
        kept = guarded.reference_data("flowers")
        graph = guarded.get_model_lineage("flowers")
        (node,) = graph.upstream()
        assert (node.kind, node.label) == (NodeKind.DATA, f"data {kept.sha256[:8]}")
        assert node.facts == {"sha256": kept.sha256, "rows": len(iris[0])}
        assert [(edge.source, edge.role) for edge in graph.edges] == [(node.id, "trained on")]
        assert (
            f"data {kept.sha256[:8]} → version flowers@1.0.0  (trained on)" in graph._repr_mimebundle_()["text/plain"]
        )
        assert f"data {kept.sha256[:8]}" in graph._repr_mimebundle_()["text/html"]

    def test_versions_trained_on_the_same_data_share_the_node(self, guarded, classifier, iris):
        for _ in range(2):
            guarded.register_model(ModelMetadata(name="flowers"), classifier, reference_data=iris[0])
        assert len(data_of(guarded.get_model_lineage("flowers"))) == 1

    def test_nothing_that_is_changed_later_changes_it(self, guarded, classifier, iris):
        guarded.register_model(ModelMetadata(name="flowers"), classifier, reference_data=iris[0])
        before = guarded.get_model_lineage("flowers")
        guarded.update_model("flowers@1.0.0", {"custom_metadata": {"training_data_sha256": "e" * 64}})
        assert guarded.get_model_lineage("flowers").nodes == before.nodes
        for source in ("given", "training"):
            guarded.set_reference_data("flowers@1.0.0", iris[0].head(9), source=source)
            assert guarded.get_model_lineage("flowers").nodes == before.nodes

    def test_custom_metadata_make_no_node(self, guarded):
        said = {"training_data_sha256": "d" * 64}
        guarded.register_model(ModelMetadata(name="flowers", custom_metadata=said))
        assert data_of(guarded.get_model_lineage("flowers")) == []

    def test_data_named_as_training_data_later_count_and_those_to_compare_with_do_not(self, guarded, iris):
        guarded.set_reference_data("churn@1.0.0", iris[0].head(5))
        assert data_of(guarded.get_model_lineage("churn@1.0.0", generations=0)) == []
        kept = guarded.set_reference_data("churn@1.0.0", iris[0].head(7), source="training")
        assert [sha256 for _, sha256 in data_of(guarded.get_model_lineage("churn@1.0.0"))] == [kept.sha256]

    def test_another_version_under_a_number_that_became_free_was_not_trained_on_it(self, guarded, classifier, iris):
        guarded.register_model(ModelMetadata(name="flowers"), classifier, reference_data=iris[0])
        guarded.delete_model("flowers@1.0.0")
        guarded.register_model(ModelMetadata(name="flowers", version="1.0.0"), classifier)
        assert data_of(guarded.get_model_lineage("flowers")) == []

    def test_a_version_comes_back_with_it(self, guarded, classifier, iris):
        guarded.register_model(ModelMetadata(name="flowers"), classifier, reference_data=iris[0])
        before = data_of(guarded.get_model_lineage("flowers"))
        guarded.delete_model("flowers@1.0.0")
        guarded.restore_model("flowers@1.0.0")
        assert data_of(guarded.get_model_lineage("flowers")) == before

    def test_those_of_a_pipeline_are_what_it_read_and_not_the_sample_for_drift(self, guarded, iris, tmp_path):
        frame = iris[0].assign(species=iris[1])
        frame.to_csv(tmp_path / "flowers.csv", index=False)
        ws = Workspace(guarded._stores)
        settings = {"model_class": "LogisticRegression", "target_column": "species", "enable_tuning": False}
        run = ws.run_pipeline(
            PipelineConfig(
                name="flowers",
                data_source=str(tmp_path / "flowers.csv"),
                output_dir=str(tmp_path / "out"),
                **settings,
            )
        )
        version = ws.register_run(run)
        graph = guarded.get_model_lineage(version.id)
        assert data_of(graph) == [("flowers.csv", run.training_data.sha256)]
        assert ws.stores.frames.get(run.training_data.sha256).num_rows == len(frame)
        assert run.training_data.sha256 != guarded.reference_data(version.id).sha256
        roles = {(edge.source.partition(":")[0], edge.target.partition(":")[0]): edge.role for edge in graph.edges}
        assert roles == {("data", "run"): "trained on", ("run", "version"): "made"}
        guarded.update_model(version.reference, {"custom_metadata": {}})
        assert guarded.get_model_lineage(version.id).nodes == graph.nodes


class TestDeleted:
    def test_a_deleted_parent_stays_and_the_line_goes_on_through_it(self, guarded, lineage):
        guarded.delete_model("churn@1.1.0")
        graph = lineage("churn@1.2.0")
        before = {node.label: node for node in graph.upstream()}
        assert set(before) == {"churn@1.0.0", "churn@1.1.0"}
        gone = before["churn@1.1.0"]
        assert (gone.kind, gone.facts["deleted_by"]) == (NodeKind.DELETED, local_actor().name)
        assert dt.datetime.fromisoformat(gone.facts["deleted_at"]) == guarded._stores.clock()
        assert labels(lineage("churn@1.0.0").downstream()) >= {"churn@1.1.0", "churn@1.2.0", "churn@2.0.0"}

    def test_it_is_drawn_as_deleted(self, guarded, lineage):
        guarded.delete_model("churn@1.1.0")
        shown = lineage("churn@1.2.0")._repr_mimebundle_()
        assert "deleted churn@1.1.0 → version churn@1.2.0  (parent)" in shown["text/plain"]
        assert re.search(r"deleted +churn@1\.1\.0 +before", shown["text/plain"])
        assert "<title>deleted churn@1.1.0</title>" in shown["text/html"]

    def test_it_stays_when_the_trash_is_emptied(self, guarded, lineage):
        guarded.delete_model("churn@1.1.0")
        before = lineage("churn@1.2.0").nodes
        guarded.collect_garbage(older_than=dt.timedelta(0))
        assert list(guarded.list_trash()) == []
        assert lineage("churn@1.2.0").nodes == before

    def test_several_in_a_row_stay(self, guarded, lineage):
        guarded.delete_model("churn@1.2.0")
        guarded.delete_model("churn@1.1.0")
        graph = lineage("churn@2.0.0")
        kinds = {node.label: node.kind for node in graph.upstream()}
        assert kinds["churn@1.0.0"] is NodeKind.VERSION
        assert (kinds["churn@1.1.0"], kinds["churn@1.2.0"]) == (NodeKind.DELETED, NodeKind.DELETED)
        near = lineage("churn@2.0.0", generations=1)
        assert "churn@1.2.0" in labels(near.nodes)
        assert "churn@1.1.0" not in labels(near.nodes)
        assert near.is_cut

    def test_one_of_which_nothing_came_does_not(self, guarded, lineage):
        guarded.delete_model("churn@1.5.0")
        assert "churn@1.5.0" not in labels(lineage("churn@1.0.0").nodes)

    def test_one_that_came_back_is_a_version_again(self, guarded, lineage):
        before = lineage("churn@2.0.0").nodes
        guarded.delete_model("churn@1.1.0")
        guarded.restore_model("churn@1.1.0")
        assert lineage("churn@2.0.0").nodes == before

    def test_it_is_not_taken_for_a_version_that_has_its_number_now(self, guarded, lineage):
        guarded.delete_model("churn@1.1.0")
        guarded.register_model(ModelMetadata(name="churn", version="1.1.0", parent="churn@1.2.0"))
        graph = lineage("churn@1.1.0")
        assert sorted(node.kind for node in graph.nodes if node.label == "churn@1.1.0") == ["deleted", "version"]
        assert labels(graph.upstream()) >= {"churn@1.0.0", "churn@1.1.0", "churn@1.2.0"}
        assert [node.is_marked for node in graph.graph().nodes].count(True) == 1


def test_it_is_drawn_and_written(lineage):
    shown = lineage("churn@2.0.0")._repr_mimebundle_()
    assert shown["text/html"].count("<rect") == 8
    assert "run aaaaaaaa → version churn@2.0.0  (made)" in shown["text/plain"]
    assert "<script" not in shown["text/html"]


def openlineage(graph, tmp_path):
    """Return the events as OpenLineage's own library reads them."""
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
    from openlineage.client.serde import Serde

    path = graph.write_openlineage(tmp_path / "events.jsonl")
    found = []
    for record in map(json.loads, path.read_text().splitlines()):
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
        assert again["run"] == record["run"]
        assert dt.datetime.fromisoformat(again["eventTime"]).tzinfo is not None
        found.append(again)
    return found


def names(datasets):
    return sorted(dataset["name"] for dataset in datasets)


def test_openlineage_accepts_its_events(lineage, tmp_path):
    written = openlineage(lineage("churn@2.0.0"), tmp_path)
    assert len(written) == 5 - 1  # the branch is no part of it
    by_output = {record["outputs"][0]["name"]: record for record in written}
    assert names(by_output["churn@2.0.0"]["inputs"]) == ["churn@1.2.0", "customers.csv"]
    assert by_output["churn@2.0.0"]["run"]["runId"].replace("-", "") == RUN


def test_openlineage_gets_a_uuid_for_a_run_that_is_named_otherwise_the_same_each_time(guarded, tmp_path):
    for name, run_id in (("a", "run-42"), ("b", "run-42"), ("c", "run-43")):
        guarded.register_model(ModelMetadata(name=name, run_id=run_id))
    found = [openlineage(guarded.get_model_lineage(name), tmp_path)[0]["run"]["runId"] for name in "abc"]
    assert found[0] == found[1] != found[2]
    assert uuid.UUID(found[0]).version == 5


def test_openlineage_gets_one_event_for_a_run_with_all_that_it_made(guarded, classifier, iris, tmp_path):
    for number in range(2):
        said = ModelMetadata(name="forest", version=f"1.{number}.0", run_id=RUN, code="fit()")
        guarded.register_model(said, classifier, reference_data=iris[0].head(40 + number))
    guarded.register_model(ModelMetadata(name="forest", version="2.0.0"))
    first, second = openlineage(guarded.get_model_lineage("forest@1.0.0"), tmp_path)
    assert names(first["outputs"]) == ["forest@1.0.0", "forest@1.1.0"]
    assert first["run"]["runId"].replace("-", "") == RUN
    assert first["job"]["name"] == "train.forest"
    assert len(names(first["inputs"])) == 2  # the data of both, and not the one as parent of the other
    assert all(dataset["name"].startswith("data ") for dataset in first["inputs"])
    assert len(first["inputs"][0]["facets"]["version"]["datasetVersion"]) == 64
    assert (names(second["inputs"]), names(second["outputs"])) == (["forest@1.1.0"], ["forest@2.0.0"])


def test_openlineage_gets_deleted_parents_as_inputs(guarded, lineage, tmp_path):
    guarded.delete_model("churn@1.1.0")
    by_output = {names(event["outputs"])[0]: event for event in openlineage(lineage("churn@1.2.0"), tmp_path)}
    assert names(by_output["churn@1.2.0"]["inputs"]) == ["churn@1.1.0"]
    assert "churn@1.1.0" not in by_output


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
