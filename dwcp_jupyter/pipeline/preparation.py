"""From columns to what a model takes: one unfitted transformer.

Every column gets a chain of steps: what the configuration names for it, then what the model cannot do without (missing
numbers are filled where there are any, text is one-hot encoded). Columns that say nothing (constant) or everything
(identifiers) are left out, with a line in the log. The result is fitted on training rows only, within each fold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, StandardScaler

from dwcp_jupyter.exceptions import PipelineConfigError, did_you_mean
from dwcp_jupyter.pipeline.interactions import Interactions
from dwcp_jupyter.pipeline.plain import has_text, has_times

__all__ = ["Preparation", "plan"]

_MOST_CATEGORIES = 50
_IDENTIFIER_SHARE = 0.95
_OPTIONS: dict[str, dict[str, Any]] = {
    "scale": {},
    "encode": {"max_categories": _MOST_CATEGORIES},
    "polynomial": {"degree": 2},
    "impute": {"strategy": "median", "fill_value": None},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """The plan: which columns are used, and an unfitted transformer of them by their positions.

    Attributes
    ----------
    columns : tuple of str
        Inputs in the order in which the transformer takes them.
    nullable : frozenset of str
        Inputs that may be missing, since they are filled.
    notes : tuple of str
        What was decided by itself, for the log.
    """

    columns: tuple[str, ...]
    nullable: frozenset[str]
    notes: tuple[str, ...]
    branches: tuple[tuple[str, Any, tuple[int, ...]], ...]
    numeric: tuple[int, ...]

    def transformer(self, *, with_interactions: bool) -> ColumnTransformer:
        """Return a new unfitted transformer."""
        branches = [(name, _copy(steps), list(places)) for name, steps, places in self.branches]
        if with_interactions and len(self.numeric) > 1:
            steps = Pipeline([("fill", SimpleImputer(strategy="median")), ("pairs", Interactions())])
            branches.append(("interactions", steps, list(self.numeric)))
        return ColumnTransformer(branches, sparse_threshold=0.0)


@dataclass(slots=True)
class _Chain:
    steps: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)


def plan(inputs: pd.DataFrame, transforms: Sequence[Mapping[str, Any]], *, takes_missing: bool) -> Preparation:
    """Return the plan for these inputs.

    Parameters
    ----------
    inputs : DataFrame
        Training rows without the target.
    transforms : sequence of mappings
        ``{"type":, "columns":, …}`` as in the configuration.
    takes_missing : bool
        Whether the model can take missing numbers itself.

    Raises
    ------
    PipelineConfigError
        For an option that a transform does not have, or a transform that a column cannot take.
    """
    named = {str(name) for transform in transforms for name in transform["columns"]}
    kinds, notes = _classify(inputs, named)
    columns = tuple(kinds)
    chains = {name: _Chain() for name in columns}
    polynomials = [_read(transform, chains, kinds) for transform in transforms]
    nullable = frozenset(_complete(inputs, kinds, chains, takes_missing=takes_missing))
    places = {name: place for place, name in enumerate(columns)}
    branches = _branches(chains, [entry for entry in polynomials if entry is not None], places)
    numeric = tuple(places[name] for name, kind in kinds.items() if kind == "number")
    return Preparation(
        columns=columns, nullable=nullable, notes=tuple(notes), branches=tuple(branches), numeric=numeric
    )


def _classify(inputs: pd.DataFrame, named: set[str]) -> tuple[dict[str, str], list[str]]:
    """Return the used columns with their kinds, and notes on those left out."""
    kinds: dict[str, str] = {}
    notes = []
    for name in inputs.columns:
        values = inputs[name]
        reason = None if name in named else _reason_to_drop(values)
        if reason is not None:
            notes.append(f"Column '{name}' is left out: {reason}.")
            continue
        is_number = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_complex_dtype(values.dtype)
        kinds[str(name)] = "number" if is_number else "text"
    if not kinds:
        raise PipelineConfigError(f"No input column can be used. {' '.join(notes)}")
    return kinds, notes


def _reason_to_drop(values: pd.Series) -> str | None:
    present = values.dropna()
    if not len(present):
        return "it has no values"
    if has_times(values):
        return "it holds times; derive numbers from it, such as the age in days"
    try:
        distinct = present.nunique()
    except TypeError:
        return "its values are structures"
    if distinct == 1 and not values.isna().any():
        return "it is constant"
    if not pd.api.types.is_numeric_dtype(values.dtype) and distinct > max(20, _IDENTIFIER_SHARE * len(present)):
        return f"it identifies rows ({distinct} texts in {len(present)} rows)"
    return None


def _read(
    transform: Mapping[str, Any], chains: dict[str, _Chain], kinds: Mapping[str, str]
) -> tuple[tuple[str, ...], int] | None:
    """Put a transform at the end of its columns' chains; return the columns and degree of a polynomial one."""
    kind = transform["type"]
    options = {key: value for key, value in transform.items() if key not in {"type", "columns"}}
    for key in options:
        if key not in _OPTIONS[kind]:
            known = ", ".join(_OPTIONS[kind]) or "none"
            raise PipelineConfigError(
                f"Transform '{kind}' has no option '{key}'.{did_you_mean(key, _OPTIONS[kind])} It has: {known}."
            )
    columns = tuple(map(str, transform["columns"]))
    for name in columns:
        if kind in {"scale", "polynomial"} and kinds[name] != "number":
            raise PipelineConfigError(
                f"Column '{name}' holds text and cannot be transformed by '{kind}'. Use 'encode'."
            )
        if kind != "polynomial":
            chains[name].steps.append((kind, options))
    return (columns, int(options.get("degree", 2))) if kind == "polynomial" else None


def _complete(
    inputs: pd.DataFrame, kinds: Mapping[str, str], chains: dict[str, _Chain], *, takes_missing: bool
) -> list[str]:
    """Add what the model cannot do without; return the columns that may be missing."""
    nullable = []
    for name, kind in kinds.items():
        steps = chains[name].steps
        done = {step for step, _ in steps}
        is_missing = bool(inputs[name].isna().any())
        if kind == "text":
            if "impute" not in done and is_missing and has_text(inputs[name]):  # else it is a category of its own
                steps.insert(0, ("impute", {"strategy": "constant", "fill_value": "missing"}))
            if "encode" not in done:
                steps.append(("encode", {}))
        elif "impute" not in done and is_missing and not takes_missing:
            steps.insert(0, ("impute", {}))
        if is_missing or "impute" in done:
            nullable.append(name)
    return nullable


def _branches(
    chains: Mapping[str, _Chain], polynomials: Sequence[tuple[tuple[str, ...], int]], places: Mapping[str, int]
) -> list[tuple[str, Any, tuple[int, ...]]]:
    """Return the branches: columns with equal chains together, polynomials over the chains of theirs."""
    taken = {name for columns, _ in polynomials for name in columns}
    groups: dict[str, list[str]] = {}
    for name, chain in chains.items():
        if name not in taken:
            groups.setdefault(repr(chain.steps), []).append(name)
    branches: list[tuple[str, Any, tuple[int, ...]]] = []
    for number, names in enumerate(groups.values()):
        steps = _steps(chains[names[0]].steps)
        branches.append((f"columns_{number}", steps, tuple(places[name] for name in names)))
    for number, (columns, degree) in enumerate(polynomials):
        inner = [(f"c{place}", _steps(chains[name].steps), [place]) for place, name in enumerate(columns)]
        powers = PolynomialFeatures(degree=degree, include_bias=False)
        steps = Pipeline([("columns", ColumnTransformer(inner, sparse_threshold=0.0)), ("powers", powers)])
        branches.append((f"polynomial_{number}", steps, tuple(places[name] for name in columns)))
    return branches


def _steps(steps: Sequence[tuple[str, Mapping[str, Any]]]) -> Any:
    if not steps:
        return "passthrough"
    made = [_make(kind, options) for kind, options in steps]
    return made[0] if len(made) == 1 else Pipeline([(f"step_{number}", step) for number, step in enumerate(made)])


def _make(kind: str, options: Mapping[str, Any]) -> Any:
    if kind == "scale":
        return StandardScaler()
    if kind == "encode":
        return OneHotEncoder(
            handle_unknown="infrequent_if_exist",
            max_categories=options.get("max_categories", _MOST_CATEGORIES),
            sparse_output=False,
            dtype=np.float64,
        )
    strategy = options.get("strategy", "median")
    return SimpleImputer(strategy=strategy, fill_value=options.get("fill_value"), keep_empty_features=True)


def _copy(steps: Any) -> Any:
    from sklearn.base import clone

    return steps if isinstance(steps, str) else clone(steps)
