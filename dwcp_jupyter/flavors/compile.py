"""A fitted model as an ONNX graph, where the two agree.

ONNX Runtime answers one row of a forest in microseconds, where scikit-learn takes milliseconds. The graph computes in
float32 while the model was trained in float64, so a value beside a threshold can fall on its other side. Agreement is
therefore proved on every row of the kept sample; a model that fails is served as it is, and the reason says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import MissingExtraError
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.protocol import Prediction
from dwcp_jupyter.flavors.signature import Signature

__all__ = ["Compilation", "compile_onnx", "feeds", "run"]

ABSOLUTE_TOLERANCE = 1e-4
RELATIVE_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What came of compiling.

    Attributes
    ----------
    onnx : bytes or None
        The graph; None where the model stays native.
    layout : str
        ``"matrix"``: one float32 input of shape (n_samples, n_inputs). ``"columns"``: one input of shape (n_samples, 1)
        a column, float32 or text.
    reason : str
        Why it was compiled, or why not, with figures.
    max_difference : float or None
        Largest difference of probabilities or values on the sample.
    """

    onnx: bytes | None
    layout: str
    reason: str
    max_difference: float | None = None


def compile_onnx(loaded: LoadedModel, sample: pd.DataFrame) -> Compilation:
    """Return the model as ONNX, if it answers the whole `sample` alike.

    Parameters
    ----------
    loaded : LoadedModel
        With a signature.
    sample : DataFrame
        Rows of input, shape (n_samples, n_inputs); the more, the better the proof.

    Returns
    -------
    Compilation
        Labels must be equal, probabilities and values within 1e-4 absolutely or relatively.
    """
    signature = loaded.signature
    if signature is None:
        return _refused("the model has no signature")
    if loaded.info.format == "onnx":
        return _refused("it is an ONNX model already")
    layout = "matrix" if all(column.is_numeric for column in signature.inputs) else "columns"
    try:
        graph = _convert(loaded, signature, layout)
    except MissingExtraError as exc:
        return _refused(str(exc))
    except Exception as exc:  # noqa: BLE001 - converters raise whatever they meet in a model that they do not know
        kind = type(loaded.native).__name__
        return _refused(
            f"{kind} cannot be converted: {str(exc).strip().splitlines()[0][:200] if str(exc).strip() else exc!r}"
        )
    return _proved(loaded, loaded.conform(sample), graph, layout)


def _refused(reason: str) -> Compilation:
    return Compilation(onnx=None, layout="", reason=f"served as it is: {reason}")


def _convert(loaded: LoadedModel, signature: Signature, layout: str) -> bytes:
    from dwcp_jupyter.flavors import converters

    return converters.to_onnx(loaded.native, signature, layout, is_classifier=loaded.info.classes is not None)


def _proved(loaded: LoadedModel, frame: pd.DataFrame, graph: bytes, layout: str) -> Compilation:
    from dwcp_jupyter.flavors.onnx import open_session

    assert loaded.signature is not None
    native = loaded.predict_conformed(frame)
    try:
        compiled = run(open_session(graph), frame, loaded.signature, layout, classes=loaded.info.classes)
    except Exception as exc:  # noqa: BLE001 - a graph that does not run is as good as none
        return _refused(f"the converted model does not run: {str(exc).strip().splitlines()[0][:200]}")
    difference = _difference(native, compiled)
    wrong = int(_disagreements(native, compiled).sum())
    if wrong:
        return _refused(
            f"float32 changes {wrong} of {len(frame)} answers of the sample beyond {ABSOLUTE_TOLERANCE:g} "
            f"(largest difference {difference:.3g})"
        )
    return Compilation(
        onnx=graph,
        layout=layout,
        reason=f"compiled: agrees on all {len(frame)} rows of the sample (largest difference {difference:.2g})",
        max_difference=difference,
    )


def feeds(frame: pd.DataFrame, signature: Signature, layout: str, input_names: list[str]) -> dict[str, Any]:
    """Return what a compiled graph takes, from a conformed frame."""
    if layout == "matrix":
        return {input_names[0]: frame.to_numpy(dtype=np.float32)}
    columns = {}
    for name, column in zip(input_names, signature.inputs, strict=True):
        values = frame[column.name]
        if column.is_numeric:
            columns[name] = values.to_numpy(dtype=np.float32).reshape(-1, 1)
        else:
            columns[name] = values.where(values.notna(), "").to_numpy(dtype=object).reshape(-1, 1)
    return columns


def run(
    session: Any, frame: pd.DataFrame, signature: Signature, layout: str, *, classes: tuple[Any, ...] | None
) -> Prediction:
    """Return a compiled graph's answer to a conformed frame."""
    names = [entry.name for entry in session.get_inputs()]
    answers = session.run(None, feeds(frame, signature, layout, names))
    if classes is None:
        return Prediction(values=np.asarray(answers[0]).reshape(len(frame), -1).squeeze(axis=1))
    return Prediction(values=np.asarray(answers[0]), probabilities=np.asarray(answers[1]), classes=classes)


def _disagreements(native: Prediction, compiled: Prediction) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return, per row, whether the answers differ."""
    if native.probabilities is None or compiled.probabilities is None:
        if native.classes is not None:
            return np.asarray(native.values.astype(str) != compiled.values.astype(str))
        return ~np.isclose(
            compiled.values.astype(float), native.values.astype(float), rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE
        )
    close = np.isclose(compiled.probabilities, native.probabilities, rtol=RELATIVE_TOLERANCE, atol=ABSOLUTE_TOLERANCE)
    differs: np.ndarray[Any, np.dtype[np.bool_]] = ~close.all(axis=1)
    return differs | (native.values.astype(str) != compiled.values.astype(str))


def _difference(native: Prediction, compiled: Prediction) -> float:
    pairs = (native.probabilities, compiled.probabilities)
    if pairs[0] is None or pairs[1] is None:
        if native.classes is not None:
            return float((native.values.astype(str) != compiled.values.astype(str)).mean())
        pairs = (native.values, compiled.values)
    return float(np.abs(np.asarray(pairs[0], dtype=float) - np.asarray(pairs[1], dtype=float)).max(initial=0.0))
