"""SavedModels of TensorFlow: a folder with a graph of operations, which a package keeps as one file (`packing`).

Such a graph is a program: TensorFlow has operations that read and write files, and some run as soon as the graph is
loaded. So it takes a decision to load one, as a pickle does. What answers is its signature ``serving_default``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dwcp_jupyter.exceptions import FlavorError
from dwcp_jupyter.flavors import packing
from dwcp_jupyter.flavors.tensors import TensorInput

__all__ = ["SavedModel", "load"]

_SERVING = "serving_default"


class SavedModel:
    """A SavedModel that was loaded.

    Attributes
    ----------
    native : object
        What TensorFlow loaded.
    signature_name : str
        Of its signatures the one that answers.
    inputs : tuple of TensorInput
        In the order of their names.
    output_names : tuple of str
        Likewise.
    """

    def __init__(self, native: Any, tensorflow: Any) -> None:
        self.native = native
        self._constant = tensorflow.constant
        self.signature_name, self._answer = _serving(native)
        _, named = self._answer.structured_input_signature
        self.inputs = tuple(TensorInput.of(name, _sizes(spec), spec.dtype.name) for name, spec in sorted(named.items()))
        self.output_names = tuple(sorted(self._answer.structured_outputs))

    def __call__(self, fed: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Return its outputs for one array an input."""
        named = {
            entry.name: self._constant(array, dtype=entry.dtype) for entry, array in zip(self.inputs, fed, strict=True)
        }
        found = self._answer(**named)
        return [found[name].numpy() for name in self.output_names]


def load(path: Path, tensorflow: Any) -> SavedModel:
    """Return the SavedModel in a file whose trust was decided; it is unpacked only for as long as loading takes."""
    with tempfile.TemporaryDirectory(prefix="dwcp-savedmodel-") as folder:
        packing.unpack(path, Path(folder))
        return SavedModel(tensorflow.saved_model.load(folder), tensorflow)


def _serving(native: Any) -> tuple[str, Any]:
    signatures = dict(getattr(native, "signatures", {}))
    if _SERVING in signatures:
        return _SERVING, signatures[_SERVING]
    if len(signatures) == 1:
        return next(iter(signatures.items()))
    said = f"the signatures {', '.join(sorted(signatures))}" if signatures else "no signature"
    raise FlavorError(
        f"The SavedModel has {said} and none is called '{_SERVING}', so it does not say how it is asked. Save it with "
        "one: tf.saved_model.save(model, folder, signatures=function), or model.export(folder) of a Keras model."
    )


def _sizes(spec: Any) -> list[int | None]:
    if spec.shape.rank is None:
        raise FlavorError(
            f"The SavedModel's input '{spec.name}' has a shape of any rank, so columns cannot be fitted to it. Save it "
            "with an input_signature that says its shape."
        )
    sizes: list[int | None] = spec.shape.as_list()
    return sizes
