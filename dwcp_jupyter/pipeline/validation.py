"""Whether data are fit for training: what makes it impossible fails, all at once; the rest is said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import DataValidationError, did_you_mean
from dwcp_jupyter.pipeline.config import PipelineConfig
from dwcp_jupyter.pipeline.plain import plain

__all__ = ["Findings", "infer_task", "validate"]

_FEWEST_ROWS = 20
_RARE_SHARE = 0.05
_MOST_CLASSES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Data that can be trained on, their task, and what is noteworthy in them."""

    frame: pd.DataFrame
    task: str
    warnings: tuple[str, ...]


def validate(frame: pd.DataFrame, config: PipelineConfig) -> Findings:
    """Return the rows that have a target, in plain columns, and what was found.

    Raises
    ------
    DataValidationError
        It names every failure.
    """
    _check_columns(frame, config)
    target = str(config.target_column)
    labelled = frame[frame[target].notna()].reset_index(drop=True)
    if not len(labelled):
        raise DataValidationError(f"No row has a value of the target '{target}'.", failures=["no targets"])
    labelled = plain(labelled)
    task = config.task or infer_task(labelled[target])
    failures = [*_number_failures(labelled, target, task), *_class_failures(labelled[target], task, config)]
    if failures:
        raise DataValidationError(" ".join(failures), failures=failures)
    return Findings(frame=labelled, task=task, warnings=tuple(_warnings(frame, labelled, target, task)))


def infer_task(target: pd.Series) -> str:
    """Return ``"classification"`` for text, truth values and few whole numbers, else ``"regression"``."""
    if not pd.api.types.is_numeric_dtype(target.dtype) or pd.api.types.is_bool_dtype(target.dtype):
        return "classification"
    present = target.dropna()
    is_whole = bool((present == np.floor(present)).all())
    return "classification" if is_whole and present.nunique() <= min(20, max(2, len(present) // 10)) else "regression"


def _check_columns(frame: pd.DataFrame, config: PipelineConfig) -> None:
    names = [str(name) for name in frame.columns]
    failures = [f"Columns repeat: {name!r}." for name in sorted({n for n in names if names.count(n) > 1})]
    if not len(frame):
        failures.append("The data have no rows.")
    wanted = [(str(config.target_column), "target_column")]
    wanted += [(name, "feature_transforms") for t in config.feature_transforms for name in t["columns"]]
    for name, where in dict(wanted).items():
        if name not in names:
            shown = ", ".join(names[:20])
            failures.append(f"{where} names '{name}', which is no column.{did_you_mean(name, names)} Columns: {shown}.")
    if len(names) < 2:
        failures.append("There is no input column beside the target.")
    if failures:
        raise DataValidationError(" ".join(failures), failures=failures)


def _number_failures(frame: pd.DataFrame, target: str, task: str) -> list[str]:
    failures = [
        f"Column '{name}' holds infinite values. Replace or drop them."
        for name in frame.columns
        if pd.api.types.is_float_dtype(frame[name].dtype) and np.isinf(frame[name].to_numpy(dtype=float)).any()
    ]
    if len(frame) < _FEWEST_ROWS:
        failures.append(f"There are {len(frame)} rows with a target; at least {_FEWEST_ROWS} are needed.")
    if task == "regression" and not pd.api.types.is_numeric_dtype(frame[target].dtype):
        failures.append(f"The target '{target}' is not numeric, so it cannot be regressed on.")
    return failures


def _class_failures(target: pd.Series, task: str, config: PipelineConfig) -> list[str]:
    if task != "classification":
        return [f"The target '{target.name}' is constant."] if target.nunique() < 2 else []
    odd = _label_failure(pd.Series(np.asarray(target)))
    if odd:
        return [f"The target '{target.name}' {odd}"]
    counts = target.value_counts()
    if len(counts) < 2:
        return [f"The target '{target.name}' has one class only, {counts.index[0]!r}. Add rows of another."]
    if len(counts) > _MOST_CLASSES and len(counts) > len(target) // 10:
        where = f"{len(counts)} classes in {len(target)} rows"
        return [f"The target '{target.name}' has {where}. Set task='regression' if it is a number."]
    needed = max(3, config.cross_validation_folds + 2)  # every fold, the validation and the test part get one
    rare = [f"{label!r} ({count} rows)" for label, count in counts.items() if count < needed]
    if rare:
        return [f"Classes too rare to be split: {', '.join(rare)}; each needs {needed} rows. Merge or drop them."]
    return []


def _label_failure(labels: pd.Series) -> str:
    if pd.api.types.infer_dtype(labels) in {"mixed", "mixed-integer", "bytes"}:
        return "holds no classes: turn it into text, whole numbers or truth values."
    if pd.api.types.is_float_dtype(labels.dtype) and (labels != np.floor(labels)).any():
        return "holds fractions, which name no classes. Set task='regression'."
    return ""


def _warnings(frame: pd.DataFrame, labelled: pd.DataFrame, target: str, task: str) -> list[str]:
    found = []
    dropped = len(frame) - len(labelled)
    if dropped:
        found.append(f"{dropped} rows without a target were left out.")
    repeated = _count_repeated(labelled)
    if repeated:
        found.append(f"{repeated} rows are duplicates; the same row can be in training and test.")
    missing = labelled.isna().mean()
    found += [f"Column '{name}' is missing in {share:.1%} of the rows." for name, share in missing[missing > 0].items()]
    if task == "classification":
        shares = labelled[target].value_counts(normalize=True)
        if shares.iloc[-1] < _RARE_SHARE:
            found.append(
                f"Class {shares.index[-1]!r} has {shares.iloc[-1]:.1%} of the rows; accuracy says little about it."
            )
    return [*found, *_leaks(labelled, target)]


def _leaks(frame: pd.DataFrame, target: str) -> list[str]:
    """Return the inputs that determine the target by themselves: most often written down after it was known."""
    found = []
    labels = frame[target].astype(str)
    for name in frame.columns.drop(target):
        values = frame[name].astype(str)
        distinct = values.nunique()
        if 1 < distinct <= len(frame) // 5 and labels.groupby(values).nunique().max() == 1:
            found.append(f"Column '{name}' determines the target alone. If it was recorded after the target, drop it.")
    return found


def _count_repeated(frame: pd.DataFrame) -> int:
    try:
        return int(frame.duplicated().sum())
    except TypeError:  # a column holds structures, which are not compared
        return 0
