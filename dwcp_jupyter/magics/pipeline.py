"""``%%pipeline``: train from a configuration in the cell."""

from __future__ import annotations

import re
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import cell_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound

__all__ = ["PipelineMagics"]

_VARIABLE = re.compile(r"""["']?\{\{\s*(?P<name>[^}\s]+)\s*\}\}["']?""")


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
    @argument("--version", metavar="X.Y.Z", default=None, help="Version to register as; the next one without it.")
    @argument("--deploy", action="store_true", help="Deploy what was registered.")
    @argument("-o", "--output", metavar="VAR", default=None, help="Keep the run in this variable too.")
    @cell_magic
    @reported
    def pipeline(self, line: str, cell: str) -> Any:
        """Run the pipeline that the cell describes in YAML, with the fields of PipelineConfig.

        ``{{name}}`` stands for a variable of the notebook, such as a data frame.

        Examples
        --------
        ``%%pipeline churn --register --deploy`` above ``data_source: customers.csv`` and ``target_column: churned``; in
        Python: ``dwcp_jupyter.Workspace().run_pipeline(PipelineConfig.from_yaml(text))``.
        """
        from dwcp_jupyter.magics.progress import LiveProgress
        from dwcp_jupyter.pipeline import PipelineConfig

        args = parse_argstring(self.pipeline, line)
        if args.deploy and args.register is None:
            raise UsageError("--deploy needs --register: what is deployed is a registered version.")
        config = PipelineConfig.from_mapping({"name": args.name, **self._fields(cell)})
        with LiveProgress(args.name) as progress:
            run = self.workspace.run_pipeline(config, progress=progress)
        self.give(run, args.output)
        if args.register is not None:
            registered = self.workspace.register_run(run, args.register or args.name, version=args.version)
            display(registered)
            if args.deploy:
                display(self.workspace.deploy(registered.reference))
        return run

    def _fields(self, cell: str) -> dict[str, Any]:
        """Return the cell's YAML as a mapping, the notebook's variables in their places."""
        import yaml

        names: list[str] = []

        def place(match: re.Match[str]) -> str:
            names.append(match["name"])
            return f'"{{{{{match["name"]}}}}}"'

        try:
            fields = yaml.safe_load(_VARIABLE.sub(place, cell))
        except yaml.YAMLError as exc:
            raise UsageError(f"The cell is no YAML: {exc}") from exc
        if not isinstance(fields, dict):
            raise UsageError(
                "The cell holds no fields. Write one 'field: value' a line, such as 'target_column: churned'."
            )
        return {key: self._filled(value, set(names)) for key, value in fields.items()}

    def _filled(self, value: Any, names: set[str]) -> Any:
        if isinstance(value, str) and value.startswith("{{") and value[2:-2] in names:
            return self.variable(value[2:-2])
        if isinstance(value, list):
            return [self._filled(item, names) for item in value]
        if isinstance(value, dict):
            return {key: self._filled(item, names) for key, item in value.items()}
        return value
