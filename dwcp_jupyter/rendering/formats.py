"""One way to write a number, everywhere.

Four significant digits, commas between thousands, percentages from fractions, times with their unit. The same text
appears in the terminal and in HTML, so a figure can be compared and quoted. Text from users is made harmless here for
both: control characters and bidirectional overrides, which can make a line read as something else, become visible.
"""

from __future__ import annotations

import math
import numbers
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from enum import Enum, StrEnum

__all__ = [
    "MISSING",
    "Format",
    "byte_size",
    "clip",
    "decimal",
    "duration_ms",
    "format_value",
    "integer",
    "is_number",
    "moment",
    "number",
    "p_value",
    "percent",
    "visible",
]

MISSING = "–"  # noqa: RUF001
"""What stands for a value that is not there."""

_DIGITS = 4
_TINY, _HUGE = 1e-4, 1e15
_UNSAFE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069\\ufeff\\ud800-\\udfff]"
)


class Format(StrEnum):
    """How the values of a column are written."""

    AUTO = "auto"
    """By the value's type."""
    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    """Four significant digits."""
    DECIMAL = "decimal"
    """Three decimals, so that a column of small figures lines up."""
    PERCENT = "percent"
    """From a fraction: 0.95 is 95%."""
    P_VALUE = "p_value"
    """As a number; below 0.0001 only that."""
    MS = "ms"
    """Milliseconds, written in the unit that reads best."""
    BYTES = "bytes"
    DATE = "date"
    """A date and time, to the minute, in UTC."""


def visible(text: str) -> str:
    r"""Return `text` with control characters and bidirectional marks written as escapes.

    Examples
    --------
    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def clip(text: str, limit: int) -> str:
    """Return `text`, cut after `limit` characters with an ellipsis, never between a letter and its accent."""
    if len(text) <= limit:
        return text
    end = limit - 1
    while end > 0 and unicodedata.combining(text[end]):
        end -= 1
    return text[:end].rstrip() + "…"


def is_number(value: object) -> bool:
    """Return whether `value` is a real number, NumPy's included, but no truth value."""
    return isinstance(value, numbers.Real) and not _is_bool(value)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool_", "bool"}


def number(value: float) -> str:
    """Return `value` with four significant digits.

    Examples
    --------
    >>> number(0.123456), number(12345.6), number(0.5), number(0.00001234), number(-0.0)
    ('0.1235', '12,346', '0.5', '1.234e-05', '0')
    """
    value = float(value)
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0:
        return "0"
    if not _TINY <= abs(value) < _HUGE:
        return f"{value:.{_DIGITS - 1}e}"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _not_finite(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "∞" if value > 0 else "-∞"


def decimal(value: float) -> str:
    """Return `value` with three decimals.

    Examples
    --------
    >>> decimal(0.0123456), decimal(1234.5)
    ('0.012', '1,234.500')
    """
    return f"{value:,.3f}" if math.isfinite(value) else _not_finite(value)


def integer(value: float) -> str:
    """Return `value` as a whole number with commas between thousands.

    Examples
    --------
    >>> integer(1234567)
    '1,234,567'
    """
    return f"{round(value):,}" if math.isfinite(value) else _not_finite(value)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage of three significant digits.

    Examples
    --------
    >>> percent(0.9534), percent(1), percent(0.00012)
    ('95.3%', '100%', '0.012%')
    """
    value = 100 * float(fraction)
    if not math.isfinite(value):
        return _not_finite(value)
    if value == 0:
        return "0%"
    decimals = min(4, max(0, 2 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "%"


def p_value(value: float) -> str:
    """Return a p-value; below 0.0001 its digits mean nothing and are left out.

    Examples
    --------
    >>> p_value(0.04321), p_value(3e-20)
    ('0.0432', '< 0.0001')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    if value < _TINY:
        return "< 0.0001"
    text = f"{value:.4f}" if value < 0.1 else f"{value:.3f}"
    return text.rstrip("0").rstrip(".")


def duration_ms(value: float) -> str:
    """Return a duration in ms, in the unit that reads best.

    Examples
    --------
    >>> duration_ms(1.2345), duration_ms(12345), duration_ms(600_000)
    ('1.23 ms', '12.3 s', '10 min')
    """
    if not math.isfinite(value):
        return _not_finite(value)
    for unit, size in (("h", 3_600_000.0), ("min", 60_000.0), ("s", 1_000.0), ("ms", 1.0), ("µs", 0.001)):
        if abs(value) >= size:
            return f"{_three_digits(value / size)} {unit}"
    return "0 ms" if value == 0 else f"{_three_digits(value * 1e6)} ns"


def byte_size(value: float) -> str:
    """Return a size in bytes, in decimal units.

    Examples
    --------
    >>> byte_size(512), byte_size(1_234_567)
    ('512 B', '1.23 MB')
    """
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 1000:
            return f"{_three_digits(size)} {unit}"
        size /= 1000
    return f"{_three_digits(size)} TB"


def _three_digits(value: float) -> str:
    decimals = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(value: date) -> str:
    """Return a date, or a date and time to the minute; an aware one in UTC.

    Examples
    --------
    >>> moment(datetime(2026, 11, 23, 6, 52, 10, tzinfo=UTC))
    '2026-11-23 06:52 UTC'
    """
    if not isinstance(value, datetime):
        return value.isoformat()
    if value != value:  # noqa: PLR0124 -- pandas' NaT is a datetime that differs from itself
        return MISSING
    if value.tzinfo is None:
        return value.strftime("%Y-%m-%d %H:%M")
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


_NUMERIC = {
    Format.INTEGER: integer,
    Format.NUMBER: number,
    Format.DECIMAL: decimal,
    Format.PERCENT: percent,
    Format.P_VALUE: p_value,
    Format.MS: duration_ms,
    Format.BYTES: byte_size,
}


def format_value(value: object, kind: Format = Format.AUTO) -> str:
    """Return `value` as the text that is shown, on one line, safe for a terminal (not yet for HTML).

    None and pandas' missing values become a dash; a value that `kind` does not fit is written by its type.
    """
    if value is None or type(value).__name__ in {"NAType", "NaTType"}:
        return MISSING
    if kind in _NUMERIC and is_number(value):
        return _NUMERIC[kind](float(value))  # type: ignore[arg-type]
    text = str(value) if kind is Format.TEXT and not isinstance(value, Enum) else _as_text(value)
    return visible(" ".join(text.split()))


def _as_text(value: object) -> str:
    """Return `value` as its type is written."""
    value = value.value if isinstance(value, Enum) else value
    if isinstance(value, str):
        return value
    if _is_bool(value):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if is_number(value):
        return number(float(value))  # type: ignore[arg-type]
    if isinstance(value, timedelta):
        return duration_ms(value / timedelta(milliseconds=1))
    return _as_listing(value)


def _as_listing(value: object) -> str:
    if isinstance(value, date):
        return moment(value)
    if isinstance(value, (list, tuple)):
        return ", ".join(format_value(item) for item in value[:20]) + (", …" if len(value) > 20 else "")
    return str(value)
