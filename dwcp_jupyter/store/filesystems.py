"""Where artifacts lie: a folder, or an object store that fsspec knows.

A remote file system is opened when it is first used, and again in a forked child, since its connections and its thread
belong to the process that made them. It tells the time by its own clock: whoever judges how old an object is by this
machine's would, with a wrong clock, remove what somebody needs. Its failures become one error with a remedy.
"""

from __future__ import annotations

import email.utils
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import fsspec

from dwcp_jupyter.exceptions import MissingExtraError, WorkspaceError, did_you_mean

__all__ = ["Place", "written_whole"]

_LOCAL = {None, "file", "local"}
_S3 = {"s3", "s3a"}
_STORES = ("abfs", "az", "file", "gs", "hdfs", "s3", "sftp", "smb")
_CLOCK_S = 600.0
"""How long the difference to the other clock is believed."""


class Place:
    """A folder or fsspec URL with the file system that it is on.

    Parameters
    ----------
    location : str or path
        For S3 ``s3://bucket/prefix``; keys and endpoint come by the variables and files that AWS's own tools read.
    """

    def __init__(self, location: str | os.PathLike[str]) -> None:
        self.location = os.fspath(location)
        self.protocol = fsspec.core.split_protocol(self.location)[0]
        self.is_local = self.protocol in _LOCAL
        self._opened: tuple[int, Any, str] | None = None
        self._clock: tuple[float, datetime] | None = None

    @property
    def filesystem(self) -> Any:
        """The fsspec file system, of this process."""
        return self._open()[1]

    @property
    def base(self) -> str:
        """The path on it."""
        return self._open()[2]

    def _open(self) -> tuple[int, Any, str]:
        if self._opened is None or self._opened[0] != os.getpid():
            options: dict[str, Any] = {}
            if not self.is_local:  # other processes write too, so nothing that was listed may be remembered
                options = {"use_listings_cache": False, "skip_instance_cache": True}
            try:
                filesystem, base = fsspec.core.url_to_fs(self.location, **options)
            except ImportError as exc:
                if self.protocol in _S3:
                    raise MissingExtraError(purpose="Keeping artifacts on S3", package="s3fs", extra="s3") from exc
                raise WorkspaceError(f"'{self.location}' cannot be used for artifacts: {exc}.") from exc
            except ValueError as exc:
                raise WorkspaceError(self._unusable(exc)) from exc
            self._opened = (os.getpid(), filesystem, base)
        return self._opened

    def _unusable(self, exc: ValueError) -> str:
        known = fsspec.available_protocols()
        if self.protocol in known:
            return f"'{self.location}' cannot be used for artifacts: {_reason(exc)}. Look at DWCP_ARTIFACT_URL."
        return (
            f"'{self.location}' cannot be used for artifacts: no file system is known for '{self.protocol}'."
            f"{did_you_mean(str(self.protocol), known)} Set DWCP_ARTIFACT_URL to a folder, or to a URL such as "
            f"s3://bucket/prefix; known are {', '.join(_STORES)} and others of fsspec."
        )

    def now(self) -> datetime:
        """Return the time of the clock that stamps what is written there."""
        if self.protocol not in _S3:
            return datetime.now(UTC)
        moment = time.monotonic()
        if self._clock is None or moment - self._clock[0] > _CLOCK_S:
            with self.speaking("asked for the time"):
                answer = self.filesystem.call_s3("head_bucket", Bucket=self.base.partition("/")[0])
            said = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
            self._clock = (time.monotonic(), email.utils.parsedate_to_datetime(said))
        measured, then = self._clock
        return then + timedelta(seconds=time.monotonic() - measured)

    def write_whole(self, path: str, data: bytes) -> None:
        """Write a small file of which nobody ever sees a part."""
        if not self.is_local:  # object stores show an object only when it is whole
            self.filesystem.pipe_file(path, data)
            return
        with written_whole(Path(path)) as stream:
            stream.write(data)

    @contextmanager
    def speaking(self, doing: str, *, may_miss: bool = False) -> Iterator[None]:
        """Translate what a remote store raises; with `may_miss` a missing object stays a `FileNotFoundError`.

        Raises
        ------
        WorkspaceError
            It names the store, the reason and the remedy.
        """
        try:
            yield
        except _errors() as exc:
            if self.is_local or (may_miss and isinstance(exc, FileNotFoundError)):
                raise
            raise WorkspaceError(
                f"The artifact store '{self.location}' could not be {doing}: {_reason(exc)}. Nothing half-written is "
                f"visible there. {_remedy(exc)}, then repeat."
            ) from exc


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose file then lies at `target`, whole and flushed; what fails to write it leaves none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(target)
        _flush_folder(target.parent)
    finally:
        partial.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _errors() -> tuple[type[Exception], ...]:
    """Return what file systems raise, as far as their libraries are loaded."""
    found: list[type[Exception]] = [OSError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError")):
        if module in sys.modules:
            found.append(getattr(sys.modules[module], name))
    if "aiohttp" in sys.modules:
        found.append(sys.modules["aiohttp"].ClientError)
    return tuple(found)


def _reason(exc: Exception) -> str:
    return (str(exc).strip() or type(exc).__name__).splitlines()[0].rstrip(".")


def _remedy(exc: Exception) -> str:
    if isinstance(exc, FileNotFoundError):
        return "Create the bucket, or name another by DWCP_ARTIFACT_URL"
    if isinstance(exc, PermissionError) or "redential" in type(exc).__name__:
        return "Look at AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the profile, and at what they allow"
    return "Look at the network, AWS_ENDPOINT_URL and DWCP_ARTIFACT_URL"
