"""What a module takes, found by trying: for one that comes as a file, without an example.

The first weights of a network say how many numbers, channels or indices a row has, though not how large an image or how
long a text is. So rows of zeros of several sizes are given to it: a size that may vary is left open, and one that may
not is fixed. A module that answers none of them has no signature of its own, and needs an example.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature
from dwcp_jupyter.flavors.torch.inputs import answers, inputs_for, parameters_of

__all__ = ["probe"]

_SIDES = (32, 224, 28, 64, 96, 128, 256, 299)
"""Of images, in pixels; with the first two, a side is taken to be open."""
_LENGTHS = (4, 7)
_Shape = tuple[int, ...]


def probe(module: torch.nn.Module) -> Signature | None:
    """Return the columns that a module on the CPU answers, or None where its first weights do not tell."""
    required = [name for name, is_required in parameters_of(module) if is_required]
    if len(required) > 1:
        return None
    for shape, dtype in _guesses(module):
        columns = _columns(required[0] if required else "x", shape, dtype)
        sizes = _LENGTHS if len(shape) < 3 else _SIDES
        if -1 not in shape:
            return Signature(inputs=columns) if _runs(module, columns, 0) else None
        if all(_runs(module, columns, size) for size in sizes[:2]):
            return Signature(inputs=columns)
        fixed = next((size for size in sizes if _runs(module, columns, size)), None)
        if fixed is not None:
            return Signature(inputs=tuple(replace(column, shape=_sized(column.shape, fixed)) for column in columns))
    return None


def _guesses(module: torch.nn.Module) -> Iterator[tuple[_Shape, str]]:
    """Yield the shapes that a row may have by the first layer with weights."""
    for layer in module.modules():
        weights = list(layer.parameters(recurse=False))
        if not weights:
            continue
        size = tuple(weights[0].shape)
        kind = str(getattr(layer, "original_name", type(layer).__name__))
        if kind == "Embedding":
            yield (-1,), "int64"
        elif kind in {"LSTM", "GRU", "RNN"}:
            yield (-1, size[1]), "float32"
        elif len(size) > 2:
            yield (size[1] * int(getattr(layer, "groups", 1)), *([-1] * (len(size) - 2))), "float32"
        elif kind in {"Linear", "BatchNorm1d", "LayerNorm"}:
            yield (size[-1],), "float32"
        return


def _columns(name: str, shape: _Shape, dtype: str) -> tuple[Column, ...]:
    if shape != (-1,) and len(shape) == 1:
        return tuple(Column(name=f"x{number}", type=ColumnType.FLOAT, dtype=dtype) for number in range(shape[0]))
    return (Column(name=name, type=ColumnType.ARRAY, dtype=dtype, shape=shape),)


def _sized(shape: _Shape, size: int) -> _Shape:
    return tuple(size if length == -1 else length for length in shape)


def _runs(module: Any, columns: tuple[Column, ...], size: int) -> bool:
    """Return whether the module answers two rows of zeros with two answers."""
    values: dict[str, Any] = {
        column.name: list(np.zeros((2, *_sized(column.shape, size)), dtype=column.dtype)) for column in columns
    }
    try:
        with torch.inference_mode():
            answers(module, inputs_for(module, columns), pd.DataFrame(values))
    except (DwcpError, RuntimeError, ValueError, TypeError, IndexError):
        return False  # that is no size of its rows
    return True
