"""What a dry run says before it shows what would be: that nothing changed."""

from __future__ import annotations

from dataclasses import dataclass

from dwcp_jupyter.rendering import Displayed, Note, View

__all__ = ["DryRun"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun(Displayed):
    """A call that was checked and not made; `outcome` says what it would do."""

    outcome: str

    def _view(self) -> View:
        return View("Dry run: nothing changed", [Note(self.outcome, "info")])
