"""HTML is static, escaped, and legible on light and dark pages, also where styles are stripped."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dwcp_jupyter.rendering import Bars, Column, Facts, Lines, Mark, Note, Table, View
from dwcp_jupyter.rendering.charts import PALETTE, bar_chart, line_chart, ticks
from dwcp_jupyter.rendering.html import COLORS

HOSTILE = [
    "<script>alert(1)</script>",
    "</td></table><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' style='position:fixed",
    "{{ 7 * 7 }}{% raw %}",
    "مرحبا \u202e بالعالم",
    "]]><![CDATA[",
    "&lt;&#60;",
    "x" * 10_000,
]
ALLOWED = {
    "div", "strong", "br", "span", "bdi", "table", "thead", "tbody", "tr", "th", "td", "figure", "figcaption",
    "svg", "rect", "line", "text", "path", "circle", "title", "details", "summary",
}  # fmt: skip


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that tags close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


def everything(text: str) -> View:
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(3)]
    return View(
        text,
        [
            Note(text, "warning"),
            Facts({text: text, "mark": Mark(text, "critical")}),
            Table((Column(text), "n"), [(text, 1), (Mark(text), 2)], title=text, empty=text),
            Table((text,), [], empty=text),
            Bars(text, [text, "b"], {text: [1, 2], "other": [3, None]}, x_label=text, y_label=text),
            Lines(text, [0, 1, 2], {text: [1, 2], "other": [2, 1]}, x_label=text, y_label=text, is_step=True),
            Lines(text, moments, {text: [1, None, 2]}, x_label=text, y_label=text),
        ],
        subtitle=text,
    )


def check_static(html: str) -> Reader:
    reader = Reader(html)
    assert not reader.open
    assert set(reader.tags) <= ALLOWED
    for name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in {"src", "href", "id", "class"}
        assert "url(" not in (value or "") or name in {"title", "aria-label"}
    return reader


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_user_text_stays_text(text):
    html = everything(text).to_html()
    reader = check_static(html)
    assert "\u202e" not in html
    assert len(html) < 60_000
    shown = text.replace("\u202e", "\\u202e")
    if len(shown) < 20:
        assert shown in reader.text


@given(st.text(max_size=30))
def test_any_text_leaves_the_same_structure(text):
    assert check_static(everything(text or "x").to_html()).tags.count("svg") == 3


@pytest.mark.parametrize("text", ["a & b", *HOSTILE])
def test_charts_are_well_formed_xml(text):
    html = everything(text).to_html()
    for start in range(html.count("<svg")):
        svg = html.split("<svg")[start + 1].split("</svg>")[0]
        ET.fromstring(f"<svg{svg}</svg>")


def test_text_takes_the_colour_of_the_page():
    html = everything("a").to_html()
    assert 'fill="currentColor"' in html
    assert "color: #000" not in html
    assert "background: #" not in html


def _luminance(color: str) -> float:
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("color", [*PALETTE, *COLORS.values()])
@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
def test_colours_stand_out_on_light_and_dark_pages(color, background):
    """WCAG 2.2, 1.4.11: graphical objects have a contrast of at least 3."""
    light, dark = sorted((_luminance(color), _luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_states_are_told_in_words_too():
    html = View("t", [Note("x", "critical"), Facts({"a": Mark("failed", "critical")})]).to_html()
    assert "Critical:" in html
    assert "failed" in html


def test_tables_are_aligned_where_styles_are_stripped():
    html = View("t", [Table(("name", "n"), [("a", 1)])]).to_html()
    assert '<td align="right"' in html
    assert '<td align="left"' in html


def test_charts_carry_title_labels_units_and_legend():
    html = View("t", [Lines("Latency", [0, 1], {"p50": [1, 2], "p99": [3, 4]}, x_label="time (s)", y_label="ms")])
    reader = Reader(html.to_html())
    for words in ("Latency", "p50", "p99", "time (s)", "ms"):
        assert words in reader.words
    assert ("role", "img") in reader.attributes


def test_marks_lie_inside_the_picture():
    bars = bar_chart(Bars("b", list("abc"), {"s": [5, -3, 0], "t": [1e9, math.nan, None]}, x_label="n"))
    assert len(bars.rects) == 4
    for rect in bars.rects:
        assert bars.frame.left <= rect.x
        assert rect.x + rect.width <= bars.frame.right + 1
    lines = line_chart(Lines("l", [1, 2, 3], {"s": [1.0, None, 3.0]}, x_label="x", y_label="y"))
    for x, y in lines.paths[0].dots:
        assert lines.frame.left <= x <= lines.frame.right
        assert lines.frame.top <= y <= lines.frame.bottom


@pytest.mark.parametrize("values", [[], [0.0], [math.nan], [7.0, 7.0], [-1e-300, 1e300], [1e-12, 2e-12]])
def test_charts_of_odd_values_are_drawn(values):
    view = View(
        "t",
        [
            Bars("b", [str(i) for i in range(len(values))], {"s": values}, x_label="n"),
            Lines("l", list(range(len(values))), {"s": values}, x_label="x", y_label="y"),
        ],
    )
    assert "nan" not in view.to_html().lower().replace("nan%", "")


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
@example(524554453616.7324, 6.103515625e-05)
@example(999999999800.0, 0.0078125)
def test_ticks_are_even_and_cover_the_range(low, span):
    places = ticks(low, low + span)
    step = places[1] - places[0]  # more than the span, where that is but a few floats wide
    slack = step * 1e-6 + 4 * math.ulp(max(abs(low), span))  # no float lies between
    assert places[0] <= low + slack
    assert places[-1] >= low + span - slack
    assert 2 <= len(places) <= 14


def test_a_foldable_table_holds_the_rows_beyond_its_limit_folded():
    table = Table(("column",), [(f"row {number}",) for number in range(64)], limit=12, is_foldable=True)
    html = View("Signature", [table]).to_html()
    shown, folded = html.split("<details")
    assert shown.count("<td") == 12
    assert folded.count("<td") == 52
    assert "… and 52 more</summary>" in folded
    assert "row 63" in folded
    assert html.count("more") == 1


def test_a_foldable_table_within_its_limit_is_not_folded():
    table = Table(("column",), [("row",)], limit=12, is_foldable=True)
    assert View("Signature", [table]).to_html() == View("Signature", [Table(("column",), [("row",)])]).to_html()
