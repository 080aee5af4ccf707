"""Rows for training, validation and testing, and folds of the training rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from dwcp_jupyter.pipeline.config import PipelineConfig

__all__ = ["Part", "Split", "folds", "split"]

Fold = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some rows: inputs of shape (n_samples, n_inputs) and their targets."""

    inputs: pd.DataFrame
    target: pd.Series[Any]

    def __len__(self) -> int:
        return len(self.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The three parts; tuning and the choice of features see the first one only."""

    train: Part
    validation: Part
    test: Part


def split(frame: pd.DataFrame, config: PipelineConfig, task: str) -> Split:
    """Return the parts, stratified by class for classification."""
    target = str(config.target_column)
    rows = np.arange(len(frame))
    strata = frame[target].to_numpy() if task == "classification" else None
    rest, test = train_test_split(rows, test_size=config.test_size, random_state=config.random_seed, stratify=strata)
    train, validation = train_test_split(
        rest,
        test_size=config.validation_size / (1 - config.test_size),
        random_state=config.random_seed,
        stratify=None if strata is None else strata[rest],
    )
    parts = [_part(frame, target, np.sort(chosen)) for chosen in (train, validation, test)]
    return Split(train=parts[0], validation=parts[1], test=parts[2])


def folds(part: Part, config: PipelineConfig, task: str) -> list[Fold]:
    """Return row numbers of the folds of `part`: (fitted on, judged on)."""
    splitter = StratifiedKFold if task == "classification" else KFold
    made = splitter(config.cross_validation_folds, shuffle=True, random_state=config.random_seed)
    return list(made.split(np.zeros(len(part)), part.target.to_numpy()))


def _part(frame: pd.DataFrame, target: str, rows: NDArray[np.intp]) -> Part:
    chosen = frame.iloc[rows].reset_index(drop=True)
    return Part(inputs=chosen.drop(columns=target), target=chosen[target])
