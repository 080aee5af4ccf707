"""Garbage collection: blobs that nothing in the metadata needs any more.

What was written or used within the time of grace stays, since a registration keeps its blobs before it names them.
Where another database keeps blobs in the same store nothing is removed at all: what it needs is not known here. That is
looked at last, when all is listed: a database that begins to use the store later renews the blobs that it keeps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from dwcp_jupyter.store import schema
from dwcp_jupyter.store.artifacts import ArtifactStore, Blob
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.store.owners import Owners

__all__ = ["GRACE", "Collected", "collect"]

GRACE: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What was removed, or would be: files and their bytes."""

    blobs: int
    bytes: int


def collect(
    metadata: Metadata,
    artifacts: ArtifactStore,
    owners: Owners,
    *,
    grace: timedelta = GRACE,
    is_dry: bool = False,
    without: Iterable[str] = (),
) -> Collected:
    """Return what was removed.

    Parameters
    ----------
    is_dry : bool
        Whether only to say what would be removed.
    without : iterable of str
        Owners whose references do not count, for a dry run of what would happen without them.

    Raises
    ------
    WorkspaceError
        If other databases keep files in the store; a dry run does not ask.
    ArtifactNotFoundError, IntegrityError
        If a directory that is needed cannot be read: which files belong to it cannot be told then, and nothing is
        removed.
    """
    limit = artifacts.now() - grace
    old = [blob for blob in artifacts.list_blobs() if blob.written_at <= limit]  # before asking what is needed
    needed = _needed(metadata, artifacts, set(without))
    doomed = [blob for blob in old if blob.sha256 is None or blob.sha256 not in needed]
    if is_dry:
        return _counted(doomed)
    owners.refuse_others()
    return _counted([blob for blob in doomed if artifacts.remove(blob, unless_after=limit)])


def _counted(removed: list[Blob]) -> Collected:
    return Collected(blobs=len(removed), bytes=sum(blob.size_bytes for blob in removed))


def _needed(metadata: Metadata, artifacts: ArtifactStore, without: set[str]) -> set[str]:
    """Return the sums that are named by the metadata, and those of the files of named directories."""
    table = schema.artifact_references
    with metadata.read() as connection:
        named = connection.execute(select(table.c.sha256, table.c.owner, table.c.role)).all()
    named = [row for row in named if row.owner not in without]
    needed = {row.sha256 for row in named}
    for sha256 in {row.sha256 for row in named if row.role.partition("/")[0] == "package"}:
        needed.update(file.sha256 for file in artifacts.list_tree(sha256).values())
    return needed
