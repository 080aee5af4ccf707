"""``%approve``, ``%reject``, ``%rollback``, ``%compare``, ``%lineage``, ``%audit``: the way to production."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["GuardingMagics"]


@magics_class
class GuardingMagics(WorkspaceBound):
    """Judge requests, go back, compare, and read the trail."""

    @magic_arguments()
    @argument("request", nargs="?", default=None, help="A request's id or its beginning; the inbox without it.")
    @argument("--by", metavar="NAME", default=None, help="Who approves, asserted; you by default.")
    @argument("--comment", metavar="TEXT", default="", help="Why.")
    @argument("--dry-run", action="store_true", help="Say whether you may approve it, and change nothing.")
    @output("Keep the request, or the inbox, in this variable too.")
    @line_magic
    @reported
    def approve(self, line: str) -> Any:
        """Approve a request to move a version, or show the requests that wait.

        Examples
        --------
        ``%approve 3f2a --by ml-lead --comment "validated on the holdout set"``; in Python:
        ``dwcp_jupyter.Workspace().registry.approve_model("3f2a", "ml-lead", "validated on the holdout set")``.
        """
        args = parse(self.approve, line)
        registry = self.workspace.registry
        if args.request is None:
            if args.by or args.comment or args.dry_run:
                raise UsageError("Name the request that is approved: %approve ID. %approve alone shows them.")
            return self.give(registry.list_approvals(state="pending"), args.output)
        if args.dry_run:
            return self._rehearsed(args, is_approved=True)
        return self.give(registry.approve_model(args.request, args.by, args.comment), args.output)

    @magic_arguments()
    @argument("request", help="A request's id or its beginning.")
    @argument("--by", metavar="NAME", default=None, help="Who rejects, asserted; you by default.")
    @argument("--comment", metavar="TEXT", default="", help="Why.")
    @argument("--dry-run", action="store_true", help="Say whether you may reject it, and change nothing.")
    @output("Keep the request in this variable too.")
    @line_magic
    @reported
    def reject(self, line: str) -> Any:
        """Reject a request to move a version; that ends it.

        Examples
        --------
        ``%reject 3f2a --by ml-lead --comment "no model card"``; in Python:
        ``dwcp_jupyter.Workspace().registry.reject_model("3f2a", "ml-lead", "no model card")``.
        """
        args = parse(self.reject, line)
        if args.dry_run:
            return self._rehearsed(args, is_approved=False)
        return self.give(self.workspace.registry.reject_model(args.request, args.by, args.comment), args.output)

    def _rehearsed(self, args: Namespace, *, is_approved: bool) -> Any:
        """Return a request that the one who acts may judge so, as it is.

        Raises
        ------
        ApprovalError
            If they may not; it says why.
        """
        from dwcp_jupyter.events import Actor, local_actor
        from dwcp_jupyter.exceptions import ApprovalError
        from dwcp_jupyter.registry import ModelRegistry

        actor = local_actor() if args.by is None else Actor(name=args.by)
        registry = ModelRegistry(self.workspace.stores, actor=actor)
        request = registry.get_approval(args.request)
        obstacle = registry.find_obstacle(request, is_approved=is_approved)
        if obstacle is not None:
            raise ApprovalError(obstacle)
        what = "approve" if is_approved else "reject"
        outcome = f"'{actor.name}' may {what} request {request.id[:8]} for '{request.model}', which is as follows."
        return self.give_dry(request, args.output, outcome=outcome)

    @magic_arguments()
    @argument("model", help="The model's name.")
    @argument("--dry-run", action="store_true", help="Say which version would come back, and change nothing.")
    @output("Keep the version in this variable too.")
    @line_magic
    @reported
    def rollback(self, line: str) -> Any:
        """Put the version back into production that was there before.

        Examples
        --------
        ``%rollback churn``; in Python: ``dwcp_jupyter.Workspace().registry.rollback("churn")``.
        """
        args = parse(self.rollback, line)
        version = self.workspace.registry.rollback(args.model, dry_run=args.dry_run)
        if args.dry_run:
            outcome = f"'{version.reference}' would come back, and would then be as follows."
            return self.give_dry(version, args.output, outcome=outcome)
        return self.give(version, args.output)

    @magic_arguments()
    @argument("a", metavar="A", help="A reference such as churn@1.0.0.")
    @argument("b", metavar="B", help="Another one.")
    @argument("--primary", metavar="METRIC", default=None, help="The metric that decides.")
    @argument(
        "--higher",
        metavar="METRIC",
        action="append",
        default=[],
        help="A metric of which more is better, where its name does not tell; may be repeated.",
    )
    @argument("--lower", metavar="METRIC", action="append", default=[], help="A metric of which less is better.")
    @argument("--data", metavar="VAR", default=None, help="Variable with rows that neither was trained on.")
    @argument("--target", metavar="COLUMN", default=None, help="The column of --data that holds what was true.")
    @output("Keep the comparison in this variable too.")
    @line_magic
    @reported
    def compare(self, line: str) -> Any:
        """Compare two versions by their metrics, and on the same rows where these are given.

        Examples
        --------
        ``%compare churn@1.0.0 churn@1.1.0 --data later --target churned``; in Python:
        ``dwcp_jupyter.Workspace().registry.compare_models("churn@1.0.0", "churn@1.1.0", data=later, y_true=churned)``.
        """
        args = parse(self.compare, line)
        if (args.data is None) is not (args.target is None):
            raise UsageError("A test on the same rows takes --data VAR and --target COLUMN. Give both, or none.")
        directions = _directions(args)
        data, truth = (None, None) if args.data is None else self._split(args.data, args.target)
        compared = self.workspace.registry.compare_models(
            args.a, args.b, primary_metric=args.primary, directions=directions, data=data, y_true=truth
        )
        return self.give(compared, args.output)

    def _split(self, name: str, target: str) -> tuple[Any, Any]:
        from dwcp_jupyter.exceptions import did_you_mean

        frame = self.variable(name)
        if not hasattr(frame, "columns") or not hasattr(frame, "drop"):
            raise UsageError(f"--data {name} is of type '{type(frame).__name__}'. Name a data frame.")
        if target not in frame.columns:
            raise UsageError(f"'{name}' has no column '{target}'.{did_you_mean(target, map(str, frame.columns))}")
        return frame.drop(columns=[target]), frame[target]

    @magic_arguments()
    @argument("model", help="A reference such as churn@1.0.0.")
    @argument("--openlineage", metavar="FILE", default=None, help="Write the graph there as OpenLineage events.")
    @output("Keep the lineage in this variable too.")
    @line_magic
    @reported
    def lineage(self, line: str) -> Any:
        """Show where a version comes from and what came of it.

        Examples
        --------
        ``%lineage churn@1.0.0``; in Python:
        ``dwcp_jupyter.Workspace().registry.get_model_lineage("churn@1.0.0")``.
        """
        args = parse(self.lineage, line)
        found = self.workspace.registry.get_model_lineage(args.model)
        if args.openlineage is not None:
            found.write_openlineage(args.openlineage)
        return self.give(found, args.output)

    @magic_arguments()
    @argument(
        "subject",
        nargs="?",
        default=None,
        help="A model, a version, a policy such as churn/production, or endpoint:NAME; everything without it.",
    )
    @argument("--last", type=int, metavar="N", default=50, help="How many events are shown; 50 by default.")
    @argument("--export", metavar="FILE", default=None, help="Write all of them, with their hashes, to this file.")
    @argument("--checkpoint", metavar="SEQ:HASH", default=None, help="Prove that nothing up to there was rewritten.")
    @output("Keep the trail in this variable too.")
    @line_magic
    @reported
    def audit(self, line: str) -> Any:
        """Show who changed what and when, and whether the chain of events holds and the tables agree with it.

        Examples
        --------
        ``%audit churn``; in Python: ``dwcp_jupyter.Workspace().audit("churn")``. The checkpoint that it shows, kept
        elsewhere, is given back later: ``%audit --checkpoint 12:9f3c…``.
        """
        args = parse(self.audit, line)
        if args.last < 1:
            raise UsageError(f"--last {args.last} shows nothing. Give 1 or more.")
        trail = self.workspace.audit(args.subject, last=args.last, checkpoint=args.checkpoint)
        if args.export is not None:
            trail.export(args.export)
        return self.give(trail, args.output)


def _directions(args: Namespace) -> dict[str, bool]:
    """Return of which metrics more is better, and of which less."""
    both = sorted({*args.higher} & {*args.lower})
    if both:
        raise UsageError(f"Of '{both[0]}' cannot both more and less be better. Leave --higher or --lower out.")
    return {**dict.fromkeys(args.higher, True), **dict.fromkeys(args.lower, False)}
