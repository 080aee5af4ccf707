"""Which artifacts the rows need, by which they are kept from being collected.

A reference that is gone lets the next collection of garbage remove a file that somebody still needs; so the references
are derived from what needs them, and compared like the rows of any other table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from sqlalchemy import Row

from dwcp_jupyter.registry.expecting import Rows
from dwcp_jupyter.registry.folding import Fold
from dwcp_jupyter.registry.folding_work import artifacts_of
from dwcp_jupyter.store import schema

__all__ = ["expected_references", "role_in_run"]


def expected_references(folded: Fold, runs: Iterable[Row[Any]]) -> Rows:
    """Return what is known of the rows of `schema.artifact_references`.

    Parameters
    ----------
    runs : iterable of Row
        Of `schema.runs`, as they are: those of ended runs are proven by then, those of others can only agree.
    """
    found: Rows = {}
    for (version_id,), row in folded.tables["versions"].items():
        reference = folded.tables["reference_data"].get((version_id,))
        _add_version(found, f"version:{version_id}", row, reference, folded.sizes)
    for version_id, gone in folded.deletions.items():
        _add_version(found, f"trash:{version_id}", gone.values, gone.reference.get((version_id,)), folded.sizes)
    for said in folded.endpoints.needed.values():
        version = folded.tables["versions"].get((said["version_id"],), {})
        for sha256, owner, role in artifacts_of(said):
            size = version.get("size_bytes") if role.startswith("package/") else None
            _add(found, owner, role, sha256, size)
    for run in runs:
        for artifact in _artifacts_in(run):
            _add(found, f"run:{run.id}", role_in_run(artifact), artifact["sha256"], artifact["size_bytes"])
    return found


def role_in_run(artifact: Mapping[str, Any]) -> str:
    """Return by which role a run refers to one of its artifacts; a folder's files are needed with it."""
    return f"{'file' if artifact['kind'] == 'file' else 'package'}/{artifact['name']}"


def _add_version(
    found: Rows,
    owner: str,
    version: Mapping[str, Any],
    reference: Mapping[str, Any] | None,
    sizes: Mapping[tuple[str, str], int],
) -> None:
    reference_sha256 = None if reference is None else reference.get("sha256")
    for role, sha256, size_bytes in (
        ("package", version.get("sha256"), version.get("size_bytes")),
        ("code", version.get("code_sha256"), sizes.get((version["id"], "code"))),
        ("reference", reference_sha256, sizes.get((version["id"], "reference"))),
    ):
        if sha256 is not None:
            _add(found, owner, role, sha256, size_bytes)


def _add(found: Rows, owner: str, role: str, sha256: str, size_bytes: int | None) -> None:
    row: dict[str, Any] = {"sha256": sha256, "owner": owner, "role": role}
    found[sha256, owner, role] = row if size_bytes is None else {**row, "size_bytes": size_bytes}


def _artifacts_in(run: Row[Any]) -> list[Mapping[str, Any]]:
    """Return what the row of an experiment says of its artifacts; nothing where that cannot be read."""
    if run.kind != "experiment" or '"artifacts":{}' in run.record:
        return []
    try:
        kept = schema.load(run.record)["artifacts"].values()
        return [artifact for artifact in kept if {"name", "kind", "sha256", "size_bytes"} <= artifact.keys()]
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return []
