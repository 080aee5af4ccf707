"""What a result shows, and the mixin by which notebooks show it.

`Displayed` answers Jupyter's display protocol with the text and the HTML of the result's own `View`; the result's
``repr`` stays what its dataclass made it, so that tests of outputs and logs are exact.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Container, Iterable
from dataclasses import dataclass

from dwcp_jupyter.rendering.blocks import Block

__all__ = ["Displayed", "View"]


@dataclass(frozen=True, slots=True)
class View:
    """A titled sequence of blocks.

    Parameters
    ----------
    title : str
    blocks : iterable of Block
        Consecutive charts are drawn side by side where there is room.
    subtitle : str, optional
        One line under the title.
    """

    title: str
    blocks: tuple[Block, ...]
    subtitle: str | None = None

    def __init__(self, title: str, blocks: Iterable[Block] = (), subtitle: str | None = None) -> None:
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "blocks", tuple(blocks))
        object.__setattr__(self, "subtitle", subtitle)

    def to_text(self) -> str:
        """Return it for a terminal: aligned columns, no colours, no control characters."""
        from dwcp_jupyter.rendering import text

        return text.render(self)

    def to_html(self) -> str:
        """Return it as a fragment of HTML: no script, no style sheet, nothing from the network, all text escaped."""
        from dwcp_jupyter.rendering import html

        return html.render(self)


class Displayed:
    """Mixin of every result that a cell can end with.

    A subclass gives `_view`. It works with frozen, slotted dataclasses::

        @dataclass(frozen=True, slots=True, kw_only=True)
        class Report(Displayed):
            name: str

            def _view(self) -> View:
                return View("Report", [Facts({"name": self.name})])
    """

    __slots__ = ()

    @abstractmethod
    def _view(self) -> View:
        """Return what to show."""

    def _repr_mimebundle_(
        self, include: Container[str] | None = None, exclude: Container[str] | None = None
    ) -> dict[str, str]:
        """Return the result as ``text/plain`` and ``text/html``, for Jupyter."""
        view = self._view()
        makers = {"text/plain": view.to_text, "text/html": view.to_html}
        return {
            kind: make()
            for kind, make in makers.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }
