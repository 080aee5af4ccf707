"""What was, read from the chain of events: which version was in a stage, what an alias meant, at any moment.

There is no second bookkeeping: the state of a past moment is what the events up to it say. These are the beginning of
the chain, up to the last event that is not later: the clocks of several machines differ, the chain has one order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Any

from dwcp_jupyter import clock
from dwcp_jupyter.events import Record
from dwcp_jupyter.exceptions import IntegrityError, ModelNotFoundError
from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.folding import version_row
from dwcp_jupyter.registry.names import Reference, parse_reference
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.rendering import Listed, Note, Table, View

__all__ = ["KINDS", "Past", "StageChange", "StageHistory", "as_of", "changes", "moment_of", "past"]

KINDS = (
    "model.created",
    "model.updated",
    "model.deleted",
    "version.registered",
    "version.sealed",
    "version.promoted",
    "version.deleted",
    "version.restored",
    "alias.set",
    "alias.removed",
)
"""The events that say what a reference means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageChange:
    """One change of a model's stages or aliases."""

    time: datetime
    version: str
    change: str
    actor: str


class StageHistory(Listed[StageChange]):
    """Changes of a model's stages and aliases, the oldest first."""

    __slots__ = ()

    def _view(self) -> View:
        rows_ = [(c.time, c.version, c.change, c.actor) for c in self]
        empty = Note("Nothing happened yet.", "info")
        return View("History", [Table(("Time", "Version", "Change", "By"), rows_)] if rows_ else [empty])


@dataclass(slots=True)
class Past:
    """A model as the events up to a moment left it."""

    name: str
    task_type: str | None = None
    versions: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows of `schema.versions` by their ids."""
    aliases: dict[str, str] = field(default_factory=dict)
    incumbents: list[str] = field(default_factory=list)
    """Ids of the versions that entered production, in order."""

    def apply(self, event: Record) -> None:
        """Let an event have happened."""
        thing = event.kind.partition(".")[0]
        {"model": self._apply_model, "version": self._apply_version, "alias": self._apply_alias}[thing](event)

    def _apply_model(self, event: Record) -> None:
        if event.kind == "model.created":
            self.task_type = event.payload["task_type"]
        elif event.kind == "model.updated":
            self._update(event)
        else:
            self.versions, self.aliases = {}, {}  # incumbents that come back have been in production all the same

    def _apply_version(self, event: Record) -> None:
        said = event.payload
        if event.kind in ("version.registered", "version.sealed", "version.restored"):
            self.versions[said["id"]] = version_row(said)
        elif event.kind == "version.deleted":
            self.versions.pop(said["id"], None)
            self.aliases = {alias: target for alias, target in self.aliases.items() if target != said["id"]}
        else:
            self.versions[said["version_id"]]["stage"] = said["target"]
            if said["target"] == Stage.PRODUCTION:
                self.incumbents.append(said["version_id"])

    def _apply_alias(self, event: Record) -> None:
        if event.kind == "alias.set":
            self.aliases[event.payload["alias"]] = event.payload["version_id"]
        else:
            self.aliases.pop(event.payload["alias"], None)

    def _update(self, event: Record) -> None:
        subject = event.subject.partition(":")[2]
        if "@" not in subject:
            self.task_type = event.payload.get("task_type", self.task_type)
            return
        for row in self.versions.values():
            if row["version"] == subject.partition("@")[2]:
                row.update({key: value for key, value in event.payload.items() if key in row})

    def find(self, reference: Reference) -> ModelVersion:
        """Return the version that a reference meant then; for a bare name the highest.

        Raises
        ------
        ModelNotFoundError
            If it meant none.
        """
        found = sorted(self._meant(reference), key=lambda row: str(row["sort_key"]))
        if not found:
            raise ModelNotFoundError(f"'{reference}' meant no version then.")
        row = found[-1]
        aliases = tuple(sorted(alias for alias, target in self.aliases.items() if target == row["id"]))
        return rows.from_values(row, name=self.name, task_type=self.task_type, aliases=aliases)

    def _meant(self, reference: Reference) -> list[dict[str, Any]]:
        if reference.version is not None:
            return [row for row in self.versions.values() if row["version"] == str(reference.version)]
        if reference.stage is not None:
            return [row for row in self.versions.values() if row["stage"] == str(reference.stage)]
        if reference.selector is not None:
            target = self.aliases.get(reference.selector)
            return [row for row in self.versions.values() if row["id"] == target]
        return list(self.versions.values())


def past(events: Iterable[Record], name: str) -> Past:
    """Return a model as it was after `events`.

    Raises
    ------
    IntegrityError
        If one of them changes what is not there.
    """
    model = Past(name=name)
    for event in events:
        try:
            model.apply(event)
        except (LookupError, TypeError, ValueError, AttributeError) as exc:
            raise IntegrityError(
                f"Event {event.seq}, {event.kind} of '{event.subject}', changes what is not there, so what was then "
                "cannot be told. The trail was written by hand: see %audit, and compare with a backup.",
                expected="",
                actual="",
            ) from exc
    return model


def moment_of(when: date | datetime) -> datetime:
    """Return a moment with its time zone: without one it is in UTC, and of a day it is the end, in UTC.

    Raises
    ------
    TypeError
        If it is neither a moment nor a day.
    """
    if isinstance(when, datetime):
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when
    if isinstance(when, date):
        return datetime.combine(when, time.max, tzinfo=UTC)
    raise TypeError(
        f"{when!r} is of type '{type(when).__name__}' and no moment. Give a datetime, or a date for the end of that "
        "day in UTC."
    )


def changes(events: Iterable[Record]) -> StageHistory:
    """Return the changes of stages and aliases among the events of one model."""
    found = []
    for event in events:
        said, change = event.payload, None
        if event.kind in ("version.registered", "version.deleted", "version.restored"):
            change = event.kind.partition(".")[2]
        elif event.kind == "version.promoted":
            reason = f" ({said['reason']})" if said.get("reason") else ""
            change = f"{said['source']} → {said['target']}{reason}"
        elif event.kind in ("alias.set", "alias.removed"):
            change = f"alias {said['alias']} {event.kind.partition('.')[2]}"
        if change is not None:
            version = event.subject.partition("@")[2]
            moment = clock.from_text(event.time)
            found.append(StageChange(time=moment, version=version, change=change, actor=event.actor))
    return StageHistory(found)


def as_of(events: Iterable[Record], reference: str, when: datetime) -> ModelVersion:
    """Return the version that a reference meant at the moment `when`, up to which `events` go."""
    parsed = parse_reference(reference)
    found = past(events, parsed.name)
    try:
        return found.find(parsed)
    except ModelNotFoundError as exc:
        known = ", ".join(sorted(row["version"] for row in found.versions.values())) or "none"
        raise ModelNotFoundError(
            f"'{reference}' meant no version at {clock.to_text(when)[:19]} UTC. Versions then: {known}."
        ) from exc
