"""What many tests start from: a workspace of their own, and small real data with models fitted on them."""

import os

import pytest
from hypothesis import settings

# no deadline, since the first example of a test pays for imports; the same examples each time, so that a run that
# passed passes again: `pytest --hypothesis-profile random` looks for others
settings.register_profile("dwcp", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("dwcp")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    """Keep settings of the person who runs the tests out of them."""
    for name in list(os.environ):
        if name.startswith("DWCP_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgresql():
    """A PostgreSQL server; see `tests.postgresql.Server`."""
    from tests.postgresql import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def s3():
    """An S3 server; see `tests.s3.Server`."""
    from tests.s3 import Server

    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["duckdb", "sqlite", "postgresql"])
def metadata_url(request):
    """What ``DWCP_METADATA_URL`` would hold, once for each database: an empty one."""
    if request.param != "postgresql":
        yield request.param
        return
    with request.getfixturevalue("postgresql").schema() as url:
        yield url


@pytest.fixture
def stores(tmp_path):
    """Stores of an empty workspace."""
    from dwcp_jupyter import store

    with store.open(tmp_path / "project" / ".dwcp") as opened:
        yield opened


@pytest.fixture(scope="session")
def iris():
    """Iris as (features, species names); scikit-learn, BSD."""
    from sklearn.datasets import load_iris

    bunch = load_iris(as_frame=True)
    names = bunch.target.map(dict(enumerate(map(str, bunch.target_names))))
    return bunch.data.rename(columns=lambda name: name.replace(" (cm)", "").replace(" ", "_")), names


@pytest.fixture(scope="session")
def classifier(iris):
    """A logistic regression on iris."""
    from sklearn.linear_model import LogisticRegression

    features, species = iris
    return LogisticRegression(max_iter=500).fit(features, species)
