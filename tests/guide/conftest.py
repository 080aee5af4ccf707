"""The blocks of the guide build on each other: they run in the order of the guide, whatever shuffles the rest."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    places = [place for place, item in enumerate(items) if item.get_closest_marker("order_matters")]
    ordered = sorted((items[place] for place in places), key=lambda item: item.name)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item
