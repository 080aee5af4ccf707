"""The tables of the metadata, one set for DuckDB, SQLite and PostgreSQL.

What all three can do is all that is used: text, integers, primary and unique keys. Times are ISO text in UTC, which
sorts; structures are canonical JSON text. There are no foreign keys, list columns or partial indexes, since DuckDB
cannot change a table that has them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text, UniqueConstraint

from dwcp_jupyter import hashing

__all__ = ["METADATA", "SCHEMA_VERSION", "Name", "dump", "load"]

METADATA = MetaData()

Name = String().with_variant(String(collation="C"), "postgresql")
"""Text that sorts by code points, whatever the language of the database."""

migrations = Table(
    "schema_migrations",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("applied_at", String, nullable=False),
)

events = Table(
    "events",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("subject", Name, nullable=False),
    Column("time", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", String, nullable=False),
)

head = Table(
    "event_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
)

models = Table(
    "models",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("description", Text, nullable=False),
    Column("task_type", String),
    Column("tags", Text, nullable=False),
    Column("custom_metadata", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
)

versions = Table(
    "versions",
    METADATA,
    Column("id", String, primary_key=True),
    Column("model_id", String, nullable=False),
    Column("version", String, nullable=False),
    Column("sort_key", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("parent_id", String),
    Column("changelog", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("author", String),
    Column("framework", String),
    Column("framework_version", String),
    Column("flavor", String),
    Column("training_dataset", String),
    Column("training_started_at", String),
    Column("training_ended_at", String),
    Column("metrics", Text, nullable=False),
    Column("hyperparameters", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("custom_metadata", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("signature", Text),
    Column("git_commit", String),
    Column("code_sha256", String),
    Column("run_id", String),
    Column("sha256", String),
    Column("size_bytes", BigInteger),
    Column("created_at", String, nullable=False),
    Column("created_by", String, nullable=False),
    Column("sealed_at", String),
    UniqueConstraint("model_id", "version"),
)

aliases = Table(
    "aliases",
    METADATA,
    Column("model_id", String, primary_key=True),
    Column("alias", Name, primary_key=True),
    Column("version_id", String, nullable=False),
    Column("updated_at", String, nullable=False),
)

artifact_references = Table(
    "artifact_references",
    METADATA,
    Column("sha256", String, primary_key=True),
    Column("owner", String, primary_key=True),
    Column("role", String, primary_key=True),
    Column("size_bytes", BigInteger, nullable=False),
)

reference_data = Table(
    "reference_data",
    METADATA,
    Column("version_id", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("columns", Text, nullable=False),
    Column("sensitivity", String, nullable=False),
    Column("source", String, nullable=False),
    Column("created_at", String, nullable=False),
)

runs = Table(
    "runs",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("config", Text, nullable=False),
    Column("record", Text, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("created_by", String, nullable=False),
    Column("started_at", String, nullable=False),
    Column("ended_at", String),
    Column("tags", Text),
)

run_metrics = Table(
    "run_metrics",
    METADATA,
    Column("run_id", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # many values of many metrics; see tracking.history
)

policies = Table(
    "policies",
    METADATA,
    Column("model", String, primary_key=True),  # a name, or * for every model without its own
    Column("stage", String, primary_key=True),
    Column("body", Text, nullable=False),
    Column("set_by", String, nullable=False),
    Column("set_at", String, nullable=False),
)

evidence = Table(
    "evidence",
    METADATA,
    Column("version_id", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("body", Text, nullable=False),
    Column("recorded_by", String, nullable=False),
    Column("recorded_at", String, nullable=False),
)

approvals = Table(
    "approvals",
    METADATA,
    Column("id", String, primary_key=True),
    Column("version_id", String, nullable=False),
    Column("stage", String, nullable=False),
    Column("requested_by", String, nullable=False),
    Column("assurance", String, nullable=False),
    Column("justification", Text, nullable=False),
    Column("state", String, nullable=False),
    Column("covers", String, nullable=False),  # the sum of artifact and metrics for which it was asked
    Column("requested_at", String, nullable=False),
    Column("expires_at", String, nullable=False),
)

decisions = Table(
    "decisions",
    METADATA,
    Column("approval_id", String, primary_key=True),
    Column("reviewer", String, primary_key=True),  # as people are compared, so that nobody decides twice
    Column("name", String, nullable=False),
    Column("assurance", String, nullable=False),
    Column("is_approved", Integer, nullable=False),
    Column("comment", Text, nullable=False),
    Column("decided_at", String, nullable=False),
)

trash = Table(
    "trash",
    METADATA,
    Column("version_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("version", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("deleted_at", String, nullable=False),
    Column("deleted_by", String, nullable=False),
)

endpoints = Table(
    "endpoints",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", Name, nullable=False, unique=True),
    Column("model_id", String, nullable=False),
    Column("version_id", String, nullable=False),
    Column("lifetime", String, nullable=False),
    Column("owner", String),
    Column("owner_pid", BigInteger),
    Column("status", String, nullable=False),
    Column("spec", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    Column("place", Text),  # which folder of which machine serves it; see store.place
)


def dump(value: Any) -> str:
    """Return `value` as the canonical JSON text that a column keeps."""
    return hashing.canonical_json(value).decode()


def load(text: str | None) -> Any:
    """Return what `dump` wrote; None for None."""
    return None if text is None else msgspec.json.decode(text)


SCHEMA_VERSION = 4
"""The highest number in `store.migrations`; a workspace above it was written by a newer release."""
