"""How an endpoint is doing: counts and latencies, cheap to record, exact to merge.

A request adds one to a bucket of a logarithmic histogram (32 per octave: a percentile is right to 1.1%), in a ring of
ten-second slots. Histograms of several gateways add up, which percentiles do not: so processes exchange snapshots of
buckets, and `EndpointMetrics` is computed once, where it is asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from dwcp_jupyter.rendering import Displayed, Facts, View

__all__ = ["WINDOW_S", "EndpointMetrics", "Recorder", "Snapshot", "bucket_limit_s", "merge"]

WINDOW_S = 300.0
"""Latencies and throughput are those of the last five minutes, in seconds."""
_SLOT_S = 10.0
_SLOTS = int(WINDOW_S / _SLOT_S)
_PER_OCTAVE = 32
_SMALLEST_S = 1e-6
_BUCKETS = _PER_OCTAVE * 30  # up to 2**30 µs, 18 minutes
_LOG2_SMALLEST = math.log2(_SMALLEST_S)


def _bucket(latency_s: float) -> int:
    if latency_s <= _SMALLEST_S:
        return 0
    index = int((math.log2(latency_s) - _LOG2_SMALLEST) * _PER_OCTAVE)
    return index if index < _BUCKETS else _BUCKETS - 1


def bucket_limit_s(bucket: int) -> float:
    """Return the latency, in seconds, below which everything in `bucket` lies."""
    return float(_SMALLEST_S * 2 ** ((bucket + 1) / _PER_OCTAVE))


def _middle_s(bucket: int) -> float:
    return float(_SMALLEST_S * 2 ** ((bucket + 0.5) / _PER_OCTAVE))


_COUNTS = ("buckets", "all_buckets", "statuses")


class _Slot:
    __slots__ = ("buckets", "count", "errors", "number", "sum_s")

    def __init__(self, number: int) -> None:
        self.number, self.count, self.errors, self.sum_s = number, 0, 0, 0.0
        self.buckets: dict[int, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One process's figures of one endpoint; JSON-able by `to_json`.

    Attributes
    ----------
    requests, errors, rows : int
        Since the endpoint came up in that process. An error is an answer with a 5xx status, 429 included.
    sum_s : float
        Sum of all latencies, seconds.
    rejected : int
        Requests refused for what they hold (4xx but 429): the caller's fault, not the endpoint's.
    window_s : float
        Length of the window that the following cover, seconds.
    buckets, all_buckets : mapping of int to int
        Latency histogram of the window, and since the start.
    in_flight : int
        Requests being answered now.
    """

    requests: int
    errors: int
    rejected: int
    rows: int
    sum_s: float
    window_s: float
    window_requests: int
    window_errors: int
    window_sum_s: float
    buckets: Mapping[int, int]
    all_buckets: Mapping[int, int]
    in_flight: int
    queued: int = 0
    statuses: Mapping[int, int]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON record."""
        record = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in _COUNTS:
            record[name] = {str(key): count for key, count in getattr(self, name).items()}
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Snapshot:
        """Return the snapshot that `to_json` wrote."""
        counts = {name: {int(key): count for key, count in record[name].items()} for name in _COUNTS}
        return cls(**{**record, **counts})


class Recorder:
    """Counts one endpoint's requests in one process. Used from one thread.

    Parameters
    ----------
    now : callable
        Monotonic seconds.
    """

    __slots__ = (
        *("_now", "_slot", "_slots", "_started", "buckets"),
        *("in_flight", "rejected", "requests", "rows", "statuses", "sum_s"),
    )

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._started = now()
        self._slot = _Slot(int(self._started / _SLOT_S))
        self._slots: list[_Slot] = [self._slot]
        self.requests = self.rows = self.rejected = self.in_flight = 0
        self.sum_s = 0.0
        self.statuses: dict[int, int] = {}
        self.buckets: dict[int, int] = {}

    def observe(self, latency_s: float, status: int, rows: int, moment: float) -> None:
        """Count one answered request; `moment` is the monotonic time, in seconds."""
        self.requests += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status >= 500 or status == 429:
            self._current(moment).errors += 1
            self._slot.count += 1
            return
        if status >= 400:
            self.rejected += 1
            return
        self.rows += rows
        self.sum_s += latency_s
        slot = self._current(moment)
        slot.count += 1
        slot.sum_s += latency_s
        bucket = _bucket(latency_s)
        slot.buckets[bucket] = slot.buckets.get(bucket, 0) + 1
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def _current(self, moment: float) -> _Slot:
        number = int(moment / _SLOT_S)
        if number != self._slot.number:
            self._slot = _Slot(number)
            self._slots.append(self._slot)
            self._slots = [slot for slot in self._slots if slot.number > number - _SLOTS]
        return self._slot

    def snapshot(self, *, queued: int = 0) -> Snapshot:
        """Return the figures as they are."""
        moment = self._now()
        oldest = int(moment / _SLOT_S) - _SLOTS
        slots = [slot for slot in self._slots if slot.number > oldest]
        buckets: dict[int, int] = {}
        for slot in slots:
            for bucket, count in slot.buckets.items():
                buckets[bucket] = buckets.get(bucket, 0) + count
        return Snapshot(
            requests=self.requests,
            errors=sum(count for status, count in self.statuses.items() if status >= 500 or status == 429),
            rejected=self.rejected,
            rows=self.rows,
            sum_s=self.sum_s,
            window_s=min(WINDOW_S, max(moment - self._started, 1e-9)),
            window_requests=sum(slot.count for slot in slots),
            window_errors=sum(slot.errors for slot in slots),
            window_sum_s=sum(slot.sum_s for slot in slots),
            buckets=buckets,
            all_buckets=dict(self.buckets),
            in_flight=self.in_flight,
            queued=queued,
            statuses=dict(self.statuses),
        )


def merge(snapshots: Sequence[Snapshot]) -> Snapshot:
    """Return the figures of all processes together."""
    counts: dict[str, Counter[int]] = {name: Counter() for name in _COUNTS}
    for snapshot in snapshots:
        for name, counter in counts.items():
            counter.update(getattr(snapshot, name))
    return Snapshot(
        requests=sum(item.requests for item in snapshots),
        errors=sum(item.errors for item in snapshots),
        rejected=sum(item.rejected for item in snapshots),
        rows=sum(item.rows for item in snapshots),
        sum_s=sum(item.sum_s for item in snapshots),
        window_s=max((item.window_s for item in snapshots), default=0.0),
        window_requests=sum(item.window_requests for item in snapshots),
        window_errors=sum(item.window_errors for item in snapshots),
        window_sum_s=sum(item.window_sum_s for item in snapshots),
        in_flight=sum(item.in_flight for item in snapshots),
        queued=sum(item.queued for item in snapshots),
        buckets=counts["buckets"],
        all_buckets=counts["all_buckets"],
        statuses=counts["statuses"],
    )


def _percentile_s(buckets: Mapping[int, int], fraction: float) -> float:
    """Return the latency, in seconds, that `fraction` of the requests do not exceed; 0 if there are none."""
    wanted, seen = fraction * sum(buckets.values()), 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return _middle_s(bucket)
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointMetrics(Mapping[str, Any], Displayed):
    """An endpoint's figures; a read-only mapping whose keys are its attributes.

    Attributes
    ----------
    requests, errors : int
        Since the endpoint came up. Errors are answers with a 5xx status and 429.
    error_rate : float
        ``errors / requests``, between 0 and 1; 0 without requests.
    rejected_requests : int
        Answers with another 4xx status: the caller's fault, no errors.
    rows : int
        Rows predicted.
    avg_latency_ms : float
        Mean of all answered requests, milliseconds.
    p50_latency_ms, p95_latency_ms, p99_latency_ms : float
        Percentiles of the last five minutes, milliseconds, right to 1.1%.
    throughput : float
        Requests per second over the last five minutes, or since the start if that is less.
    in_flight, queued : int
        Requests being answered, and waiting for a replica.
    current_replicas : int
        Replicas that take requests now.
    """

    endpoint_id: str
    requests: int
    errors: int
    error_rate: float
    rejected_requests: int
    rows: int
    avg_latency_ms: float
    p50_latency_ms: float
    p95_latency_ms: float
    p99_latency_ms: float
    throughput: float
    in_flight: int
    queued: int
    current_replicas: int

    @property
    def p50(self) -> float:
        """The median latency, milliseconds."""
        return self.p50_latency_ms

    @property
    def p95(self) -> float:
        """The 95th percentile of latency, milliseconds."""
        return self.p95_latency_ms

    @property
    def p99(self) -> float:
        """The 99th percentile of latency, milliseconds."""
        return self.p99_latency_ms

    @classmethod
    def of(cls, snapshots: Sequence[Snapshot], *, endpoint_id: str, current_replicas: int) -> EndpointMetrics:
        """Return the figures of all processes together."""
        total = merge(snapshots)
        answered = total.requests - total.errors - total.rejected
        return cls(
            endpoint_id=endpoint_id,
            requests=total.requests,
            errors=total.errors,
            error_rate=total.errors / total.requests if total.requests else 0.0,
            rejected_requests=total.rejected,
            rows=total.rows,
            avg_latency_ms=1e3 * total.sum_s / answered if answered else 0.0,
            p50_latency_ms=1e3 * _percentile_s(total.buckets, 0.5),
            p95_latency_ms=1e3 * _percentile_s(total.buckets, 0.95),
            p99_latency_ms=1e3 * _percentile_s(total.buckets, 0.99),
            throughput=total.window_requests / total.window_s if total.window_s else 0.0,
            in_flight=total.in_flight,
            queued=total.queued,
            current_replicas=current_replicas,
        )

    def _view(self) -> View:
        facts = {
            "Requests": self.requests,
            "Errors": f"{self.errors} ({self.error_rate:.2%})",
            "Refused for their content": self.rejected_requests,
            "Rows predicted": self.rows,
            "Latency, mean (ms)": f"{self.avg_latency_ms:.2f}",
            "Latency, p50 / p95 / p99 (ms)": f"{self.p50:.2f} / {self.p95:.2f} / {self.p99:.2f}",
            "Throughput (requests/s)": f"{self.throughput:.1f}",
            "Replicas": self.current_replicas,
        }
        return View("Endpoint metrics", [Facts(facts)])

    def __getitem__(self, key: str) -> Any:
        if key not in _METRIC_NAMES:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_METRIC_NAMES)

    def __len__(self) -> int:
        return len(_METRIC_NAMES)


_METRIC_NAMES = (*(field.name for field in fields(EndpointMetrics)), "p50", "p95", "p99")
