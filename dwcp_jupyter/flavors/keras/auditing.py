"""Whether a Keras file holds only what computes, told before Keras makes anything of it.

A ``.keras`` file is a zip of a description, which names classes and functions, and of weights in HDF5. Keras has more
than once made what a description named though it was no layer, and read other files that one named (CVE-2025-1550,
CVE-2025-8747, CVE-2025-9906, CVE-2025-12058, CVE-2025-49655, CVE-2026-0897), and its own protection can be switched
off for the whole process. So the description is read here first, as plain JSON. Every object in it must be one of
Keras's own, from a part of Keras that computes and does nothing else: parts are listed, so what a later release adds
elsewhere is refused until somebody looked at it. The weights must lie in the file, in full and uncompressed.
"""

from __future__ import annotations

import importlib
import json
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FunctionType
from typing import Any

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import IntegrityError
from dwcp_jupyter.flavors.nested import mappings_in

__all__ = ["WEIGHTS", "check_archive", "read_description", "strangers"]

_DESCRIPTION = "config.json"
WEIGHTS = "model.weights.h5"
_MEMBERS = frozenset({_DESCRIPTION, WEIGHTS, "metadata.json"})
_VOCABULARY = re.compile(r"assets/(\w+/)+vocabulary\.txt")
_OPERATIONS = tuple(f"keras.src.ops.{part}" for part in ("core", "einops", "image", "linalg", "math", "nn", "numpy"))
_MODULES = frozenset(
    {
        "keras",
        "keras.constraints",
        "keras.dtype_policies",
        "keras.initializers",
        "keras.layers",
        "keras.losses",
        "keras.metrics",
        "keras.models",
        "keras.optimizers",
        "keras.optimizers.schedules",
        "keras.quantizers",
        "keras.random",
        "keras.regularizers",
        "keras.src.models.functional",
        *_OPERATIONS,
    }
)
"""Where a description may say that a class is."""
_PARTS = (
    *(
        f"keras.src.layers.{part}"
        for part in (
            "activations",
            "attention",
            "convolutional",
            "core.dense",
            "core.einsum_dense",
            "core.embedding",
            "core.identity",
            "core.input_layer",
            "core.masking",
            "core.reversible_embedding",
            "core.wrapper",
            "merging",
            "normalization",
            "pooling",
            "preprocessing",
            "regularization",
            "reshaping",
            "rnn",
        )
    ),
    "keras.src.constraints",
    "keras.src.dtype_policies",
    "keras.src.initializers",
    "keras.src.losses",
    "keras.src.metrics",
    "keras.src.models.functional",
    "keras.src.models.sequential",
    "keras.src.optimizers",
    "keras.src.quantizers.quantization_config",
    "keras.src.quantizers.quantizers",
    "keras.src.random.seed_generator",
    "keras.src.regularizers",
    *_OPERATIONS,
)
"""Where it must really be: parts of Keras that compute. Not among them are those that run Python code, modules of
PyTorch, functions of JAX and SavedModels."""
_OF_FUNCTIONS = frozenset(
    {"AssociativeScan", "Cond", "ForiLoop", "JVP", "Map", "Scan", "Switch", "VectorizedMap", "WhileLoop"}
)
"""Operations whose arguments are functions."""
_FUNCTIONS = ("keras.activations", "keras.losses", "keras.metrics")
_NO_FUNCTIONS = frozenset({"deserialize", "get", "serialize"})
_VALUES = frozenset({"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"})
_DTYPE = re.compile(r"bool|bfloat16|string|str|object|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")


def check_archive(path: Path) -> None:
    """Refuse a file that is not just what Keras writes.

    Raises
    ------
    IntegrityError
        It says which part is unsound.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
            _check_weights(archive)
    except zipfile.BadZipFile as exc:
        raise _unsound(f"it is no zip: {exc}") from exc


def read_description(path: Path) -> dict[str, Any]:
    """Return what the file says of its model, as plain JSON; of compiling, only what the whole model was compiled with.

    Raises
    ------
    IntegrityError
        If it says nothing.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            said = json.loads(archive.read(_DESCRIPTION))
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError) as exc:
        raise _unsound(f"its {_DESCRIPTION} cannot be read: {exc!r:.200}") from exc
    if not isinstance(said, dict):
        raise _unsound(f"its {_DESCRIPTION} describes no model")
    return said


def strangers(path: Path) -> list[str]:
    """Return what the file names that is not known to be safe, in words; nothing of it is made."""
    said = read_description(path)
    said.pop("compile_config", None)  # Keras drops it too, where a model is loaded to predict
    if not isinstance(said.get("class_name"), str):
        return ["a model without a class"]
    found = {fault: None for record in mappings_in(said) for fault in _faults(record)}
    return list(found)


def _faults(record: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(record.get("vocabulary"), str):
        yield f"a vocabulary in another file, '{record['vocabulary']}'"
    if "class_name" not in record:
        return
    name = record["class_name"]
    if not isinstance(name, str):
        yield f"an object of class {name!r:.80}"
    elif name in _VALUES:
        dtype = record["config"].get("dtype", "float32") if isinstance(record.get("config"), dict) else None
        if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype):
            yield f"values of type {dtype!r:.80}"
    elif name.startswith("__"):
        yield "a lambda, which is code" if name == "__lambda__" else f"'{name}'"
    elif not (_is_function(record) if name == "function" else _is_class(record)):
        yield _shown(record)


def _shown(record: Mapping[str, Any]) -> str:
    registered = record.get("registered_name")
    name = record.get("config") if record["class_name"] == "function" else record["class_name"]
    said = f"{record.get('module')}.{name}" if registered in (None, name, "function") else registered
    return f"'{said:.80}'" if isinstance(said, str) else f"{said!r:.80}"


def _is_class(record: Mapping[str, Any]) -> bool:
    """Return whether a description names one of Keras's own classes that only compute."""
    module, name = str(record.get("module")), record["class_name"]
    if module not in _MODULES or record.get("registered_name") not in (None, name) or name in _OF_FUNCTIONS:
        return False
    try:
        found = vars(importlib.import_module(module)).get(name)
    except ModuleNotFoundError as exc:
        if not str(exc.name).startswith("keras."):
            raise
        return False  # a part that this release of Keras lacks
    return isinstance(found, type) and any(f"{found.__module__}.".startswith(f"{part}.") for part in _PARTS)


def _is_function(record: Mapping[str, Any]) -> bool:
    """Return whether a description names one of Keras's own activations, losses or metrics."""
    module, name = record.get("module"), str(record.get("config"))
    if module not in ("builtins", *_FUNCTIONS) or record.get("registered_name") not in (None, name, "function"):
        return False
    found = [vars(importlib.import_module(place)).get(name) for place in _FUNCTIONS]
    return name not in _NO_FUNCTIONS and any(isinstance(function, FunctionType) for function in found)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    members = archive.infolist()
    names = [member.filename for member in members]
    for member in members:
        name = member.filename
        if name not in _MEMBERS and not _VOCABULARY.fullmatch(name):
            raise _unsound(f"it holds '{name}', which is no part of a Keras file")
        is_plain = member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size
        if not is_plain or member.flag_bits & 1 or stat.S_ISLNK(member.external_attr >> 16):
            raise _unsound(f"its '{name}' is compressed, encrypted or a link")
    if len(set(names)) != len(names) or sum(member.file_size for member in members) > size:
        raise _unsound("its parts overlap")
    missing = sorted(_MEMBERS - set(names))
    if missing:
        raise _unsound(f"it has no {', '.join(missing)}")


def _check_weights(archive: zipfile.ZipFile) -> None:
    h5py = extras.require("h5py", extra="tensorflow", purpose="A model of Keras")
    try:
        with archive.open(WEIGHTS) as data, h5py.File(data, "r") as file:
            for name, fault in _weights(h5py, file):
                raise _unsound(f"its weights '{name}' {fault}")
    except (OSError, RuntimeError, KeyError, AttributeError) as exc:  # what HDF5 raises for what is none
        raise _unsound(f"its weights cannot be read: {exc!r:.200}") from exc


def _weights(h5py: Any, file: Any) -> Iterator[tuple[str, str]]:
    """Return what is unsound in a file of weights, by name."""
    seen, waiting = {h5py.h5o.get_info(file.id).addr}, [file]
    while waiting:
        group = waiting.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                yield name, "are a link to another place"
                return
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Group) and place not in seen:
                waiting.append(item)
            elif isinstance(item, h5py.Group):
                yield name, "hold themselves"
            elif not isinstance(item, h5py.Dataset):
                yield name, "are no numbers"
            else:
                yield from ((item.name, fault) for fault, check in _CHECKS.items() if check(item))
            seen.add(place)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "lie in another file": lambda item: bool(item.external) or bool(item.is_virtual),
    "are no numbers": lambda item: item.dtype.hasobject,
    "are compressed": lambda item: item.id.get_create_plist().get_nfilters() > 0,
    "are fewer than they are said to be": lambda item: item.id.get_storage_size() < item.nbytes,
}


def _unsound(why: str) -> IntegrityError:
    return IntegrityError(
        f"The Keras file is unsound: {why}. It is not loaded. Save the model again with Keras 3, as .keras.",
        expected="a file as Keras writes it",
        actual=why,
    )
