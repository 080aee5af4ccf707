"""How errors reach the reader of a notebook.

Plain misuse becomes IPython's `UsageError`: one line, no traceback. What failed although it was asked for rightly (a
deployment, a pipeline, an integrity check) is raised as itself, so that `except` and nbval see it, but is shown by its
message alone. So is what the operating system says of a file, unless the notebook's own code asked for that file: who
wrote the code wants its traceback.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

from IPython.core.error import UsageError

from dwcp_jupyter import exceptions as errors
from dwcp_jupyter.magics.arguments import HelpWanted

__all__ = ["TABLE", "Shown", "reported"]

F = TypeVar("F", bound=Callable[..., Any])


class Shown(Enum):
    """What becomes of an error."""

    USAGE = "a UsageError: the call was wrong"
    ITSELF = "raised as itself: the call was right and failed"


TABLE: dict[type[errors.DwcpError], Shown] = {
    errors.AmbiguousModelError: Shown.USAGE,
    errors.ApprovalConflictError: Shown.ITSELF,
    errors.ApprovalError: Shown.ITSELF,
    errors.ApprovalNotFoundError: Shown.ITSELF,
    errors.ArtifactNotFoundError: Shown.ITSELF,
    errors.ArtifactSignatureError: Shown.ITSELF,
    errors.DataValidationError: Shown.ITSELF,
    errors.DeploymentError: Shown.ITSELF,
    errors.EndpointExistsError: Shown.USAGE,
    errors.EndpointNotFoundError: Shown.USAGE,
    errors.FlavorError: Shown.USAGE,
    errors.GateError: Shown.ITSELF,
    errors.IntegrityError: Shown.ITSELF,
    errors.InvalidMetadataError: Shown.USAGE,
    errors.InvalidNameError: Shown.USAGE,
    errors.InvalidVersionError: Shown.USAGE,
    errors.LeaseTimeoutError: Shown.ITSELF,
    errors.MissingExtraError: Shown.USAGE,
    errors.ModelNotFoundError: Shown.USAGE,
    errors.MonitoringError: Shown.USAGE,
    errors.PipelineConfigError: Shown.USAGE,
    errors.PipelineError: Shown.ITSELF,
    errors.FilterError: Shown.USAGE,
    errors.PolicyError: Shown.USAGE,
    errors.PredictionError: Shown.ITSELF,
    errors.QueueFullError: Shown.ITSELF,
    errors.RunError: Shown.USAGE,
    errors.RunNotFoundError: Shown.USAGE,
    errors.SchemaTooNewError: Shown.ITSELF,
    errors.SettingError: Shown.USAGE,
    errors.SignatureError: Shown.USAGE,
    errors.SupervisorError: Shown.ITSELF,
    errors.TransitionError: Shown.USAGE,
    errors.UntrustedArtifactError: Shown.ITSELF,
    errors.VersionExistsError: Shown.USAGE,
    errors.WorkspaceError: Shown.ITSELF,
}


def reported(magic: F) -> F:
    """Return the magic with its errors shown by the table."""

    @functools.wraps(magic)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return magic(*args, **kwargs)
        except HelpWanted as wanted:
            from dwcp_jupyter.magics.help import Help

            return Help(topic=wanted.magic)
        except errors.DwcpError as exc:
            if TABLE[type(exc)] is Shown.USAGE:
                raise UsageError(str(exc)) from exc
            _shorten(exc, str(exc))
            raise
        except OSError as exc:
            if not _passed_through(exc, args[0].namespace):
                _shorten(exc, _file_trouble(exc))
            raise

    return wrapped  # type: ignore[return-value]


def _shorten(exc: Exception, message: str) -> None:
    text = f"{type(exc).__name__}: {message}"
    exc._render_traceback_ = lambda: [text]  # type: ignore[attr-defined]  # IPython's protocol


def _passed_through(exc: Exception, namespace: dict[str, Any]) -> bool:
    """Return whether an error came out of code that the notebook wrote."""
    return any(frame.f_globals is namespace for frame, _ in traceback.walk_tb(exc.__traceback__))


_REMEDIES: tuple[tuple[type[OSError], str], ...] = (
    (FileExistsError, "It is not written over. Name another file."),
    (FileNotFoundError, "Look at the path, or make its folder first."),
    (IsADirectoryError, "Name a file."),
    (NotADirectoryError, "Name a path whose folders are folders."),
    (PermissionError, "Name a place where you may read and write."),
)


def _file_trouble(exc: OSError) -> str:
    """Return what the operating system says of a file, in a line that says what to do."""
    if exc.filename is None or exc.strerror is None:
        return str(exc)
    remedy = next((text for kind, text in _REMEDIES if isinstance(exc, kind)), "")
    return f"'{exc.filename}': {exc.strerror[:1].lower()}{exc.strerror[1:]}. {remedy}".rstrip()
