"""What watching a library's own functions needs: replace them for a while, and let no failure reach who calls them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from dwcp_jupyter.exceptions import DwcpError

__all__ = ["forgiving", "replace", "shortened"]

_LONGEST_PARAM = 500


def replace(undo: ExitStack, owner: Any, name: str, wrapped: Callable[..., Any]) -> None:
    """Put `wrapped` into a class or module, until `undo` ends."""
    original = vars(owner)[name]

    def put_back() -> None:
        if vars(owner).get(name) is wrapped:  # else somebody else wrapped it since
            setattr(owner, name, original)

    setattr(owner, name, wrapped)
    undo.callback(put_back)


@contextmanager
def forgiving(what: str, *, depth: int = 0) -> Iterator[None]:
    """Turn what goes wrong in logging into a warning.

    Parameters
    ----------
    what : str
        What was to be logged, as the start of the sentence.
    depth : int
        Of the calls between the user's code and the function that logs.
    """
    try:
        yield
    except (DwcpError, OSError, ValueError, TypeError, AttributeError, RuntimeError) as exc:
        warnings.warn(f"{what} was not logged, or not all of it: {exc}", stacklevel=4 + depth)


def shortened(value: Any) -> Any:
    """Return a parameter as it is kept; of an object its text, which may be as long as the data that it holds."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    text = str(value)
    return text if len(text) <= _LONGEST_PARAM else text[: _LONGEST_PARAM - 1] + "…"
