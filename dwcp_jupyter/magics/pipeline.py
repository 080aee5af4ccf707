"""``%%pipeline``: train from a configuration in the cell."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments
from IPython.display import display

from dwcp_jupyter.magics.arguments import output, parse, semantic_version
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["PipelineMagics"]

_VARIABLE = re.compile(r"\{\{\s*(?P<name>[^{}\s]+)\s*\}\}")
_PLACE = re.compile("\ue000(?P<number>[0-9]+)\ue001")
"""What stands for a variable while YAML is read: characters for private use, which have no meaning there."""


@magics_class
class PipelineMagics(WorkspaceBound):
    """Train, and carry on to the registry and an endpoint."""

    @magic_arguments()
    @argument("name", help="The pipeline's name.")
    @argument(
        "--register",
        metavar="MODEL",
        nargs="?",
        const="",
        default=None,
        help="Register the result; by the pipeline's name.",
    )
    @argument(
        "--version",
        metavar="X.Y.Z",
        type=semantic_version,
        default=None,
        help="Version to register as; the next one without it.",
    )
    @argument("--deploy", action="store_true", help="Deploy what was registered.")
    @output("Keep the run in this variable too.")
    @cell_magic
    @reported
    def pipeline(self, line: str, cell: str) -> Any:
        """Run the pipeline that the cell describes in YAML, with the fields of PipelineConfig.

        ``{{name}}`` stands for a variable of the notebook, such as a data frame; within a text, such as
        ``{{folder}}/customers.csv``, for what it says.

        Examples
        --------
        ``%%pipeline churn --register --deploy`` above ``data_source: customers.csv`` and ``target_column: churned``; in
        Python: ``dwcp_jupyter.Workspace().run_pipeline(PipelineConfig.from_yaml(text))``.
        """
        from dwcp_jupyter.magics.progress import LiveProgress
        from dwcp_jupyter.pipeline import PipelineConfig

        args = parse(self.pipeline, line)
        self._check(args)
        config = PipelineConfig.from_mapping({"name": args.name, **_fields(cell, self.variable)})
        with LiveProgress(args.name) as progress:
            run = self.workspace.run_pipeline(config, progress=progress)
        self.give(run, args.output)
        if args.register is not None:
            registered = self.workspace.register_run(run, args.register or args.name, version=args.version)
            display(registered)
            if args.deploy:
                display(self.workspace.deploy(registered.reference))
        return run

    def _check(self, args: Namespace) -> None:
        """Raise for what would fail after the training only."""
        if args.register is not None:
            from dwcp_jupyter.registry.names import check_name

            self.refuse_taken(check_name(args.register or args.name), args.version)
        elif args.deploy:
            raise UsageError("--deploy needs --register: what is deployed is a registered version.")
        elif args.version is not None:
            raise UsageError("--version needs --register: it is the version to register as.")


def _fields(cell: str, variable: Callable[[str], Any]) -> dict[str, Any]:
    """Return the cell's YAML as a mapping, `variable`'s answers in their places: no value is ever read as YAML."""
    import yaml

    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        names.append(match["name"])
        return f"\ue000{len(names) - 1}\ue001"

    try:
        fields = yaml.safe_load(_VARIABLE.sub(place, cell))
    except yaml.YAMLError as exc:
        raise UsageError(f"The cell is no YAML: {_PLACE.sub(lambda m: _written(m, names), str(exc))}") from exc
    if not isinstance(fields, dict):
        raise UsageError("The cell holds no fields. Write one 'field: value' a line, such as 'target_column: churned'.")
    filled: dict[str, Any] = _filled(fields, names, variable)
    return filled


def _written(match: re.Match[str], names: list[str]) -> str:
    return f"{{{{{names[int(match['number'])]}}}}}"


def _filled(value: Any, names: list[str], variable: Callable[[str], Any]) -> Any:
    if isinstance(value, list):
        return [_filled(item, names, variable) for item in value]
    if isinstance(value, dict):
        return {_filled(key, names, variable): _filled(item, names, variable) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if match := _PLACE.fullmatch(value):
        return variable(names[int(match["number"])])
    return _PLACE.sub(lambda match: _said(names[int(match["number"])], variable), value)


def _said(name: str, variable: Callable[[str], Any]) -> str:
    value = variable(name)
    if not isinstance(value, (str, int, float, Path)):
        raise UsageError(
            f"'{{{{{name}}}}}' stands within a text, and '{name}' is of type '{type(value).__name__}'. Only a text, a "
            "number or a path can stand there; anything else is the whole value of a field."
        )
    return str(value)
