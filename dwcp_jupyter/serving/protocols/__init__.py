"""What a request may look like, and what the answer does.

There are two: Open Inference Protocol v2, and MLflow's ``/invocations`` with the guide's feature dictionaries.

Each protocol turns a body into rows of the endpoint's codec and an answer into JSON. One row in its plain form is
parsed, checked and packed in C; whatever is not plainly right becomes a data frame that `Signature.conform` judges, so
that one place words what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer", "ParsedRequest"]


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request's rows, in the codec's own form."""

    payload: Any
    rows: int
    request_id: str | None = None
    """The id that the body gave, if any."""
    outputs: tuple[str, ...] | None = None
    """Which outputs the answer shall hold; None for all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said to one request.

    Attributes
    ----------
    predictions : list
        One per row.
    probabilities : list of list of float, or None
        One list per row, one number per class.
    """

    predictions: list[Any]
    probabilities: list[list[float]] | None
