"""What is dropped without `close` gives the metadata back all the same."""

from __future__ import annotations

import gc

from dwcp_jupyter.registry import ModelMetadata, ModelRegistry


def test_a_registry_that_is_dropped_within_a_burst_keeps_no_lease(tmp_path, monkeypatch):
    monkeypatch.setenv("DWCP_LEASE_TIMEOUT_S", "5")

    def burst():
        registry = ModelRegistry(tmp_path / "w")
        registry.register_model(ModelMetadata(name="m"))
        for _ in range(4):
            registry.get_model("m")

    burst()
    gc.collect()
    assert len(ModelRegistry(tmp_path / "w").list_models()) == 1


def test_a_write_is_reported_as_done_where_panels_cannot_be_told(tmp_path):
    registry = ModelRegistry(tmp_path / "w")
    registry.register_model(ModelMetadata(name="m"))
    (tmp_path / "w" / "run" / "sequence").unlink()
    (tmp_path / "w" / "run" / "sequence").mkdir()
    assert registry.register_model(ModelMetadata(name="m")).version == "1.1.0"
