"""Start runs, find them again, and set them side by side."""

from __future__ import annotations

import functools
import os
import secrets
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from dwcp_jupyter import clock, store
from dwcp_jupyter.events import Actor
from dwcp_jupyter.exceptions import (
    ArtifactNotFoundError,
    InvalidMetadataError,
    RunError,
    RunNotFoundError,
    did_you_mean,
)
from dwcp_jupyter.registry.checking import check_mapping, check_tags, check_text
from dwcp_jupyter.registry.listing import check_limit
from dwcp_jupyter.store import Transaction, event_log, schema
from dwcp_jupyter.store.filtering import Comparison, Field, of_json, of_list, of_text, parse_filter, parse_order
from dwcp_jupyter.tracking import history, rows, vouching
from dwcp_jupyter.tracking.active import ActiveRun
from dwcp_jupyter.tracking.comparison import RunComparison
from dwcp_jupyter.tracking.process import this_process
from dwcp_jupyter.tracking.status import RunStatus
from dwcp_jupyter.tracking.values import RunList, RunRecord

__all__ = ["Tracker"]

_RUNS = schema.runs.c
_GIT_TIMEOUT_S = 2.0
_SHORTEST_PREFIX = 4


class Tracker:
    """The runs of one workspace.

    Parameters
    ----------
    storage : Stores or path, optional
        As for `Workspace`.
    """

    def __init__(self, storage: store.Stores | str | os.PathLike[str] | None = None) -> None:
        self._stores = store.as_stores(storage)

    def start(
        self,
        name: str,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        description: str = "",
        actor: Actor | None = None,
    ) -> ActiveRun:
        """Return a run to log to, begun now.

        Parameters
        ----------
        name : str
            What is tried, such as ``"churn-forest"``; runs of one name are tries of the same.
        params, tags, description
            What is known already.

        Raises
        ------
        InvalidMetadataError
            If something said of it cannot be kept.
        """
        called = check_text(name, field="A run's name").strip()
        if not called:
            raise InvalidMetadataError("A run's name is empty. Give one, such as 'churn-forest'.")
        logged = rows.Logged(
            params=check_mapping(params, field="params"),
            tags=check_tags(tags),
            description=check_text(description, field="description"),
            git_commit=_git_commit(Path.cwd()),
            process=this_process(),
        )
        run_id = secrets.token_hex(16)
        with self._stores.metadata.transaction(actor) as tx:
            _bury(tx)
            started_at = clock.to_text(tx.now)
            tx.execute(
                insert(schema.runs).values(
                    id=run_id,
                    name=called,
                    kind="experiment",
                    status=str(RunStatus.RUNNING),
                    created_by=tx.actor.name,
                    started_at=started_at,
                    **logged.values(),
                )
            )
            tx.record("run.started", f"run:{run_id}", name=called, run_kind="experiment", started_at=started_at)
        return ActiveRun(self._stores, run_id=run_id, name=called, record=logged, actor=actor)

    def get_run(self, reference: str | RunRecord | ActiveRun) -> RunRecord:
        """Return a run with the history of its metrics.

        Parameters
        ----------
        reference : str
            Its id, the first letters of it (four at least), or a name: the latest run of that name. Of an `ActiveRun`
            what waits to be written is written first.

        Raises
        ------
        RunNotFoundError
            If there is none, or if several begin so.
        """
        if isinstance(reference, ActiveRun):
            reference.flush()
        with self._stores.metadata.read() as connection:
            row = _find(connection, reference)
            return replace(rows.to_record(row), history=history.decode(vouching.bodies_of(connection, row.id)))

    def search_runs(
        self, condition: str = "", *, name: str | None = None, order_by: str | None = None, limit: int | None = 100
    ) -> RunList:
        """Return the runs that meet a condition, the latest first.

        Parameters
        ----------
        condition : str
            Such as ``"metrics.val_loss < 0.3 and params.depth = 8 and tag = 'final'"``; as in
            `ModelRegistry.search_versions`, with the fields ``name``, ``status``, ``kind``, ``tag``, ``created_by``,
            ``started_at``, ``id``, ``metrics.NAME`` and ``params.NAME``.
        name : str, optional
            Only runs of this name.
        order_by : str, optional
            ``started_at``, ``name`` or ``metrics.NAME``, then ``asc`` or ``desc``; runs without it come last.

        Raises
        ------
        FilterError
            If the condition or the order cannot be understood.
        ValueError
            If `limit` is no number of runs.
        """
        most = check_limit(limit)
        with self._stores.metadata.read() as connection:
            query = select(schema.runs)
            if condition.strip():
                query = query.where(parse_filter(condition, _fields(connection)))
            if name is not None:
                query = query.where(_RUNS.name == check_text(name, field="name"))
            if order_by is not None:
                orders = {"started_at": _RUNS.started_at, "name": _RUNS.name}
                dialect = connection.dialect.name
                query = query.order_by(parse_order(order_by, orders, metrics=_RUNS.metrics, dialect=dialect))
            found = connection.execute(query.order_by(_RUNS.started_at.desc(), _RUNS.id).limit(most)).all()
            return RunList(map(rows.to_record, found))

    def compare_runs(
        self, references: Sequence[str | RunRecord | ActiveRun], *, directions: Mapping[str, bool] | None = None
    ) -> RunComparison:
        """Return runs side by side: parameters that differ, metrics with the best of each, curves in one chart.

        Parameters
        ----------
        references : sequence of str
            Ids or names.
        directions : mapping of str to bool, optional
            Whether more is better, for metrics whose names do not tell.

        Raises
        ------
        ValueError
            For fewer than two, or one twice.
        """
        if isinstance(references, str) or len(references) < 2:
            raise ValueError("A comparison needs two runs at least. Give a list of their ids or names.")
        found = [self.get_run(reference) for reference in references]
        ids = [run.id for run in found]
        if len(set(ids)) < len(ids):
            twice = next(run for run in found if ids.count(run.id) > 1)
            raise ValueError(f"Run '{twice.id}' is named twice. Name each once; a bare name is its latest run.")
        return RunComparison(runs=tuple(found), directions=dict(directions or {}))

    def fetch_artifact(
        self, reference: str | RunRecord | ActiveRun, name: str, destination: str | os.PathLike[str]
    ) -> Path:
        """Return `destination`, to which an artifact of a run was copied; its sum is checked.

        Raises
        ------
        ArtifactNotFoundError
            If the run has none of this name.
        IntegrityError
            If its bytes were changed.
        """
        run = self._record(reference)
        if name not in run.artifacts:
            near = did_you_mean(name, run.artifacts)
            raise ArtifactNotFoundError(f"Run '{run.name}' ({run.id[:8]}) has no artifact '{name}'.{near}")
        kept = run.artifacts[name]
        fetch = self._stores.artifacts.fetch_file if kept.kind == "file" else self._stores.artifacts.fetch_tree
        return fetch(kept.sha256, destination)

    def delete_run(self, reference: str | RunRecord | ActiveRun) -> None:
        """Delete a run with all that it logged; its files go with the next collection of garbage.

        Raises
        ------
        RunError
            If it is under way, or a version was made from it.
        """
        with self._stores.metadata.transaction() as tx:
            row = _find(tx.connection, reference)
            if row.status == str(RunStatus.RUNNING) and not rows.is_killed(row):
                raise RunError(f"Run '{row.name}' ({row.id[:8]}) is under way. End it first.")
            _refuse_lineage(tx.connection, row)
            tx.execute(delete(schema.run_metrics).where(schema.run_metrics.c.run_id == row.id))
            tx.execute(delete(schema.runs).where(_RUNS.id == row.id))
            rows.refer(tx, row.id, {})
            tx.record("run.deleted", f"run:{row.id}", name=row.name)

    def verify_run(self, reference: str | RunRecord | ActiveRun) -> bool:
        """Return whether an ended run is what its events vouch for: all that its row says, and all logged values.

        Of runs that an earlier release ended, what its events say: status, parameters, metrics and logged values.

        Raises
        ------
        RunError
            If no event says so: the run is under way or was killed, or a pipeline's, of which the metrics are vouched.
        """
        with self._stores.metadata.read() as connection:
            row = _find(connection, reference)
            told = event_log.read(connection, subject=f"run:{row.id}")
            ended = [event.payload for event in told if event.kind == "run.ended"]
            if not ended or "history_sha256" not in ended[-1]:
                raise RunError(f"No event vouches for run '{row.name}' ({row.id[:8]}), which is {row.status}.")
            is_as_told = vouching.is_as_told(row, told)
            return is_as_told and vouching.has_history(connection, row.id, ended[-1]["history_sha256"])

    def _record(self, reference: str | RunRecord | ActiveRun) -> RunRecord:
        with self._stores.metadata.read() as connection:
            return rows.to_record(_find(connection, reference))


def _refuse_lineage(connection: Connection, row: Row[Any]) -> None:
    """Raise for a run from which versions were made."""
    versions, models = schema.versions.c, schema.models.c
    query = select(models.name, versions.version).join_from(
        schema.versions, schema.models, models.id == versions.model_id
    )
    made = connection.execute(query.where(versions.run_id == row.id).order_by(versions.created_at)).all()
    if made:
        names = [f"'{name}@{version}'" for name, version in made]
        raise RunError(
            f"Run '{row.name}' ({row.id[:8]}) made {', '.join(names[:5])}{', …' if len(names) > 5 else ''}, whose "
            f"lineage it is. Keep it, or delete what it made first: ws.registry.delete_model({names[0]})"
        )


def _find(connection: Connection, reference: str | RunRecord | ActiveRun) -> Row[Any]:
    wanted = reference if isinstance(reference, str) else reference.id
    row = connection.execute(select(schema.runs).where(_RUNS.id == wanted)).first()
    if row is not None:
        return row
    latest = select(schema.runs).where(_RUNS.name == wanted).order_by(_RUNS.started_at.desc(), _RUNS.id).limit(1)
    if (row := connection.execute(latest).first()) is not None:
        return row
    if len(wanted) >= _SHORTEST_PREFIX:
        begun = connection.execute(select(schema.runs).where(_RUNS.id.startswith(wanted, autoescape=True))).all()
        if len(begun) == 1:
            return begun[0]
        if begun:
            raise RunNotFoundError(f"{len(begun)} runs begin with '{wanted}'. Give more letters of the id.")
    names = connection.execute(select(_RUNS.name).distinct().limit(1000)).scalars()
    raise RunNotFoundError(f"There is no run '{wanted}'.{did_you_mean(wanted, names)} List them: ws.runs()")


def _fields(connection: Connection) -> dict[str, Field]:
    dialect = connection.dialect.name
    return {
        "id": of_text(_RUNS.id),
        "name": of_text(_RUNS.name),
        "kind": of_text(_RUNS.kind),
        "status": functools.partial(_of_status, connection),
        "tag": of_list(_RUNS.tags, dialect=dialect),
        "created_by": of_text(_RUNS.created_by),
        "started_at": of_text(_RUNS.started_at),
        "metrics": of_json(_RUNS.metrics, dialect=dialect),
        "params": of_json(_RUNS.config, dialect=dialect),
    }


def _of_status(connection: Connection, said: Comparison) -> ColumnElement[bool]:
    """Return the comparison with what a run's status is, of those whose process is gone too."""
    if said.key or said.value not in set(RunStatus) or said.operator not in {"=", "!="}:
        known = ", ".join(f"'{status}'" for status in RunStatus)
        said.refuse(f"compare it by = or != with one of {known}.")
    running = connection.execute(select(schema.runs).where(_RUNS.status == str(RunStatus.RUNNING))).all()
    gone = _RUNS.id.in_([row.id for row in running if rows.is_killed(row)])
    is_it: ColumnElement[bool] = (_RUNS.status == said.value) & ~gone
    if said.value == str(RunStatus.KILLED):
        is_it = (_RUNS.status == said.value) | gone
    return is_it if said.operator == "=" else ~is_it


def _bury(tx: Transaction) -> None:
    """Record that runs have ended whose process is gone."""
    running = tx.execute(select(schema.runs).where(_RUNS.status == str(RunStatus.RUNNING))).all()
    for row in filter(rows.is_killed, running):
        values = {**row._mapping, "status": str(RunStatus.KILLED)}
        sums = [history.sum_of_body(body) for body in vouching.bodies_of(tx.connection, row.id)]
        tx.execute(update(schema.runs).where(_RUNS.id == row.id).values(status=values["status"]))
        tx.record("run.ended", f"run:{row.id}", name=row.name, **rows.sealed(values, sums))


def _git_commit(folder: Path) -> str | None:
    """Return the commit that is checked out in a folder; None where there is none, or no git."""
    command = ["git", "-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
