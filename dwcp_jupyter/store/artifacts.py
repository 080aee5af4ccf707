"""Blobs by what they contain.

A blob lies at ``sha256/ab/cdef…`` under its own sum, on any fsspec file system; equal content is stored once. It is
written to a temporary name, flushed to the disk and renamed, so that a blob under its sum is whole. Every read checks
the sum again. A directory is kept as a manifest, a blob that lists its files; the manifest's sum names the directory.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import ArtifactNotFoundError, IntegrityError, WorkspaceError
from dwcp_jupyter.store.filesystems import Place, written_whole

__all__ = ["Artifact", "ArtifactStore", "Blob"]

_TREE_FORMAT = "dwcp-tree-1"
_RENEWED_AFTER = timedelta(hours=12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A stored blob or directory: its SHA-256 in hex and its size in bytes (of all files, for a directory)."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file of the store: its sum, or None for one that was never finished."""

    sha256: str | None
    path: str
    size_bytes: int
    written_at: datetime


class ArtifactStore:
    """Content-addressed blobs under `location`, a folder or an fsspec URL.

    Any number of processes may read and write at once. Nothing is changed here, only a damaged blob is replaced by a
    whole one, and what nobody needs is removed when `collecting` asks. The folder is created at the first write.

    Parameters
    ----------
    location : str, path or Place
    before_write : callable, optional
        Called before bytes are kept, those too that are there already; what it raises keeps them out. `Owners.claim`.
    """

    def __init__(
        self, location: str | os.PathLike[str] | Place, *, before_write: Callable[[], object] = lambda: None
    ) -> None:
        self._place = location if isinstance(location, Place) else Place(location)
        self._before_write = before_write
        self._is_local = self._place.is_local

    @property
    def location(self) -> str:
        """Folder or URL."""
        return self._place.location

    @property
    def _filesystem(self) -> Any:
        return self._place.filesystem

    @property
    def _base(self) -> str:
        return self._place.base

    def now(self) -> datetime:
        """Return the time by which `Blob.written_at` is told."""
        return self._place.now()

    def ask(self) -> None:
        """Return if the store answers; an empty one need not be there yet.

        Raises
        ------
        WorkspaceError, MissingExtraError
            If it does not.
        """
        if not self._is_local:
            self.now()
            self.exists(hashing.sha256_bytes(b""))

    def put_bytes(self, data: bytes) -> Artifact:
        """Keep `data`."""
        self._before_write()
        artifact = Artifact(sha256=hashing.sha256_bytes(data), size_bytes=len(data))
        if not self._is_whole(artifact):
            self._write(artifact.sha256, data=data)
        return artifact

    def put_file(self, path: str | os.PathLike[str]) -> Artifact:
        """Keep the bytes of a regular file."""
        source = Path(path)
        if not stat.S_ISREG(source.stat().st_mode):
            raise ValueError(f"'{source}' is not a regular file, so it cannot be kept. Pass a file.")
        self._before_write()
        artifact = Artifact(sha256=hashing.sha256_file(source), size_bytes=source.stat().st_size)
        if not self._is_whole(artifact):
            self._write(artifact.sha256, source=source)
        return artifact

    def put_tree(self, directory: str | os.PathLike[str]) -> Artifact:
        """Keep a directory: every regular file below it, by relative path. Links are refused."""
        root = Path(directory)
        files: list[dict[str, str | int]] = []
        size_bytes = 0
        for path in sorted(root.rglob("*")):
            if path.is_symlink():
                raise ValueError(f"'{path}' is a symbolic link. Replace it by the file that it names.")
            if path.is_file():
                blob = self.put_file(path)
                size_bytes += blob.size_bytes
                files.append(
                    {"path": path.relative_to(root).as_posix(), "sha256": blob.sha256, "size_bytes": blob.size_bytes}
                )
        manifest = self.put_bytes(hashing.canonical_json({"format": _TREE_FORMAT, "files": files}))
        return Artifact(sha256=manifest.sha256, size_bytes=size_bytes)

    def read(self, sha256: str) -> bytes:
        """Return the bytes, checked against their sum.

        Raises
        ------
        ArtifactNotFoundError, IntegrityError
            If there is no such blob, or its bytes were changed.
        """
        try:
            with self._place.speaking("read", may_miss=True):
                data: bytes = self._filesystem.cat_file(self._path(sha256))
        except FileNotFoundError as exc:
            raise ArtifactNotFoundError(
                f"No artifact {sha256} in '{self._base}'. Restore it from a backup, or register the version again."
            ) from exc
        self._check(sha256, hashing.sha256_bytes(data))
        return data

    def fetch_file(self, sha256: str, destination: str | os.PathLike[str]) -> Path:
        """Write a blob to the path `destination`, checked; return that path."""
        target = Path(destination)
        try:
            with self._place.speaking("read", may_miss=True):
                self._filesystem.get_file(self._path(sha256), os.fspath(target))
        except FileNotFoundError as exc:
            raise ArtifactNotFoundError(f"No artifact {sha256} in '{self._base}'.") from exc
        except WorkspaceError:
            target.unlink(missing_ok=True)
            raise
        try:
            self._check(sha256, hashing.sha256_file(target))
        except IntegrityError:
            target.unlink()
            raise
        return target

    def fetch_tree(self, sha256: str, destination: str | os.PathLike[str]) -> Path:
        """Write a directory's files below `destination`, checked; return that path."""
        root = Path(destination)
        root.mkdir(parents=True, exist_ok=True)
        for name, blob in self.list_tree(sha256).items():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            self.fetch_file(blob.sha256, target)
        return root

    def list_tree(self, sha256: str) -> dict[str, Artifact]:
        """Return a directory's files by relative path.

        Raises
        ------
        IntegrityError
            If the blob is no manifest, or names a path outside the directory.
        """
        try:
            manifest = json.loads(self.read(sha256))
            files = manifest["files"] if manifest["format"] == _TREE_FORMAT else None
        except (ValueError, KeyError, TypeError) as exc:
            if isinstance(exc, IntegrityError):
                raise
            files = None
        if files is None:
            raise IntegrityError(f"Artifact {sha256} is not a directory.", expected=sha256, actual=sha256)
        for file in files:
            path = PurePosixPath(file["path"])
            if path.is_absolute() or ".." in path.parts:
                raise IntegrityError(
                    f"Artifact {sha256} names '{path}', outside itself.", expected=sha256, actual=sha256
                )
        return {file["path"]: Artifact(sha256=file["sha256"], size_bytes=file["size_bytes"]) for file in files}

    def exists(self, sha256: str) -> bool:
        """Return whether there is such a blob."""
        with self._place.speaking("asked"):
            return bool(self._filesystem.exists(self._path(sha256)))

    def list_blobs(self) -> list[Blob]:
        """Return every blob, those that were never finished too."""
        try:
            with self._place.speaking("listed", may_miss=True):
                found = self._filesystem.find(f"{self._base}/sha256", detail=True)
        except FileNotFoundError:
            return []
        blobs = []
        for path, info in found.items():
            folder, name = PurePosixPath(path).parts[-2:]
            sha256 = folder + name
            blobs.append(
                Blob(
                    sha256=sha256 if _is_sum(sha256) else None,
                    path=path,
                    size_bytes=int(info["size"]),
                    written_at=_written_at(info),
                )
            )
        return blobs

    def remove(self, blob: Blob, *, unless_after: datetime) -> bool:
        """Return whether the blob was removed: not if it was kept again after a moment.

        A local blob is set aside first and looked at again, so that who keeps the same bytes meanwhile either renews
        it in time, or finds nothing and writes them anew.
        """
        if not self._is_local:
            with self._place.speaking("asked to remove an object"):
                if _written_at(self._filesystem.info(blob.path)) > unless_after:
                    return False
                self._filesystem.rm_file(blob.path)
            return True
        path = Path(blob.path)
        aside = path.with_name(f".{uuid.uuid4().hex}.partial")
        try:
            path.rename(aside)
        except FileNotFoundError:
            return False
        if datetime.fromtimestamp(aside.stat().st_mtime, tz=UTC) > unless_after:
            aside.rename(path)
            return False
        aside.unlink()
        return True

    def _is_whole(self, artifact: Artifact) -> bool:
        """Return whether the blob is there as it was written, and mark it as used now.

        One that a disk or a hand damaged is written again. On an object store the size must do, since to read all of
        it would cost as much as to write it; there one that is old is written again, which is what renews it.
        """
        path = self._path(artifact.sha256)
        try:
            if self._is_local:
                os.utime(path)
                return hashing.sha256_file(Path(path)) == artifact.sha256
            with self._place.speaking("asked", may_miss=True):
                info = self._filesystem.info(path)
        except FileNotFoundError:
            return False
        return info["size"] == artifact.size_bytes and self.now() - _written_at(info) < _RENEWED_AFTER

    def _path(self, sha256: str) -> str:
        if not _is_sum(sha256):
            raise ValueError(f"'{sha256}' is no SHA-256 in lower-case hex.")
        return f"{self._base}/sha256/{sha256[:2]}/{sha256[2:]}"

    def _check(self, expected: str, actual: str) -> None:
        if actual != expected:
            raise IntegrityError(
                f"Artifact {expected} in '{self._base}' was changed: its bytes now have the sum {actual}. "
                "It is not loaded. Restore it from a backup, or register the version again.",
                expected=expected,
                actual=actual,
            )

    def _write(self, sha256: str, *, data: bytes | None = None, source: Path | None = None) -> None:
        target = self._path(sha256)
        if not self._is_local:  # object stores show an object only when it is whole
            with self._place.speaking("written"):
                if data is not None:
                    self._filesystem.pipe_file(target, data)
                elif source is not None:
                    self._filesystem.put_file(os.fspath(source), target)
            return
        try:
            with written_whole(Path(target)) as stream:
                if data is not None:
                    stream.write(data)
                elif source is not None:
                    with source.open("rb") as original:
                        shutil.copyfileobj(original, stream, 1 << 20)
                stream.flush()
                self._check(sha256, hashing.sha256_file(Path(stream.name)))
                os.fchmod(stream.fileno(), 0o444)
        except OSError as exc:
            raise WorkspaceError(
                f"Artifact {sha256[:12]}… cannot be written below '{self._base}': {exc.strerror or exc}. "
                "Nothing of it was kept. Free space there, or move the workspace by DWCP_HOME."
            ) from exc


def _is_sum(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _written_at(info: Mapping[str, Any]) -> datetime:
    """Return when a file system says that a file was written; the beginning of time where it does not say."""
    said = info.get("mtime", info.get("LastModified", info.get("created", 0.0)))
    moment = said if isinstance(said, datetime) else datetime.fromtimestamp(float(said), tz=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
