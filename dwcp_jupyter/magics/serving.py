"""``%deploy``, ``%undeploy``, ``%endpoints``, ``%predict``: versions that answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from IPython.core.error import UsageError
from IPython.core.magic import line_magic, magics_class
from IPython.core.magic_arguments import argument, magic_arguments

from dwcp_jupyter.magics.arguments import endpoint_name, output, parse
from dwcp_jupyter.magics.errors import reported
from dwcp_jupyter.magics.session import WorkspaceBound
from dwcp_jupyter.rendering import Displayed, Note, View

__all__ = ["ServingMagics", "Undeployed"]


@magics_class
class ServingMagics(WorkspaceBound):
    """Deploy versions and ask them."""

    @magic_arguments()
    @argument("model", help="A reference: churn, churn@1.2.0, churn@champion, churn@staging.")
    @argument("--name", type=endpoint_name, default=None, help="The endpoint's name; the model's by default.")
    @argument("--replicas", metavar="MIN[:MAX]", default="1", help="Number of replicas.")
    @argument("--target-latency-ms", type=float, default=None, help="Latency to scale for.")
    @argument(
        "--compile",
        choices=("auto", "never"),
        default="auto",
        help="Serve as ONNX where it agrees.",
    )
    @argument(
        "--trust",
        metavar="SHA256",
        default=None,
        help="Let this file be loaded although it can run code; the refusal names its sum.",
    )
    @argument("--detached", action="store_true", help="Let it outlive this process without a Jupyter server.")
    @output("Keep the endpoint in this variable too.")
    @line_magic
    @reported
    def deploy(self, line: str) -> Any:
        """Serve a version over HTTP, as an endpoint of its own processes.

        Under a Jupyter server the endpoint outlives the kernel and comes back with the server; in a script it
        ends with it.

        Examples
        --------
        ``%deploy churn@staging --replicas 2``; in Python:
        ``dwcp_jupyter.Workspace().deploy("churn@staging", min_replicas=2)``.
        """
        args = parse(self.deploy, line)
        low, high = _replicas(args.replicas)
        config: dict[str, Any] = {"min_replicas": low, "max_replicas": high}
        if args.trust is not None:
            config["trust"] = args.trust
        if args.target_latency_ms is not None:
            config["target_latency_ms"] = args.target_latency_ms
        lifetime = "detached" if args.detached else None
        endpoint = self.workspace.deploy(args.model, name=args.name, compile=args.compile, lifetime=lifetime, **config)
        return self.give(endpoint, args.output)

    @magic_arguments()
    @argument("endpoint", help="The endpoint's name.")
    @line_magic
    @reported
    def undeploy(self, line: str) -> Any:
        """Take an endpoint down, once it has answered what it was asked.

        Examples
        --------
        ``%undeploy churn``; in Python: ``dwcp_jupyter.Workspace().serving.undeploy("churn")``.
        """
        args = parse(self.undeploy, line)
        served = self.workspace.serving.get_endpoint(args.endpoint)
        self.workspace.serving.undeploy(served.id)
        return Undeployed(endpoint=served.name, served=f"{served.model}@{served.version}")

    @magic_arguments()
    @output("Keep the list in this variable too.")
    @line_magic
    @reported
    def endpoints(self, line: str) -> Any:
        """List the endpoints with their traffic.

        Examples
        --------
        ``%endpoints``; in Python: ``dwcp_jupyter.Workspace().serving.list_endpoints()``.
        """
        args = parse(self.endpoints, line)
        return self.give(self.workspace.serving.list_endpoints(), args.output)

    @magic_arguments()
    @argument("endpoint", help="The endpoint's name.")
    @argument(
        "data", metavar="VAR", help="Variable with a data frame, a dict of features, a list of them, or an array."
    )
    @output("Keep the response in this variable too.")
    @line_magic
    @reported
    def predict(self, line: str) -> Any:
        """Ask an endpoint over HTTP, as any client would.

        Examples
        --------
        ``%predict churn new_customers``; in Python: ``dwcp_jupyter.Workspace().predict("churn", new_customers)``.
        """
        args = parse(self.predict, line)
        return self.give(self.workspace.predict(args.endpoint, self.variable(args.data)), args.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undeployed(Displayed):
    """An endpoint that is no more, and what it served."""

    endpoint: str
    served: str

    def _view(self) -> View:
        return View(f"Endpoint {self.endpoint}", [Note(f"It is undeployed. It served {self.served}.", "success")])


def _replicas(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    try:
        numbers = int(low), int(high if colon else low)
    except ValueError as exc:
        raise UsageError(f"--replicas '{text}' is no number of replicas. Write MIN or MIN:MAX, such as 1:4.") from exc
    if not 1 <= numbers[0] <= numbers[1]:
        raise UsageError(f"--replicas '{text}': MIN must be at least 1 and MAX at least MIN.")
    return numbers
