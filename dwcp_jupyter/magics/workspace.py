"""``%dwcp``: the workspace itself."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.exceptions import did_you_mean
from dwcp_jupyter.magics.arguments import output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["COMMANDS", "WorkspaceMagics"]

COMMANDS = ("status", "doctor", "backup", "copy", "gc", "help", "init", "restore", "stop", "trash", "version")
_WITH_FILE = {"backup", "restore"}
_OPTIONS = {"copy": ("--to",), "gc": ("--dry-run", "--gone")}


@magics_class
class WorkspaceMagics(WorkspaceBound):
    """``%dwcp``."""

    @magic_arguments()
    @argument("command", nargs="?", default="status", choices=COMMANDS, help="What to do; 'status' by default.")
    @argument("topic", nargs="?", default=None, help="A magic to explain, for 'help'; a file, for 'backup', 'restore'.")
    @argument("--to", metavar="URL", default=None, help="With 'copy': the empty database, as DWCP_METADATA_URL has it.")
    @argument("--dry-run", action="store_true", help="With 'gc': say what would be freed, and remove nothing.")
    @argument(
        "--gone",
        metavar="ID",
        action="append",
        default=[],
        help="With 'gc': another database that kept files in the same artifact store and is there no more.",
    )
    @output("Keep the result in this variable too.")
    @line_magic
    @reported
    def dwcp(self, line: str) -> Any:
        """Look at the workspace, check it, or end what runs for it.

        Examples
        --------
        ``%dwcp doctor`` checks the installation and the workspace; in Python: ``dwcp_jupyter.Workspace().doctor()``.
        ``%dwcp gc --dry-run`` says what emptying the trash would free; in Python: ``.gc(dry_run=True)``.
        ``%dwcp copy --to postgresql://ana@host/models``, ``%dwcp backup FILE`` and ``%dwcp restore FILE`` move the
        metadata; in Python: ``.copy("postgresql://…")``, ``.backup("FILE")``, ``.restore("FILE")``.
        """
        args = parse(self.dwcp, line)
        _check(args)
        if args.command == "copy":
            return self.give(self.workspace.copy(args.to), args.output)
        if args.command in _WITH_FILE:
            return self.give(getattr(self.workspace, args.command)(args.topic), args.output)
        if args.command == "gc":
            return self.give(self.workspace.gc(dry_run=args.dry_run, gone=args.gone), args.output)
        if args.command == "help":
            from dwcp_jupyter.magics.help import Help

            return self.give(Help(topic=args.topic), args.output)
        return self.give(getattr(self.workspace, args.command)(), args.output)


def _check(args: Namespace) -> None:
    """Raise for what a command does not take, or lacks."""
    command = args.command
    if args.topic is not None and command not in {*_WITH_FILE, "help"}:
        raise UsageError(_refused(command, args.topic))
    if args.dry_run and command != "gc":
        raise UsageError(f"'{command}' has no dry run; only 'gc' has.")
    if args.gone and command != "gc":
        raise UsageError(f"--gone goes with 'gc', not with '{command}'.")
    if args.to is not None and command != "copy":
        raise UsageError(f"--to goes with 'copy', not with '{command}'.")
    if args.to is None and command == "copy":
        raise UsageError("Say where to: %dwcp copy --to postgresql://user@host/database")
    if args.topic is None and command in _WITH_FILE:
        raise UsageError(f"Name the file: %dwcp {command} FILE")


def _refused(command: str, word: str) -> str:
    """Return what to say to a word that a command does not take."""
    options = _OPTIONS.get(command, ())
    remedy = f"It takes {' and '.join(options)}." if options else "Leave it out; nothing was done."
    return f"'{command}' takes no '{word}'.{did_you_mean(word, options)} {remedy}"
