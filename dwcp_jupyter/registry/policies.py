"""What a stage or a protected alias asks of a version: reviewers, and checks of recorded evidence.

A policy is YAML or a mapping::

    reviewers: 2
    roles:
      ml-lead: [ana, bo]
      risk: [cleo]
    require: [risk]
    expires_after_days: 14
    assurance: authenticated
    checks:
      - metrics.test_accuracy >= 0.95
      - bias.demographic_parity_difference <= 0.05
      - documents: [model_card]
      - alerts.critical == 0
    stages: [staging, production]      # of an alias only

What a policy does not say it does not change: a field that a model's own policy leaves out is that of the policy for
all models, and where that has none either production and protected aliases take one reviewer. To have none is to say
``reviewers: 0``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Self

from dwcp_jupyter.events import Assurance, person_key
from dwcp_jupyter.registry.checks import Check, CheckResult, FailedCheck
from dwcp_jupyter.registry.policy_fields import read_fields, read_yaml
from dwcp_jupyter.registry.stages import Stage
from dwcp_jupyter.rendering import Displayed, Facts, Table, View

__all__ = ["Check", "CheckResult", "FailedCheck", "StagePolicy", "person_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePolicy(Displayed):
    """What it takes to enter a stage, or to carry an alias.

    Attributes
    ----------
    reviewers : int or None
        How many people must approve. The one who asks never counts. None only where nothing was said yet: then it is
        1 for production and for a protected alias.
    roles : mapping of str to tuple of str
        Names of the people in each role; empty where everybody may review.
    require : tuple of str
        Roles of which at least one member must approve each.
    expires_after_days : float
        How long a request is good for, and so is the approval that it was given: until then it lets the version in as
        often as it leaves, while its model file and metrics stay the same.
    assurance : Assurance
        How sure it must be who asked and who decided.
    checks : tuple of Check
        Made when the version enters, on the evidence as it is then; evidence that changes makes no approval stale.
    stages : tuple of Stage
        Of an alias: where a version must stand when the alias is set; anywhere if empty.
    said : frozenset of str
        The fields that were written out, even as what they are by default.
    """

    reviewers: int | None = None
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    require: tuple[str, ...] = ()
    expires_after_days: float = 14.0
    assurance: Assurance = Assurance.ASSERTED
    checks: tuple[Check, ...] = ()
    stages: tuple[Stage, ...] = ()
    said: frozenset[str] = field(default=frozenset(), compare=False, repr=False)

    @property
    def expires_after(self) -> timedelta:
        """How long a request is good for."""
        return timedelta(days=self.expires_after_days)

    @property
    def takes_approval(self) -> bool:
        """Whether anybody has to approve."""
        return bool(self.reviewers or self.require)

    @property
    def asks_something(self) -> bool:
        """Whether a version has to meet anything."""
        return bool(self.takes_approval or self.checks or self.stages)

    @classmethod
    def parse(cls, said: str | Mapping[str, Any] | Self) -> Self:
        """Return the policy that YAML text or a mapping says.

        Raises
        ------
        PolicyError
            It names every fault.
        """
        if isinstance(said, cls):
            return said
        values = read_fields(read_yaml(said) if isinstance(said, str) else said, _FIELDS)
        return cls(**values, said=frozenset(values))

    def faults(self) -> list[str]:
        """Return in words why nobody could ever satisfy it; nothing where somebody can."""
        members = {role: {person_key(name) for name in people} - {""} for role, people in self.roles.items()}
        people = set[str]().union(*members.values())
        found = [
            f"require: nobody has the role '{role}'. Name its people under roles."
            for role in self.require
            if not members.get(role)
        ]
        if self.roles and len(people) < (self.reviewers or 0):
            found.append(
                f"reviewers: {self.reviewers} must approve, but only {len(people)} may, who are named under roles. "
                "Name more, or ask for fewer."
            )
        return found

    def failures(self, evidence: Mapping[str, Mapping[str, Any]]) -> tuple[FailedCheck, ...]:
        """Return every check that the evidence does not pass."""
        found = (check.failure(evidence) for check in self.checks)
        return tuple(failure for failure in found if failure is not None)

    def results(self, evidence: Mapping[str, Mapping[str, Any]]) -> tuple[CheckResult, ...]:
        """Return what became of every check, passed or not."""
        return tuple(check.result(evidence) for check in self.checks)

    def roles_of(self, person: str) -> frozenset[str]:
        """Return the roles that a person has."""
        return frozenset(role for role, people in self.roles.items() if person_key(person) in map(person_key, people))

    def missing(self, approvers: Iterable[str]) -> str | None:
        """Return what the approvals of these people still lack, or None where they are enough.

        Each person counts once, and where there are roles only those who have one.
        """
        people = {person_key(name): self.roles_of(name) for name in approvers}
        counted = [roles for roles in people.values() if roles or not self.roles]
        absent = [role for role in self.require if not any(role in roles for roles in counted)]
        lacking = (self.reviewers or 0) - len(counted)
        said = []
        if lacking > 0:
            said.append(f"{lacking} more approval{'s' if lacking > 1 else ''}")
        if absent:
            said.append(f"an approval by {' and by '.join(absent)}")
        return " and ".join(said) or None

    def to_json(self) -> dict[str, Any]:
        """Return what it says as the database keeps it; `parse` reads it."""
        said = {name for name in _FIELDS if getattr(self, name) != getattr(_UNSAID, name)} | self.said
        values = {
            "reviewers": self.reviewers,
            "roles": {role: list(people) for role, people in self.roles.items()},
            "require": list(self.require),
            "expires_after_days": self.expires_after_days,
            "assurance": str(self.assurance),
            "checks": [str(check) for check in self.checks],
            "stages": [str(stage) for stage in self.stages],
        }
        return {name: value for name, value in values.items() if name in said}

    def _view(self) -> View:
        roles = "; ".join(f"{role}: {', '.join(people)}" for role, people in self.roles.items())
        facts = {
            "Reviewers": self.reviewers,
            "Roles": roles or "anybody but who asks",
            "At least one of each": ", ".join(self.require) or None,
            "Good for": f"{self.expires_after_days:g} days",
            "Identity": str(self.assurance),
            "In": " or ".join(map(str, self.stages)) or None,
        }
        blocks: list[Any] = [Facts({name: value for name, value in facts.items() if value is not None})]
        if self.checks:
            blocks.append(Table(("Check",), [(str(check),) for check in self.checks]))
        return View("Stage policy", blocks)


_FIELDS = tuple(entry.name for entry in fields(StagePolicy) if entry.name != "said")
_UNSAID = StagePolicy()
