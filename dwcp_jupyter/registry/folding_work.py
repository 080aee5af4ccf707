"""The rows of runs and endpoints that events make.

Tracking and serving write them, and prove nothing by themselves: who checks the registry's rows checks these in the
same pass. Runs log without events while they are under way, so until its end little is known of a run's row; its last
event seals it. What an endpoint does at the moment is observed and no state, so it is not proven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dwcp_jupyter.events import Record
from dwcp_jupyter.registry.expecting import NoTags, Part, Rows, Sum

__all__ = ["EndpointFold", "RunFold", "artifacts_of"]

Step = Callable[[Mapping[str, Any], Record], None]

_SUMS = {"metrics_sha256": "metrics", "params_sha256": "config", "record_sha256": "record"}
"""Columns by the field of a run's last event that seals them."""


class RunFold:
    """What is known of the rows of runs.

    Attributes
    ----------
    rows : Rows
    steps : mapping of str to callable
        What an event of a kind does.
    """

    def __init__(self) -> None:
        self.rows: Rows = {}
        self._begun: Rows = {}
        self.steps: dict[str, Step] = {
            "run.started": self._started,
            "run.ended": self._ended,
            "run.deleted": self._deleted,
        }

    def _started(self, said: Mapping[str, Any], event: Record) -> None:
        row = {"id": _of(event), "name": said["name"], "kind": said["run_kind"], "created_by": event.actor}
        if "started_at" in said:
            row["started_at"] = said["started_at"]
        self._begun[(_of(event),)] = row
        self.rows[(_of(event),)] = {**row, "status": "running"}

    def _ended(self, said: Mapping[str, Any], event: Record) -> None:
        """Seal the row. One that was held for dead may end again: the last end counts."""
        row = {**self._begun[(_of(event),)], "status": said["status"]}
        if "ended_at" in said:
            row["ended_at"] = said["ended_at"]
        if "tags" in said:
            row["tags"] = NoTags() if said["tags"] in (None, "[]") else said["tags"]
        row |= {column: Sum(said[key]) for key, column in _SUMS.items() if key in said}
        self.rows[(_of(event),)] = row

    def _deleted(self, _said: Mapping[str, Any], event: Record) -> None:
        del self.rows[(_of(event),)], self._begun[(_of(event),)]


class EndpointFold:
    """What is known of the rows of endpoints.

    Attributes
    ----------
    rows : Rows
    steps : mapping of str to callable
        What an event of a kind does.
    needed : dict of str to mapping
        What the deployments in force say, by the ids of their endpoints.
    ever : set of (str, str, str)
        Sum, owner and role of all artifacts that deployments needed; those of former ones are let go a little later.
    """

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.ever: set[tuple[str, str, str]] = set()
        self._deployments: dict[str, list[tuple[dict[str, Any], Mapping[str, Any]]]] = {}
        """Rows and payloads of an endpoint's deployments, the one in force last."""
        self.steps: dict[str, Step] = {
            "endpoint.deployed": self._deployed,
            "endpoint.updated": self._updated,
            "endpoint.removed": self._removed,
        }

    @property
    def needed(self) -> dict[str, Mapping[str, Any]]:
        """What the deployments in force say, by the ids of their endpoints."""
        return {endpoint_id: done[-1][1] for endpoint_id, done in self._deployments.items()}

    def _deployed(self, said: Mapping[str, Any], event: Record) -> None:
        name = event.subject.partition(":")[2]
        known = {"id": said["id"], "model_id": said["model_id"], "version_id": said["version_id"], "name": name}
        served = {**known, "generation": said["generation"], "sha256": said["sha256"]}
        row = {**known, "lifetime": said["lifetime"], "spec": Part({"endpoint": served}, said.get("spec_sha256"))}
        self._deployments.setdefault(said["id"], []).append((row, said))
        self.rows[(said["id"],)] = row
        self.ever.update(artifacts_of(said))

    def _updated(self, said: Mapping[str, Any], event: Record) -> None:
        if "generation" in said:
            self._deployments[said["id"]]  # must be there
            self._deployed(said, event)
            return
        done = self._deployments[said["id"]]  # the new deployment did not come up, and what was before goes on
        done.pop()
        self.rows[(said["id"],)] = done[-1][0]

    def _removed(self, said: Mapping[str, Any], _: Record) -> None:
        del self.rows[(said["id"],)], self._deployments[said["id"]]


def artifacts_of(said: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return sum, owner and role of the artifacts that a deployment needs."""
    owner, generation = f"endpoint:{said['id']}", said["generation"]
    found = [(said["sha256"], owner, f"package/{generation}")]
    if said.get("onnx_sha256"):
        found.append((said["onnx_sha256"], owner, f"onnx/{generation}"))
    return found


def _of(event: Record) -> str:
    return event.subject.partition(":")[2]
