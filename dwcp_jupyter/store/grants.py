"""What people may do in a PostgreSQL that holds the metadata, so that it keeps the rules that Python alone cannot.

Everybody connects with a role of their own, and the tables belong to nobody of them. The trail and the decisions of
reviewers can then be added to and not changed, and the database itself refuses an event, a request or a decision in
somebody else's name. What it cannot refuse is a wrong row of the other tables: that is what `registry.verify` finds.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from dwcp_jupyter.exceptions import SettingError, WorkspaceError
from dwcp_jupyter.store import schema

__all__ = ["grant_script"]

_ALLOWED = {
    schema.migrations: "SELECT",
    schema.events: "SELECT, INSERT",
    schema.head: "SELECT, UPDATE",
    schema.decisions: "SELECT, INSERT",
    schema.approvals: "SELECT, INSERT, UPDATE (state)",
}
_ELSE = "SELECT, INSERT, UPDATE, DELETE"
_OWN = {
    schema.events: "body::jsonb ->> 'actor' = session_user",
    schema.approvals: "requested_by = session_user",
    schema.decisions: "name = session_user",
}
"""What a new row must say of whose it is."""


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
    people = [_quoted(role) for role in roles]
    if not people:
        raise SettingError("No role is named. Name those who shall use the workspace: ws.grants(['ana', 'bo'])")
    named = ", ".join(people)
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
    for table, condition in _OWN.items():
        name = _quoted(table.name)
        lines.append(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;")
        for policy, command, rule in (
            ("dwcp_read", "SELECT", "USING (true)"),
            ("dwcp_own", "INSERT", f"WITH CHECK ({condition})"),
            ("dwcp_state", "UPDATE", "USING (true)"),
        ):
            lines += [
                f"DROP POLICY IF EXISTS {policy} ON {name};",
                f"CREATE POLICY {policy} ON {name} FOR {command} {rule};",
            ]
    return "\n".join([*lines, "COMMIT;", ""])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return text.replace("'", "''").replace("%", "%%")
