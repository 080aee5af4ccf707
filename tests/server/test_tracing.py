"""The lineage that the panel draws has what the one in a notebook has."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from dwcp_jupyter import store
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry
from tests.server.test_routes import check


@pytest.fixture
def registry(root_stores: store.Stores) -> ModelRegistry:
    return ModelRegistry(root_stores)


async def test_training_data_and_deleted_parents_are_drawn(
    ask: Any, registry: ModelRegistry, classifier: LogisticRegression, iris: Any
) -> None:
    for _ in range(3):
        registry.register_model(ModelMetadata(name="iris"), classifier, reference_data=iris[0])
    registry.delete_model("iris@1.1.0")
    kept = registry.reference_data("iris@1.2.0")
    assert kept is not None
    graph = check(await ask("dwcp/api/models/iris/versions/1.2.0/lineage"), "Lineage")
    nodes = {node["label"]: node for node in graph["nodes"]}
    data = nodes[f"data {kept.sha256[:8]}"]
    assert (data["kind"], data["facts"]) == ("data", {"sha256": kept.sha256, "rows": len(iris[0])})
    gone = nodes["iris@1.1.0"]
    assert gone["kind"] == "deleted"
    assert set(gone["facts"]) == {"id", "sha256", "deleted_at", "deleted_by"}
    drawn = {node["label"].removeprefix(f"{node['kind']} ") for node in graph["nodes"]}  # its kind stands above it
    assert {box["text"] for box in graph["picture"]["boxes"]} == drawn
    labels = {node["id"]: node["label"] for node in graph["nodes"]}
    parents = [(labels[edge["source"]], labels[edge["target"]]) for edge in graph["edges"] if edge["role"] == "parent"]
    assert parents == [("iris@1.0.0", "iris@1.1.0"), ("iris@1.1.0", "iris@1.2.0")]
