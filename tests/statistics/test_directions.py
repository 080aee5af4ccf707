"""Names of metrics tell which way is better, or nothing does."""

import pytest

from dwcp_jupyter.statistics import base_name, higher_is_better
from dwcp_jupyter.statistics.scores import _ALIASES, SCORES


@pytest.mark.parametrize("name", [*SCORES, *_ALIASES])
def test_every_metric_that_is_computed_here_has_its_own_direction(name):
    expected = SCORES[_ALIASES.get(name, name)].higher_is_better
    assert higher_is_better(name) is expected
    assert higher_is_better(f"test_{name}") is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("val_loss", False),
        ("Validation Loss", False),
        ("avg_latency_ms", False),
        ("demographic_parity_difference", False),
        ("weighted_f1", True),
        ("requests_per_s", True),
        ("head_brier_score", False),
        ("profit", None),
        ("", None),
    ],
)
def test_other_names_are_read_by_what_they_end_with(name, expected):
    assert higher_is_better(name) is expected


def test_only_the_part_of_the_data_is_taken_off():
    assert [base_name(name) for name in ("cv_mean_f1", "test_test_x", "tested")] == ["mean_f1", "test_x", "tested"]
