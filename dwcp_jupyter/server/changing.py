"""Changes of stages and aliases through the server: one registry call each, by whoever is signed in."""

from __future__ import annotations

from typing import Any

from dwcp_jupyter.registry import ModelRegistry
from dwcp_jupyter.server import bodies
from dwcp_jupyter.server.questions import Question
from dwcp_jupyter.server.reading import model_json, version_json

__all__ = ["promote", "registry_of", "remove_alias", "rollback", "set_alias", "version_reference"]


def registry_of(question: Question) -> ModelRegistry:
    """Return the workspace's registry, in which the asking person acts."""
    return ModelRegistry(question.entry.stores, actor=question.actor)


def version_reference(question: Question) -> str:
    """Return ``name@version`` of the version in the path."""
    return f"{question.name}@{question.parts['version']}"


def promote(question: Question) -> dict[str, Any]:
    """Return the version after it moved to another stage."""
    said = question.content(bodies.Promotion)
    return version_json(
        registry_of(question).promote_model(version_reference(question), said.stage, dry_run=said.dry_run)
    )


def rollback(question: Question) -> dict[str, Any]:
    """Return the version that came back into production."""
    said = question.content(bodies.Rollback)
    return version_json(registry_of(question).rollback(question.name, dry_run=said.dry_run, expected=said.expected))


def set_alias(question: Question) -> dict[str, Any]:
    """Return the version that an alias means from now on."""
    said = question.content(bodies.Alias)
    return version_json(registry_of(question).set_alias(f"{question.name}@{said.version}", question.parts["alias"]))


def remove_alias(question: Question) -> dict[str, Any]:
    """Return the model after one of its aliases was removed."""
    registry = registry_of(question)
    name = registry.describe_model(question.name).name
    registry.remove_alias(name, question.parts["alias"])
    return model_json(registry.describe_model(name))
