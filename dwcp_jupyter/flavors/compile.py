"""A fitted model as an ONNX graph, where the two agree.

ONNX Runtime answers one row of a forest in microseconds, where scikit-learn takes milliseconds. The graph computes in
float32 while the model was trained in float64, so a value beside a threshold can fall on its other side. Agreement is
therefore proved on every row of the kept sample, and on rows with what requests may bring though the sample lacks it: a
missing value, an empty text, a text never seen. A model that fails is served as it is, and the reason says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from dwcp_jupyter.exceptions import MissingExtraError, PredictionError
from dwcp_jupyter.flavors import auditing
from dwcp_jupyter.flavors.loaded import LoadedModel
from dwcp_jupyter.flavors.protocol import Prediction
from dwcp_jupyter.flavors.signature import ColumnType, Signature

__all__ = ["Compilation", "Tolerance", "compile_onnx", "feeds", "run"]

_ROWS_FOR_HISTOGRAMS = 1000
_UNSEEN = "\x00unseen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """How far probabilities and values may differ: absolutely, or relative to the model's own."""

    absolute: float = 1e-4
    relative: float = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What came of compiling.

    Attributes
    ----------
    onnx : bytes or None
        The graph; None where the model stays native.
    layout : str
        ``"matrix"``: one float32 input of shape (n_samples, n_inputs). ``"columns"``: one input of shape (n_samples, 1)
        a column, float32 or text, where `feeds` says how. Empty where the model stays native.
    reason : str
        Why it was compiled, or why not, with figures.
    max_difference : float or None
        Largest difference of probabilities or values on the sample.
    """

    onnx: bytes | None
    layout: str
    reason: str
    max_difference: float | None = None


def compile_onnx(loaded: LoadedModel, sample: Any, *, tolerance: Tolerance | None = None) -> Compilation:
    """Return the model as ONNX, if it answers the whole `sample` alike.

    Parameters
    ----------
    loaded : LoadedModel
        With a signature.
    sample : DataFrame
        Rows of input, shape (n_samples, n_inputs); the more, the better the proof.
    tolerance : Tolerance, optional
        1e-4 absolutely or relatively, unless given; labels must be equal.

    Raises
    ------
    SignatureError
        If the sample does not fit the signature.
    """
    signature = loaded.signature
    obstacle = _obstacle(loaded, signature)
    if signature is None or obstacle:
        return _refused(obstacle or "the model has no signature")
    frame = loaded.conform(sample)
    if len(frame) < _ROWS_FOR_HISTOGRAMS and _has_histograms(loaded.native):
        return _refused(
            f"it compares with histogram thresholds in float64, and a sample of {_rows(len(frame))} is too small to "
            f"prove that float32 answers alike ({_ROWS_FOR_HISTOGRAMS} would do)"
        )
    layout = "matrix" if all(column.is_numeric for column in signature.inputs) else "columns"
    native = loaded.predict_conformed(frame)
    try:
        from dwcp_jupyter.flavors import converters

        graph = converters.to_onnx(loaded.native, signature, layout, has_probabilities=native.probabilities is not None)
    except MissingExtraError as exc:
        return _refused(str(exc))
    except Exception as exc:  # noqa: BLE001 - converters raise whatever they meet in a model that they do not know
        return _refused(f"{type(loaded.native).__name__} cannot be converted: {_first_line(exc)}")
    return _Proof(loaded, graph, layout, tolerance or Tolerance()).on(frame, native)


_CONVERTED = ("sklearn", "xgboost")


def _obstacle(loaded: LoadedModel, signature: Signature | None) -> str:
    """Return why a model cannot be compiled whatever its sample; empty where it can be tried."""
    if signature is None:
        return "the model has no signature"
    if loaded.info.format == "onnx":
        return "it is an ONNX model already"
    if loaded.info.flavor not in _CONVERTED:
        return f"models of {loaded.info.framework} are served by their own library"
    labels = loaded.info.classes or ()
    if not all(isinstance(label, (int, str)) and not isinstance(label, bool) for label in labels):
        return f"ONNX has integers and texts as labels, and its labels are {', '.join(map(repr, labels))}"
    return ""


def _rows(count: int, *, every: bool = False) -> str:
    return "1 row" if count == 1 else f"{'all ' if every else ''}{count} rows"


def _refused(reason: str) -> Compilation:
    return Compilation(onnx=None, layout="", reason=reason)


def _first_line(exc: Exception) -> str:
    text = str(exc).strip()
    return text.splitlines()[0][:200] if text else repr(exc)


def _has_histograms(model: Any) -> bool:
    return any(type(part).__name__.startswith("HistGradientBoosting") for part in auditing.parts(model))


class _Proof:
    """That a graph answers as the model does."""

    def __init__(self, loaded: LoadedModel, graph: bytes, layout: str, tolerance: Tolerance) -> None:
        self._loaded = loaded
        self._graph = graph
        self._layout = layout
        self._tolerance = tolerance
        self._session: Any = None

    def on(self, frame: pd.DataFrame, native: Prediction) -> Compilation:
        """Return what was proved on the sample, and on rows beside it."""
        from dwcp_jupyter.flavors.onnx import open_session

        try:
            self._session = open_session(self._graph)
            compiled = self._run(frame)
        except Exception as exc:  # noqa: BLE001 - a graph that does not run is as good as none
            return _refused(f"the converted model does not run: {_first_line(exc)}")
        difference = _difference(native, compiled)
        wrong = int(_disagreements(native, compiled, self._tolerance).sum())
        if wrong:
            return _refused(
                f"the converted model, in float32, answers {wrong} of {_rows(len(frame))} of the sample otherwise, by "
                f"more than {self._tolerance.absolute:g} (largest difference {difference:.3g})"
            )
        for words, row in _beside(frame, self._loaded):
            if not self._agrees(row):
                return _refused(f"the converted model treats {words} otherwise than the model itself")
        return Compilation(
            onnx=self._graph,
            layout=self._layout,
            reason=f"agrees on {_rows(len(frame), every=True)} of the sample (largest difference {difference:.2g})",
            max_difference=difference,
        )

    def _run(self, frame: pd.DataFrame) -> Prediction:
        signature = self._loaded.signature
        assert signature is not None
        return run(self._session, frame, signature, self._layout, classes=self._loaded.info.classes)

    def _agrees(self, row: pd.DataFrame) -> bool:
        """Return whether model and graph answer a row alike, or both refuse it."""
        try:
            native = self._loaded.predict_conformed(row)
        except PredictionError:
            native = None
        try:
            compiled = self._run(row)
        except Exception:  # noqa: BLE001 - ONNX Runtime's errors share no class of their own
            return native is None
        return native is not None and not _disagreements(native, compiled, self._tolerance).any()


def _beside(frame: pd.DataFrame, loaded: LoadedModel) -> list[tuple[str, pd.DataFrame]]:
    """Return rows like the sample's first, each with one thing that requests may bring, and words for it."""
    assert loaded.signature is not None
    first = frame.head(1)
    rows = []
    for column in loaded.signature.inputs:
        is_text = column.type is ColumnType.STRING
        values: list[tuple[str, str | None]] = []
        if is_text:
            values = [("a value never seen", _UNSEEN), ("an empty text", "")]
        if column.nullable:
            values.append(("a missing value", None))
        for words, value in values:
            changed = pd.Series([value], index=first.index, dtype=object)
            rows.append((f"{words} of '{column.name}'", loaded.conform(first.assign(**{column.name: changed}))))
    return rows


def feeds(frame: pd.DataFrame, signature: Signature, layout: str, input_names: list[str]) -> dict[str, Any]:
    """Return what a compiled graph takes, from a conformed frame."""
    from dwcp_jupyter.flavors.converters import MISSING_TEXT

    if layout == "matrix":
        return {input_names[0]: frame.to_numpy(dtype=np.float32)}
    columns = {}
    for name, column in zip(input_names, signature.inputs, strict=True):
        values = frame[column.name]
        if column.type is ColumnType.STRING:
            texts = values.astype(object).where(values.notna(), MISSING_TEXT)
            columns[name] = texts.to_numpy(dtype=object).reshape(-1, 1)
        else:
            columns[name] = values.to_numpy(dtype=np.float32, na_value=np.nan).reshape(-1, 1)
    return columns


def run(
    session: Any, frame: pd.DataFrame, signature: Signature, layout: str, *, classes: tuple[Any, ...] | None
) -> Prediction:
    """Return a compiled graph's answer to a conformed frame.

    Raises
    ------
    ValueError
        If the graph gives several values a row.
    """
    names = [entry.name for entry in session.get_inputs()]
    answers = [np.asarray(answer) for answer in session.run(None, feeds(frame, signature, layout, names))]
    values = answers[0].reshape(len(frame), -1)
    if values.shape[1] != 1:
        raise ValueError(f"it gives {values.shape[1]} values a row")
    return Prediction(values=values[:, 0], probabilities=answers[1] if len(answers) > 1 else None, classes=classes)


def _disagreements(native: Prediction, compiled: Prediction, tolerance: Tolerance) -> npt.NDArray[np.bool_]:
    """Return, per row, whether the answers differ."""
    if native.classes is None:
        return _apart(native.values, compiled.values, tolerance)
    differs: npt.NDArray[np.bool_] = np.asarray(native.values.astype(str) != compiled.values.astype(str))
    if native.probabilities is None or compiled.probabilities is None:
        return differs
    return differs | _apart(native.probabilities, compiled.probabilities, tolerance)


def _apart(native: Any, compiled: Any, tolerance: Tolerance) -> npt.NDArray[np.bool_]:
    """Return, per row, whether numbers differ by more than they may."""
    first, second = (np.asarray(numbers, dtype=float).reshape(len(numbers), -1) for numbers in (compiled, native))
    if first.shape != second.shape:
        return np.ones(len(first), dtype=bool)
    apart: npt.NDArray[np.bool_] = ~np.isclose(first, second, rtol=tolerance.relative, atol=tolerance.absolute).all(
        axis=1
    )
    return apart


def _difference(native: Prediction, compiled: Prediction) -> float:
    """Return the largest difference; of labels alone, the share that differs."""
    first, second = native.probabilities, compiled.probabilities
    if native.classes is None:
        first, second = native.values, compiled.values
    if first is None or second is None:
        return float((native.values.astype(str) != compiled.values.astype(str)).mean())
    if first.shape != second.shape:
        return float("inf")
    return float(np.abs(np.asarray(first, dtype=float) - np.asarray(second, dtype=float)).max(initial=0.0))
