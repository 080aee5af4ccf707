"""An endpoint as its user sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dwcp_jupyter.rendering import Displayed, Facts, Listed, Table, View
from dwcp_jupyter.serving.endpoints import EndpointConfig, EndpointDescription, ExecutionMode
from dwcp_jupyter.serving.lifetimes import ServerHold
from dwcp_jupyter.serving.tokens import read_token
from dwcp_jupyter.supervisor import EndpointStatus, Lifetime

__all__ = ["Endpoint", "EndpointList"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Displayed):
    """One endpoint, as it was when it was looked up.

    Attributes
    ----------
    url : str
        Where predictions are posted to, on this machine, with the bearer `token`. Empty while nothing listens.
    base_url : str
        The same under the Jupyter server, with its token; empty where no Jupyter server holds the workspace.
    execution : ExecutionMode
        ``compiled`` or ``native``.
    reason : str
        Why it runs so.
    onnx_sha256 : str or None
        Sum of the compiled model.
    replicas : int
        How many processes serve it, by its configuration.
    """

    id: str
    name: str
    model: str
    version: str
    framework: str
    execution: ExecutionMode
    reason: str
    onnx_sha256: str | None
    replicas: int
    lifetime: Lifetime
    status: EndpointStatus
    url: str
    base_url: str
    config: EndpointConfig
    root: Path = field(repr=False)

    @classmethod
    def of(
        cls,
        description: EndpointDescription,
        *,
        root: Path,
        lifetime: Lifetime,
        status: EndpointStatus,
        gateway_url: str,
        server: ServerHold | None,
    ) -> Endpoint:
        """Return what is known of a described endpoint."""
        path = f"invocations/{description.name}"
        base_url = server.base_url.rstrip("/") if server is not None else ""
        return cls(
            id=description.id,
            name=description.name,
            model=description.model_name,
            version=description.version,
            framework=description.framework,
            execution=description.mode,
            reason=description.reason,
            onnx_sha256=None if description.compiled is None else description.compiled.sha256,
            replicas=description.n_replicas,
            lifetime=lifetime,
            status=status,
            url=f"{gateway_url}/{path}" if gateway_url else "",
            base_url=f"{base_url}/{path}" if base_url else "",
            config=description.config,
            root=root,
        )

    @property
    def reference(self) -> str:
        """``model@version``."""
        return f"{self.model}@{self.version}"

    @property
    def token(self) -> str:
        """The workspace's bearer token; a secret."""
        return read_token(self.root)

    def __repr__(self) -> str:
        return f"Endpoint({self.name}, {self.reference}, {self.execution}, {self.status})"

    def _view(self) -> View:
        facts = {
            "Serves": self.reference,
            "Status": str(self.status),
            "Runs": f"{self.execution}: {self.reason}",
            "Replicas": self.replicas,
            "Until": _UNTIL[self.lifetime],
            "URL": self.url or None,
            "Under Jupyter": self.base_url or None,
            "Id": self.id,
        }
        return View(
            f"Endpoint {self.name}", [Facts({name: value for name, value in facts.items() if value is not None})]
        )


_UNTIL = {
    Lifetime.SERVER: "it is removed; runs while the server does",
    Lifetime.CALLER: "the process that deployed it ends",
    Lifetime.DETACHED: "it is removed, or the workspace is stopped",
}


class EndpointList(Listed[Endpoint]):
    """Endpoints, in a table."""

    __slots__ = ()

    def _view(self) -> View:
        rows: list[tuple[Any, ...]] = [
            (
                item.name,
                item.reference,
                str(item.status),
                str(item.execution),
                item.replicas,
                str(item.lifetime),
                item.url,
            )
            for item in self
        ]
        columns = ("Endpoint", "Serves", "Status", "Runs", "Replicas", "Lifetime", "URL")
        return View("Endpoints", [Table(columns, rows)])
