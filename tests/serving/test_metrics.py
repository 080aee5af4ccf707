"""Counts and percentiles, checked against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.serving.metrics import WINDOW_S, EndpointMetrics, Recorder, Snapshot

latencies = st.lists(st.floats(2e-6, 100), min_size=1, max_size=300)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def recorded(values, status=200):
    clock = Clock()
    recorder = Recorder(clock)
    for value in values:
        recorder.observe(value, status, 1, clock.now)
    clock.now += 1
    return recorder.snapshot()


def metrics(*snapshots):
    return EndpointMetrics.of(snapshots, endpoint_id="e", current_replicas=1)


@given(values=latencies, fraction=st.sampled_from([50, 95, 99]))
def test_percentiles_are_within_the_promised_precision_of_numpys(values, fraction):
    expected = 1e3 * np.percentile(values, fraction, method="inverted_cdf")
    assert getattr(metrics(recorded(values)), f"p{fraction}") == pytest.approx(expected, rel=0.0112)


@given(first=latencies, second=latencies)
def test_figures_of_several_processes_merge_into_those_of_all_requests(first, second):
    together, apart = metrics(recorded(first + second)), metrics(recorded(first), recorded(second))
    assert dict(apart) == pytest.approx(dict(together))


@given(values=latencies)
def test_a_snapshot_survives_json(values):
    snapshot = recorded(values)
    assert Snapshot.from_json(snapshot.to_json()) == snapshot


def test_errors_are_5xx_and_429_and_rejections_the_callers_own():
    clock = Clock()
    recorder = Recorder(clock)
    for status in (200, 200, 400, 404, 429, 500, 503):
        recorder.observe(0.001, status, 1, clock.now)
    found = metrics(recorder.snapshot())
    assert (found.requests, found.errors, found.rejected_requests) == (7, 3, 2)
    assert found.error_rate == pytest.approx(3 / 7)
    assert found.rows == 2
    assert found.avg_latency_ms == pytest.approx(1.0)


def test_percentiles_and_throughput_forget_what_is_older_than_the_window():
    clock = Clock()
    recorder = Recorder(clock)
    recorder.observe(5.0, 200, 1, clock.now)
    clock.now += WINDOW_S + 20
    for _ in range(30):
        recorder.observe(0.001, 200, 1, clock.now)
    found = metrics(recorder.snapshot())
    assert found.requests == 31
    assert found.p99 == pytest.approx(1.0, rel=0.02)
    assert found.throughput == pytest.approx(30 / WINDOW_S)


def test_an_endpoint_that_was_never_asked_has_zeros():
    found = metrics(Recorder(Clock()).snapshot())
    assert found.error_rate == found.avg_latency_ms == found.p99 == found.throughput == 0


def test_metrics_are_a_mapping_with_attributes_that_cannot_be_changed():
    found = metrics(recorded([0.001]))
    assert found["requests"] == found.requests == 1
    assert set(found) >= {"requests", "errors", "error_rate", "avg_latency_ms", "p50", "throughput", "current_replicas"}
    assert len(found) == len(dict(found))
    with pytest.raises(KeyError):
        found["nothing"]
    with pytest.raises(AttributeError):
        found.requests = 5
