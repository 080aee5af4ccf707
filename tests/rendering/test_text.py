"""Text for terminals is aligned by what a terminal shows."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from dwcp_jupyter.rendering import Bars, Facts, Lines, Note, Table, View
from dwcp_jupyter.rendering.text import display_width


def _lines(*blocks) -> list[str]:
    return View("t", blocks).to_text().splitlines()[3:]


def test_columns_are_aligned_and_numbers_stand_right():
    assert _lines(Table(("name", "rows"), [("a", 1), ("long name", 1234)])) == [
        "name        rows",
        "─────────  ─────",
        "a              1",
        "long name  1,234",
    ]


@given(st.lists(st.text(alphabet="abc日本語é한글\u0301", min_size=1, max_size=8), min_size=1, max_size=5))
def test_wide_and_combining_characters_keep_columns_aligned(names):
    lines = _lines(Table(("名前", "n"), [(name, 7) for name in names]))
    starts = {display_width(line[: line.rindex("7")]) for line in lines[2:]}
    assert len(starts) == 1


def test_what_is_hidden_is_told():
    assert _lines(Table(("a",), [(1,), (2,)], limit=1))[-1] == "… and 1 more"
    assert _lines(Table(("a",), [], empty="No models yet.")) == ["No models yet."]


def test_long_cells_are_cut_and_long_facts_wrapped():
    assert max(map(len, _lines(Table(("a", "b"), [("x" * 10_000, 1)])))) < 60
    assert max(map(len, _lines(Table(("a", "b"), [(1, "x" * 10_000)])))) < 110
    wrapped = _lines(Facts({"text": "word " * 50}))
    assert len(wrapped) > 1
    assert max(map(len, wrapped)) <= 110


def test_notes_say_their_level_and_keep_their_lines():
    assert _lines(Note("one\ntwo", "critical")) == ["Critical: one", "          two"]


def test_bars_are_proportional():
    lines = _lines(Bars("b", ["x", "y", "z"], {"s": [4.0, 2.0, None]}, x_label="n"))
    lengths = [line.count("█") for line in lines[3:]]
    assert lengths == [24, 12, 0]


def test_lines_show_their_course_and_range():
    text = "\n".join(_lines(Lines("l", [0, 1, 2], {"s": [1.0, None, 3.0]}, x_label="x", y_label="y (ms)")))
    assert "▁ █" in text
    assert re.search(r"s\s.*1\s+3\s+3", text)


def test_charts_without_data_say_so():
    assert "No data." in "\n".join(_lines(Lines("l", [], {"s": []}, x_label="x", y_label="y")))
    assert _lines(Bars("b", [], {"s": []}, x_label="n"))


def test_terminal_codes_in_user_text_do_nothing():
    hostile = "\x1b]0;owned\x07\x1b[2J"
    text = View(hostile, [Facts({hostile: hostile}), Note(hostile), Table((hostile,), [(hostile,)])], hostile).to_text()
    assert "\x1b" not in text
    assert "\x07" not in text
