"""What the magics of one shell share: its workspace, and reading and keeping its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics
from IPython.display import display

from dwcp_jupyter.exceptions import ModelNotFoundError, VersionExistsError, did_you_mean

if TYPE_CHECKING:
    from dwcp_jupyter.workspace import Workspace

__all__ = ["WorkspaceBound"]


class WorkspaceBound(Magics):
    """Magics that work on the workspace found from the notebook's folder."""

    @property
    def workspace(self) -> Workspace:
        """The workspace, found anew for each call and kept open while it is the same."""
        from dwcp_jupyter.workspace import find

        return find()

    def variable(self, name: str, *, otherwise: str = "") -> Any:
        """Return the notebook's variable `name`; `otherwise` ends the advice where there is none.

        Raises
        ------
        UsageError
            If there is none.
        """
        if name not in self.namespace:
            known = [key for key in self.namespace if not key.startswith("_")]
            raise UsageError(
                f"The notebook has no variable '{name}'.{did_you_mean(name, known)} Assign it first{otherwise}."
            )
        return self.namespace[name]

    @property
    def namespace(self) -> dict[str, Any]:
        """The notebook's variables."""
        assert self.shell is not None
        namespace: dict[str, Any] = self.shell.user_ns
        return namespace

    def refuse_taken(self, name: str, version: str | None) -> None:
        """Raise if the version is there already: who waits for a training wants to know before it.

        Raises
        ------
        VersionExistsError
            It names the version.
        """
        if version is None:
            return
        try:
            found = self.workspace.registry.get_model(f"{name}@{version}")
        except ModelNotFoundError:
            return
        raise VersionExistsError(
            f"'{found.reference}' is registered already, so nothing was run. Name another version."
        )

    def give(self, value: Any, name: str | None) -> Any:
        """Return `value`, also kept in the notebook's variable `name` where one is asked for."""
        if name is not None:
            assert self.shell is not None
            self.shell.push({name: value})
        return value

    def give_dry(self, value: Any, name: str | None, *, outcome: str) -> Any:
        """Return what a dry run gives, as `give` does, after it is said that nothing changed."""
        from dwcp_jupyter.magics.rehearsal import DryRun

        display(DryRun(outcome=outcome))
        return self.give(value, name)
