"""``%dwcp help``: the magics in one table, or one of them in full."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

from dwcp_jupyter.rendering import Displayed, Note, Table, View

__all__ = ["Help"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Help(Displayed):
    """What can be asked of the magics; `topic` names one."""

    topic: str | None = None

    def _view(self) -> View:
        docs = _documents()
        if self.topic is None:
            rows = [(name, text.splitlines()[0]) for name, text in docs.items()]
            note = Note("%dwcp help NAME shows one of them in full, as does %NAME?.", "info")
            return View("Magics of dwcp_jupyter", [Table(("Magic", "What it does"), rows), note])
        name = self.topic.lstrip("%")
        found = {key: text for key, text in docs.items() if key.lstrip("%") == name}
        if not found:
            from dwcp_jupyter.exceptions import did_you_mean

            known = sorted({key.lstrip("%") for key in docs})
            text = f"No magic '{name}'.{did_you_mean(name, known)} Magics: {', '.join(known)}."
            return View("Magics of dwcp_jupyter", [Note(text, "warning")])
        return View(" and ".join(found), [Note(next(iter(found.values())), "info")])


def _documents() -> dict[str, str]:
    """Return each magic, with its signs, and its text."""
    from dwcp_jupyter.magics import CLASSES

    texts = {}
    for cls in CLASSES:
        for kind, sign in (("line", "%"), ("cell", "%%")):
            for name, attribute in cls.magics[kind].items():
                text = inspect.cleandoc(getattr(cls, attribute).__doc__ or "")
                texts[f"{sign}{name}"] = _description_first(text.replace(f"%{name} ", f"{sign}{name} ", 1))
    return dict(sorted(texts.items(), key=lambda item: item[0].lstrip("%")))


def _description_first(text: str) -> str:
    """Return a magic's text with its usage after the description; IPython puts ``::`` and the usage first."""
    usage, blank, rest = text.removeprefix("::").strip().partition("\n\n")
    description, _, details = rest.partition("\n\n")
    return f"{description}\n\n{usage}\n\n{details}" if blank else text
