"""``%dwcp``: the workspace itself."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["COMMANDS", "WorkspaceMagics"]

COMMANDS = ("status", "doctor", "help", "init", "stop", "version")


@magics_class
class WorkspaceMagics(WorkspaceBound):
    """``%dwcp``."""

    @magic_arguments()
    @argument("command", nargs="?", default="status", choices=COMMANDS, help="What to do; 'status' by default.")
    @argument("topic", nargs="?", default=None, help="A magic to explain, for 'help'.")
    @output("Keep the result in this variable too.")
    @line_magic
    @reported
    def dwcp(self, line: str) -> Any:
        """Look at the workspace, check it, or end what runs for it.

        Examples
        --------
        ``%dwcp doctor`` checks the installation and the workspace; in Python: ``dwcp_jupyter.Workspace().doctor()``.
        """
        args = parse(self.dwcp, line)
        if args.command == "help":
            from dwcp_jupyter.magics.help import Help

            return self.give(Help(topic=args.topic), args.output)
        calls = {name: getattr(self.workspace, name) for name in COMMANDS if name not in {"help"}}
        return self.give(calls[args.command](), args.output)
