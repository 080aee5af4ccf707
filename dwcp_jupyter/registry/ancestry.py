"""The versions before and after one.

A deleted version is in no table that its children could be followed to, and in the end not in the trash either. What it
was, its event says for good; so it stays in the line as long as a version is there that came of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, select

from dwcp_jupyter.registry import rows
from dwcp_jupyter.registry.values import ModelVersion
from dwcp_jupyter.store import event_log, schema

__all__ = ["Ancestry", "Deleted", "ancestry_of", "chunked"]

_CHUNK = 500
"""How many values a statement asks for at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """A version as it was when it was deleted."""

    version: ModelVersion
    deleted_at: str
    deleted_by: str


@dataclass(slots=True, kw_only=True)
class Ancestry:
    """Versions around one, by their ids.

    Attributes
    ----------
    deleted : dict
        Those that are not there any more, but of which one came that is.
    is_cut : bool
        Whether there are older or younger versions than those asked for.
    """

    versions: dict[str, ModelVersion]
    deleted: dict[str, Deleted] = field(default_factory=dict)
    is_cut: bool = False

    def __contains__(self, version_id: object) -> bool:
        return version_id in self.versions or version_id in self.deleted


def ancestry_of(connection: Connection, version: ModelVersion, *, generations: int | None = None) -> Ancestry:
    """Return the versions around one: so many generations before and after it, or all."""
    parent_of = _parents(connection)  # whole: a statement for each generation costs DuckDB twenty milliseconds
    gone = _deleted(connection, parent_of)
    parent_of.update({version_id: item.version.parent_id for version_id, item in gone.items()})
    children_of: dict[str, list[str]] = defaultdict(list)
    for child, parent in parent_of.items():
        if parent is not None and parent in parent_of:
            children_of[parent].append(child)
    before, has_older = _reach(version.id, lambda key: _known(parent_of.get(key), parent_of), generations)
    after, has_younger = _reach(version.id, lambda key: children_of.get(key, []), generations)
    wanted = before | after
    return Ancestry(
        versions={version.id: version, **_versions(connection, wanted - gone.keys())},
        deleted={version_id: gone[version_id] for version_id in gone.keys() & wanted},
        is_cut=has_older or has_younger,
    )


def chunked(values: Iterable[str]) -> Iterable[list[str]]:
    """Yield values in lists that one statement can ask for."""
    known = list(values)
    for start in range(0, len(known), _CHUNK):
        yield known[start : start + _CHUNK]


def _reach(start: str, step: Callable[[str], Iterable[str]], generations: int | None) -> tuple[set[str], bool]:
    """Return what can be reached in so many steps, and whether more can."""
    found: set[str] = set()
    border, steps = set(step(start)), 0
    while border and steps != generations:
        found |= border
        border, steps = {key for former in border for key in step(former)} - found, steps + 1
    return found, bool(border)


def _known(parent: str | None, parent_of: Mapping[str, str | None]) -> list[str]:
    return [parent] if parent is not None and parent in parent_of else []


def _parents(connection: Connection) -> dict[str, str | None]:
    """Return each version's parent, by the versions' ids."""
    table = schema.versions.c
    return {row.id: row.parent_id for row in connection.execute(select(table.id, table.parent_id))}


def _versions(connection: Connection, wanted: Iterable[str]) -> dict[str, ModelVersion]:
    column = schema.versions.c.id
    found = [row for part in chunked(wanted) for row in connection.execute(rows.VERSIONS.where(column.in_(part)))]
    return {version.id: version for version in map(rows.to_version, found)}


def _deleted(connection: Connection, parent_of: Mapping[str, str | None]) -> dict[str, Deleted]:
    """Return the deleted versions from which one that is there comes, by whatever way."""
    waiting = {parent for parent in parent_of.values() if parent is not None and parent not in parent_of}
    known = _deletions(connection) if waiting else {}
    found: dict[str, Deleted] = {}
    while waiting:
        item = known.get(waiting.pop())
        if item is not None and item.version.id not in found:
            found[item.version.id] = item
            if item.version.parent_id is not None:
                waiting.add(item.version.parent_id)
    return found


def _deletions(connection: Connection) -> dict[str, Deleted]:
    found: dict[str, Deleted] = {}
    for event in event_log.read(connection, kinds=["version.deleted", "version.restored"]):
        said = event.payload
        if event.kind == "version.restored":
            found.pop(said["id"], None)
        else:
            version = rows.from_values(said, name=said["name"], task_type=None)
            found[version.id] = Deleted(version=version, deleted_at=event.time, deleted_by=event.actor)
    return found
