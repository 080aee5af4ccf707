"""A registry on each database, with a clock that the test moves."""

from datetime import UTC, datetime, timedelta

import pytest

from dwcp_jupyter import config, store
from dwcp_jupyter.registry import ModelMetadata, ModelRegistry


class Clock:
    """A time that stands still until it is moved."""

    def __init__(self):
        self.time = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self):
        return self.time

    def move(self, **by):
        self.time += timedelta(**by)
        return self.time


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def registry(tmp_path, metadata_url):
    stores = store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url))
    yield ModelRegistry(stores)
    stores.close()


@pytest.fixture
def guarded(tmp_path, metadata_url, clock, classifier, iris):
    """A registry with the sealed versions churn@1.0.0, 1.1.0 and 1.2.0 in staging."""
    stores = store.open(tmp_path / "w", settings=config.load(metadata_url=metadata_url), clock=clock)
    registry = ModelRegistry(stores)
    for number in range(3):
        metadata = ModelMetadata(name="churn", version=f"1.{number}.0", metrics={"test_accuracy": 0.9 + number / 100})
        registry.register_model(metadata, classifier, input_example=iris[0].head(2))
        registry.promote_model(f"churn@1.{number}.0", "staging")
        clock.move(minutes=1)
    yield registry
    stores.close()
