"""Python functions: a rule of the business, or a combination of fitted models, kept by its source.

A function is code, so what travels is a text that a reviewer can read: the function with the imports, constants,
functions and classes that it uses, and beside it, each in its own safe format, the fitted models. It is never a pickle
of the notebook. Reading it runs it: so it is loaded by the loader's decision alone, bound to the SHA-256 of all of it.

The function takes one data frame, with the signature's columns in their order and rows numbered from 0, and gives one
answer a row: an array, a Series, a frame or a list. Foreign ``.py`` files with a function ``predict`` are read too.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import FlavorError, PredictionError
from dwcp_jupyter.flavors import protocol
from dwcp_jupyter.flavors.frameworks import Framework
from dwcp_jupyter.flavors.package import PackageInfo, installed
from dwcp_jupyter.flavors.protocol import Flavor, ModelFacts, Prediction
from dwcp_jupyter.flavors.python import imports as python_imports
from dwcp_jupyter.flavors.python import keeping as python_keeping
from dwcp_jupyter.flavors.python import reads as python_reads
from dwcp_jupyter.flavors.python.document import Document
from dwcp_jupyter.flavors.python.entries import Kind, facts_of
from dwcp_jupyter.flavors.python.running import run_module

__all__ = ["FLAVOR"]

_ENTRY = "predict"
"""Name of the function in a foreign file."""


class _PythonFlavor:
    name = "python"
    framework = Framework.PYFUNC
    extensions: Mapping[str, str] = {".zip": "python", ".py": "source"}

    def describe(self, model: Any, path: Path | None = None) -> ModelFacts:
        _check_function(model)
        if path is not None:
            return _facts_of_file(model, path)
        document = Document(model)
        parts = document.kept_apart(Kind.MODEL)
        packages: dict[str, str] = {}
        for part in parts.values():
            packages |= facts_of(part).packages
        if any(not isinstance(table, np.ndarray) for table in document.kept_apart(Kind.TABLE).values()):
            packages |= installed("pyarrow")
        return _facts(model, document.modules, packages)

    def save(self, model: Any, folder: Path) -> tuple[str, str]:
        path = folder / "function.zip"
        python_keeping.keep(Document(model), path)
        return path.name, "python"

    def load(self, path: Path, info: PackageInfo) -> Any:
        if info.format == "python":
            return python_keeping.read(path).function
        names = run_module(importlib.util.decode_source(path.read_bytes()), {}, file=path.name)
        if _ENTRY not in names:
            raise FlavorError(f"'{path.name}' defines no function '{_ENTRY}'. Give that name to the one to be served.")
        return names[_ENTRY]

    def predict(self, model: Any, frame: pd.DataFrame, info: PackageInfo) -> Prediction:  # noqa: ARG002 - the function is all
        rows = frame.reset_index(drop=True)
        return Prediction(values=_values(model(rows), frame))

    def prove(self, model: Any, path: Path, frame: pd.DataFrame, info: PackageInfo) -> None:
        """Refuse a function that answers otherwise where it is kept, or otherwise each time."""
        kept = self.load(path, info)
        answers = [self.predict(model, frame, info).values]
        for turn in range(2):
            try:
                answers.append(self.predict(kept, frame, info).values)
            except Exception as exc:  # the function is the user's: whatever it raises is its failure
                raise FlavorError(
                    f"'{model.__name__}' answers here and fails where it is kept ({type(exc).__name__}: {exc}). What "
                    "it looks up by globals() or eval() is not kept: use the name itself."
                ) from exc
            if not _is_same(answers[turn], answers[-1]):
                raise FlavorError(
                    f"'{model.__name__}' does not give the same answers to the same rows each time. Keep no state in "
                    "what it uses, and draw no random numbers without a fixed seed."
                )


def _is_same(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    if one.shape != other.shape:
        return False
    if one.dtype.kind == other.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=1e-6, atol=0, equal_nan=True))
    return pd.Series(one.ravel()).equals(pd.Series(other.ravel()))


def _facts(model: Any, modules: Iterable[str], packages: Mapping[str, str]) -> ModelFacts:
    return ModelFacts(
        framework_version=platform.python_version(),
        packages={**packages, **installed("numpy", "pandas"), **python_imports.versions_of(modules)},
        detail={"function": model.__name__},
    )


def _facts_of_file(model: Any, path: Path) -> ModelFacts:
    """Return what a foreign file says of itself; what only this place has is refused."""
    packages: dict[str, str] = {}
    if path.suffix == ".py":
        text = importlib.util.decode_source(path.read_bytes())
    else:
        contents = python_keeping.look_into(path)
        text = contents.text
        for part in contents.parts.values():
            packages |= part.packages
    modules = set(python_reads.imported_modules(ast.parse(text)))
    for module in sorted(modules):
        if module.startswith(".") or (python_imports.is_there(module) and not python_imports.is_installed(module)):
            raise FlavorError(
                f"'{path.name}' imports '{module}', which is a file of yours and no installed package. Install it as a "
                "package, or write what is needed of it into the file."
            )
    return _facts(model, modules, packages)


def _check_function(model: Any) -> None:
    """Refuse what is no function of one data frame."""
    name = getattr(model, "__name__", type(model).__name__)
    if not isinstance(model, FunctionType) and not isinstance(getattr(model, "__wrapped__", None), FunctionType):
        raise FlavorError(_no_function(model, name))
    if inspect.iscoroutinefunction(model) or inspect.isasyncgenfunction(model):
        raise FlavorError(f"'{name}' is asynchronous (async def), and a model answers at once. Write it with def.")
    if inspect.isgeneratorfunction(model):
        raise FlavorError(f"'{name}' is a generator (it yields). Return all answers at once, one a row.")
    signature = inspect.signature(model)
    try:
        signature.bind(None)
    except TypeError as exc:
        raise FlavorError(
            f"'{name}{signature}' cannot be called with one argument, a data frame that holds all columns ({exc}). "
            f"Write: def {name}(frame): …, and take the columns from it by name."
        ) from exc


def _no_function(model: Any, name: str) -> str:
    if isinstance(model, MethodType):
        owner = type(model.__self__).__name__
        try:
            protocol.flavor_of(model.__self__)
        except FlavorError:
            return (
                f"'{name}' is a method of a {owner}, which belongs to its object. Write a function by def that takes a "
                "data frame, with what it needs of the object as constants or fitted models."
            )
        return f"'{name}' is a method of a {owner}. Pass the {owner} itself."
    if isinstance(model, type):
        return f"'{name}' is a class. Pass a fitted object of it, or a function."
    return (
        f"A {type(model).__module__}.{type(model).__qualname__} can be called and is no function with a source. Write "
        "one by def that takes a data frame and calls it."
    )


def _values(answer: Any, frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the answers of a function as an array with one row a row."""
    if isinstance(answer, (pd.Series, pd.DataFrame)):
        _check_order(answer, len(frame))
    elif not isinstance(answer, list) and not (hasattr(answer, "__array__") and np.ndim(answer)):
        raise PredictionError(
            f"The function gave a {type(answer).__name__}, which does not hold one answer a row. Return an array, a "
            "Series, a frame or a list with as many rows as the data frame has."
        )
    values = np.asarray(answer)
    if values.ndim not in {1, 2}:
        raise PredictionError(
            f"The function gave an array of shape {values.shape}. Return one of shape (n_rows,) or (n_rows, n_outputs)."
        )
    if values.dtype == object:
        values = values.copy()
        values[pd.isna(values)] = None  # an answer has one word for what is missing
    return values


def _check_order(answer: Any, count: int) -> None:
    """Refuse answers whose labels are those of the rows in another order: they would go to the wrong rows."""
    rows = pd.RangeIndex(count)
    if len(answer) == count and not answer.index.equals(rows) and answer.index.sort_values().equals(rows):
        raise PredictionError(
            "The function gave its answers in another order than the rows: their index is no longer 0, 1, 2, … Put "
            "them back with .loc[frame.index], or return .to_numpy() if the order is meant."
        )


FLAVOR: Flavor = _PythonFlavor()
