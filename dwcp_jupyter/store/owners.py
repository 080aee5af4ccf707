"""Which databases keep files in an artifact store, said in the store itself.

What can be freed is known to those who need it, and a database knows its own needs only. So each one that keeps files
in a store leaves a record there, ``owners/ID.json``, before its first file; whoever collects garbage reads the records,
and frees nothing while there is another's. Where database and files lie in one workspace folder no record is needed:
the database is found beside the files, and both move together.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.exceptions import WorkspaceError
from dwcp_jupyter.store import ownership
from dwcp_jupyter.store.filesystems import Place
from dwcp_jupyter.store.metadata import Metadata
from dwcp_jupyter.store.ownership import Owner

__all__ = ["Owner", "Owners"]

_FORMAT = "dwcp-owner-1"
_KNOWN_S = 600.0
"""How long a record that was seen is taken to be there: far shorter than files that nothing needs are kept."""


class Owners:
    """The databases that keep files at `place`, of which one is `metadata`.

    Safe for threads, processes and forks.
    """

    def __init__(self, place: Place, metadata: Metadata, *, now: clock.Clock = clock.utc_now) -> None:
        self._place = place
        self._metadata = metadata
        self._now = now
        self._known_until = 0.0
        self._is_at_home: bool | None = None

    def claim(self) -> bool:
        """Return whether the record of this database was written just now: not where it is there, or none is needed.

        Raises
        ------
        WorkspaceError
            If it cannot be written. No file may be kept then.
        """
        if time.monotonic() < self._known_until or self._needs_none():
            return False
        own = self._own()
        is_new = not self._is_there(own.id)
        if is_new:
            self._write(own)
        self._known_until = time.monotonic() + _KNOWN_S
        return is_new

    def withdraw(self) -> None:
        """Remove the record of this database, of which nothing is kept after all."""
        self._known_until = 0.0
        self.forget(self._own())

    def others(self, *, without: Iterable[str] = ()) -> tuple[Owner, ...]:
        """Return the other databases that keep files here, as far as they are known.

        Parameters
        ----------
        without : iterable of str
            Ids of those that do not count.
        """
        ignored = set(without)
        if self._metadata.exists:
            ignored.add(self._own().id)
        found = (*ownership.beside(self._place, self._metadata), *self._recorded())
        return tuple(owner for owner in found if owner.id not in ignored)

    def find(self, name: str) -> Owner:
        """Return the other database that `name` means: its id, the beginning of that, or what it is called.

        Raises
        ------
        WorkspaceError
            If it means none or several, or one whose file lies beside the store.
        """
        others = self.others()
        meant = [owner for owner in others if owner.name == name or (len(name) >= 4 and owner.id.startswith(name))]
        if len(meant) != 1:
            listed = "; ".join(owner.called for owner in others) or "none"
            said = "means several" if meant else "is none"
            raise WorkspaceError(
                f"'{name}' {said} of the other databases that keep files in '{self._place.location}'. Nothing was "
                f"changed. Name one by its id. There are: {listed}."
            )
        if meant[0].is_beside:
            raise WorkspaceError(
                f"The database {meant[0].called} is not gone: its file is there. Nothing was changed. If nobody needs "
                "its models any more, move that file away or remove it."
            )
        return meant[0]

    def forget(self, owner: Owner) -> None:
        """Remove the record of a database."""
        try:
            with self._place.speaking("asked to remove an object", may_miss=True):
                self._place.filesystem.rm_file(self._path(owner.id))
        except FileNotFoundError:
            return
        except OSError as exc:
            raise self._unusable("removed", exc) from exc

    def refuse_others(self, *, without: Iterable[str] = ()) -> None:
        """Return if no other database is known to keep files here.

        Raises
        ------
        WorkspaceError
            It names them, and what to do.
        """
        others = self.others(without=without)
        if not others:
            return
        recorded = [owner for owner in others if not owner.is_beside]
        remedies = ["Give each database a place of its own (DWCP_ARTIFACT_URL)"]
        if recorded:
            name = recorded[0].id[:8]
            remedies.append(
                f"say which one is gone for good: %dwcp gc --gone {name} or collect_garbage(gone=['{name}'])"
            )
        if len(recorded) < len(others):
            remedies.append("move a file away that nobody needs any more")
        raise WorkspaceError(
            f"'{self._place.location}' keeps the files of other databases too, and what they need cannot be read from "
            f"here: {'; '.join(owner.called for owner in others)}. No file was removed. {'; or '.join(remedies)}."
        )

    def _needs_none(self) -> bool:
        if self._is_at_home is None:
            self._is_at_home = ownership.is_at_home(self._place, self._metadata)
        return self._is_at_home

    def _own(self) -> Owner:
        """Return what this database is in the records; it is created where it is not there yet."""
        if not self._metadata.exists:
            with self._metadata.transaction():
                pass
        return ownership.identify(self._metadata)

    def _path(self, owner_id: str) -> str:
        return f"{self._place.base}/owners/{owner_id}.json"

    def _is_there(self, owner_id: str) -> bool:
        with self._place.speaking("asked"):
            return bool(self._place.filesystem.exists(self._path(owner_id)))

    def _write(self, owner: Owner) -> None:
        record = {"format": _FORMAT, "id": owner.id, "name": owner.name, "since": clock.to_text(self._now())}
        try:
            with self._place.speaking("written"):
                self._place.write_whole(self._path(owner.id), hashing.canonical_json(record))
        except OSError as exc:
            raise self._unusable("written", exc) from exc

    def _recorded(self) -> list[Owner]:
        try:
            with self._place.speaking("listed", may_miss=True):
                paths = self._place.filesystem.ls(f"{self._place.base}/owners", detail=False)
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise self._unusable("listed", exc) from exc
        read = (self._read(path) for path in sorted(paths) if path.endswith(".json"))
        return [owner for owner in read if owner is not None]

    def _read(self, path: str) -> Owner | None:
        """Return the owner that a record names; one that cannot be read is one too. None if it is gone by now."""
        try:
            with self._place.speaking("read", may_miss=True):
                data = self._place.filesystem.cat_file(path)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._unusable("read", exc) from exc
        owner_id = PurePosixPath(path).stem
        try:
            record: dict[str, Any] = json.loads(data)
            return Owner(id=owner_id, name=str(record["name"]), since=clock.from_text(record["since"]))
        except (ValueError, KeyError, TypeError):
            return Owner(id=owner_id, name=f"a record that cannot be read, {path}")

    def _unusable(self, doing: str, exc: OSError) -> WorkspaceError:
        return WorkspaceError(
            f"The records of the databases that keep files in '{self._place.location}' cannot be {doing}: "
            f"{exc.strerror or exc}. Without them nobody knows whose files are needed, so nothing was kept or removed. "
            f"Let this user read and write '{self._place.base}/owners', and see that there is space."
        )
