"""PyTorch's ``.pt2`` archives, read as what they are: a zip with a graph as JSON and weights as bytes.

``torch.export.load`` is no reader for files of others. It unpickles sample inputs, custom objects and some weights,
evaluates symbolic expressions and compiles guards, all of which are texts in the file, and loads compiled code that
lies beside them. None of it is needed to answer. So the archive is parsed here: no member is unpickled, no text is
evaluated, and what remains is a graph of named operators (`torch.graph`) and tensors made of bytes. Archives that hold
anything else than data are refused as a whole, since other programs would run it.

What is written here is such an archive too, without sample inputs (which are rows of somebody's data), guards, and the
traces of source files that export leaves on each node: the same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dwcp_jupyter.exceptions import DwcpError, FlavorError
from dwcp_jupyter.flavors.nested import mappings_in

__all__ = ["DTYPES", "Archive", "UnknownContentError", "cleaned", "read_archive", "readable"]

DTYPES = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    10: torch.complex64,
    11: torch.complex128,
    12: torch.bool,
    13: torch.bfloat16,
}
"""Element types by their numbers in the archive's schema."""

_MODEL = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = {
    "weights": "data/weights/model_weights_config.json",
    "constants": "data/constants/model_constants_config.json",
}
_KNOWN = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|\.format_version|\.storage_alignment|\.data/[a-z_]+"
    r"|data/(weights/weight_\d+|weights/model_weights_config\.json|constants/tensor_\d+"
    r"|constants/model_constants_config\.json|sample_inputs/model\.pt)|extra/.+"
)
"""Members that hold data. Sample inputs are a pickle, which is there in most archives and never opened here."""
_SCHEMA = 8
_STRIDED = 7
_EXPRESSION = re.compile(
    r"([-+*/%(), =]|\d|'[a-z]+\d+'|(Symbol|Integer|Rational|Add|Mul|Pow|Mod|PythonMod|FloorDiv|CleanDiv|CeilDiv"
    r"|IntTrueDiv|Max|Min|Eq|Ne|Equality|Unequality|Relational|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|Lt|Le|Gt|Ge"
    r"|And|Or|Not|Where|ToFloat|TruncToInt|positive|nonnegative|integer|True|False)(?![A-Za-z0-9_]))*"
)
"""Arithmetic on symbols, as SymPy writes it: what it would be evaluated to elsewhere is no more than that."""
_NAME = re.compile(r"[\w.]*")
_NAMED = (
    "name",
    "as_name",
    "target",
    "fqn",
    "parameter_name",
    "buffer_name",
    "tensor_constant_name",
    "user_input_name",
)


class UnknownContentError(Exception):
    """An archive, or the graph in it, holds what is not known to be safe; the text names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What an archive holds: the program as JSON, and the tensors that its graph names."""

    program: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor]
    constants: Mapping[str, torch.Tensor]


def read_archive(source: Path | bytes) -> Archive:
    """Return what a ``.pt2`` archive holds.

    Raises
    ------
    UnknownContentError
        If it holds code, pickled objects, or members that no exported model has.
    FlavorError
        If it is no archive, damaged, or of another version.
    """
    with readable():
        members = _members(source)
        program = _program(members)
        return Archive(
            program=program,
            weights=dict(_tensors(members, "weights")),
            constants=dict(_tensors(members, "constants")),
        )


@contextmanager
def readable() -> Iterator[None]:
    """Turn whatever a damaged archive makes its reader raise into one error.

    Raises
    ------
    FlavorError
    """
    try:
        yield
    except DwcpError:
        raise
    except (zipfile.BadZipFile, LookupError, ValueError, OverflowError, TypeError, AttributeError, RuntimeError) as exc:
        raise FlavorError(
            f"The file is no .pt2 archive of an exported model: {type(exc).__name__}: {exc}. Save it again with "
            "torch.export.save of PyTorch 2.9 or newer."
        ) from exc


def _members(source: Path | bytes) -> dict[str, bytes]:
    """Return the members that are read, by their names within the archive."""
    with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
        entries = archive.infolist()
        root = entries[0].filename.partition("/")[0] + "/" if entries else ""
        names = [entry.filename.removeprefix(root) for entry in entries]
        strange = [name for name in names if not _KNOWN.fullmatch(name)]
        if strange:
            raise UnknownContentError(
                f"members '{', '.join(sorted(strange)[:3])}' that are no data of an exported model"
            )
        if len(set(names)) < len(names) or not all(entry.filename.startswith(root) for entry in entries):
            raise ValueError("members repeat")
        packed = [entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise ValueError(f"'{packed[0]}' is compressed, which such archives are not")
        kept = [entry for entry, name in zip(entries, names, strict=True) if not name.startswith(("extra/", _SAMPLES))]
        return {entry.filename.removeprefix(root): archive.read(entry) for entry in kept}


def _program(members: Mapping[str, bytes]) -> Mapping[str, Any]:
    if members["archive_format"] != b"pt2":
        raise ValueError(f"its format is {members['archive_format'][:20]!r}")
    if members.get("byteorder", b"little") != b"little":
        raise ValueError("its bytes are in big-endian order")
    program: Mapping[str, Any] = json.loads(members[_MODEL])
    if program["schema_version"]["major"] != _SCHEMA:
        raise ValueError(f"its schema is {program['schema_version']['major']!r}, not {_SCHEMA}")
    return program


def _tensors(members: Mapping[str, bytes], kind: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors of a kind; those that share bytes in the archive share memory here."""
    memory: dict[tuple[str, int], torch.Tensor] = {}
    for name, entry in json.loads(members[_CONFIGS[kind]])["config"].items():
        file = str(entry["path_name"])
        if entry["use_pickle"] or entry["tensor_meta"] is None:
            raise UnknownContentError(f"'{name}', which is kept as a pickle")
        meta = entry["tensor_meta"]
        if meta["layout"] != _STRIDED:
            raise UnknownContentError(f"'{name}', which is no dense tensor")
        place = (file, int(meta["dtype"]))
        if place not in memory:
            memory[place] = _flat(members[f"data/{kind}/{file}"], DTYPES[place[1]])
        sizes, strides = ([int(part["as_int"]) for part in meta[key]] for key in ("sizes", "strides"))
        if 0 in sizes:
            yield name, torch.empty(sizes, dtype=DTYPES[place[1]])
        else:
            yield name, memory[place].as_strided(sizes, strides, int(meta["storage_offset"]["as_int"]))


def _flat(data: bytes, dtype: torch.dtype) -> torch.Tensor:
    """Return bytes as a tensor of one dimension, in memory of its own."""
    if not data:
        return torch.empty(0, dtype=dtype)
    found = torch.frombuffer(bytearray(data), dtype=torch.uint8 if dtype is torch.bool else dtype)
    return found.ne(0) if dtype is torch.bool else found.clone()


def cleaned(source: Path | bytes) -> bytes:
    """Return the archive with nothing in it but the model: no sample inputs, guards or traces of source files.

    Raises
    ------
    UnknownContentError
        If a symbolic expression is more than arithmetic, or a name is none.
    """
    with readable():
        members = _members(source)
        program = json.loads(members[_MODEL])
        program["guards_code"] = []
        for part in mappings_in(program):
            _clean(part)
    members |= {_MODEL: json.dumps(program).encode(), _SAMPLES: b""}
    kept = {name: data for name, data in sorted(members.items()) if not name.startswith(".data/")}
    return _zipped({**kept, ".data/version": b"6\n"})


def _clean(part: dict[str, Any]) -> None:
    if "target" in part and "metadata" in part:
        part["metadata"] = {}
    if not _EXPRESSION.fullmatch(str(part.get("expr_str", ""))):
        raise UnknownContentError(f"the expression {part['expr_str']!r:.80}, which is more than arithmetic")
    names = [*(part.get(key) for key in _NAMED), *(part.get("forward_arg_names") or ())]
    if odd := [name for name in names if name is not None and not _NAME.fullmatch(str(name))]:
        raise UnknownContentError(f"the name {odd[0]!r:.80}, which is none")


def _zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(f"model/{name}"), data)  # of 1980, whenever it is written
    return buffer.getvalue()
