"""What a Keras model is for, as its last activation and its loss say it.

A softmax of k units gives probabilities of k classes, and a sigmoid of one unit that of the second of two. A sigmoid of
several units does not: its classes do not exclude each other. Nor is it a classification where the model was compiled
with a loss of regressions, which squeezes a number between 0 and 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dwcp_jupyter.flavors.keras import auditing as keras_auditing

__all__ = ["head_of"]

_REGRESSIONS = frozenset(
    {
        "cosinesimilarity",
        "huber",
        "logcosh",
        "mae",
        "mape",
        "meanabsoluteerror",
        "meanabsolutepercentageerror",
        "meansquarederror",
        "meansquaredlogarithmicerror",
        "mse",
        "msle",
        "poisson",
    }
)


def head_of(model: Any, keras: Any, path: Path | None) -> tuple[str | None, tuple[int, ...] | None]:
    """Return a model's task and classes; None where it does not say.

    Parameters
    ----------
    path : Path or None
        The file that it was loaded from: it knows the loss, which the loaded model does not.
    """
    if len(model.outputs) != 1:
        return None, None
    output = model.outputs[0]
    if _loss_of(model, path) in _REGRESSIONS:
        return "regression", None
    width = output.shape[1] if len(output.shape) == 2 else None
    activation = _last_activation(output, keras)
    if activation == "softmax" and width is not None and width > 1:
        return "classification", tuple(range(width))
    return ("classification", (0, 1)) if activation == "sigmoid" and width == 1 else (None, None)


def _last_activation(tensor: Any, keras: Any) -> str | None:
    """Return ``"softmax"`` or ``"sigmoid"`` if one of them gave the tensor; through models within the model."""
    operation = tensor._keras_history.operation
    if isinstance(operation, keras.Model):
        return _last_activation(operation.outputs[tensor._keras_history.tensor_index], keras)
    if isinstance(operation, keras.layers.Softmax):
        return "softmax"
    if isinstance(operation, (keras.layers.Dense, keras.layers.Activation)):
        found = {keras.activations.softmax: "softmax", keras.activations.sigmoid: "sigmoid"}
        return found.get(operation.activation)
    if type(operation).__module__ == "keras.src.ops.nn":
        return {"Softmax": "softmax", "Sigmoid": "sigmoid"}.get(type(operation).__name__)
    return None


def _loss_of(model: Any, path: Path | None) -> str | None:
    """Return the name of the loss, in lower case and without underscores; None where there is no one loss."""
    if path is None:
        said = getattr(model, "loss", None)
        name = said if isinstance(said, str) else getattr(said, "__name__", type(said).__name__)
    else:
        compiled = keras_auditing.read_description(path).get("compile_config")
        name = said = compiled.get("loss") if isinstance(compiled, dict) else None
        if isinstance(said, dict):
            name = said.get("config") if said.get("class_name") == "function" else said.get("class_name")
    return name.lower().replace("_", "") if isinstance(name, str) else None
