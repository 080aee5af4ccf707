"""What people may do in a PostgreSQL that holds the metadata, so that it keeps the rules that Python alone cannot.

Everybody connects with a role of their own, and the tables belong to nobody of them. The trail and the decisions of
reviewers can then be added to and not changed, and the database itself refuses an event, a request or a decision in
somebody else's name, a decision on one's own request, a second one, and the claim that somebody was authenticated:
that is for a server to say, which connects as the owner. What stages and aliases ask for is the owner's to change.
What the database cannot refuse is a wrong row of the other tables: that is what `registry.verify` finds.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from dwcp_jupyter import hashing
from dwcp_jupyter.events import Assurance, person_key
from dwcp_jupyter.exceptions import SettingError, WorkspaceError
from dwcp_jupyter.store import schema

__all__ = ["grant_script"]

_ALLOWED = {
    schema.migrations: "SELECT",
    schema.events: "SELECT, INSERT",
    schema.head: "SELECT, UPDATE",
    schema.decisions: "SELECT, INSERT",
    schema.approvals: "SELECT, INSERT, UPDATE (state)",
    schema.policies: "SELECT",
}
_ELSE = "SELECT, INSERT, UPDATE, DELETE"
_IS_ASSERTED = f"assurance = '{Assurance.ASSERTED}'"
_OWN = {
    schema.events: "body::jsonb ->> 'actor' = session_user",
    schema.approvals: f"requested_by = session_user AND {_IS_ASSERTED} AND state = 'pending'",
}
"""What a new row must say of whose it is."""
_DECISION = (
    "session_user = {role} AND name = session_user AND reviewer = {key} AND {asserted} AND NOT EXISTS (SELECT FROM "
    "{approvals} asked WHERE asked.id = approval_id AND lower(asked.requested_by) = lower(session_user))"
)
"""What a new decision must say, for each role by itself: only Python knows the form in which people are compared."""


def grant_script(roles: Iterable[str], url: sa.URL) -> str:
    """Return SQL that lets roles use a workspace as themselves; for the owner of its tables to run, as often as wanted.

    Parameters
    ----------
    roles : iterable of str
        Each the name by which a person acts in the workspace, too: the one in the operating system or in JupyterHub.
    url : URL
        Of the metadata.

    Raises
    ------
    WorkspaceError
        If the metadata are not on PostgreSQL, where alone there are roles.
    SettingError
        If no role is named.
    """
    if url.get_backend_name() != "postgresql":
        raise WorkspaceError(
            "Only PostgreSQL has roles, and the metadata are elsewhere. Copy them: %dwcp copy --to postgresql://…"
        )
    people = list(dict.fromkeys(roles))
    if not people:
        raise SettingError("No role is named. Name those who shall use the workspace: ws.grants(['ana', 'bo'])")
    named = ", ".join(map(_quoted, people))
    place = "current_schema()"
    lines = [
        "BEGIN;",
        f"DO $$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO {_literal(named)}', {place}); END $$;",
    ]
    for table in schema.METADATA.sorted_tables:
        name = _quoted(table.name)
        lines += [
            f"REVOKE ALL ON {name} FROM PUBLIC, {named};",
            f"GRANT {_ALLOWED.get(table, _ELSE)} ON {name} TO {named};",
        ]
    for table in (*_OWN, schema.decisions):
        lines += _open_rows(_quoted(table.name))
    for table, condition in _OWN.items():
        lines += _policy("dwcp_own", _quoted(table.name), f"FOR INSERT WITH CHECK ({condition})")
    for role in people:
        lines += _decide_as(role)
    return "\n".join([*lines, "COMMIT;", ""])


def _open_rows(table: str) -> list[str]:
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;",
        f"DROP POLICY IF EXISTS dwcp_own ON {table};",  # an earlier release had one for the decisions of all
        *_policy("dwcp_read", table, "FOR SELECT USING (true)"),
        *_policy("dwcp_state", table, "FOR UPDATE USING (true)"),
    ]


def _decide_as(role: str) -> list[str]:
    condition = _DECISION.format(
        role=_text(role),
        key=_text(person_key(role)),
        asserted=_IS_ASSERTED,
        approvals=_quoted(schema.approvals.name),
    )
    name = f"dwcp_own_{hashing.sha256_bytes(role.encode())[:16]}"
    return _policy(name, _quoted(schema.decisions.name), f"FOR INSERT TO {_quoted(role)} WITH CHECK ({condition})")


def _policy(name: str, table: str, rule: str) -> list[str]:
    return [f"DROP POLICY IF EXISTS {name} ON {table};", f"CREATE POLICY {name} ON {table} {rule};"]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return text.replace("'", "''").replace("%", "%%")


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
