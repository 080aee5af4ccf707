"""Every error that this package raises on purpose.

Each leaf also inherits the builtin that fits, so ``except LookupError`` works; its data are attributes.
Messages say what happened with the values in quotes, why, and what to do. Errors know neither HTTP nor
IPython: ``server`` and ``magics`` each hold one table that maps them.

::

    DwcpError
    ├── WorkspaceError (RuntimeError)            the workspace cannot be opened or used
    │   ├── LeaseTimeoutError (TimeoutError)     another process holds the metadata too long
    │   ├── SchemaTooNewError                    written by a newer release
    │   └── SupervisorError                      the supervisor cannot be reached or refused
    ├── SettingError (ValueError)                a setting has no usable value
    ├── MissingExtraError (ImportError)          an optional library is not installed
    ├── IntegrityError (ValueError)              stored bytes are not what was recorded
    ├── ArtifactNotFoundError (LookupError)      no such blob
    ├── UntrustedArtifactError (PermissionError) loading would run code nobody decided to trust
    ├── ArtifactSignatureError (PermissionError) a model file that nobody who is trusted vouches for
    ├── ModelNotFoundError (LookupError)
    ├── AmbiguousModelError (LookupError)        a bare name where several versions qualify
    ├── VersionExistsError (ValueError)
    ├── InvalidNameError (ValueError)            a name of a model, alias, endpoint … that cannot be one
    ├── InvalidVersionError (ValueError)
    ├── InvalidMetadataError (ValueError)        what is said of a version cannot be kept
    ├── TransitionError (ValueError)             a stage change that is not allowed
    ├── ApprovalError (PermissionError)          a stage change that nobody approved
    │   ├── ApprovalNotFoundError (LookupError)  no such request
    │   └── ApprovalConflictError                a request that is decided, or asked for, already
    ├── GateError (PermissionError)              a stage change for which the evidence does not pass
    ├── FilterError (ValueError)                 a search that cannot be understood
    ├── PolicyError (ValueError)                 a stage policy that cannot be one
    ├── SignatureError (ValueError)              data that do not fit a model's signature
    ├── FlavorError (TypeError)                  a model that no flavor can keep
    ├── EndpointNotFoundError (LookupError)
    ├── EndpointExistsError (ValueError)
    ├── DeploymentError (RuntimeError)           an endpoint did not come up
    ├── PredictionError (RuntimeError)           the model failed on valid input
    ├── QueueFullError (RuntimeError)            an endpoint has more waiting than it may
    ├── PipelineConfigError (ValueError)
    ├── PipelineError (RuntimeError)             a stage of a run failed
    ├── DataValidationError (ValueError)         data unfit for training or monitoring, all failures at once
    ├── RunNotFoundError (LookupError)
    ├── RunError (RuntimeError)                  a run that cannot be logged to, or changed, any more
    └── MonitoringError (ValueError)             a monitor lacks what the question needs
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "AmbiguousModelError",
    "ApprovalConflictError",
    "ApprovalError",
    "ApprovalNotFoundError",
    "ArtifactNotFoundError",
    "ArtifactSignatureError",
    "DataValidationError",
    "DeploymentError",
    "DwcpError",
    "EndpointExistsError",
    "EndpointNotFoundError",
    "FilterError",
    "FlavorError",
    "GateError",
    "IntegrityError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidVersionError",
    "LeaseTimeoutError",
    "MissingExtraError",
    "ModelNotFoundError",
    "MonitoringError",
    "PipelineConfigError",
    "PipelineError",
    "PolicyError",
    "PredictionError",
    "QueueFullError",
    "RunError",
    "RunNotFoundError",
    "SchemaTooNewError",
    "SettingError",
    "SignatureError",
    "SupervisorError",
    "TransitionError",
    "UntrustedArtifactError",
    "VersionExistsError",
    "WorkspaceError",
    "did_you_mean",
]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to `wrong`, or an empty text.

    Examples
    --------
    >>> did_you_mean("chrun", ["churn", "fraud"])
    " Did you mean 'churn'?"
    >>> did_you_mean("zebra", ["churn"])
    ''
    """
    near = difflib.get_close_matches(wrong, sorted(set(known)), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


class DwcpError(Exception):
    """The root; catch it to catch everything this package raises on purpose."""


class WorkspaceError(DwcpError, RuntimeError):
    """The workspace cannot be opened or used."""


class LeaseTimeoutError(WorkspaceError, TimeoutError):
    """Another process held the metadata for longer than this one may wait.

    Attributes
    ----------
    holder_pid : int or None
        The process that holds it, where known.
    waited_s : float
        Seconds waited.
    """

    def __init__(self, *, path: str, holder_pid: int | None, waited_s: float) -> None:
        who = f"process {holder_pid}" if holder_pid else "another process"
        super().__init__(
            f"The metadata at '{path}' stayed in use by {who} for {waited_s:.1f} s. It may be stopped or stuck: "
            f"look at it with `ps -fp {holder_pid or 'PID'}` and continue or end it, or raise DWCP_LEASE_TIMEOUT_S."
        )
        self.holder_pid = holder_pid
        self.waited_s = waited_s


class SchemaTooNewError(WorkspaceError):
    """The metadata was written by a newer release than this one."""


class SupervisorError(WorkspaceError):
    """The supervisor of a workspace cannot be reached, or refused a request."""


class SettingError(DwcpError, ValueError):
    """A setting has no usable value."""


class MissingExtraError(DwcpError, ImportError):
    """An optional library is not installed.

    Attributes
    ----------
    package, extra : str
        The missing library, and the extra that installs it.
    """

    def __init__(self, *, purpose: str, package: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the '{package}' package. Install it with: pip install 'dwcp-jupyter[{extra}]'",
            name=package,
        )
        self.package = package
        self.extra = extra


class IntegrityError(DwcpError, ValueError):
    """Stored bytes are not those that were recorded.

    Attributes
    ----------
    expected, actual : str
        The recorded SHA-256 and that of the bytes found.
    """

    def __init__(self, message: str, *, expected: str, actual: str) -> None:
        super().__init__(message)
        self.expected = expected
        self.actual = actual


class ArtifactNotFoundError(DwcpError, LookupError):
    """The store holds no such artifact."""


class UntrustedArtifactError(DwcpError, PermissionError):
    """Loading the file would run code that the loader did not decide to trust.

    Attributes
    ----------
    sha256 : str
        The sum of the file, which ``trust=`` may name.
    """

    def __init__(self, message: str, *, sha256: str) -> None:
        super().__init__(message)
        self.sha256 = sha256


class ArtifactSignatureError(DwcpError, PermissionError):
    """A model file's signature is missing, or agrees with no trusted key; or a key cannot be used."""


class ModelNotFoundError(DwcpError, LookupError):
    """No such model, version, alias or stage."""


class AmbiguousModelError(DwcpError, LookupError):
    """A bare name where several versions qualify.

    Attributes
    ----------
    candidates : tuple of str
        The references that would be unambiguous.
    """

    def __init__(self, message: str, *, candidates: Sequence[str]) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class VersionExistsError(DwcpError, ValueError):
    """A version cannot be registered twice, or changed."""


class InvalidNameError(DwcpError, ValueError):
    """A name that cannot be one."""


class InvalidVersionError(DwcpError, ValueError):
    """A text that is no semantic version."""


class InvalidMetadataError(DwcpError, ValueError):
    """Metrics, tags or texts that cannot be kept as what they are said to be."""


class TransitionError(DwcpError, ValueError):
    """A change of stage that the life cycle does not have."""


class ApprovalError(DwcpError, PermissionError):
    """A change of stage that needs an approval nobody gave."""


class ApprovalNotFoundError(ApprovalError, LookupError):
    """No such request for approval."""


class ApprovalConflictError(ApprovalError):
    """A request for approval that takes no decision any more, or that is open already."""


class GateError(DwcpError, PermissionError):
    """A change of stage for which the recorded evidence does not pass the policy's checks.

    Attributes
    ----------
    failures : tuple of str
        One for each failed check, with the value found.
    """

    def __init__(self, message: str, *, failures: Sequence[str]) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class FilterError(DwcpError, ValueError):
    """A search that cannot be understood; the message says at which character."""


class PolicyError(DwcpError, ValueError):
    """A stage policy that cannot be one."""


class SignatureError(DwcpError, ValueError):
    """Data that do not fit the model's signature.

    Attributes
    ----------
    columns : tuple of str
        The columns at fault, empty where the whole frame is.
    """

    def __init__(self, message: str, *, columns: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class FlavorError(DwcpError, TypeError):
    """A model, or a file, that no flavor knows how to keep or load."""


class EndpointNotFoundError(DwcpError, LookupError):
    """No such endpoint."""


class EndpointExistsError(DwcpError, ValueError):
    """The endpoint's name is taken by another live caller."""


class DeploymentError(DwcpError, RuntimeError):
    """An endpoint did not come up; nothing of it is left behind."""


class PredictionError(DwcpError, RuntimeError):
    """The model failed on input that fits its signature."""


class QueueFullError(DwcpError, RuntimeError):
    """An endpoint has more requests waiting than it may.

    Attributes
    ----------
    retry_after_s : float
        Seconds after which a retry is sensible.
    """

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PipelineConfigError(DwcpError, ValueError):
    """A pipeline configuration with unknown or contradictory fields."""


class PipelineError(DwcpError, RuntimeError):
    """A stage of a pipeline run failed.

    Attributes
    ----------
    stage : str
        The stage that failed.
    run_id : str
        The run, whose log holds the details.
    """

    def __init__(self, message: str, *, stage: str, run_id: str) -> None:
        super().__init__(message)
        self.stage = stage
        self.run_id = run_id


class DataValidationError(DwcpError, ValueError):
    """Data that cannot be used as they are; names every failed check at once.

    Attributes
    ----------
    failures : tuple of str
        One sentence per failed check.
    """

    def __init__(self, message: str, *, failures: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.failures = tuple(failures)


class RunNotFoundError(DwcpError, LookupError):
    """There is no run of this id or name."""


class RunError(DwcpError, RuntimeError):
    """A run has ended, belongs to another process, or is needed."""


class MonitoringError(DwcpError, ValueError):
    """A monitor lacks what the question needs, such as reference data."""
