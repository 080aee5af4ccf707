"""An example of a model's input, by the columns that the model was fitted on.

Of data with more columns than these, such as the target, a signature would be inferred that no request could meet. So
an unknown column is refused before the model is asked. A missing one is the model's own affair, since some ignore
columns: only where it fails is that the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dwcp_jupyter.exceptions import PredictionError, SignatureError
from dwcp_jupyter.flavors import conforming, tables

if TYPE_CHECKING:
    import pandas as pd

    from dwcp_jupyter.flavors.protocol import ModelFacts

__all__ = ["as_fitted", "explained"]


def as_fitted(example: Any, names: Sequence[str] | None) -> Any:
    """Return an example with the columns that the model was fitted on, in their order; as it is without `names`.

    Raises
    ------
    SignatureError
        If it has others, or another number of columns without names.
    """
    if names is None:
        return example
    frame = tables.to_named_frame(example, names)
    if set(frame.columns) - set(names):
        raise _misnamed(names, frame)
    return frame[[name for name in names if name in frame.columns]]


@contextmanager
def explained(example: pd.DataFrame, facts: ModelFacts) -> Iterator[None]:
    """Say of a model that fails on an example which columns it misses, if any.

    Raises
    ------
    SignatureError
        In place of the model's failure.
    """
    try:
        yield
    except PredictionError as exc:
        names, width = facts.fitted_names, facts.fitted_width
        if names is not None and set(names) - set(example.columns):
            raise _misnamed(names, example) from exc
        if names is None and width is not None and width != example.shape[1]:
            raise SignatureError(
                f"The data have {example.shape[1]} columns ({conforming.listed(list(example.columns))}), and the model "
                f"was fitted on {width}. Pass the inputs that it was fitted on, without the target."
            ) from exc
        raise


def _misnamed(names: Sequence[str], frame: pd.DataFrame) -> SignatureError:
    faults = conforming.find_misnamed(names, frame)
    unknown = [name for name in frame.columns if name not in names]
    remedy = f"Drop {', '.join(map(repr, unknown))} from the data" if unknown else ""
    if set(names) - set(frame.columns):
        remedy = "Pass the columns that it was fitted on"
    return SignatureError(
        f"{' '.join(faults.values())} The model takes: {conforming.listed(names)}. {remedy}.", columns=tuple(faults)
    )
