"""The chain of events, written anew: as an earlier release would have written it, or as somebody with a grudge."""

import json

import sqlalchemy as sa

from dwcp_jupyter import events, hashing
from dwcp_jupyter.store import schema

NEW_FIELDS = {
    "version.deleted": {"body_sha256", "deleted_at"},
    "version.registered": {"code_size_bytes"},
    "reference.set": {"size_bytes"},
    "model.deleted": {"versions"},
    "run.started": {"started_at"},
    "run.ended": {"ended_at", "tags", "record_sha256"},
}
"""What events carry since the trash, runs and references are proven."""


def rewrite(stores, change):
    """Let `change` alter each event's body, a dictionary, and link the chain again."""
    table = schema.events
    with stores.metadata.transaction() as tx:
        previous = events.GENESIS
        for row in tx.execute(sa.select(table).order_by(table.c.seq)).all():
            body = json.loads(row.body)
            change(body)
            body["previous"] = previous
            text = hashing.canonical_json(body).decode()
            previous = hashing.sha256_bytes(text.encode())
            values = {"kind": body["kind"], "subject": body["subject"], "time": body["time"], "body": text}
            tx.execute(sa.update(table).where(table.c.seq == row.seq).values(**values, hash=previous))
        tx.execute(sa.update(schema.head).values(hash=previous))


def as_before(stores):
    """Let all events say no more than those of an earlier release."""

    def strip(body):
        for field in NEW_FIELDS.get(body["kind"], ()):
            body["payload"].pop(field, None)

    rewrite(stores, strip)
