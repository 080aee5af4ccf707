"""Find and open the three stores of a workspace."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from dwcp_jupyter import clock, config
from dwcp_jupyter.store.artifacts import ArtifactStore
from dwcp_jupyter.store.filesystems import Place
from dwcp_jupyter.store.frames import FrameStore
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.store.owners import Owners

__all__ = ["Stores", "as_stores", "open"]


class Stores:
    """The stores of one workspace; a context manager that closes them.

    Attributes
    ----------
    root : Path
        The workspace folder.
    metadata, artifacts, frames
        The stores.
    owners : Owners
        The databases that keep files in `artifacts`.
    """

    def __init__(self, root: Path, *, settings: config.Dwcp, clock: clock.Clock) -> None:
        self.root = root
        self.settings = settings
        self.clock = clock
        self.metadata = Metadata(root, settings=settings, now=clock)
        place = Place(settings.artifact_url or root / "artifacts")
        self.owners = Owners(place, self.metadata, now=clock)
        self.artifacts = ArtifactStore(place, before_write=self.owners.claim)
        self.frames = FrameStore(self.artifacts)

    @property
    def artifact_location(self) -> str:
        """Folder or URL of the artifacts, for processes that read them only."""
        return self.settings.artifact_url or str(self.root / "artifacts")

    def close(self) -> None:
        """Give back what is open; a later call opens it again."""
        self.metadata.close()

    def __repr__(self) -> str:
        return f"Stores({str(self.root)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open(  # noqa: A001 - `store.open` reads as it should
    path: str | os.PathLike[str] | None = None,
    *,
    settings: config.Dwcp | None = None,
    clock: clock.Clock = clock.utc_now,
) -> Stores:
    """Return the stores of the workspace at `path`, or of the one found from the working directory.

    Raises
    ------
    WorkspaceError
        If the folder cannot be a workspace; see `config.locate`.
    """
    settings = settings or config.load()
    return Stores(config.locate(path, settings=settings).root, settings=settings, clock=clock)


def as_stores(storage: Stores | str | os.PathLike[str] | None) -> Stores:
    """Return `storage` itself, or the stores at that path: what each domain's constructor takes."""
    return storage if isinstance(storage, Stores) else open(storage)
