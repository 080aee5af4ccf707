"""What may be sent to the control plane; a field that is not here is refused.

None says who acts: that is whoever is signed in.
"""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Alias", "Body", "Comparing", "Judgement", "PolicyChange", "Promotion", "Request", "Rollback"]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A request's body."""


class Promotion(Body, frozen=True):
    """Move a version to a stage."""

    stage: str
    dry_run: bool = False


class Rollback(Body, frozen=True):
    """Put the former version back into production."""

    expected: str | None = None
    dry_run: bool = False


class Alias(Body, frozen=True):
    """What an alias is to mean."""

    version: str


class Request(Body, frozen=True):
    """Ask for a version to be approved for a stage."""

    model: str
    stage: str = "production"
    justification: str = ""


class Judgement(Body, frozen=True):
    """What a reviewer says."""

    comment: str = ""


class PolicyChange(Body, frozen=True):
    """What a stage or an alias is to ask for; a field that is left out is inherited."""

    policy: dict[str, Any]


class Comparing(Body, frozen=True):
    """Put two versions side by side."""

    a: str
    b: str
    primary_metric: str | None = None
