"""A request to move a version to a guarded stage or alias, with what reviewers said, as a value that shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dwcp_jupyter.events import Assurance
from dwcp_jupyter.registry.targets import Target
from dwcp_jupyter.rendering import Displayed, Facts, Listed, Mark, Note, Table, View

__all__ = ["Approval", "ApprovalList", "ApprovalState", "Decision"]


class ApprovalState(StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    """Nobody used it in time."""
    STALE = "stale"
    """The version is not the one any more for which it was asked, or cannot go there any more."""


_LEVELS = {
    ApprovalState.PENDING: "info",
    ApprovalState.APPROVED: "success",
    ApprovalState.REJECTED: "critical",
    ApprovalState.EXPIRED: "warning",
    ApprovalState.STALE: "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What one reviewer said."""

    reviewer: str
    is_approved: bool
    comment: str
    time: datetime
    assurance: Assurance


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval(Displayed):
    """A request, with what was said of it.

    Attributes
    ----------
    id : str
        What `approve_model` and `reject_model` take.
    model : str
        The version's reference.
    stage : Stage or ProtectedAlias
        Where it is to go.
    """

    id: str
    model: str
    version_id: str
    stage: Target
    state: ApprovalState
    requested_by: str
    justification: str
    requested_at: datetime
    expires_at: datetime
    assurance: Assurance
    decisions: tuple[Decision, ...] = ()
    missing: str | None = None
    """What it still lacks, in words."""

    def _view(self) -> View:
        blocks: list[Any] = [
            Facts(
                {
                    "State": Mark(str(self.state), _LEVELS[self.state]),
                    "Asked by": f"{self.requested_by} ({self.assurance})",
                    "Asked at": self.requested_at,
                    "Good until": self.expires_at,
                    "Because": self.justification or "no reason given",
                    "Lacks": self.missing or "nothing",
                    "Request": self.id,
                }
            )
        ]
        if self.decisions:
            rows = [
                (d.time, d.reviewer, "approved" if d.is_approved else "rejected", d.comment, str(d.assurance))
                for d in self.decisions
            ]
            blocks.append(Table(("Time", "Reviewer", "Decision", "Comment", "Identity"), rows))
        return View(f"{self.model} to {self.stage}", blocks)


class ApprovalList(Listed[Approval]):
    """Requests, the newest first."""

    __slots__ = ()

    def _view(self) -> View:
        rows = [
            (
                a.id[:8],
                a.model,
                str(a.stage),
                Mark(str(a.state), _LEVELS[a.state]),
                a.requested_by,
                a.justification,
                a.missing or "",
                a.requested_at,
            )
            for a in self
        ]
        columns = ("Request", "Model", "To", "State", "Asked by", "Because", "Lacks", "Asked at")
        empty = Note("Nothing waits. Ask with %promote MODEL production --ask WHY.", "info")
        return View("Approvals", [Table(columns, rows)] if rows else [empty])
