"""Time as an argument.

Everything that stamps a record takes a ``Clock``, so that tests choose the time and no module asks
the operating system on its own. All datetimes are aware and in UTC; text is ISO 8601 with microseconds
and ``+00:00``, which sorts as it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

__all__ = ["Clock", "from_text", "to_text", "utc_now"]

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time, aware, in UTC."""
    return datetime.now(UTC)


def to_text(moment: datetime) -> str:
    """Return `moment` as sortable ISO 8601 text in UTC.

    Raises
    ------
    ValueError
        If `moment` has no time zone.

    Examples
    --------
    >>> to_text(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    '2026-01-02T03:04:05.000000+00:00'
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone. Pass an aware datetime, e.g. datetime.now(UTC).")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """Return the aware datetime that `to_text` wrote; text without an offset is read as UTC.

    Examples
    --------
    >>> from_text("2026-01-02T03:04:05.000000+00:00").hour
    3
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is UTC:
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
