"""What drift is measured against.

All rows say how the inputs are spread, but only rows that the model was not fitted on say how its answers are: to its
training rows it answers surer than it ever will again, and a fresh sample of the same population would seem to have
drifted. So the answers to validation and test rows are kept, and those to training rows are missing. Answers from the
folds would fill them, but come from other models: fitted on fewer rows, and without early stopping.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.pipeline.splitting import Split

__all__ = ["make"]

_MOST_ROWS = 50_000


def make(pipeline: Any, split: Split, columns: Sequence[str], *, seed: int) -> pd.DataFrame:
    """Return the inputs of all parts with the fitted pipeline's answers to unseen rows in ``prediction``.

    The column is called ``model_prediction`` where an input has that name; at most 50,000 rows are drawn.
    """
    parts = [part.inputs[list(columns)] for part in (split.train, split.validation, split.test)]
    inputs = pd.concat(parts, ignore_index=True)
    unseen = inputs.iloc[len(split.train) :]
    said = pd.Series(np.asarray(pipeline.predict(unseen)), index=unseen.index)
    made = inputs.assign(**{_free_name(inputs): said.reindex(inputs.index)})
    return made if len(made) <= _MOST_ROWS else made.sample(_MOST_ROWS, random_state=seed)


def _free_name(inputs: pd.DataFrame) -> str:
    return "prediction" if "prediction" not in inputs.columns else "model_prediction"
