"""What versions were trained on, as the events say.

Custom metadata and reference data can be changed later, an event cannot. So the sum of the training data is the one of
the run that read them, and without such a run the one with which they were first kept as a version's training data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, select

from dwcp_jupyter import events
from dwcp_jupyter.registry.ancestry import chunked
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import schema

__all__ = ["TrainingData", "training_data"]

_TRAINING = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """The sum of a version's training data; their number of rows where that was recorded."""

    sha256: str
    rows: int | None = None


def training_data(connection: Connection, versions: Iterable[ModelVersion]) -> dict[str, TrainingData]:
    """Return by the ids of versions what they were trained on, where it is known."""
    known = list(versions)
    found: dict[str, TrainingData] = {}
    subjects = [f"model:{version.reference}" for version in known]
    for event in _events(connection, "reference.set", subjects):
        said = event.payload
        if said["source"] == _TRAINING and said["version_id"] not in found:
            found[said["version_id"]] = TrainingData(sha256=said["sha256"], rows=said["rows"])
    of_runs = _of_runs(connection, {version.run_id for version in known if version.run_id})
    found.update({v.id: of_runs[v.run_id] for v in known if v.run_id in of_runs})
    return found


def _of_runs(connection: Connection, run_ids: Iterable[str]) -> dict[str | None, TrainingData]:
    """Return by the ids of runs what they read."""
    ended = _events(connection, "run.ended", [f"run:{run_id}" for run_id in run_ids])
    sums = {event.subject.partition(":")[2]: event.payload.get("training_data") for event in ended}
    return {run_id: TrainingData(sha256=sha256) for run_id, sha256 in sums.items() if sha256}


def _events(connection: Connection, kind: str, subjects: Iterable[str]) -> Iterator[events.Record]:
    """Yield the events of a kind about some subjects; those of one in their order."""
    table = schema.events.c
    for part in chunked(subjects):
        query = select(table.body).where((table.kind == kind) & table.subject.in_(part)).order_by(table.seq)
        for body in connection.execute(query).scalars():
            yield events.read_record(body)
