"""Checks of the installation and of a workspace, each with what to do about it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable

from sqlalchemy import select

from dwcp_jupyter import extras
from dwcp_jupyter.exceptions import ArtifactNotFoundError, DwcpError, IntegrityError
from dwcp_jupyter.store import Stores, schema
from dwcp_jupyter.workspace.reports import Check, Diagnosis, Outcome
from dwcp_jupyter.workspace.trail import check

__all__ = ["diagnose"]

_LEAST_FREE_BYTES = 1 << 30
_EXTRAS = {
    "onnx": ("onnxruntime", "compiled serving"),
    "tune": ("optuna", "tuning with Optuna"),
    "xgboost": ("xgboost", "XGBoost"),
}


def diagnose(stores: Stores) -> Diagnosis:
    """Return the result of every check; one that cannot be made is a failed one."""
    steps: dict[str, Callable[[Stores], Iterable[Check]]] = {
        "Installation": _installation,
        "Disk": _folder,
        "Metadata": _metadata,
        "Artifacts": _artifacts,
        "Supervisor": _supervisor,
        "Logs": _logs,
    }
    return Diagnosis(checks=tuple(check for name, step in steps.items() for check in _made(name, step, stores)))


def _made(name: str, step: Callable[[Stores], Iterable[Check]], stores: Stores) -> Iterable[Check]:
    try:
        yield from step(stores)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is a finding
        finding = str(exc) if isinstance(exc, DwcpError) else f"{type(exc).__name__}: {exc}"
        yield Check(name=name, outcome=Outcome.FAILED, finding=finding, remedy="See the finding.")


def _installation(_stores: Stores) -> Iterable[Check]:
    yield Check(name="Python", outcome=Outcome.GOOD, finding=f"{sys.version.split()[0]} at {sys.executable}")
    for extra, (module, purpose) in _EXTRAS.items():
        if extras.is_installed(module):
            yield Check(name=f"Extra '{extra}'", outcome=Outcome.GOOD, finding=f"installed: {purpose}")
        else:
            remedy = f"pip install 'dwcp-jupyter[{extra}]'"
            yield Check(
                name=f"Extra '{extra}'", outcome=Outcome.WARNING, finding=f"missing: no {purpose}", remedy=remedy
            )


def _folder(stores: Stores) -> Iterable[Check]:
    nearest = next(folder for folder in (stores.root, *stores.root.parents) if folder.is_dir())
    free = shutil.disk_usage(nearest).free
    low = free < _LEAST_FREE_BYTES
    yield Check(
        name="Disk",
        outcome=Outcome.WARNING if low else Outcome.GOOD,
        finding=f"{free / (1 << 30):.1f} GiB free at {nearest}",
        remedy="Free space, or move the workspace by DWCP_HOME." if low else "",
    )


def _metadata(stores: Stores) -> Iterable[Check]:
    if not stores.metadata.exists:
        remedy = "The first write, or %dwcp init, creates it."
        yield Check(name="Metadata", outcome=Outcome.WARNING, finding=f"no workspace at {stores.root}", remedy=remedy)
        return
    seq, _ = stores.metadata.head()
    yield Check(name="Metadata", outcome=Outcome.GOOD, finding=f"{stores.metadata.dialect}, opens")
    found = check(stores)
    if found is True:
        yield Check(
            name="Event chain",
            outcome=Outcome.GOOD,
            finding=f"{seq} events, every link holds, and the tables agree with them",
        )
    else:
        reason = getattr(found, "reason", "")
        yield Check(
            name="Event chain", outcome=Outcome.FAILED, finding=reason, remedy="Compare with a backup; do not trust it."
        )


def _artifacts(stores: Stores) -> Iterable[Check]:
    stores.artifacts.ask()
    with stores.metadata.read() as connection:
        table = schema.versions
        query = select(table.c.sha256).where(table.c.sha256.is_not(None)).order_by(table.c.created_at.desc()).limit(20)
        newest = list(connection.execute(query).scalars())
    bad = [sha256 for sha256 in newest if not _is_sound(stores, sha256)]
    where = f"{stores.settings.artifact_url}: " if stores.settings.artifact_url else ""
    if bad:
        finding = f"missing or changed: {', '.join(sha256[:12] + '…' for sha256 in bad)}"
        yield Check(name="Artifacts", outcome=Outcome.FAILED, finding=finding, remedy="Restore them from a backup.")
    elif newest:
        yield Check(name="Artifacts", outcome=Outcome.GOOD, finding=f"{where}the newest {len(newest)} match their sums")


def _is_sound(stores: Stores, sha256: str) -> bool:
    try:
        for blob in stores.artifacts.list_tree(sha256).values():
            stores.artifacts.read(blob.sha256)
    except (IntegrityError, ArtifactNotFoundError):
        return False
    return True


def _supervisor(stores: Stores) -> Iterable[Check]:
    from dwcp_jupyter import supervisor

    pid = supervisor.find(stores.root)
    finding = "not running; deploying starts it" if pid is None else f"process {pid}"
    yield Check(name="Supervisor", outcome=Outcome.GOOD, finding=finding)


def _logs(stores: Stores) -> Iterable[Check]:
    folder = stores.root / "logs"
    size = sum(file.stat().st_size for file in folder.glob("*") if file.is_file()) if folder.is_dir() else 0
    big = size > _LEAST_FREE_BYTES
    yield Check(
        name="Logs",
        outcome=Outcome.WARNING if big else Outcome.GOOD,
        finding=f"{size / (1 << 20):.1f} MiB in {folder}",
        remedy="Remove old files there." if big else "",
    )
