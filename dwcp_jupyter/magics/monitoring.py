"""``%drift``: whether what an endpoint is asked still looks like what it learnt from."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["MonitoringMagics"]


@magics_class
class MonitoringMagics(WorkspaceBound):
    """Watch versions."""

    @magic_arguments()
    @argument("target", help="An endpoint, or a model's reference.")
    @argument("--data", metavar="VAR", default=None, help="Variable with current data; the prediction log by default.")
    @output("Keep the report in this variable too.")
    @line_magic
    @reported
    def drift(self, line: str) -> Any:
        """Compare what came in with the data that the model was trained on.

        Examples
        --------
        ``%drift churn``; in Python: ``dwcp_jupyter.Workspace().drift("churn")``.
        """
        args = parse(self.drift, line)
        data = None if args.data is None else self.variable(args.data)
        return self.give(self.workspace.drift(args.target, data), args.output)
