"""Tab completion of the magics: flags, sub-commands, models, versions, stages, endpoints and variables.

IPython asks a matcher for each Tab; ours looks at the line alone and answers for its magics only. Names come from the
workspace in one short read, and a workspace that cannot be read completes to nothing rather than to an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from IPython.core.completer import CompletionContext, SimpleCompletion, SimpleMatcherResult, context_matcher
from IPython.core.interactiveshell import InteractiveShell

from dwcp_jupyter.exceptions import DwcpError

__all__ = ["add", "complete", "remove"]

_LINE = re.compile(r"^%%?(?P<magic>\w+)(?P<rest>\s.*)?$", re.DOTALL)
_STAGES = ("development", "staging", "production", "archived")
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
    if match is None or match["rest"] is None or match["magic"] not in _parsers():
        return []
    before = match["rest"].split()
    word = before.pop() if before and not line[-1].isspace() else ""
    choices = list(_choices(match["magic"], before, word, shell))
    fitting = sorted({choice for choice in choices if choice.startswith(word) and choice != word})
    cut = len(word) - len(token)  # IPython completes its own idea of a token, which may be the end of the word
    return [choice[cut:] for choice in fitting] if word.endswith(token) and cut >= 0 else []


def _choices(magic: str, before: list[str], word: str, shell: InteractiveShell) -> Iterable[str]:
    from dwcp_jupyter.magics.workspace import COMMANDS

    flag = before[-1] if before and before[-1].startswith("-") else None
    if word.startswith("-"):
        return _flags(magic)
    if flag in {"--model", "--metrics", "--data", "-o", "--output"}:
        return [name for name in shell.user_ns if not name.startswith("_")]
    if flag == "--stage":
        return _STAGES
    if flag == "--bump":
        return ("major", "minor", "patch", "auto")
    if flag == "--compile":
        return ("auto", "never")
    place = sum(not part.startswith("-") for part in before)
    return _positional(magic, place, COMMANDS, shell)


def _positional(magic: str, place: int, commands: tuple[str, ...], shell: InteractiveShell) -> Iterable[str]:
    sources: dict[tuple[str, int], Callable[[], Iterable[str]]] = {
        ("dwcp", 0): lambda: commands,
        ("register", 0): _models,
        ("models", 0): _references,
        ("promote", 0): _references,
        ("promote", 1): lambda: _STAGES,
        ("deploy", 0): _references,
        ("undeploy", 0): _endpoints,
        ("predict", 0): _endpoints,
        ("predict", 1): lambda: [name for name in shell.user_ns if not name.startswith("_")],
        ("drift", 0): lambda: [*_endpoints(), *_references()],
    }
    return sources.get((magic, place), tuple)()


def _parsers() -> dict[str, list[str]]:
    from dwcp_jupyter.magics import CLASSES

    found: dict[str, list[str]] = {}
    for cls in CLASSES:
        for kind in ("line", "cell"):
            for name, attribute in cls.magics[kind].items():
                parser = getattr(cls, attribute).parser
                found[name] = [option for action in parser._actions for option in action.option_strings]
    return found


def _flags(magic: str) -> list[str]:
    return [option for option in _parsers()[magic] if option not in {"-h", "--help"}]


def _models() -> list[str]:
    return _read("SELECT name FROM models ORDER BY name")


def _endpoints() -> list[str]:
    return _read("SELECT name FROM endpoints ORDER BY name")


def _references() -> list[str]:
    versions = _read("SELECT m.name || '@' || v.version FROM versions v JOIN models m ON m.id = v.model_id")
    aliases = _read("SELECT m.name || '@' || a.alias FROM aliases a JOIN models m ON m.id = a.model_id")
    stages = _read("SELECT DISTINCT m.name || '@' || v.stage FROM versions v JOIN models m ON m.id = v.model_id")
    return [*_models(), *versions, *aliases, *stages]


def _read(query: str) -> list[str]:
    from dwcp_jupyter.workspace import find

    try:
        with find().stores.metadata.read() as connection:
            return [str(value) for (value,) in connection.exec_driver_sql(query)]
    except DwcpError:
        return []
