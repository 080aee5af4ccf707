"""What a workspace says of itself."""

from __future__ import annotations

import contextlib
import platform
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata

from sqlalchemy import func, select

from dwcp_jupyter._version import __version__
from dwcp_jupyter.rendering import Displayed, Facts, Mark, Note, Table, View
from dwcp_jupyter.store import Stores, schema

__all__ = ["Check", "Diagnosis", "Outcome", "VersionReport", "WorkspaceStatus", "status", "versions"]

_LIBRARIES = (
    "duckdb",
    "sqlalchemy",
    "pandas",
    "scikit-learn",
    "onnxruntime",
    "xgboost",
    "optuna",
    "jupyterlab",
    "jupyter-server",
)
_BUILDS = {"xgboost": ("xgboost-cpu",), "onnxruntime": ("onnxruntime-gpu",)}
"""Other packages that are the same library."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceStatus(Displayed):
    """Counts of what a workspace holds, and what runs for it."""

    root: str
    exists: bool
    database: str
    models: int
    versions: int
    runs: int
    endpoints: int
    events: int
    supervisor_pid: int | None

    def _view(self) -> View:
        facts = Facts(
            {
                "Folder": self.root,
                "Metadata": self.database,
                "Models": self.models,
                "Versions": self.versions,
                "Runs": self.runs,
                "Endpoints": self.endpoints,
                "Events": self.events,
                "Supervisor": "not running" if self.supervisor_pid is None else f"process {self.supervisor_pid}",
            }
        )
        note = Note("There is no workspace yet; the first write, or %dwcp init, creates it there.", "info")
        return View("Workspace", [facts] if self.exists else [note, facts])


def status(stores: Stores) -> WorkspaceStatus:
    """Return the status of a workspace; nothing is created."""
    from dwcp_jupyter import supervisor

    tables = {"models": schema.models, "versions": schema.versions, "runs": schema.runs, "endpoints": schema.endpoints}
    with stores.metadata.read() as connection:
        counts = {
            name: connection.execute(select(func.count()).select_from(t)).scalar_one() for name, t in tables.items()
        }
    return WorkspaceStatus(
        root=str(stores.root),
        exists=stores.metadata.exists,
        database=stores.metadata.dialect,
        events=stores.metadata.head()[0],
        supervisor_pid=supervisor.find(stores.root),
        **counts,
    )


class Outcome(StrEnum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: what was looked at, how it is, and what to do."""

    name: str
    outcome: Outcome
    finding: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis(Displayed):
    """All checks; it is true in a condition if none failed."""

    checks: tuple[Check, ...]

    def __bool__(self) -> bool:
        return all(check.outcome is not Outcome.FAILED for check in self.checks)

    def _view(self) -> View:
        levels = {Outcome.GOOD: "success", Outcome.WARNING: "warning", Outcome.FAILED: "critical"}
        rows = [(c.name, Mark(str(c.outcome), levels[c.outcome]), c.finding, c.remedy) for c in self.checks]
        failed = {c.finding: f"{c.name}: {c.finding}" for c in reversed(self.checks) if c.outcome is Outcome.FAILED}
        notes = [Note(text, "critical") for text in reversed(failed.values())]  # a cell is too narrow for them
        return View("Doctor", [Table(("Check", "Result", "Finding", "What to do"), rows), *notes])


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionReport(Displayed):
    """Installed versions; None for a library that is not installed."""

    dwcp_jupyter: str
    python: str
    libraries: dict[str, str | None]

    def _view(self) -> View:
        rows = [(name, found or "not installed") for name, found in self.libraries.items()]
        facts = Facts({"dwcp_jupyter": self.dwcp_jupyter, "Python": self.python})
        return View("Versions", [facts, Table(("Library", "Version"), rows)])


def versions() -> VersionReport:
    """Return the installed versions of this package and the libraries that matter to it."""
    return VersionReport(
        dwcp_jupyter=__version__,
        python=platform.python_version(),
        libraries={name: _installed(name, *_BUILDS.get(name, ())) for name in _LIBRARIES},
    )


def _installed(*names: str) -> str | None:
    """Return the version of the first of these packages that is installed."""
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(name)
    return None
