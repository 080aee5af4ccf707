"""The audit trail as people read it, and as they keep it elsewhere."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.events import ChainBreak, Event
from dwcp_jupyter.registry import ModelRegistry
from dwcp_jupyter.rendering import Displayed, Facts, Mark, Note, Table, View
from dwcp_jupyter.store import Stores

__all__ = ["AuditTrail", "Checkpoint", "read_trail"]

_SHOWN = ("source", "target", "state", "comment", "reason", "alias", "justification", "task_type", "kind", "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Number and hash of an event: kept elsewhere, they prove later that nothing before it was cut off or rewritten."""

    seq: int
    hash: str


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
    """

    subject: str | None
    events: tuple[Event, ...]
    last: int
    break_: ChainBreak | None
    checkpoint: Checkpoint

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
        rows = [
            (e.seq, e.time, e.kind, e.subject.partition(":")[2], _details(e), e.actor.name, str(e.actor.assurance))
            for e in reversed(self.events[-self.last :])
        ]
        hidden = len(self.events) - len(rows)
        facts = {"Chain": self._chain(), "Checkpoint": f"{self.checkpoint.seq}:{self.checkpoint.hash}"}
        blocks: list[Any] = [Facts(facts)]
        if rows:
            blocks.append(Table(("No.", "Time", "What", "Of", "Details", "By", "Identity"), rows))
        else:
            blocks.append(Note("Nothing is recorded of it.", "info"))
        if hidden:
            blocks.append(Note(f"{hidden} earlier events are not shown; --last {len(self.events)} shows them.", "info"))
        title = "Audit trail" if self.subject is None else f"Audit trail of {self.subject}"
        return View(title, blocks)


def read_trail(stores: Stores, subject: str | None, *, last: int) -> AuditTrail:
    """Return the events of a subject: a model with its versions, one version, ``endpoint:NAME``, or everything."""
    metadata = stores.metadata
    checked = ModelRegistry(stores).verify()
    before = checked.seq if isinstance(checked, ChainBreak) else None  # what lies behind a break tells nothing
    full = subject if subject is None or ":" in subject else f"model:{subject}"
    found = metadata.events(before=before, below=full)
    seq, newest = metadata.head()
    return AuditTrail(
        subject=subject,
        events=tuple(found),
        last=last,
        break_=checked if isinstance(checked, ChainBreak) else None,
        checkpoint=Checkpoint(seq=seq, hash=newest),
    )


def _details(event: Event) -> str:
    return ", ".join(f"{key} {event.payload[key]}" for key in _SHOWN if event.payload.get(key))
