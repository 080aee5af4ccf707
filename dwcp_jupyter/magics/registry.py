"""``%register``, ``%%register``, ``%models``, ``%promote``: models by name and version."""

from __future__ import annotations

import ast
from argparse import Namespace
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_cell_magic, line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["RegistryMagics"]


@magics_class
class RegistryMagics(WorkspaceBound):
    """Register and move versions."""

    @magic_arguments()
    @argument("name", help="The model's name.")
    @argument(
        "--model", metavar="VAR", default="model", help="Variable that holds the fitted model; 'model' by default."
    )
    @argument("--version", metavar="X.Y.Z", default=None, help="The version; the next one by --bump without it.")
    @argument(
        "--bump", choices=("major", "minor", "patch", "auto"), default="minor", help="What grows without --version."
    )
    @argument("--metrics", metavar="VAR", default=None, help="Variable with a mapping of metric names to numbers.")
    @argument(
        "--data", metavar="VAR", default=None, help="Variable with the training inputs: signature, example, reference."
    )
    @argument("--tag", action="append", default=[], metavar="TAG", help="A tag; may be repeated.")
    @argument("--stage", choices=("development", "staging"), default="development", help="Stage to register into.")
    @argument("-o", "--output", metavar="VAR", default=None, help="Keep the version in this variable too.")
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
        args = parse_argstring(self.register, line)
        if cell is not None:
            self._run(cell)
        version = self.workspace.register(args.name, self.variable(args.model), code=cell, **self._said(args, cell))
        return self.give(version, args.output)

    def _run(self, cell: str) -> None:
        assert self.shell is not None
        code = self.shell.transform_cell(cell)
        file = self.shell.compile.cache(code, number=self.shell.execution_count, raw_code=cell)
        exec(compile(code, file, "exec"), self.namespace)  # noqa: S102 - running it is what the user asked for

    def _said(self, args: Namespace, cell: str | None) -> dict[str, Any]:
        metrics = {} if args.metrics is None else self.variable(args.metrics)
        if not hasattr(metrics, "items"):
            raise UsageError(f"--metrics {args.metrics} is a {type(metrics).__name__}. Name a dict of numbers.")
        return {
            "version": args.version,
            "bump": args.bump,
            "metrics": metrics,
            "data": None if args.data is None else self.variable(args.data),
            "tags": args.tag,
            "stage": args.stage,
            "changelog": "" if cell is None else ast.get_docstring(ast.parse(cell)) or "",
        }

    @magic_arguments()
    @argument(
        "name", nargs="?", default=None, help="A model, to list its versions, or a reference, to show that version."
    )
    @argument("--stage", default=None, help="Only models with a version in this stage.")
    @argument("--tag", default=None, help="Only models with this tag.")
    @argument("-o", "--output", metavar="VAR", default=None, help="Keep the list in this variable too.")
    @line_magic
    @reported
    def models(self, line: str) -> Any:
        """List models, a model's versions, or show one version.

        Examples
        --------
        ``%models churn``; in Python: ``dwcp_jupyter.Workspace().registry.list_versions("churn")``.
        """
        args = parse_argstring(self.models, line)
        registry = self.workspace.registry
        if args.name is None:
            wanted = {"stage": args.stage, "tag": args.tag}
            return self.give(registry.list_models({k: v for k, v in wanted.items() if v is not None}), args.output)
        show = registry.get_model if "@" in args.name else registry.list_versions
        return self.give(show(args.name), args.output)

    @magic_arguments()
    @argument("model", help="A reference such as churn@1.2.0.")
    @argument("stage", help="development, staging, production or archived.")
    @argument("-o", "--output", metavar="VAR", default=None, help="Keep the version in this variable too.")
    @line_magic
    @reported
    def promote(self, line: str) -> Any:
        """Move a version to another stage.

        Examples
        --------
        ``%promote churn@1.2.0 staging``; in Python:
        ``dwcp_jupyter.Workspace().registry.promote_model("churn@1.2.0", "staging")``.
        """
        args = parse_argstring(self.promote, line)
        return self.give(self.workspace.registry.promote_model(args.model, args.stage), args.output)
