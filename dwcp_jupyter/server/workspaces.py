"""The workspaces that one Jupyter server knows.

The default one is what a kernel in the server's root folder would find. Others at or below that folder join when a
kernel asks to hold them; they are remembered by server root, so that their endpoints too come back when the server
does. A hold keeps the workspace's supervisor alive; a workspace without endpoints of its own is not held.

Everything here may block, and is called from threads.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dwcp_jupyter import config, store, supervisor
from dwcp_jupyter.exceptions import SupervisorError, WorkspaceError
from dwcp_jupyter.server.memory import Memory
from dwcp_jupyter.server.statuses import UnknownWorkspaceError
from dwcp_jupyter.supervisor import Lifetime

__all__ = ["WorkspaceEntry", "Workspaces", "workspace_id"]


def workspace_id(root: Path) -> str:
    """Return the 12 hexadecimal digits that name the workspace at `root` in URLs."""
    return hashlib.sha256(str(root.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:12]


@dataclass(slots=True, kw_only=True, eq=False)
class WorkspaceEntry:
    """One workspace.

    Attributes
    ----------
    hold : supervisor.Hold or None
        None while nothing of it needs to run.
    """

    id: str
    stores: store.Stores
    hold: supervisor.Hold | None = None
    mutex: threading.Lock = field(default_factory=threading.Lock)

    @property
    def root(self) -> Path:
        """The workspace folder."""
        return self.stores.root


class Workspaces:
    """All workspaces of one server; thread-safe. `close` lets go of them.

    Parameters
    ----------
    server_root : Path
        The folder that the Jupyter server shows.
    memory : Memory
        Remembers what was held here.
    warn : callable
        Takes a sentence for the server's log.
    """

    def __init__(
        self, server_root: Path, *, settings: config.Dwcp, memory: Memory, warn: Callable[[str], None]
    ) -> None:
        self.server_root = server_root
        self._settings = settings
        self._memory = memory
        self._warn = warn
        self._entries: dict[str, WorkspaceEntry] = {}
        self._default: WorkspaceEntry | None = None
        self._mutex = threading.Lock()
        self._is_closed = False

    def default(self) -> WorkspaceEntry:
        """Return the workspace of the server's root folder; it need not exist yet.

        Raises
        ------
        WorkspaceError
            If what lies there cannot be a workspace.
        """
        self._default = self._entry(config.locate(cwd=self.server_root, settings=self._settings).root)
        return self._default

    def get(self, identifier: str | None) -> WorkspaceEntry:
        """Return the workspace of this id, the default one for None.

        Raises
        ------
        UnknownWorkspaceError
            If this server knows none such.
        """
        default = self.default()
        if identifier is None or identifier == default.id:
            return default
        with self._mutex:
            entry = self._entries.get(identifier)
        if entry is None:
            raise UnknownWorkspaceError(
                f"This server knows no workspace '{identifier}'. It learns of one when a notebook in it deploys."
            )
        return entry

    def find(self, identifier: str | None) -> WorkspaceEntry | None:
        """Return a workspace that is held, without looking at the disk, or None; the default one as last looked up."""
        entry = self._entries.get(identifier) if identifier is not None else self._default
        return entry if entry is not None and entry.hold is not None else None

    def known(self) -> list[WorkspaceEntry]:
        """Return the default workspace, then all others by path."""
        default = self.default()
        with self._mutex:
            others = [entry for entry in self._entries.values() if entry is not default and entry.hold is not None]
        return [default, *sorted(others, key=lambda entry: str(entry.root))]

    def path_of(self, entry: WorkspaceEntry) -> str:
        """Return the path to show: from the server's root folder where it lies below."""
        root, base = entry.root.resolve(), self.server_root.resolve()
        return str(root.relative_to(base)) if root.is_relative_to(base) else str(root)

    def hold(self, path: str | Path) -> WorkspaceEntry:
        """Return the workspace at `path`, its supervisor running and held.

        Raises
        ------
        WorkspaceError
            If it is not there, or lies outside the server's root folder.
        SupervisorError
            If the supervisor cannot be started.
        """
        root = config.locate(path, settings=self._settings).root
        default = self.default()
        if not root.is_dir():
            raise WorkspaceError(f"There is no workspace at '{root}', so it cannot be held.")
        if not (root.resolve().is_relative_to(self.server_root.resolve()) or workspace_id(root) == default.id):
            raise WorkspaceError(
                f"The workspace '{root}' lies outside this Jupyter server's root folder '{self.server_root}', so the "
                "server does not run its endpoints. Start Jupyter above it, or run it by `dwcp serve`."
            )
        entry = self._entry(root)
        self._attach(entry)
        if entry is not default:
            self._memory.add(self.server_root, entry.root)
        return entry

    def restore(self) -> None:
        """Hold again what has endpoints that belong to the server; one that fails does not stop the others."""
        remembered = self._memory.roots(self.server_root)
        for root in (*self._default_root(), *remembered):
            try:
                if root.is_dir() and _has_server_endpoints(self._entry(root).stores):
                    self.hold(root)
                else:
                    self._memory.remove(self.server_root, root)
            except WorkspaceError as exc:
                self._warn(f"dwcp_jupyter: the endpoints of '{root}' are not back. {exc}")

    def close(self) -> None:
        """Let go of everything; supervisors that nobody else holds drain and end."""
        with self._mutex:
            self._is_closed = True
            entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            with entry.mutex:
                if entry.hold is not None:
                    entry.hold.close()
                    entry.hold = None
            entry.stores.close()

    def _default_root(self) -> tuple[Path, ...]:
        try:
            return (self.default().root,)
        except WorkspaceError as exc:
            self._warn(f"dwcp_jupyter: {exc}")
            return ()

    def _entry(self, root: Path) -> WorkspaceEntry:
        identifier = workspace_id(root)
        with self._mutex:
            if self._is_closed:
                raise WorkspaceError("The Jupyter server is stopping.")
            if identifier not in self._entries:
                stores = store.open(root, settings=self._settings)
                self._entries[identifier] = WorkspaceEntry(id=identifier, stores=stores)
            return self._entries[identifier]

    def _attach(self, entry: WorkspaceEntry) -> None:
        """Take a hold, or make sure that the one there is still works: its supervisor may have been stopped."""
        with entry.mutex:
            if entry.hold is not None:
                try:
                    entry.hold.status()
                except SupervisorError:
                    entry.hold.close()
                    entry.hold = None
                else:
                    return
            if self._is_closed:
                raise WorkspaceError("The Jupyter server is stopping.")
            entry.hold = supervisor.hold(entry.stores, kind="server")


def _has_server_endpoints(stores: store.Stores) -> bool:
    import sqlalchemy as sa  # costs more than the rest of the extension: only where there is a workspace

    from dwcp_jupyter.store import schema

    table = schema.endpoints
    query = sa.select(sa.func.count()).select_from(table).where(table.c.lifetime == str(Lifetime.SERVER))
    if stores.metadata.is_shared:
        query = query.where(table.c.place == stores.metadata.place)
    with stores.metadata.read() as connection:
        return bool(connection.execute(query).scalar_one())
