"""A function between memory and its file: written with its models and tables, read back, and proved to be the same.

The file is a folder in one: the text as ``model.py``, each model as a package of its own below ``parts/``, each table
below ``tables/``, and ``function.json``, which says what is what. So one sum stands for all of it, and the same
function gives the same bytes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dwcp_jupyter import hashing
from dwcp_jupyter.exceptions import DwcpError, FlavorError
from dwcp_jupyter.flavors import packing, saving
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.package import PackageInfo, read_package
from dwcp_jupyter.flavors.python import tables as python_tables
from dwcp_jupyter.flavors.python.document import Document
from dwcp_jupyter.flavors.python.entries import Kind, refusal
from dwcp_jupyter.flavors.python.proof import Proof
from dwcp_jupyter.flavors.python.running import run_module
from dwcp_jupyter.flavors.python.writing import write_module

__all__ = ["Contents", "KeptFunction", "keep", "look_into", "read"]

_MODULE = "model.py"
_DESCRIPTION = "function.json"
_FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFunction:
    """A function that was read.

    Attributes
    ----------
    namespace : mapping
        All that its text defines.
    apart : mapping
        The models and tables that lay beside it.
    """

    function: Any
    namespace: Mapping[str, Any]
    apart: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What the file of a function holds.

    Attributes
    ----------
    parts : mapping
        The models' descriptions, by name.
    packages : frozenset of str
        Those among them that come back as a `LoadedModel`.
    """

    text: str
    parts: Mapping[str, PackageInfo]
    packages: frozenset[str]


def keep(document: Document, path: Path) -> None:
    """Write a function with all that it needs into the new file `path`, read it back and compare.

    Raises
    ------
    FlavorError
        If something of it cannot be kept, or would not come back as it is.
    """
    models, tables = document.kept_apart(Kind.MODEL), document.kept_apart(Kind.TABLE)
    _check_names([*models, *tables])
    with tempfile.TemporaryDirectory(prefix="dwcp-") as place:
        folder = Path(place)
        said = {
            "format_version": _FORMAT_VERSION,
            "function": document.function,
            "parts": {name: _keep_model(name, model, folder / "parts" / name) for name, model in models.items()},
            "tables": {name: _keep_table(name, table, folder / "tables" / name) for name, table in tables.items()},
        }
        (folder / _MODULE).write_text(write_module(document), encoding="utf-8", newline="\n")
        (folder / _DESCRIPTION).write_bytes(hashing.canonical_json(said))
        packing.pack(folder, path)
    _prove(document, path)


def _check_names(names: list[str]) -> None:
    """Refuse names that would be one folder where the file system does not tell capital letters apart."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            raise FlavorError(f"The names '{other}' and '{name}' differ by capital letters alone. Rename one of them.")


def _keep_model(name: str, model: Any, folder: Path) -> str:
    """Return what a fitted model is to come back as."""
    is_loaded = isinstance(model, LoadedModel)
    try:
        if is_loaded:
            info = saving.save_model(model.native, folder, signature=model.signature)
        else:
            info = saving.save_model(model, folder)
    except DwcpError as exc:
        raise refusal(name, "", exc) from exc
    if not info.is_safe:
        raise refusal(name, "", f"its format '{info.format}' could run code. Register it on its own.")
    return "package" if is_loaded else "model"


def _keep_table(name: str, table: Any, folder: Path) -> dict[str, Any]:
    """Return what the reader of a table must know."""
    folder.mkdir(parents=True)
    try:
        return python_tables.write_table(table, folder)
    except FlavorError as exc:
        raise refusal(name, "", exc) from exc


def read(path: Path) -> KeptFunction:
    """Return the function in a file whose trust was decided: its text is run here.

    Raises
    ------
    FlavorError
        If the file is none that `keep` wrote, or a model in it is not in a safe format.
    IntegrityError
        If it is no folder in one file, or one of its names leads out of the folder.
    """
    with tempfile.TemporaryDirectory(prefix="dwcp-") as place:
        folder = Path(place) / "function"
        packing.unpack(path, folder)
        said = _description(folder)
        apart = {name: _read_model(_inside(folder, "parts", name), kind) for name, kind in said["parts"].items()}
        for name, table in said["tables"].items():
            apart[name] = python_tables.read_table(_inside(folder, "tables", name), table)
        text = (folder / _MODULE).read_text(encoding="utf-8")
    namespace = run_module(text, apart, file=_MODULE)
    if not callable(namespace.get(said["function"])):
        raise FlavorError(f"The text of the function defines no '{said['function']}'. Save the function again.")
    return KeptFunction(function=namespace[said["function"]], namespace=namespace, apart=apart)


def look_into(path: Path) -> Contents:
    """Return what the file of a function holds. Nothing of it is loaded or run.

    Raises
    ------
    FlavorError, IntegrityError
        If the file is none that `keep` wrote.
    """
    with tempfile.TemporaryDirectory(prefix="dwcp-") as place:
        folder = Path(place) / "function"
        packing.unpack(path, folder)
        parts = _description(folder)["parts"]
        return Contents(
            text=(folder / _MODULE).read_text(encoding="utf-8"),
            parts={name: read_package(_inside(folder, "parts", name)) for name in parts},
            packages=frozenset(name for name, kind in parts.items() if kind == "package"),
        )


def _description(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / _DESCRIPTION).read_bytes())
    if said["format_version"] != _FORMAT_VERSION:
        raise FlavorError(
            f"The function has format {said['format_version']!r}, this release reads {_FORMAT_VERSION}. Upgrade "
            "dwcp-jupyter."
        )
    return said


def _inside(folder: Path, kind: str, name: str) -> Path:
    if not name.isidentifier():
        raise FlavorError(f"The function's file names {name!r}, which is no name of Python. It is not loaded.")
    return folder / kind / name


def _read_model(folder: Path, kind: str) -> Any:
    info = read_package(folder)
    if not info.is_safe:
        raise FlavorError(f"A model of the function is kept as {info.format}, which is not safe. It is not loaded.")
    loaded = saving.load_model(folder, trust="none")
    return loaded if kind == "package" else loaded.native


def _prove(document: Document, path: Path) -> None:
    try:
        kept = read(path)
    except DwcpError:
        raise
    except Exception as exc:  # the text is the user's: whatever it raises is its failure
        raise FlavorError(
            f"'{document.function}' cannot be kept: its text alone fails with {type(exc).__name__}: {exc}. Define what "
            "it needs so that it can be run in a module of its own."
        ) from exc
    proof = Proof((document.entries[name].value, found) for name, found in kept.apart.items())
    for name, entry in document.entries.items():
        for difference in proof.differences(entry.value, kept.namespace.get(name), f"'{name}'"):
            raise FlavorError(
                f"'{document.function}' would not come back as it is: {difference}. Run the cells that define it "
                "again, and write all that it needs into its text."
            )
