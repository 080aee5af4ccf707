"""One thread for the libraries of numbers: small fits gain nothing by more, and lose much where cores are shared."""

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    with threadpool_limits(limits=1):
        yield
