"""``%register``, ``%%register``, ``%models``, ``%promote``: models by name and version."""

from __future__ import annotations

import ast
from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import STAGES, model_name, output, parse, semantic_version
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["RegistryMagics"]


@magics_class
class RegistryMagics(WorkspaceBound):
    """Register and move versions."""

    @magic_arguments()
    @argument("name", type=model_name, help="The model's name.")
    @argument(
        "--model", metavar="VAR", default="model", help="Variable that holds the fitted model; 'model' by default."
    )
    @argument(
        "--version",
        metavar="X.Y.Z",
        type=semantic_version,
        default=None,
        help="The version; the next one by --bump without it.",
    )
    @argument(
        "--bump", choices=("major", "minor", "patch", "auto"), default="minor", help="What grows without --version."
    )
    @argument("--metrics", metavar="VAR", default=None, help="Variable with a mapping of metric names to numbers.")
    @argument(
        "--data", metavar="VAR", default=None, help="Variable with the training inputs: signature, example, reference."
    )
    @argument("--tag", action="append", default=[], metavar="TAG", help="A tag; may be repeated.")
    @argument("--stage", choices=("development", "staging"), default="development", help="Stage to register into.")
    @output("Keep the version in this variable too.")
    @line_cell_magic
    @reported
    def register(self, line: str, cell: str | None = None) -> Any:
        """Register a fitted model as a new version.

        As a cell magic it runs its body first, keeps the body as the version's training code, and takes its leading
        docstring as changelog.

        Examples
        --------
        ``%register churn --model forest --version 1.0.0 --metrics scores``; in Python:
        ``dwcp_jupyter.Workspace().register("churn", forest, version="1.0.0", metrics=scores)``.
        """
        args = parse(self.register, line)
        changelog = ""
        if cell is not None:
            self.refuse_taken(args.name, args.version)
            changelog = self._run(cell)
        model = self.variable(args.model, otherwise=", or name another by --model VAR")
        version = self.workspace.register(args.name, model, code=cell, changelog=changelog, **self._said(args))
        return self.give(version, args.output)

    def _run(self, cell: str) -> str:
        """Run the body; return its leading docstring."""
        assert self.shell is not None
        code = self.shell.transform_cell(cell)
        file = self.shell.compile.cache(code, number=self.shell.execution_count, raw_code=cell)
        text = ast.get_docstring(ast.parse(code, filename=file)) or ""
        flags = self.shell.compile.flags  # of the notebook's own future imports, not of this module's
        compiled = compile(code, file, "exec", flags=flags, dont_inherit=True)
        exec(compiled, self.namespace)  # noqa: S102 - running it is what the user asked for
        return text

    def _said(self, args: Namespace) -> dict[str, Any]:
        return {
            "version": args.version,
            "bump": args.bump,
            "metrics": None if args.metrics is None else self.variable(args.metrics),
            "data": None if args.data is None else self.variable(args.data),
            "tags": args.tag,
            "stage": args.stage,
        }

    @magic_arguments()
    @argument(
        "name", nargs="?", default=None, help="A model, to list its versions, or a reference, to show that version."
    )
    @argument("--stage", choices=STAGES, default=None, help="Only models, or versions, in this stage.")
    @argument("--tag", default=None, help="Only models, or versions, with this tag.")
    @argument("--where", metavar="CONDITION", default=None, help="Versions that meet it, of the model or of all.")
    @output("Keep the list in this variable too.")
    @line_magic
    @reported
    def models(self, line: str) -> Any:
        """List models, a model's versions, or show one version.

        Examples
        --------
        ``%models churn``; in Python: ``dwcp_jupyter.Workspace().registry.list_versions("churn")``.
        ``%models --where "metrics.test_accuracy >= 0.9 and tag = 'risk'"``; in Python: ``search_versions``.
        """
        args = parse(self.models, line)
        return self.give(self._found(args), args.output)

    def _found(self, args: Namespace) -> Any:
        from dwcp_jupyter.registry import ModelList

        registry = self.workspace.registry
        wanted = {key: value for key in ("stage", "tag") if (value := getattr(args, key)) is not None}
        if args.where is not None:
            return self._search(args, wanted)
        if args.name is None:
            return ModelList(registry.list_models(wanted), wanted=wanted)
        if "@" not in args.name:
            return registry.list_versions(args.name).only(**wanted)
        if wanted:
            raise UsageError(
                f"'{args.name}' is one version. Leave --{' and --'.join(wanted)} out, or name the model alone."
            )
        return registry.get_model(args.name)

    def _search(self, args: Namespace, wanted: dict[str, str]) -> Any:
        from dwcp_jupyter.registry import VersionList

        if args.name is not None and "@" in args.name:
            raise UsageError(f"'{args.name}' is one version. Leave --where out, or name the model alone.")
        registry = self.workspace.registry
        name = None if args.name is None else registry.describe_model(args.name).name
        found = registry.search_versions(args.where)
        asked = {} if name is None else {"name": name}
        return VersionList(
            (v for v in found if name in (None, v.name)), wanted={**asked, "condition": args.where}
        ).only(**wanted)

    @magic_arguments()
    @argument("model", help="A reference such as churn@1.2.0.")
    @argument("stage", help="development, staging, production or archived; or an alias to set, such as @champion.")
    @argument("--ask", metavar="WHY", default=None, help="Ask for approval of that instead, for this reason.")
    @argument("--by", metavar="NAME", default=None, help="Who asks, asserted; you by default.")
    @argument("--dry-run", action="store_true", help="Say whether the version may go there, and change nothing.")
    @output("Keep the version, or the request, in this variable too.")
    @line_magic
    @reported
    def promote(self, line: str) -> Any:
        """Move a version to another stage, let an alias mean it, or ask for the approval that this takes.

        Examples
        --------
        ``%promote churn@1.2.0 staging`` and ``%promote churn@1.2.0 production --ask "fewer misses"``; in Python:
        ``dwcp_jupyter.Workspace().registry.promote_model("churn@1.2.0", "staging")`` and ``request_approval``.
        ``%promote churn@1.2.0 @champion``; in Python: ``set_alias("churn@1.2.0", "champion")``.
        """
        args = parse(self.promote, line)
        _check_place(args.model, args.stage)
        registry = self.workspace.registry
        if args.ask is not None:
            if args.dry_run:
                raise UsageError("--ask and --dry-run exclude each other. Leave one out.")
            return self.give(registry.request_approval(args.model, args.by, args.stage, args.ask), args.output)
        if args.by is not None:
            raise UsageError("--by says who asks; it goes with --ask WHY.")
        if args.stage.startswith("@"):
            version = registry.set_alias(args.model, args.stage[1:], dry_run=args.dry_run)
            outcome = f"'{version.reference}' may become '{args.stage}', and would then be as follows."
        else:
            version = registry.promote_model(args.model, args.stage, dry_run=args.dry_run)
            outcome = f"'{version.reference}' may go to {version.stage}, and would then be as follows."
        return self.give_dry(version, args.output, outcome=outcome) if args.dry_run else self.give(version, args.output)


def _check_place(model: str, place: str) -> None:
    """Raise unless a version can be moved to `place`: a stage, or an alias with its sign."""
    from dwcp_jupyter.exceptions import TransitionError
    from dwcp_jupyter.registry.targets import target_of

    try:
        target_of(place)
    except TransitionError as exc:
        raise UsageError(f"{exc} An alias is written with its sign: %promote {model} @{place}") from exc
