"""TensorFlow: Keras models in Keras's own ``.keras`` files, which are audited before anything is constructed.

What is kept is the whole file that Keras writes, so that training can go on from it elsewhere; loaded here it is to
predict, without optimizer and loss. A model is loaded again and compared when it is saved, so none is kept that would
not come back. SavedModels, which are programs, are read by trust (`saved_models`).

A Keras user is used to get a softmax's numbers. Answers here are labels beside probabilities, whatever made the model:
where the last activation is a softmax of k units, or a sigmoid of one (`keras.heads`), values are the labels 0…k-1 and
the numbers are the probabilities. Any other model answers with its numbers.

Batches go through Keras's own compiled function, `predict_on_batch`. Measured on two cores, µs a batch of 8 rows, it
took 470 where calling the model took 2,200 (three dense layers), and 1,070 against 27,300 (an LSTM); of 39 sizes of
batch it traced two.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import FlavorError, UntrustedArtifactError
from dwcp_jupyter.flavors import packing, tensors
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.keras import auditing as keras_auditing
from dwcp_jupyter.flavors.keras import saved_models
from dwcp_jupyter.flavors.keras import sizes as keras_sizes
from dwcp_jupyter.flavors.keras.heads import head_of
from dwcp_jupyter.flavors.keras.library import load_keras, load_tensorflow
from dwcp_jupyter.flavors.keras.saved_models import SavedModel
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.tensors import TensorInput

__all__ = ["FLAVOR"]

_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "h5py", "numpy")
_OWN_MODELS = ("keras.src.models.functional", "keras.src.models.sequential")
_BY_TRUST = "or write a SavedModel by model.export(folder), register that folder, and load it by trust"


class _KerasFlavor:
    name = "keras"
    framework = Framework.TENSORFLOW
    extensions: Mapping[str, str] = {".keras": "keras", packing.SAVED_MODEL: "savedmodel"}

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:
        if isinstance(model, SavedModel):
            return _facts(model.inputs, detail={"signature": model.signature_name, "outputs": model.output_names})
        keras = load_keras()
        _check_is_model(model, keras)
        task, classes = head_of(model, keras, path)
        outputs = tuple(tensor._keras_history.operation.name for tensor in model.outputs)
        inputs = _inputs(model)
        names = tuple(entry.name for entry in inputs)
        detail = {"backend": keras.backend.backend(), "inputs": names, "outputs": outputs}
        return _facts(inputs, task=task, classes=classes, detail=detail)

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "model.keras"
        try:
            model.save(path)
        except Exception as exc:  # layers raise what they like where they cannot be described
            raise FlavorError(f"Keras cannot write this {type(model).__name__}: {exc}. {_remedy()}") from exc
        strange = keras_auditing.strangers(path)
        if strange:
            raise FlavorError(
                f"This {type(model).__name__} holds what is not known to be safe: {', '.join(strange)}. {_remedy()}"
            )
        excess = keras_sizes.excesses(path)
        if excess:
            raise FlavorError(f"This {type(model).__name__} would not be loaded again: it is {', '.join(excess)}.")
        _check_comes_back(model, path)
        return path.name, "keras"

    def load(self, path: Path, info: PackageInfo) -> Any:
        if info.format == "savedmodel":
            model = saved_models.load(path, load_tensorflow())
        else:
            load_keras()  # without it, no class of a sound file would be known
            keras_auditing.check_archive(path)
            _refuse(keras_auditing.strangers(path), path, info)
            _refuse(keras_sizes.excesses(path), path, info)
            model = _read(path)
        if info.signature is not None:
            tensors.check_columns(_inputs(model), info.signature)
        return model

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:
        fed = tensors.feeds(_inputs(model), frame)
        parts = [_answer(model, chunk) for chunk in tensors.chunks(fed)]
        outputs = [np.concatenate(found) for found in zip(*parts, strict=True)]
        values = tensors.joined(outputs)
        if info.task != "classification" or info.classes is None:
            return Prediction(values=values)
        probabilities = np.column_stack([1 - values, values]) if values.ndim == 1 else values
        labels = np.asarray(info.classes)[probabilities.argmax(axis=1)]
        return Prediction(values=labels, probabilities=probabilities, classes=info.classes)


def _facts(
    inputs: Sequence[TensorInput],
    *,
    task: str | None = None,
    classes: tuple[int, ...] | None = None,
    detail: Mapping[str, Any],
) -> ModelFacts:
    library = sys.modules.get("tensorflow") or load_keras()
    return ModelFacts(
        framework_version=library.__version__,
        task=task,
        classes=classes,
        signature=tensors.signature_of(inputs),
        packages=installed(*_PACKAGES),
        detail=detail,
    )


def _check_is_model(model: Any, keras: Any) -> None:
    kind = type(model)
    if not isinstance(model, keras.Model):
        raise FlavorError(f"A {kind.__name__} of Keras is no model. Pass the keras.Model itself.")
    if kind.__module__ not in _OWN_MODELS:
        raise FlavorError(
            f"{kind.__module__}.{kind.__name__} is a class of your own, whose code a Keras file does not hold: it "
            f"could not be made again. {_remedy()}"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise FlavorError(
            f"The model '{model.name}' is not built: it does not know its inputs, and has no weights. Begin it with "
            "keras.Input(shape), or fit it first."
        )


def _remedy() -> str:
    return f"Build the model by the functional API of Keras's own layers, {_BY_TRUST}."


def _refuse(strange: list[str], path: Path, info: PackageInfo) -> None:
    if strange:
        raise UntrustedArtifactError(
            f"'{path.name}' holds what is not known to be safe: {', '.join(strange)}. It is not loaded. If you know "
            f"who made it, load it yourself {_BY_TRUST}.",
            sha256=info.sha256,
        )


def _read(path: Path) -> Any:
    """Return the model in a file that was audited. That layers keep the weights they began with is no warning here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping variable loading for optimizer")
        warnings.filterwarnings("error", message="Skipping nested container")
        return load_keras().saving.load_model(path, compile=False, safe_mode=True)


def _check_comes_back(model: Any, path: Path) -> None:
    """Refuse a model that Keras would read as another one."""
    if _state(model) != _state(_read(path)):
        raise FlavorError(
            f"Keras would not give back the weights or vocabulary of the model '{model.name}' from its own file. "
            f"{_remedy()}"
        )


def _state(model: Any) -> list[Any]:
    """Return what a model has learned, to be compared: NaN is itself."""
    weights: list[Any] = [weight.numpy().tobytes() for weight in model.weights]
    layers = [layer for layer in model._flatten_layers() if hasattr(layer, "get_vocabulary")]
    return weights + [list(layer.get_vocabulary()) for layer in layers]


def _inputs(model: Any) -> Sequence[TensorInput]:
    """Return a model's inputs in its own order; a dictionary's by its keys."""
    if isinstance(model, SavedModel):
        return model.inputs
    structure = model.input if type(model).__name__ == "Functional" else model.inputs
    names = [tensor.name for tensor in model.inputs]
    if isinstance(structure, dict) and len(structure) == len(names):
        names = sorted(structure)
    pairs = zip(names, model.inputs, strict=True)
    return [TensorInput.of(name, tensor.shape, str(tensor.dtype)) for name, tensor in pairs]


def _answer(model: Any, fed: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    if isinstance(model, SavedModel):
        return model(fed)
    model.make_predict_function()
    if hasattr(model.predict_function, "_omit_frequent_tracing_warning"):  # it takes several models for one
        model.predict_function._omit_frequent_tracing_warning = True
    tree = load_keras().tree
    given = fed[0] if type(model).__name__ == "Sequential" else tree.pack_sequence_as(model.input, list(fed))
    return [np.asarray(output) for output in tree.flatten(model.predict_on_batch(given))]


FLAVOR: Flavor = _KerasFlavor()
