"""What a name that a function reads can stand for, and what is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MethodType, ModuleType
from typing import Any

import numpy as np
import pandas as pd

from dwcp_jupyter.exceptions import DwcpError, FlavorError
from dwcp_jupyter.flavors import protocol
from dwcp_jupyter.flavors.loaded import LoadedModel

__all__ = ["Entry", "Kind", "facts_of", "kept_apart", "refusal"]

_LARGEST_TABLE_BYTES = 16 << 20


class Kind(StrEnum):
    """What a name stands for."""

    IMPORT = "import"
    CONSTANT = "constant"
    DEFINITION = "definition"
    MODEL = "model"
    TABLE = "table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name of the module.

    Attributes
    ----------
    value : object
        What it stands for now.
    text : str
        The statements that give it; empty for what lies in a file of its own.
    now, later : tuple of str
        Names that these need while they run; that are needed when the function is called.
    """

    value: Any
    kind: Kind
    text: str = ""
    now: tuple[str, ...] = ()
    later: tuple[str, ...] = ()


def refusal(name: str, user: str, why: object) -> FlavorError:
    """Return the error for what cannot be kept; `why` ends the sentence, and holds the remedy."""
    used = f", which '{user}' uses," if user else ""
    return FlavorError(f"'{name}'{used} cannot be kept: {why}")


def kept_apart(name: str, value: Any, user: str) -> Entry:
    """Return the entry of a fitted model or a table, which lie in files of their own.

    Raises
    ------
    FlavorError
        For anything else, with what to do instead.
    """
    if isinstance(value, (np.ndarray, pd.DataFrame, pd.Series)):
        _check_table(name, value, user)
        return Entry(value=value, kind=Kind.TABLE)
    remedy = _remedy(value)
    if remedy is None:
        try:
            facts_of(value)
        except DwcpError as exc:
            raise refusal(name, user, exc) from exc
        return Entry(value=value, kind=Kind.MODEL)
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise refusal(
        name,
        user,
        f"it is of type '{kind}'. Kept are imports of installed packages, constants, arrays and frames, fitted models, "
        f"and functions and classes with their source. {remedy}",
    )


def facts_of(model: Any) -> protocol.ModelFacts:
    """Return what a fitted model, or one that was loaded from a package, says of itself.

    Raises
    ------
    FlavorError
        If no flavor keeps it.
    """
    native = model.native if isinstance(model, LoadedModel) else model
    flavor = protocol.flavor_of(native)
    if isinstance(flavor, protocol.Exporter):
        raise FlavorError(
            f"a {type(native).__name__} is kept by tracing it, so it would come back as another object. Keep its "
            "weights as NumPy arrays and build it inside of the function, or register it on its own."
        )
    return flavor.describe(native)


def _remedy(value: Any) -> str | None:
    """Return what to do about an object that is no fitted model; None for what could be one."""
    for test, remedy in _REMEDIES:
        if test(value):
            return remedy
    try:
        is_model = protocol.flavor_of(value.native if isinstance(value, LoadedModel) else value).name != "python"
    except FlavorError:
        is_model = False
    return None if is_model else "Make it inside of the function, or compute what is needed of it, as a constant."


_REMEDIES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (
        lambda value: isinstance(value, ModuleType),
        "It is a file of yours, not an installed package: import its functions by name, so that their source is kept.",
    ),
    (
        lambda value: isinstance(value, MethodType),
        "A method belongs to an object: keep the object under a name and call its method inside of the function.",
    ),
    (lambda value: isinstance(value, functools.partial), "Write a function by def that calls it."),
    (lambda value: hasattr(value, "__next__"), "It can be run through only once: make a list of it."),
)


def _check_table(name: str, value: Any, user: str) -> None:
    size = value.nbytes if isinstance(value, np.ndarray) else int(np.sum(value.memory_usage(deep=True)))
    if size > _LARGEST_TABLE_BYTES:
        raise refusal(
            name,
            user,
            f"it is a table of {size / 1e6:,.0f} MB, and {_LARGEST_TABLE_BYTES / 1e6:,.0f} MB is the most that travels "
            "with a function. Compute what is needed of it before, as a constant or a smaller table.",
        )
