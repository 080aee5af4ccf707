"""PyTorch: a module is exported on an example, and its graph is kept as data.

What is kept is PyTorch's own format for exported programs, ``.pt2``, which needs no class when it is loaded, and which
``torch.export.load`` reads too. It is not what reads it here, since it runs what a file says: see `torch.archive`. A
module that cannot be exported is kept as ``.pt`` and loaded by trust.

An answer is what ``forward`` returns, one tensor. Nothing tells logits from other numbers, so they are answered as
they are. A module that ends in a softmax is a classifier of the labels 0, 1, …; so is one that was given ``classes_``,
labels in the order of its outputs, as scikit-learn calls them: its answers are labels and probabilities, which softmax,
or sigmoid of one output, makes of logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import pickles, tables
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.signature import Column, ColumnType, Signature

__all__ = ["FLAVOR"]

_FIRST_WITHOUT_PICKLES = (2, 9)
_Array = np.ndarray[Any, Any]


class _TorchFlavor:
    name = "torch"
    framework = Framework.PYTORCH
    extensions: Mapping[str, str] = {".pt2": "pt2", ".pt": "torch", ".pth": "torch", **pickles.EXTENSIONS}

    def export(self, model: Any, example: Any, signature: Signature | None) -> Any:
        """Return the program of a module or of an ``ExportedProgram``."""
        torch = _library()
        if tuple(map(int, torch.__version__.split(".")[:2])) < _FIRST_WITHOUT_PICKLES:
            raise FlavorError(
                f"PyTorch {torch.__version__} exports models with pickles in them. Install torch>=2.9, or save the "
                "model as .pt, register that file, and load it by trust."
            )
        from dwcp_jupyter.flavors.torch import exporting as torch_exporting

        if isinstance(model, torch.export.ExportedProgram):
            return torch_exporting.read_exported(model)
        if not isinstance(model, torch.nn.Module):
            raise FlavorError(f"A {type(model).__name__} is no model of PyTorch. Pass the module itself.")
        if example is None:
            raise FlavorError(
                f"A {type(model).__name__} is kept by tracing it on an example of its input, and none is given. Pass "
                "some rows as input_example=; or an exported program, as torch.export.export returns."
            )
        return torch_exporting.export_module(model, example, signature)

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:  # noqa: ARG002 - says all itself
        torch = _library()
        if not _is_program(model):
            from dwcp_jupyter.flavors.torch.probing import probe

            signature = probe(model)
            return ModelFacts(framework_version=str(torch.__version__), signature=signature, packages=_packages())
        signature = Signature(inputs=_columns(model.inputs))
        return ModelFacts(
            framework_version=model.torch_version or str(torch.__version__),
            task=None if model.classes is None else "classification",
            classes=model.classes,
            input_names=signature.names,
            signature=signature,
            packages=_packages(),
        )

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "model.pt2"
        path.write_bytes(model.archive)
        return path.name, "pt2"

    def load(self, path: Path, info: PackageInfo) -> Any:
        _library()
        from dwcp_jupyter.flavors.torch import archive as torch_archive
        from dwcp_jupyter.flavors.torch import inputs as torch_inputs
        from dwcp_jupyter.flavors.torch import program as torch_program
        from dwcp_jupyter.flavors.torch import trusted as torch_trusted

        if info.format != "pt2":
            return torch_trusted.load_module(path, info.format)
        try:
            program = torch_program.Program(torch_archive.read_archive(path), classes=info.classes)
        except torch_archive.UnknownContentError as exc:
            raise UntrustedArtifactError(
                f"'{path.name}' holds {exc}, which is not known to be safe. It is not loaded. Export the model anew "
                "with PyTorch 2.9 or newer; or save it as .pt and load that by trust, if you know who made it.",
                sha256=info.sha256,
            ) from exc
        if info.signature is not None:
            torch_inputs.check_columns(program.inputs, info.signature.inputs)
        return program

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        torch = _library()
        from dwcp_jupyter.flavors.torch import inputs as torch_inputs

        if _is_program(model):
            values = torch_inputs.answers(model, model.inputs, frame)
            if info.classes is None:
                return Prediction(values=values)
            return _classified(values, model.activation, info.classes)
        columns = tables.infer_columns(frame) if info.signature is None else info.signature.inputs
        inputs = torch_inputs.inputs_for(model, columns)
        with torch.inference_mode():
            return Prediction(values=torch_inputs.answers(torch_inputs.called(model, inputs), inputs, frame))


def _library() -> Any:
    return extras.require("torch", extra="torch", purpose="A model of PyTorch")


def _packages() -> dict[str, str]:
    """Return the versions without the names of builds, such as "+cpu", which no index has."""
    return {name: version.partition("+")[0] for name, version in installed("torch", "numpy").items()}


def _is_program(model: Any) -> bool:
    from dwcp_jupyter.flavors.torch.program import Program

    return isinstance(model, Program)


def _columns(inputs: tuple[Any, ...]) -> tuple[Column, ...]:
    """Return what a program says of its inputs; a matrix has columns without names of their own."""
    if len(inputs) == 1 and len(inputs[0].shape) == 1 and inputs[0].shape[0] > 0:
        kind, dtype = _type(inputs[0])
        return tuple(Column(name=f"x{number}", type=kind, dtype=dtype) for number in range(inputs[0].shape[0]))
    columns = []
    for entry in inputs:
        kind, dtype = _type(entry)
        columns.append(
            Column(name=entry.name, type=ColumnType.ARRAY if entry.shape else kind, dtype=dtype, shape=entry.shape)
        )
    return tuple(columns)


def _type(entry: Any) -> tuple[ColumnType, str]:
    from dwcp_jupyter.flavors.torch.inputs import NUMPY

    if entry.dtype not in NUMPY:
        raise FlavorError(
            f"The model takes '{entry.name}' as {entry.dtype}, which no column has. Export it with floats."
        )
    dtype = NUMPY[entry.dtype]
    kind = {"b": ColumnType.BOOL, "f": ColumnType.FLOAT}.get(dtype.kind, ColumnType.INT)
    return kind, str(dtype)


def _classified(values: _Array, activation: str | None, classes: tuple[Any, ...]) -> Prediction:
    """Return labels and probabilities of a classifier's outputs; one output of two classes is that of the second."""
    from scipy.special import expit, softmax

    is_one = values.ndim == 1 and len(classes) == 2
    if not is_one and values.shape[1:] != (len(classes),):
        raise FlavorError(
            f"The model gives outputs of shape {values.shape[1:]} for a row, and has {len(classes)} classes. Let "
            "classes_ name a label for each output."
        )
    if activation == "sigmoid" and not is_one:
        raise FlavorError(
            "The model ends in a sigmoid of several outputs, so its classes do not exclude each other. Remove its "
            "classes_, and it answers with its outputs."
        )
    scores = values.astype(np.float64)
    if activation == "log_softmax":
        scores = np.exp(scores)
    elif activation is None:
        scores = expit(scores) if is_one else softmax(scores, axis=1)
    probabilities = np.stack([1 - scores, scores], axis=1) if is_one else scores
    labels = np.asarray(classes)[probabilities.argmax(axis=1)]
    return Prediction(values=labels, probabilities=probabilities, classes=classes)


FLAVOR: Flavor = _TorchFlavor()
