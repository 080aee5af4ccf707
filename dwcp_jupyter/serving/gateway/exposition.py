"""The figures of all endpoints in Prometheus' text format, version 0.0.4.

References
----------
https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dwcp_jupyter.serving.endpoints import ExecutionMode
from dwcp_jupyter.serving.gateway.routes import Route
from dwcp_jupyter.serving.metrics import Snapshot, bucket_limit_s, merge

__all__ = ["exposition"]

_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def exposition(routes: Sequence[Route], siblings: Mapping[str, Sequence[Snapshot]]) -> bytes:
    """Return the figures of these routes, those of the other gateway processes included."""
    rows = []
    for route in routes:
        description = route.description
        snapshots = [route.snapshot(), *siblings.get(description.id, ())]
        is_compiled = description.mode is ExecutionMode.COMPILED
        replicas = len(snapshots) if is_compiled else route.runner.ready_replicas
        rows.append((_labels(endpoint=description.name, version=description.version), merge(snapshots), replicas))
    lines: list[str] = []
    lines += _family("dwcp_requests_total", "counter", "Requests answered, by HTTP status.")
    for labels, total, _ in rows:
        for status, count in sorted(total.statuses.items()):
            lines.append(f'dwcp_requests_total{{{labels},status="{status}"}} {count}')
    lines += _family("dwcp_rows_total", "counter", "Rows predicted.")
    lines += [f"dwcp_rows_total{{{labels}}} {total.rows}" for labels, total, _ in rows]
    lines += _family("dwcp_request_latency_seconds", "histogram", "From a request's arrival to its answer.")
    for labels, total, _ in rows:
        lines += _histogram("dwcp_request_latency_seconds", labels, total)
    lines += _family("dwcp_requests_in_flight", "gauge", "Requests being answered now.")
    lines += [f"dwcp_requests_in_flight{{{labels}}} {total.in_flight}" for labels, total, _ in rows]
    lines += _family("dwcp_requests_queued", "gauge", "Requests waiting for a free replica.")
    lines += [f"dwcp_requests_queued{{{labels}}} {total.queued}" for labels, total, _ in rows]
    lines += _family("dwcp_replicas_ready", "gauge", "Replicas that take requests.")
    lines += [f"dwcp_replicas_ready{{{labels}}} {replicas}" for labels, _, replicas in rows]
    return ("\n".join(lines) + "\n").encode()


def _family(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _histogram(name: str, labels: str, total: Snapshot) -> Iterator[str]:
    buckets = sorted(total.all_buckets.items())
    for bound in _BOUNDS_S:
        count = sum(number for bucket, number in buckets if bucket_limit_s(bucket) <= bound * 1.0001)
        yield f'{name}_bucket{{{labels},le="{bound}"}} {count}'
    everything = sum(total.all_buckets.values())
    yield f'{name}_bucket{{{labels},le="+Inf"}} {everything}'
    yield f"{name}_sum{{{labels}}} {total.sum_s:.9g}"
    yield f"{name}_count{{{labels}}} {everything}"


def _labels(**labels: str) -> str:
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
