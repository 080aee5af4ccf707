"""Whether a Keras file holds what its description asks memory for, told before any of it is taken.

Keras makes all of a model's weights and compares them with the file afterwards, so a description of a few bytes could
take all memory there is. Keras can also make a model whose weights have shapes and no values yet, in a stateless
scope: so one is made first, and measured. It is made in a thread of its own, because Keras notes for each thread which
weights still wait for values, and would give them some later.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dwcp_jupyter import extras
from dwcp_jupyter.flavors.keras import auditing as keras_auditing
from dwcp_jupyter.flavors.keras.library import load_keras
from dwcp_jupyter.flavors.nested import mappings_in

__all__ = ["excesses"]

_UNSAVED = 1_000_000
"""Numbers that a model may have beyond those in its file: 4 MB at most, should a layer not save all it has."""
_LARGEST_OUTPUT = 100_000_000
"""Numbers that one layer may give for one row: networks of large volumes need some tens of millions."""


def excesses(path: Path) -> list[str]:
    """Return what an audited file describes that is larger than it may be, in words; none of it is allocated."""
    with ThreadPoolExecutor(1) as pool:
        weights, output = pool.submit(_measured, keras_auditing.read_description(path)).result()
    held, found = _held(path), []
    if weights > held + _UNSAVED:
        found.append(f"a model of {weights:,} weights, of which the file holds {held:,}")
    if output > _LARGEST_OUTPUT:
        found.append(f"a layer that gives {output:,} numbers a row, of at most {_LARGEST_OUTPUT:,}")
    return found


def _measured(said: dict[str, Any]) -> tuple[int, int]:
    """Return how many weights a description asks for, and how many numbers its largest output has."""
    for record in mappings_in(said):
        record.pop("compile_config", None)  # what they make has values at once, which the scope forbids
        if "stateful" in record:
            record["stateful"] = False
    keras = load_keras()
    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(said, safe_mode=True)
    weights = sum(math.prod(weight.shape) for weight in getattr(model, "variables", ()))
    return weights, max(_outputs(model), default=0)


def _outputs(model: Any) -> Iterator[int]:
    parts = model._flatten_layers() if hasattr(model, "_flatten_layers") else ()
    for part in parts:
        for operation in (part, *getattr(part, "operations", ())):
            for node in operation._inbound_nodes:
                yield from (math.prod(size or 1 for size in tensor.shape) for tensor in node.output_tensors)


def _held(path: Path) -> int:
    """Return how many numbers lie in a file's weights."""
    h5py = extras.require("h5py", extra="tensorflow", purpose="A model of Keras")
    sizes = []

    def count(_name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(min(item.size or 0, item.id.get_storage_size()))

    with zipfile.ZipFile(path) as archive, archive.open(keras_auditing.WEIGHTS) as data, h5py.File(data, "r") as file:
        file.visititems(count)
    return sum(sizes)
