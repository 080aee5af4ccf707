"""A shell with the magics, on a workspace of its own."""

import pytest

from tests.shells import opened_shell


@pytest.fixture
def shell(tmp_path, monkeypatch):
    with opened_shell(tmp_path, monkeypatch) as shell:
        yield shell


@pytest.fixture
def run(shell):
    def run(code):
        result = shell.run_cell(code)
        result.raise_error()
        return result.result

    return run


@pytest.fixture
def with_model(shell, classifier, iris):
    shell.user_ns.update(forest=classifier, flowers=iris[0], scores={"accuracy": 0.97})
    return shell
