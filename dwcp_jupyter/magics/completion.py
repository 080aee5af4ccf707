"""Tab completion of the magics: flags, sub-commands, models, versions, stages, endpoints and variables.

IPython asks a matcher for each Tab; ours looks at the line alone and answers for its magics only. What an argument can
be stands in the magic's own parser, else in the workspace, which is read at once or not at all: one that is busy or
damaged completes to nothing, rather than to a wait or an error.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from dwcp_jupyter.exceptions import DwcpError
from dwcp_jupyter.magics.arguments import STAGES

__all__ = ["add", "complete", "remove"]

_LINE = re.compile(r"^%%?(?P<magic>\w+)(?P<rest>\s.*)?$", re.DOTALL)
_MARK = "_dwcp_matcher"


def add(shell: InteractiveShell) -> None:
    """Append the matcher to the shell's completer."""

    @context_matcher()  # type: ignore[untyped-decorator, unused-ignore]
    def matcher(context: CompletionContext) -> SimpleMatcherResult:
        lines = context.full_text.split("\n")
        line = lines[context.cursor_line][: context.cursor_position] if context.cursor_line < len(lines) else ""
        words = complete(line, context.token, shell)
        return SimpleMatcherResult(
            completions=[SimpleCompletion(text=word, type="dwcp") for word in words], suppress=bool(words)
        )

    setattr(matcher, _MARK, True)
    if shell.Completer is not None:
        shell.Completer.custom_matchers.append(matcher)


def remove(shell: InteractiveShell) -> None:
    """Remove what `add` appended."""
    if shell.Completer is not None:
        shell.Completer.custom_matchers[:] = [m for m in shell.Completer.custom_matchers if not hasattr(m, _MARK)]


def complete(line: str, token: str, shell: InteractiveShell) -> list[str]:
    """Return what `token`, at the end of `line`, could become."""
    match = _LINE.match(line)
    if match is None or match["rest"] is None or match["magic"] not in _magics():
        return []
    before = match["rest"].split()
    word = before.pop() if before and not line[-1].isspace() else ""
    choices = list(_choices(match["magic"], before, word, shell))
    fitting = sorted({choice for choice in choices if choice.startswith(word) and choice != word})
    cut = len(word) - len(token)  # IPython completes its own idea of a token, which may be the end of the word
    return [choice[cut:] for choice in fitting] if word.endswith(token) and cut >= 0 else []


def _choices(magic: str, before: list[str], word: str, shell: InteractiveShell) -> Iterable[str]:
    options, places = _arguments(magic)
    if word.startswith("-"):
        return options
    flag = options.get(before[-1]) if before else None
    if flag is not None and flag.nargs != 0:
        return _values(flag, shell)
    given = _positionals(before, options)
    if len(given) >= len(places):
        return ()
    place = places[len(given)]
    if place.choices is not None:
        return place.choices
    return _variables(shell) if place.metavar == "VAR" else _known(magic, place.dest, given)


def _values(flag: argparse.Action, shell: InteractiveShell) -> Iterable[str]:
    if flag.metavar == "MODEL":
        return _read(_MODELS)
    return flag.choices or (_variables(shell) if flag.metavar == "VAR" else ())


def _positionals(before: list[str], options: Mapping[str, argparse.Action]) -> list[str]:
    """Return the words that are neither a flag nor its value."""
    takes_value = [word in options and options[word].nargs != 0 for word in before]
    return [
        word
        for word, is_value in zip(before, [False, *takes_value], strict=False)
        if not is_value and not word.startswith("-")
    ]


def _known(magic: str, place: str, given: list[str]) -> Iterable[str]:
    """Return the names that a positional argument can be."""
    sources: dict[tuple[str, str], Callable[[], Iterable[str]]] = {
        ("dwcp", "topic"): lambda: _magics() if given == ["help"] else (),
        ("register", "name"): lambda: _read(_MODELS),
        ("models", "name"): lambda: _read(*_REFERENCES),
        ("promote", "model"): lambda: _read(*_REFERENCES),
        ("promote", "stage"): lambda: STAGES,
        ("rollback", "model"): lambda: _read(_MODELS),
        ("compare", "a"): lambda: _read(*_REFERENCES),
        ("compare", "b"): lambda: _read(*_REFERENCES),
        ("lineage", "model"): lambda: _read(*_REFERENCES),
        ("audit", "subject"): lambda: _read(*_REFERENCES),
        ("approve", "request"): lambda: _read(_REQUESTS),
        ("reject", "request"): lambda: _read(_REQUESTS),
        ("deploy", "model"): lambda: _read(*_REFERENCES),
        ("undeploy", "endpoint"): lambda: _read(_ENDPOINTS),
        ("predict", "endpoint"): lambda: _read(_ENDPOINTS),
        ("drift", "target"): lambda: _read(_ENDPOINTS, *_REFERENCES),
    }
    return sources.get((magic, place), tuple)()


def _magics() -> dict[str, Any]:
    """Return the function of each magic by its name."""
    from dwcp_jupyter.magics import CLASSES

    return {
        name: getattr(cls, attribute)
        for cls in CLASSES
        for kind in ("line", "cell")
        for name, attribute in cls.magics[kind].items()
    }


def _arguments(magic: str) -> tuple[dict[str, argparse.Action], list[argparse.Action]]:
    """Return a magic's options by their names, and its positional arguments."""
    actions: list[argparse.Action] = _magics()[magic].parser._actions
    options = {option: action for action in actions for option in action.option_strings}
    return options, [action for action in actions if not action.option_strings]


def _variables(shell: InteractiveShell) -> list[str]:
    return [name for name in shell.user_ns if not name.startswith("_")]


_MODELS = "SELECT name FROM models ORDER BY name"
_ENDPOINTS = "SELECT name FROM endpoints ORDER BY name"
_REQUESTS = "SELECT id FROM approvals WHERE state = 'pending' ORDER BY requested_at DESC"
_REFERENCES = (
    _MODELS,
    "SELECT m.name || '@' || v.version FROM versions v JOIN models m ON m.id = v.model_id",
    "SELECT m.name || '@' || a.alias FROM aliases a JOIN models m ON m.id = a.model_id",
    "SELECT DISTINCT m.name || '@' || v.stage FROM versions v JOIN models m ON m.id = v.model_id",
)


def _read(*queries: str) -> list[str]:
    """Return the answers, or nothing where another process has the metadata: who presses Tab does not want to wait."""
    from sqlalchemy.exc import SQLAlchemyError

    from dwcp_jupyter.workspace import find

    try:
        with find().stores.metadata.read_at_once() as connection:
            if connection is None:
                return []
            return [str(value) for query in queries for (value,) in connection.exec_driver_sql(query)]
    except (DwcpError, SQLAlchemyError):
        return []
