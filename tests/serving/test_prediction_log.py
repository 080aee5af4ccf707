"""Nothing that was promised is lost, and what is lost is known."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from dwcp_jupyter.serving.log_segment import read_segment
from dwcp_jupyter.serving.log_writer import LoggedBatch, LoggedRequest, RecordEncoder
from dwcp_jupyter.serving.prediction_log import GapReason, PredictionLog, Pseudonyms
from tests.serving.conftest import eventually


@pytest.fixture
def log(tmp_path):
    opened = PredictionLog(tmp_path, "m1", "1.0.0")
    yield opened
    opened.close()


def fill(log, rows=10, start=0):
    for i in range(start, start + rows):
        log.log({"x": float(i), "town": "Ulm"}, int(i % 2 == 1), probabilities=[0.25, 0.75])


def test_a_logged_row_comes_back_with_all_its_columns(log):
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    request_id = log.log(
        {"x": 1.5, "town": None},
        "yes",
        probabilities=[0.1, 0.9],
        latency_ms=2.5,
        entity="ann@example.org",
        moment=moment,
    )
    (row,) = log.read().to_pylist()
    assert row["features"] == {"x": 1.5, "town": None}
    assert (row["request_id"], row["row"], row["time"]) == (request_id, 0, moment)
    assert (row["prediction"], row["probabilities"], row["latency_ms"]) == ("yes", [0.1, 0.9], 2.5)
    assert row["version"] == "1.0.0"
    assert "ann" not in row["entity_key"]


def test_an_empty_log_reads_as_empty_and_can_be_queried(log):
    assert log.read().num_rows == 0
    assert log.gaps() == ()
    assert log.compact().segments == 0
    assert log.query("SELECT count(*) AS n FROM predictions").to_pylist() == [{"n": 0}]


def test_segments_and_parquet_read_as_one(log):
    fill(log, 10)
    log.close()
    assert log.compact().rows == 10
    fill(log, 5, start=10)
    assert log.read()["features"].to_pylist() == [{"x": float(i), "town": "Ulm"} for i in range(15)]
    found = log.query(
        "SELECT prediction, count(*) AS n, avg(features.x) AS x FROM predictions GROUP BY ALL ORDER BY ALL"
    )
    assert found.to_pylist() == [{"prediction": 0, "n": 8, "x": 7.0}, {"prediction": 1, "n": 7, "x": 7.0}]


def test_compaction_leaves_the_segment_in_use_and_is_idempotent(log):
    fill(log)
    log.flush()
    assert log.compact().segments == 0
    log.close()
    assert log.compact().segments == 1
    assert log.compact().segments == 0
    assert [path.suffix for path in log.folder.iterdir() if path.suffix in (".arrows", ".parquet")] == [".parquet"]
    assert log.read().num_rows == 10


def test_a_compaction_killed_before_it_removed_its_sources_counts_no_row_twice(log):
    fill(log)
    log.close()
    (segment,) = log.folder.glob("*.arrows")
    content = segment.read_bytes()
    log.compact()
    segment.write_bytes(content)
    assert log.read().num_rows == 10
    assert log.query("SELECT count(*) AS n FROM predictions").to_pylist() == [{"n": 10}]
    log.compact()
    assert not segment.exists()
    assert log.read().num_rows == 10


def test_reading_while_others_compact_sees_each_row_once(log):
    done = threading.Event()
    counts = []

    def look():
        while not done.is_set():
            counts.append(log.read().num_rows)

    total = 0
    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(8):
        fill(log, 5)
        log.close()
        total += 5
        log.compact()
    done.set()
    reader.join()
    assert counts == sorted(counts)
    assert log.read().num_rows == total


def test_rows_are_selected_by_time(log):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for hour in range(5):
        log.log({"x": hour}, 0, moment=start + timedelta(hours=hour))
    found = log.read(since=start + timedelta(hours=1), until=start + timedelta(hours=3))
    assert [row["x"] for row in found["features"].to_pylist()] == [1, 2]
    assert log.features(since=start + timedelta(hours=4)).to_pydict() == {"x": [4]}


def test_a_torn_tail_is_dropped_and_told_of(log):
    fill(log, 4)
    log.flush()
    (segment,) = log.folder.glob("*.arrows")
    whole = segment.stat().st_size
    fill(log, 4)
    log.flush()
    content = segment.read_bytes()
    log.close()
    torn = log.folder / "20260101T000000000000-1-aa.arrows"
    for cut in (whole + 5, len(content) - 3):
        torn.write_bytes(content[:cut])
        table, gaps = read_segment(torn)
        assert table.num_rows == 4
        assert [gap.reason for gap in gaps] == [GapReason.KILLED]
    torn.write_bytes(content[:20])
    assert read_segment(torn)[0] is None
    assert [gap.reason for gap in log.gaps()] == [GapReason.KILLED]
    assert log.read().num_rows == 8


WRITER = """
import sys, time
from dwcp_jupyter.serving.prediction_log import PredictionLog
from dwcp_jupyter.serving.log_writer import LoggedBatch, LoggedRequest, RecordEncoder
import numpy as np
log = PredictionLog(sys.argv[1], "m1", "1.0.0")
writer = log.writer(RecordEncoder())
n = 0
while True:
    batch = LoggedBatch([{"x": float(n)}], [LoggedRequest(f"r{n}", 1, time.time(), 1.0)], np.array([n]))
    if sys.argv[2] == "sync":
        writer.write(batch)
        print(n, flush=True)
    else:
        writer.append(batch)
        time.sleep(0.001)
    n += 1
"""


def killed_writer(root, mode, enough):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(root), mode], stdout=subprocess.PIPE, text=True)
    try:
        acknowledged = enough(process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return acknowledged + len(process.stdout.read().splitlines())


def test_kill_9_with_sync_durability_loses_no_acknowledged_row(log, tmp_path):
    def enough(process):
        for _ in range(50):
            assert process.stdout.readline()
        return 50

    acknowledged = killed_writer(tmp_path, "sync", enough)
    found = log.read()["prediction"].to_pylist()
    assert found == list(range(len(found)))
    assert len(found) >= acknowledged


def test_kill_9_of_a_buffered_writer_leaves_whole_rows_and_a_recorded_gap(log, tmp_path):
    def enough(_):
        eventually(lambda: log.read().num_rows > 100)
        return 0

    killed_writer(tmp_path, "buffered", enough)
    found = log.read()["prediction"].to_pylist()
    assert found == list(range(len(found)))
    (gap,) = log.gaps()
    assert gap.reason is GapReason.KILLED
    assert gap.start == log.read()["time"].to_pylist()[-1]
    log.compact()
    assert log.gaps() == (gap,)
    assert log.read()["prediction"].to_pylist() == found


def batch(n):
    return LoggedBatch([{"x": 1.0}] * n, [LoggedRequest("r", n, 1e9, 1.0)], np.zeros(n))


def test_a_full_disk_costs_rows_that_are_counted_and_never_an_exception(log):
    fill(log, 3)
    log.flush()
    (segment,) = log.folder.glob("*.arrows")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (segment.stat().st_size + 10, limits[1]))
        fill(log, 7)
        log.flush()
        fill(log, 2)
        log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    fill(log, 4)
    assert log.read().num_rows == 7
    (gap,) = log.gaps()
    assert (gap.reason, gap.rows) == (GapReason.WRITE_FAILED, 9)
    assert gap.start <= gap.end
    assert "large" in gap.detail
    log.close()
    log.compact()
    assert log.gaps()[0].rows == 9


def test_a_disk_full_from_the_start_is_told_of_once_there_is_room(log):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        fill(log, 5)
        log.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    fill(log, 1)
    assert log.read().num_rows == 1
    assert [gap.rows for gap in log.gaps()] == [5]


def test_sync_durability_says_when_it_cannot_write(log):
    writer = log.writer(RecordEncoder())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    former = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
        with pytest.raises(OSError, match=r"large"):
            writer.write(batch(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, former)
    writer.write(batch(2))
    writer.close()
    assert [gap.rows for gap in log.gaps()] == [3]


def test_rows_of_one_request_keep_their_positions(log):
    writer = log.writer(RecordEncoder())
    writer.append(LoggedBatch([{"x": 1}, {"x": 2}], [LoggedRequest("a", 2, 1.0, 1.0)], np.array([1, 2])))
    writer.append(LoggedBatch([{"x": 3}], [LoggedRequest("b", 1, 2.0, None, "key")], np.array([3])))
    writer.close()
    found = [(row["request_id"], row["row"], row["prediction"], row["entity_key"]) for row in log.read().to_pylist()]
    assert found == [("a", 0, 1, None), ("a", 1, 2, None), ("b", 0, 3, "key")]


def test_a_forked_child_writes_to_a_segment_of_its_own(log):
    fill(log, 2)
    log.flush()
    child = os.fork()
    if child == 0:
        try:
            fill(log, 3, start=2)
            log.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    fill(log, 1, start=5)
    assert sorted(row["x"] for row in log.read()["features"].to_pylist()) == [0, 1, 2, 3, 4, 5]
    assert len(list(log.folder.glob("*.arrows"))) == 2


def test_columns_that_change_their_type_open_a_new_segment_and_read_together(log):
    log.log({"x": 1}, 0)
    log.flush()
    log.log({"x": 2.5}, 0)
    log.flush()
    log.log({"x": None}, 0)
    log.flush()
    log.log({"x": 3.5, "new": "a"}, 0)
    log.flush()
    assert [row["features"]["x"] for row in log.read().to_pylist()] == [1, 2.5, None, 3.5]


def test_pseudonyms_are_stable_per_workspace_and_differ_between_workspaces(tmp_path):
    first, again = Pseudonyms(tmp_path / "a"), Pseudonyms(tmp_path / "a")
    assert first("ann") == again("ann") != Pseudonyms(tmp_path / "b")("ann")
    assert first("ann") != first("bob")
    key = tmp_path / "a" / "predictions" / "pseudonyms.key"
    assert key.stat().st_mode & 0o077 == 0


def test_compacted_files_are_plain_parquet(log):
    fill(log)
    log.close()
    compaction = log.compact()
    assert pq.read_table(compaction.path).num_rows == 10
    assert compaction.path.stat().st_mode & 0o077 == 0


def test_a_process_killed_before_its_first_write_leaves_a_trace(log):
    child = os.fork()
    if child == 0:
        log.log({"x": 1}, 0)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (gap,) = log.gaps()
    assert gap.reason is GapReason.KILLED
    assert log.read().num_rows == 0
    log.compact()
    assert len(log.gaps()) == 1
    fill(log, 3)
    assert log.query("SELECT count(*) AS n FROM predictions").to_pylist() == [{"n": 3}]


def test_a_writer_that_wrote_nothing_leaves_no_file(log):
    writer = log.writer(RecordEncoder())
    writer.flush()
    writer.close()
    assert not log.folder.exists() or list(log.folder.iterdir()) == []


def test_a_log_whose_callers_disagree_about_types_stays_readable_and_compactable(log):
    for value, prediction in ((1, 0), ("one", "yes"), ([1, 2], True), ({"deep": 1}, None)):
        log.log({"x": value, "same": 1.5}, prediction)
        log.close()
    assert sorted(log.features()["x"].to_pylist()) == ["1", "[1, 2]", "one", '{"deep": 1}']
    assert log.features()["same"].to_pylist() == [1.5] * 4
    query = "SELECT count(*) AS n, min(features.x) AS x FROM predictions"
    assert log.query(query).to_pylist() == [{"n": 4, "x": "1"}]
    assert log.compact().rows == 4
    log.log({"x": 2.5, "same": 1.5}, 3.0)
    assert sorted(log.features()["x"].to_pylist()) == ["1", "2.5", "[1, 2]", "one", '{"deep": 1}']
    assert log.query(query).to_pylist() == [{"n": 5, "x": "1"}]


class Broken(RecordEncoder):
    def arrow(self, payloads):
        if any("broken" in record for payload in payloads for record in payload):
            raise KeyError("what nobody foresaw")
        return super().arrow(payloads)


def test_rows_that_cannot_be_converted_cost_themselves_and_not_the_thread(log):
    writer = log.writer(Broken())
    for record in ({"x": 1.0}, {"broken": 1.0}, {"x": 2.0}):
        writer.append(batch_of(record))
        eventually(lambda: not writer._waiting, within_s=10)
    writer.close()
    assert log.features()["x"].to_pylist() == [1.0, 2.0]
    assert [gap.rows for gap in log.gaps()] == [1]


def batch_of(record):
    request = LoggedRequest("r", 1, time.time(), None)
    return LoggedBatch(payload=[record], requests=(request,), predictions=np.array([1.0]))
