"""Which HTTP status each error of the domains becomes: the one table.

Domain errors know no HTTP. An error that is not in the table by itself takes the status of its nearest base; what is
none of ours is 500 and shows its kind only, its text being for the log.
"""

from __future__ import annotations

from typing import Any

from dwcp_jupyter import exceptions
from dwcp_jupyter.exceptions import DwcpError, WorkspaceError

__all__ = ["STATUSES", "GatewayDownError", "RequestError", "UnknownWorkspaceError", "problem_of", "status_of"]


class UnknownWorkspaceError(WorkspaceError, LookupError):
    """No workspace of that id is known to this server."""


class RequestError(DwcpError, ValueError):
    """A request that cannot be understood."""


class GatewayDownError(DwcpError, ConnectionError):
    """The workspace's gateway does not run, or went away over a request."""


STATUSES: dict[type[DwcpError], int] = {
    exceptions.AmbiguousModelError: 409,
    exceptions.ApprovalConflictError: 409,
    exceptions.ApprovalError: 403,
    exceptions.ApprovalNotFoundError: 404,
    exceptions.ArtifactNotFoundError: 404,
    exceptions.ArtifactSignatureError: 403,
    exceptions.DataValidationError: 422,
    exceptions.DeploymentError: 502,
    exceptions.EndpointExistsError: 409,
    exceptions.EndpointNotFoundError: 404,
    exceptions.FilterError: 400,
    exceptions.FlavorError: 422,
    exceptions.GateError: 409,
    exceptions.IntegrityError: 500,
    exceptions.InvalidMetadataError: 400,
    exceptions.InvalidNameError: 400,
    exceptions.InvalidVersionError: 400,
    exceptions.LeaseTimeoutError: 503,
    exceptions.MissingExtraError: 501,
    exceptions.ModelNotFoundError: 404,
    exceptions.MonitoringError: 409,
    exceptions.PipelineConfigError: 400,
    exceptions.PipelineError: 500,
    exceptions.PolicyError: 400,
    exceptions.PredictionError: 500,
    exceptions.QueueFullError: 429,
    exceptions.RunError: 409,
    exceptions.RunNotFoundError: 404,
    exceptions.SchemaTooNewError: 409,
    exceptions.SettingError: 400,
    exceptions.SignatureError: 400,
    exceptions.SupervisorError: 503,
    exceptions.TransitionError: 409,
    exceptions.UntrustedArtifactError: 403,
    exceptions.VersionExistsError: 409,
    exceptions.WorkspaceError: 500,
    GatewayDownError: 503,
    RequestError: 400,
    UnknownWorkspaceError: 404,
}


def status_of(error: BaseException) -> int:
    """Return the HTTP status of `error`, 500 for what is not in the table."""
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), 500)


def problem_of(error: BaseException) -> dict[str, Any]:
    """Return the JSON that says what went wrong."""
    name = type(error).__name__
    if isinstance(error, DwcpError):
        failures = list(getattr(error, "failures", ()))
        return {"error": name, "message": str(error), **({"failures": failures} if failures else {})}
    return {"error": name, "message": f"The server failed with {name}. Jupyter's log has the details."}
