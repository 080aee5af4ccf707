"""The life cycle of a version.

::

    development → staging → production → archived
         │  ↖───────┘ ↖─────────┘            ↑
         └────────────┴──────────────────────┘   (archived is the end)
"""

from __future__ import annotations

from enum import StrEnum

from dwcp_jupyter.exceptions import TransitionError, did_you_mean

__all__ = ["TRANSITIONS", "Stage", "can_reach", "check_transition", "stage_of"]


class Stage(StrEnum):
    """Where a version stands."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"
    ARCHIVED = "archived"


TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    Stage.DEVELOPMENT: frozenset({Stage.STAGING, Stage.ARCHIVED}),
    Stage.STAGING: frozenset({Stage.PRODUCTION, Stage.DEVELOPMENT, Stage.ARCHIVED}),
    Stage.PRODUCTION: frozenset({Stage.STAGING, Stage.ARCHIVED}),
    Stage.ARCHIVED: frozenset(),
}


def stage_of(text: str | Stage) -> Stage:
    """Return the stage called `text`.

    Raises
    ------
    TransitionError
        If there is none.
    """
    try:
        return Stage(str(text).lower())
    except ValueError as exc:
        names = [str(stage) for stage in Stage]
        raise TransitionError(
            f"No stage '{text}'.{did_you_mean(str(text), names)} Stages: {', '.join(names)}."
        ) from exc


def can_reach(source: Stage, target: Stage) -> bool:
    """Return whether a version in `source` is in `target`, or can come there in any number of steps."""
    reached, found = set[Stage](), {source}
    while found:
        reached |= found
        found = {onward for stage in found for onward in TRANSITIONS[stage]} - reached
    return target in reached


def check_transition(reference: str, source: Stage, target: Stage) -> None:
    """Raise unless a version may go from `source` to `target`.

    Raises
    ------
    TransitionError
        It says where the version may go instead.
    """
    if target in TRANSITIONS[source]:
        return
    if source is target:
        raise TransitionError(f"'{reference}' is in {source} already.")
    allowed = sorted(TRANSITIONS[source], key=list(Stage).index)
    onward = (
        f"From {source} it can go to: {', '.join(allowed)}."
        if allowed
        else "Archived is the end; register a new version."
    )
    raise TransitionError(f"'{reference}' is in {source} and cannot go to {target}. {onward}")
