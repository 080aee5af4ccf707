"""Facts about state changes, chained by their hashes.

One event per state change is the audit log, the lineage source, the panels' change feed and the answer to
"as of" questions at once. An event's body is canonical JSON; its hash covers that body, and the body holds
the hash of the event before. So a changed, removed or inserted event breaks the chain at its place.
This module knows the form only; ``store`` keeps the chain.

What happens, by kind and subject:

=======================================================  ======================  =====================================
Kind                                                     Subject                 What happened
=======================================================  ======================  =====================================
``model.created``, ``model.updated``, ``model.deleted``  ``model:NAME``          to a model as a whole
``version.registered``, ``version.sealed``               ``model:NAME@VERSION``  a version, or a draft completed
``version.promoted``, ``version.deleted``                ``model:NAME@VERSION``  its stage, its end
``version.restored``                                     ``model:NAME@VERSION``  it came back from the trash
``version.compared``                                     ``model:NAME@VERSION``  one version with another
``approval.requested``, ``approval.decided``             ``model:NAME@VERSION``  a stage or alias asked for, judged
``evidence.recorded``                                    ``model:NAME@VERSION``  what gates look at
``policy.set``, ``policy.removed``                       ``policy:NAME/STAGE``   what a stage, or ``@ALIAS``, asks
``alias.set``, ``alias.removed``                         ``model:NAME@VERSION``  what ``NAME@ALIAS`` means
``reference.set``                                        ``model:NAME@VERSION``  the data that drift is measured by
``trust.decided``                                        ``artifact:SHA256``     a file may be loaded that can run code
``run.started``, ``run.ended``, ``run.deleted``          ``run:ID``              a run; its end has the sums of its log
``endpoint.deployed``, ``endpoint.updated``              ``endpoint:NAME``       what is served under a name
``trash.emptied``                                        ``model:NAME@VERSION``  it cannot come back any more
``endpoint.removed``                                     ``endpoint:NAME``       what ended it
``owner.forgotten``                                      ``owner:ID``            a database's files are needed no more
=======================================================  ======================  =====================================
"""

from __future__ import annotations

import getpass
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from dwcp_jupyter import clock, hashing
from dwcp_jupyter.exceptions import InvalidNameError

__all__ = [
    "GENESIS",
    "Actor",
    "Assurance",
    "ChainBreak",
    "Event",
    "Record",
    "Row",
    "find_break",
    "local_actor",
    "person_key",
    "read_record",
]

GENESIS = "0" * 64
"""The `previous` of the first event."""
_LONGEST_NAME = 256
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""What is not seen although its category is that of letters or marks: fillers, joiners, variation selectors."""


class Assurance(StrEnum):
    """How sure the record is of who acted."""

    ASSERTED = "asserted"
    """Said by the Python process itself."""
    AUTHENTICATED = "authenticated"
    """Proven to the Jupyter server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acted, and how that is known.

    Raises
    ------
    InvalidNameError
        If the name is empty to the eye, longer than 256 characters, or cannot be kept.
    """

    name: str
    assurance: Assurance = Assurance.ASSERTED

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or len(name) > _LONGEST_NAME or not person_key(name):
            shown = repr(name)[:60]
            raise InvalidNameError(f"{shown} is no name of a person. Give 1 to {_LONGEST_NAME} characters that show.")
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
            raise InvalidNameError(f"{name[:60]!r} has characters that no name of a person has. Leave them out.")


def person_key(name: str) -> str:
    """Return the form in which names of people are compared, so that what looks the same is one person.

    Case, width, the number of blanks and characters that are not seen make no difference.

    Examples
    --------
    >>> person_key("Ana\u200b  Sá ") == person_key("ana sá")
    True
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    seen = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Cn", "Co") and not _UNSEEN.match(c))
    return unicodedata.normalize("NFKC", " ".join(seen.split()))


def local_actor() -> Actor:
    """Return the operating system's user of this process, as an asserted actor."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without an entry in the user database
        name = f"uid-{os.getuid()}"
    return Actor(name=name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One state change.

    Attributes
    ----------
    seq : int
        Position in the chain, from 1, without gaps.
    kind : str
        ``<thing>.<past participle>``, e.g. ``"version.registered"``.
    subject : str
        What changed, e.g. ``"model:churn@1.0.0"``.
    payload : mapping
        The change itself, JSON; enough to rebuild the state.
    previous : str
        The hash of the event before; `GENESIS` for the first.
    """

    seq: int
    time: datetime
    kind: str
    subject: str
    actor: Actor
    payload: Mapping[str, Any]
    previous: str

    def body(self) -> bytes:
        """Return the canonical JSON that is stored and hashed."""
        return hashing.canonical_json(
            {
                "seq": self.seq,
                "time": clock.to_text(self.time),
                "kind": self.kind,
                "subject": self.subject,
                "actor": self.actor.name,
                "assurance": str(self.actor.assurance),
                "payload": dict(self.payload),
                "previous": self.previous,
            }
        )

    @classmethod
    def from_body(cls, body: bytes | str) -> Event:
        """Return the event whose `body` this is."""
        return cls.from_record(read_record(body))

    @classmethod
    def from_record(cls, record: Record) -> Event:
        """Return the event of a record."""
        return cls(
            seq=record.seq,
            time=clock.from_text(record.time),
            kind=record.kind,
            subject=record.subject,
            actor=_recorded(record.actor, record.assurance),
            payload=record.payload,
            previous=record.previous,
        )


def _recorded(name: str, assurance: str) -> Actor:
    """Return who acted by an event that is kept: whatever the name is, it must be possible to read who it was."""
    actor = object.__new__(Actor)
    object.__setattr__(actor, "name", name)
    object.__setattr__(actor, "assurance", Assurance(assurance))
    return actor


class Record(msgspec.Struct, frozen=True, gc=False):
    """The body of an event as it is kept: what a check of a hundred thousand can afford to read."""

    seq: int
    time: str
    kind: str
    subject: str
    actor: str
    assurance: str
    payload: dict[str, Any]
    previous: str


_decode = msgspec.json.Decoder(Record).decode


def read_record(body: bytes | str) -> Record:
    """Return the record whose canonical JSON `body` is."""
    return _decode(body)


Row = tuple[int, str, str, str, str, str]
"""An event in its table: number, kind, subject, time, body and hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainBreak:
    """The first place at which a chain does not hold. It is false in a condition."""

    seq: int
    reason: str

    def __bool__(self) -> bool:
        return False


def find_break(rows: Iterable[Row], *, visit: Callable[[Record], None] | None = None) -> ChainBreak | None:
    """Return the first break in rows ordered by their numbers, or None.

    A chain that was cut at its end, or rewritten as a whole, cannot be told from a sound one by its links
    alone; that takes a head kept elsewhere.

    Parameters
    ----------
    visit : callable, optional
        Gets each sound event in its turn.
    """
    previous, expected_seq = GENESIS, 1
    for seq, kind, subject, time, body, recorded in rows:
        if seq != expected_seq:
            return ChainBreak(seq=expected_seq, reason=f"event {expected_seq} is missing; the next one is {seq}")
        if hashing.sha256_bytes(body.encode()) != recorded:
            return ChainBreak(seq=seq, reason=f"event {seq} was changed: its bytes do not match its hash")
        try:
            record = _decode(body)
        except msgspec.DecodeError:
            return ChainBreak(seq=seq, reason=f"event {seq} was changed: its body is none of an event")
        if record.previous != previous or record.seq != seq:
            return ChainBreak(seq=seq, reason=f"event {seq} does not continue event {seq - 1}")
        if record.kind != kind or record.subject != subject or record.time != time:
            return ChainBreak(seq=seq, reason=f"the columns of event {seq} do not match its body")
        if visit is not None:
            visit(record)
        previous, expected_seq = recorded, seq + 1
    return None
