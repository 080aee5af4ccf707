"""How a magic's line is read.

IPython's own reading keeps quotes in values and ends in a traceback where one is not closed; this one reads as a shell
does, but leaves backslashes alone. What an argument must be is checked here, so that nothing is done before all of a
line is known to make sense.
"""

from __future__ import annotations

import argparse
import keyword
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument

from dwcp_jupyter.exceptions import DwcpError

__all__ = [
    "STAGES",
    "HelpWanted",
    "endpoint_name",
    "model_name",
    "output",
    "parse",
    "semantic_version",
    "variable_name",
]

STAGES = ("development", "staging", "production", "archived")


class HelpWanted(Exception):  # noqa: N818 - it is no error
    """A line asks what its magic does; `magic` is the name."""

    def __init__(self, magic: str) -> None:
        super().__init__(magic)
        self.magic = magic


def parse(magic: Callable[..., Any], line: str) -> argparse.Namespace:
    """Return the arguments of a magic's line.

    Raises
    ------
    UsageError
        If the line cannot be read, or an argument is not what it must be.
    HelpWanted
        For ``-h`` and ``--help``.
    """
    words = _words(line)
    if not {"-h", "--help"}.isdisjoint(words):
        raise HelpWanted(magic.__name__)
    arguments: argparse.Namespace = magic.parser.parse_args(words)  # type: ignore[attr-defined]  # IPython puts it there
    return arguments


def _words(line: str) -> list[str]:
    reader = shlex.shlex(line, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.commenters, reader.escape = True, "", ""
    try:
        return list(reader)
    except ValueError as exc:
        raise UsageError(
            f"A quote in '{line.strip()}' is not closed. Close it, or put the other kind around it."
        ) from exc


def output(text: str) -> Any:
    """Return the decorator that adds ``-o VAR``; `text` says what the variable keeps."""
    return argument("-o", "--output", metavar="VAR", type=variable_name, default=None, help=text)


def variable_name(text: str) -> str:
    """Return `text`, which can name a variable."""
    if not text.isidentifier() or keyword.iskeyword(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no variable name.")
    return text


def model_name(text: str) -> str:
    """Return `text`, which can name a model."""
    from dwcp_jupyter.registry.names import check_name

    with _as_misuse():
        return check_name(text)


def endpoint_name(text: str) -> str:
    """Return `text`, which can name an endpoint."""
    from dwcp_jupyter.registry.names import check_name

    with _as_misuse():
        return check_name(text, what="endpoint")


def semantic_version(text: str) -> str:
    """Return `text`, which is a semantic version."""
    from dwcp_jupyter.registry.versioning import SemanticVersion

    with _as_misuse():
        SemanticVersion.parse(text)
    return text


@contextmanager
def _as_misuse() -> Iterator[None]:
    """Let argparse tell an error, with the argument that it is about."""
    try:
        yield
    except DwcpError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc
