"""``%runs``: what was tried, and what came of it."""

from __future__ import annotations

from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["TrackingMagics"]


@magics_class
class TrackingMagics(WorkspaceBound):
    """Find and compare runs."""

    @magic_arguments()
    @argument("run", nargs="*", help="A name lists its runs, an id shows one, two or more are set side by side.")
    @argument("--where", metavar="CONDITION", default=None, help="Only runs that meet it.")
    @argument("--sort", metavar="ORDER", default=None, help="Such as 'metrics.val_loss asc'; the latest first else.")
    @argument("--last", metavar="N", type=int, default=50, help="How many to list; 50 by default.")
    @output("Keep the runs, the run or the comparison in this variable too.")
    @line_magic
    @reported
    def runs(self, line: str) -> Any:
        """List runs, show one, or compare several.

        Examples
        --------
        ``%runs --where "metrics.val_loss < 0.3" --sort "metrics.val_loss asc"``; in Python:
        ``dwcp_jupyter.Workspace().runs("metrics.val_loss < 0.3", order_by="metrics.val_loss asc")``.
        ``%runs 3fa2 91cc``; in Python: ``tracker.compare_runs(["3fa2", "91cc"])``.
        """
        args = parse(self.runs, line)
        tracker = self.workspace.tracker
        is_search = args.where is not None or args.sort is not None
        if args.last < 1:
            raise UsageError("--last takes a number from 1.")
        if len(args.run) > 1:
            if is_search:
                raise UsageError("Runs that are named need no --where and no --sort. Leave them out.")
            try:
                compared = tracker.compare_runs(args.run)
            except ValueError as exc:
                raise UsageError(str(exc)) from exc
            return self.give(compared, args.output)
        name = args.run[0] if args.run else None
        found = tracker.search_runs(args.where or "", name=name, order_by=args.sort, limit=args.last)
        if name is not None and not found and not is_search:
            return self.give(tracker.get_run(name), args.output)
        return self.give(found, args.output)
