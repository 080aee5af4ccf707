"""The audit trail as people read it, and as they keep it elsewhere; and the check of all that it explains.

The check composes what the domains prove: the registry the chain and every row that events explain, tracking the values
that runs logged. These may be millions, so they are read of the runs that ended last, and of all on request.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.events import ChainBreak, Event
from dwcp_jupyter.registry import ModelRegistry
from dwcp_jupyter.rendering import Displayed, Facts, Mark, Note, Table, View
from dwcp_jupyter.store import Stores, event_log
from dwcp_jupyter.workspace.event_details import tell_last

__all__ = ["LATEST_RUNS", "AuditTrail", "Checkpoint", "check", "read_trail"]

LATEST_RUNS = 20
"""Runs whose logged values are read where nobody says how many."""
_POLICIES = ("policy.set", "policy.removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Number and hash of an event: kept elsewhere, they prove later that nothing before it was cut off or rewritten."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTrail(Displayed):
    """Events of a subject, and whether the chain that they belong to holds.

    Attributes
    ----------
    events : tuple of Event
        All of the subject's, the oldest first.
    last : int
        How many of them are shown.
    break_ : ChainBreak or None
        The first place where the whole chain, or a row that it explains, does not hold.
    checkpoint : Checkpoint
        The newest event of the whole chain.
    since : Checkpoint or None
        The earlier checkpoint with which the chain was compared.
    """

    subject: str | None
    events: tuple[Event, ...]
    last: int
    break_: ChainBreak | None
    checkpoint: Checkpoint
    stores: Stores = field(repr=False, compare=False)
    since: Checkpoint | None = None

    def verify(
        self, checkpoint: Checkpoint | str | tuple[int, str] | None = None, *, runs: int | None = LATEST_RUNS
    ) -> bool | ChainBreak:
        """Return True if the record holds now, or the first event, or the row, where it does not.

        Parameters
        ----------
        checkpoint : Checkpoint, str or tuple, optional
            One that was kept elsewhere; without it the trail's own: then nothing was cut off or rewritten since it was
            read.
        runs : int, optional
            How many runs' logged values are read, of those that ended last; None for all.

        Raises
        ------
        SettingError
            If the checkpoint is none.
        """
        return check(self.stores, checkpoint=checkpoint or self.checkpoint, runs=runs)

    def export(self, path: str | os.PathLike[str]) -> Path:
        """Return the path to which the events were written: one JSON line each, as hashed, with its hash beside it.

        Raises
        ------
        FileExistsError
            If there is such a file; a trail is not written over another.
        """
        target = Path(path)
        lines = [
            json.dumps({"hash": hashing.sha256_bytes(event.body()), "body": event.body().decode()}, ensure_ascii=False)
            for event in self.events
        ]
        with target.open("x", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in lines)
        return target

    def _chain(self) -> Mark:
        if self.break_ is None:
            return Mark(f"holds, all {self.checkpoint.seq} events, and the tables agree with it", "success")
        if self.break_.seq > self.checkpoint.seq:
            return Mark(f"holds, but {self.break_.reason}", "critical")
        return Mark(f"broken at event {self.break_.seq}: {self.break_.reason}", "critical")

    def _view(self) -> View:
        shown = self.events[-self.last :]
        rows = [
            (e.seq, e.time, e.kind, _askable(e.subject), e.actor.name, str(e.actor.assurance), details)
            for e, details in zip(reversed(shown), reversed(tell_last(self.events, len(shown))), strict=True)
        ]
        hidden = len(self.events) - len(rows)
        facts: dict[str, Any] = {"Chain": self._chain(), "Checkpoint": str(self.checkpoint)}
        if self.since is not None:
            facts["Compared with"] = str(self.since)
        blocks: list[Any] = [Facts(facts)]
        if rows:
            blocks.append(Table(("No.", "Time", "What", "Of", "By", "Identity", "Details"), rows))
        else:
            blocks.append(Note("Nothing is recorded of it.", "info"))
        if hidden:
            blocks.append(Note(f"{hidden} earlier events are not shown; --last {len(self.events)} shows them.", "info"))
        title = "Audit trail" if self.subject is None else f"Audit trail of {self.subject}"
        return View(title, blocks)


def check(
    stores: Stores, *, checkpoint: Checkpoint | str | tuple[int, str] | None = None, runs: int | None = LATEST_RUNS
) -> bool | ChainBreak:
    """Return True, or where the record does not hold; see `Workspace.verify`."""
    found = ModelRegistry(stores).verify(checkpoint=_parsed(checkpoint))
    if not found or not stores.metadata.exists:
        return found
    from dwcp_jupyter.tracking import vouching

    with stores.metadata.read() as connection:
        altered = vouching.find_altered_history(connection, limit=runs)
    if altered is None:
        return True
    run_id, name = altered
    what = f"'{name} {run_id}' in the table run_metrics was changed without an event"
    return ChainBreak(seq=stores.metadata.head()[0] + 1, reason=f"{what}: its values are not those that it ended with")


def read_trail(
    stores: Stores,
    subject: str | None,
    *,
    last: int,
    checkpoint: Checkpoint | str | tuple[int, str] | None = None,
) -> AuditTrail:
    """Return the events of a subject, or of everything.

    That is a model with its versions and its own policies, one version, a policy as ``MODEL/STAGE``, or another thing
    with its kind before it, such as ``endpoint:NAME``.
    """
    metadata, since = stores.metadata, _parsed(checkpoint)
    checked = check(stores, checkpoint=since)
    before = checked.seq if isinstance(checked, ChainBreak) else None  # what lies behind a break tells nothing
    found = _events(stores, None if subject is None else _full(subject), before=before)
    seq, newest = metadata.head()
    return AuditTrail(
        subject=subject,
        events=tuple(found),
        last=last,
        break_=checked if isinstance(checked, ChainBreak) else None,
        checkpoint=Checkpoint(seq=seq, hash=newest),
        stores=stores,
        since=None if since is None else Checkpoint(seq=since[0], hash=since[1]),
    )


def _events(stores: Stores, subject: str | None, *, before: int | None) -> list[Event]:
    """Return the events of a subject; those of a whole model with those of its own policies."""
    found = stores.metadata.events(before=before, below=subject)
    kind, _, name = (subject or "").partition(":")
    if kind != "model" or "@" in name:
        return found
    every = stores.metadata.events(before=before, kinds=_POLICIES)
    own = [event for event in every if event.subject.startswith(f"policy:{name}/")]
    return sorted([*found, *own], key=lambda event: event.seq)


def _full(subject: str) -> str:
    """Return a subject with its kind; what the trail shows without one is a version, a model or a policy."""
    if ":" in subject:
        return subject
    return f"{'policy' if '/' in subject else 'model'}:{subject}"


def _askable(subject: str) -> str:
    """Return a subject as it is shown, and as `read_trail` takes it."""
    kind, _, name = subject.partition(":")
    return name if kind in ("model", "policy") else subject


def _parsed(checkpoint: Checkpoint | str | tuple[int, str] | None) -> tuple[int, str] | None:
    if isinstance(checkpoint, Checkpoint):
        return checkpoint.seq, checkpoint.hash
    return None if checkpoint is None else event_log.parse_checkpoint(checkpoint)
