"""From a module to an exported program that answers alike, for one row and for many.

Export traces the module on an example, in eval mode and on the CPU, with the number of rows left open. What was traced
is then read back as it will be when the file is loaded, and must answer the example as the module does: all of it, its
first row alone, and other numbers of rows. The module is left as it was.
"""

from __future__ import annotations

import copy
import io
import itertools
import warnings
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch

from dwcp_jupyter.exceptions import DwcpError, FlavorError
from dwcp_jupyter.flavors.signature import Column, Signature
from dwcp_jupyter.flavors.torch.archive import UnknownContentError, cleaned, read_archive
from dwcp_jupyter.flavors.torch.inputs import alternatives, answers, called, inputs_for
from dwcp_jupyter.flavors.torch.program import Program, TensorInput

__all__ = ["export_module", "read_exported"]

_ROWS = 256
"""Rows of the example on which the exported model is compared with the module."""
_REMEDY = (
    "Change the module, or keep it as it is: save it with torch.save(model, 'model.pt'), register that file, and load "
    "it by trust."
)
_Inputs = tuple[TensorInput, ...]
_Array = np.ndarray[Any, Any]


def export_module(module: torch.nn.Module, example: Any, signature: Signature | None) -> Program:
    """Return the program of a module, traced on an example.

    Raises
    ------
    FlavorError
        If it cannot be exported, or what was exported does not answer as it does.
    """
    module = _inner(module)
    signature = signature or Signature.infer(example)
    frame = signature.conform(example).head(_ROWS)
    with _evaluating(module) as ready, torch.no_grad():
        inputs, expected = _tried(ready, frame, signature.inputs)
        exported = _exported(ready, frame, inputs)
        _cut_out(exported.state_dict)
        _cut_out(exported.constants)
        program = read_exported(exported, classes=_classes(module))
        _compare(ready, program, inputs, frame, expected)
    return program


def read_exported(exported: Any, *, classes: tuple[Any, ...] | None = None) -> Program:
    """Return the program of an ``ExportedProgram``, read as its file will be.

    Raises
    ------
    FlavorError
        If it uses what is not known to be safe.
    """
    buffer = io.BytesIO()
    try:
        torch.export.save(exported, buffer)
    except Exception as exc:  # it raises whatever it meets in a program that it cannot write
        raise FlavorError(f"The exported model cannot be saved: {_line(exc)} {_REMEDY}") from exc
    try:
        data = cleaned(buffer.getvalue())
        return Program(read_archive(data), archive=data, classes=classes)
    except UnknownContentError as exc:
        raise FlavorError(f"The model holds {exc}, which is not known to be safe. {_REMEDY}") from exc


def _inner(module: torch.nn.Module) -> torch.nn.Module:
    """Return the module within torch.compile's or a data-parallel wrapper."""
    if isinstance(module, torch.jit.ScriptModule):
        raise FlavorError(
            "A TorchScript module cannot be exported. Save it with model.save('model.pt'), register that file, and "
            "load it by trust; or pass the module from which it was scripted."
        )
    inner = getattr(module, "_orig_mod", None)
    if isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
        inner = module.module
    return module if inner is None else _inner(inner)


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[torch.nn.Module]:
    """Hold the module in eval mode on the CPU; one that lies elsewhere is copied."""
    if any(tensor.device.type != "cpu" for tensor in (*module.parameters(), *module.buffers())):
        yield copy.deepcopy(module).to("cpu").eval()
        return
    before = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield module
    finally:
        for part, training in before.items():
            part.training = training


def _tried(module: torch.nn.Module, frame: pd.DataFrame, columns: Sequence[Column]) -> tuple[_Inputs, _Array]:
    """Return the inputs with which the module runs on the example, and its answer."""
    inputs = inputs_for(module, columns)
    failures = []
    for choice in (inputs, *alternatives(inputs, columns)):
        try:
            expected = answers(called(module, choice), choice, frame)
        except DwcpError:
            raise
        except Exception as exc:  # noqa: BLE001 - the module is foreign code; the first failure is what is told
            failures.append(exc)
            continue
        if not _are_close(expected, answers(called(module, choice), choice, frame)):
            raise FlavorError(
                "The model answers the same rows differently each time, in eval mode too. Let its random parts depend "
                "on self.training, as in F.dropout(x, training=self.training), and let it keep nothing between calls."
            )
        return choice, expected
    raise FlavorError(
        f"The model fails on the example: {_line(failures[0])} Its input is one tensor of all columns, or a tensor for "
        "each parameter of forward that a column is named by. Give an input_example= that it takes."
    ) from failures[0]


def _exported(module: torch.nn.Module, frame: pd.DataFrame, inputs: _Inputs) -> Any:
    tensors: list[torch.Tensor] = []

    def record(*given: torch.Tensor) -> torch.Tensor:
        tensors[:] = given
        return torch.empty(len(given[0]), 1)

    answers(record, inputs, _rows(frame.head(1), _odd_size(inputs)))
    shapes = [_dynamic(entry) for entry in inputs]
    names = [entry.name for entry in inputs]
    args, kwargs = tuple(tensors), {}
    dynamic: Any = tuple(shapes)
    if len(inputs) > 1:
        args, kwargs = (), dict(zip(names, tensors, strict=True))
        dynamic = dict(zip(names, shapes, strict=True))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The tensor attributes? ")  # which recurrent layers set anew
            return torch.export.export(module, args, kwargs, dynamic_shapes=dynamic)
    except Exception as exc:  # export raises whatever it meets in a module that it cannot trace
        raise FlavorError(f"The model cannot be exported: {_line(exc)} {_REMEDY}") from exc


def _cut_out(tensors: MutableMapping[str, Any]) -> None:
    """Copy tensors that are parts of larger ones, all of which would be saved: rows of the training data, say."""
    for name, tensor in tensors.items():
        is_part = isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes() > tensor.nbytes
        if is_part:
            copied = tensor.detach().clone(memory_format=torch.contiguous_format)
            tensors[name] = torch.nn.Parameter(copied) if isinstance(tensor, torch.nn.Parameter) else copied


def _odd_size(inputs: _Inputs) -> int:
    """Return a number of rows that is no other dimension, so that no two of them are taken for one."""
    taken = {size for entry in inputs for size in entry.shape or ()}
    return next(size for size in itertools.count(3, 2) if size not in taken)


def _dynamic(entry: TensorInput) -> dict[int, Any]:
    open_sizes = [place for place, size in enumerate(entry.shape or (), 1) if size == -1]
    batch = torch.export.Dim("batch", min=1)
    return {0: batch, **dict.fromkeys(open_sizes, torch.export.Dim.AUTO)}


def _rows(frame: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return as many rows, the frame's own over and over."""
    return frame.iloc[np.arange(count) % len(frame)].reset_index(drop=True)


def _compare(module: torch.nn.Module, program: Program, inputs: _Inputs, frame: pd.DataFrame, expected: _Array) -> None:
    function = called(module, inputs)
    names = {entry.name for entry in program.inputs}
    if len(inputs) > 1 and names != {entry.name for entry in inputs}:
        raise FlavorError(f"Export calls the inputs of forward {', '.join(sorted(names))}. Rename its parameters.")
    odd = _rows(frame, len(frame) + 1)
    alone, beside = (answers(function, inputs, rows) for rows in (frame.head(1), odd))
    if alone.shape[1:] == beside.shape[1:] and not _are_alike(alone[0], beside[0]):
        raise FlavorError(
            "The model's answer to a row changes with the rows beside it, and requests are answered together. Compute "
            "over the last dimensions only, as in softmax(dim=-1)."
        )
    for rows, wanted in ((frame, expected), (frame.head(1), alone), (odd, beside)):
        found = answers(program, program.inputs, rows)
        if found.shape != wanted.shape or not _are_close(found, wanted):
            raise FlavorError(
                f"The exported model answers {len(rows)} rows other than the module does, by up to "
                f"{_distance(found, wanted):.3g}. {_REMEDY}"
            )


def _are_close(found: _Array, wanted: _Array) -> bool:
    return bool(np.allclose(found, wanted, rtol=1e-4, atol=1e-5, equal_nan=True))


def _are_alike(alone: Any, beside: Any) -> bool:
    """Return whether an answer is the same but for rounding, which differs with the number of rows."""
    scale = float(np.max(np.abs(np.nan_to_num(beside)), initial=1.0))
    return bool(np.allclose(alone, beside, rtol=1e-2, atol=1e-3 * scale, equal_nan=True))


def _distance(found: _Array, wanted: _Array) -> float:
    return float(np.nanmax(np.abs(found - wanted))) if found.shape == wanted.shape else float("inf")


def _classes(module: torch.nn.Module) -> tuple[Any, ...] | None:
    """Return the labels that a module was given as ``classes_``, as scikit-learn's classifiers call them."""
    labels = getattr(module, "classes_", None)
    return None if labels is None else tuple(np.asarray(labels).tolist())


def _line(exc: BaseException) -> str:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    text = lines[0] if lines else type(exc).__name__
    if len(lines) > 1 and lines[0].startswith("Constraints violated"):
        text = lines[1].removeprefix("- ")
    return text[:300] if text.endswith(".") else f"{text[:300]}."
