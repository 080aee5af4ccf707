"""A model that is a folder, as one file.

A package keeps one file, and a decision to trust names one sum; a SavedModel is a folder. It becomes an uncompressed
zip whose bytes follow from the content alone: names in order, no times, no owners. So the sum of a folder can be told
again at any time (`sha256`), and the same folder is never kept twice. Links are refused: what they lead to may change
without the folder, and may be no part of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import FlavorError, IntegrityError

__all__ = ["SAVED_MODEL", "is_saved_model", "pack", "sha256", "unpack"]

SAVED_MODEL = "saved_model.pb"
"""The file that makes a folder a SavedModel of TensorFlow."""
_BEGINNING = (1980, 1, 1, 0, 0, 0)
_MODE = (stat.S_IFREG | 0o600) << 16
_BLOCK_BYTES = 1 << 20


class _Sink:
    """Takes bytes in order, keeps their sum, and writes them where there is a file.

    It cannot seek, so the bytes of a zip are the same with a file and without.
    """

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self.digest = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data) if self._file is None else self._file.write(data)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()


def is_saved_model(path: Path) -> bool:
    """Return whether `path` is the folder of a SavedModel."""
    return path.is_dir() and (path / SAVED_MODEL).is_file()


def pack(folder: Path, target: Path) -> None:
    """Write the files of `folder` into the new file `target`.

    Raises
    ------
    FlavorError
        If something in it is neither a file nor a folder.
    """
    with target.open("xb") as file:
        _write(folder, _Sink(file))


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder that of the file which `pack` would make of it."""
    if not path.is_dir():
        return hashing.sha256_file(path)
    sink = _Sink()
    _write(path, sink)
    return sink.digest.hexdigest()


def unpack(path: Path, folder: Path) -> None:
    """Write the files that `pack` put into `path` into the new folder `folder`.

    Raises
    ------
    IntegrityError
        If it is no such file, or one of its names leads out of the folder.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(member)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as file:
                    shutil.copyfileobj(source, file, _BLOCK_BYTES)
    except (zipfile.BadZipFile, FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise _unsound(str(exc)) from exc


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.filename
    parts = PurePosixPath(name)
    if parts.is_absolute() or str(parts) != name or {"..", "."} & set(parts.parts) or "\\" in name:
        raise _unsound(f"'{name}' is no file in the folder")
    if member.compress_type != zipfile.ZIP_STORED or member.external_attr != _MODE:
        raise _unsound(f"'{name}' is not kept as a plain file")


def _unsound(why: str) -> IntegrityError:
    return IntegrityError(
        f"The kept folder cannot be unpacked: {why}. It is not loaded. Register the folder again.",
        expected="an uncompressed zip of plain files",
        actual=why,
    )


def _write(folder: Path, sink: _Sink) -> None:
    # its size decides the form of a file's header: zip64 for all of them is written otherwise by Python before 3.11.4
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]  # a sink suffices
        for name, path in sorted(_files(folder)):
            member = zipfile.ZipInfo(name, _BEGINNING)
            member.create_system, member.external_attr = 3, _MODE
            member.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(member, "w") as target:
                shutil.copyfileobj(source, target, _BLOCK_BYTES)


def _refuse(error: OSError) -> None:
    raise error


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Return every file in the folder with its name."""
    for place, inner, files in os.walk(folder, onerror=_refuse):
        here = Path(place)
        for name in (*inner, *files):
            path = here / name
            kind = stat.S_IFMT(path.lstat().st_mode)
            if kind not in {stat.S_IFREG, stat.S_IFDIR} or "\\" in name or not name.isprintable():
                raise FlavorError(
                    f"'{path}' is neither a plain file nor a folder, so '{folder}' cannot be kept. Copy the folder "
                    "with what its links lead to: cp -rL."
                )
            if kind == stat.S_IFREG:
                yield path.relative_to(folder).as_posix(), path
