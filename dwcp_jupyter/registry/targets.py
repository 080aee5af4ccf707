"""What a policy can guard: a stage, or an alias, written ``@champion``.

Both are places that a version takes, so both are asked for, judged and refused alike. The ``@`` keeps them apart
wherever only a text stands: in the tables, in events, over REST.
"""

from __future__ import annotations

from dwcp_jupyter.registry.names import check_alias
from dwcp_jupyter.registry.stages import Stage, stage_of

__all__ = ["ProtectedAlias", "Target", "entering", "target_of"]


class ProtectedAlias(str):
    """An alias as what a policy guards, ``@champion``."""

    __slots__ = ()

    @property
    def alias(self) -> str:
        """Its name, ``champion``."""
        return self[1:]


Target = Stage | ProtectedAlias


def target_of(said: Target | str) -> Target:
    """Return the stage or the alias that a text means.

    Raises
    ------
    TransitionError
        If there is no such stage.
    InvalidNameError
        If what follows the ``@`` cannot be an alias.

    Examples
    --------
    >>> target_of("production"), target_of("@champion").alias
    (<Stage.PRODUCTION: 'production'>, 'champion')
    """
    text = str(said)
    return ProtectedAlias(f"@{check_alias(text[1:])}") if text.startswith("@") else stage_of(text)


def entering(target: Target) -> str:
    """Return what a version does that takes a place, in words."""
    return f"become '{target}'" if isinstance(target, ProtectedAlias) else f"go to {target}"
