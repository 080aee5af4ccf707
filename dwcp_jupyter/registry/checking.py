"""What may be said of a model: texts, tags, metrics, and values that JSON can keep.

Everything is checked before anything is written, so that one wrong field loses nothing and cannot spoil a row that
later reads depend on.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Set
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from dwcp_jupyter.exceptions import InvalidMetadataError, did_you_mean

__all__ = ["check_choice", "check_mapping", "check_metrics", "check_moment", "check_tags", "check_text"]

Choice = TypeVar("Choice", bound=StrEnum)


def check_text(value: Any, *, field: str) -> str:
    """Return a text that every database can keep; empty for None.

    Raises
    ------
    InvalidMetadataError
        For what is no text, and for text with NUL or half a surrogate pair.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidMetadataError(f"{field}={value!r} is {_a(value)}. Give a text.")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidMetadataError(f"{field}={value[:60]!r} has characters that cannot be kept. Leave them out.")
    return value


def check_choice(choices: type[Choice], value: Any, *, field: str) -> Choice:
    """Return the member that a text names, in any case.

    Raises
    ------
    InvalidMetadataError
        If it names none; it lists them.
    """
    text = str(value)
    try:
        return choices(text.lower())
    except ValueError:
        near = did_you_mean(text.lower(), choices)
        raise InvalidMetadataError(f"{field}='{text[:60]}' is no choice.{near} Choose: {', '.join(choices)}.") from None


def check_moment(value: Any, *, field: str) -> datetime | None:
    """Return a moment with its time zone, or None.

    Raises
    ------
    InvalidMetadataError
        For what is no moment, or has no time zone.
    """
    if value is None or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    if isinstance(value, datetime):
        raise InvalidMetadataError(
            f"{field}={value!s} has no time zone, so it could be several moments. Give one: {field}.astimezone() reads "
            "it as local time."
        )
    raise InvalidMetadataError(
        f"{field}={value!r} is {_a(value)}. Give a datetime with its time zone, such as datetime.now(UTC)."
    )


def check_tags(value: Any) -> tuple[str, ...]:
    """Return tags, each once and in their order; none for None."""
    if value is None:
        return ()
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        raise InvalidMetadataError(f"tags={value!r} is {_a(value)}. Give a list, such as ['champion', 'eu'].")
    tags = sorted(value, key=str) if isinstance(value, Set) else value
    checked = dict.fromkeys(check_text(tag, field="A tag") for tag in tags)
    if any(not tag.strip() for tag in checked):
        raise InvalidMetadataError("A tag is empty. Leave it out.")
    return tuple(checked)


def check_metrics(metrics: Any) -> dict[str, float]:
    """Return metrics as floats; none for None.

    Raises
    ------
    InvalidMetadataError
        For one that is no finite number.
    """
    checked: dict[str, float] = {}
    for name, value in _pairs(metrics, field="metrics").items():
        if isinstance(value, (str, bytes)):
            raise InvalidMetadataError(f"Metric '{name}' is {value!r}, a text. Give a number.")
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError) as exc:
            raise InvalidMetadataError(f"Metric '{name}' is {_a(value)}. Give one number, or leave it out.") from exc
        if not math.isfinite(number):
            raise InvalidMetadataError(f"Metric '{name}' is {number}. Leave it out: it cannot be compared.")
        checked[name] = number
    return checked


def check_mapping(value: Any, *, field: str) -> dict[str, Any]:
    """Return a mapping as JSON keeps it; none for None.

    Scalars of NumPy become Python's. NaN and infinities, which JSON does not have, and objects become text: of a
    hyperparameter such as ``missing=nan`` or ``estimator=SVC()`` one wants to read what it was.
    """
    try:
        return {name: _json(item, field=field) for name, item in _pairs(value, field=field).items()}
    except RecursionError:
        raise InvalidMetadataError(f"{field} contains itself, or is nested too deep. Give a flatter one.") from None


def _pairs(value: Any, *, field: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidMetadataError(f"{field} is {_a(value)}. Give a dictionary, such as {{'name': 0.9}}.")
    return {check_text(str(name), field=f"A name in {field}"): item for name, item in value.items()}


def _json(value: Any, *, field: str) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return check_mapping(value, field=field)
    if isinstance(value, Set):
        return sorted((_json(item, field=field) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_json(item, field=field) for item in value]
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise InvalidMetadataError(
            f"{field} has a number of {value.bit_length()} bits, which cannot be compared with others. Leave it out."
        )
    if value is None or isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return check_text(str(value), field=field)


def _a(value: Any) -> str:
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
