"""Numbers, dates and user text are written one way."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.rendering.formats import Format, clip, format_value


class Stage(StrEnum):
    STAGING = "staging"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.123456, Format.AUTO, "0.1235"),
        (1234567, Format.AUTO, "1,234,567"),
        (12345.678, Format.AUTO, "12,346"),
        (np.float32(0.5), Format.AUTO, "0.5"),
        (np.int64(10), Format.AUTO, "10"),
        (1e-9, Format.AUTO, "1.000e-09"),
        (math.nan, Format.AUTO, "NaN"),
        (-math.inf, Format.AUTO, "-∞"),
        (True, Format.AUTO, "yes"),
        (np.bool_(False), Format.AUTO, "no"),
        (None, Format.AUTO, "\N{EN DASH}"),
        (pd.NaT, Format.AUTO, "\N{EN DASH}"),
        (pd.NA, Format.NUMBER, "\N{EN DASH}"),
        (Stage.STAGING, Format.AUTO, "staging"),
        (date(2026, 1, 2), Format.AUTO, "2026-01-02"),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), Format.AUTO, "2026-01-02 03:04 UTC"),
        (datetime(2026, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=2))), Format.DATE, "2026-01-02 01:04 UTC"),
        (timedelta(seconds=1.5), Format.AUTO, "1.5 s"),
        (["a", 1, None], Format.AUTO, "a, 1, \N{EN DASH}"),
        ("two\nlines\t here", Format.AUTO, "two lines here"),
        (2026, Format.TEXT, "2026"),
        (0.9534, Format.PERCENT, "95.3%"),
        (math.nan, Format.PERCENT, "NaN"),
        (3.7, Format.INTEGER, "4"),
        (1e-20, Format.P_VALUE, "< 0.0001"),
        (0.0005, Format.P_VALUE, "0.0005"),
        (0.5, Format.P_VALUE, "0.5"),
        (0.25, Format.MS, "250 µs"),
        (0.0, Format.MS, "0 ms"),
        (90_000.0, Format.MS, "1.5 min"),
        (1_500_000, Format.BYTES, "1.5 MB"),
        ("n/a", Format.PERCENT, "n/a"),
    ],
)
def test_a_value_is_written_by_its_format(value, kind, text):
    assert format_value(value, kind) == text


@given(st.floats(-1e300, 1e300))
def test_numbers_keep_four_significant_digits(value):
    text = format_value(value)
    assert float(text.replace(",", "")) == pytest.approx(value, rel=5.1e-4)


@pytest.mark.parametrize("code", ["\x1b[31m", "\x07", "\u202e", "\u2066", "\u200f", "\x9b", "\x00"])
def test_control_and_direction_characters_become_visible(code):
    shown = format_value(f"a{code}b")
    assert shown.isprintable()
    assert "\\" in shown


@given(st.text())
def test_any_text_becomes_one_printable_line(text):
    shown = format_value(text)
    assert "\n" not in shown
    assert not any(character in shown for character in "\x1b\x00\u202e\u2028")


@given(st.text(max_size=50), st.integers(2, 20))
def test_clipped_text_fits_and_starts_alike(text, limit):
    clipped = clip(text, limit)
    assert len(clipped) <= limit
    assert text.startswith(clipped.removesuffix("…"))


def test_an_accent_is_not_cut_from_its_letter():
    assert clip("abce\u0301fghi", 5) == "abc…"
