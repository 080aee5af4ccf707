from __future__ import annotations

import inspect

import pytest

from dwcp_jupyter import exceptions
from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.server import statuses

ERRORS = [kind for _, kind in inspect.getmembers(exceptions, inspect.isclass) if issubclass(kind, DwcpError)]


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not DwcpError], ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_of_its_own(kind: type[DwcpError]) -> None:
    assert 400 <= statuses.STATUSES[kind] < 600


def test_an_error_that_is_not_in_the_table_takes_the_status_of_its_base() -> None:
    class LostModelError(exceptions.ModelNotFoundError):
        pass

    assert statuses.status_of(LostModelError("gone")) == 404


def test_an_error_of_nobody_is_500_and_shows_its_kind_only() -> None:
    error = ZeroDivisionError("the password is hunter2")
    assert statuses.status_of(error) == 500
    problem = statuses.problem_of(error)
    assert problem["error"] == "ZeroDivisionError"
    assert "hunter2" not in problem["message"]


def test_our_own_errors_are_told_in_full() -> None:
    problem = statuses.problem_of(exceptions.ModelNotFoundError("No model 'churn'."))
    assert problem == {"error": "ModelNotFoundError", "message": "No model 'churn'."}
