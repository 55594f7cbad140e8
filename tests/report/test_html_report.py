"""HTML: one file, no network, no script, readable by all, names inert."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nncompress.report.html_report import render_html
from nncompress.report.record import Report

from .sample_report import comparison, hostile_report, large_report, sample_report, synthetic_run

VOID = {"meta"}
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "span", "p", "div"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"figure", "figcaption", "svg", "desc", "g", "text", "rect", "line", "circle"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


REPORTS = {
    "labelled": sample_report(),
    "synthetic": sample_report(synthetic_run()),
    "plain comparison": sample_report(ledger=()),
    "not validated": replace(sample_report(), comparison=comparison(None)),
    "hostile": hostile_report(),
    "large": large_report(200),
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_the_page_is_well_formed_and_holds_only_known_elements(report: Report) -> None:
    page = Page(render_html(report))
    assert page.open == []
    assert set(page.tags) <= TAGS
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())
def test_nothing_is_loaded_and_nothing_runs(report: Report) -> None:
    page = Page(render_html(report))
    names = {name for _, name, _ in page.attributes}
    assert not names & {"src", "href", "srcset", "xlink:href", "action", "style"}
    assert not any(name.startswith("on") for name in names)
    assert ("meta", "content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_the_verdict_the_tables_and_the_charts_are_there() -> None:
    text = render_html(sample_report())
    assert '<h1><span class="level warn">WARN</span>digits_cnn.onnx -&gt; out.onnx: 3.86x smaller' in text
    for caption in ("Checks", "Comparison", "Fidelity", "Task metrics", "Ledger", "Left alone", "Environment"):
        assert f"<caption>{caption}</caption>" in text
    for title in ("Size by operator", "Size by weight", "Size against SQNR", "Distribution of the latency"):
        assert re.search(rf"<title id=\"\w+-title\">{title}", text)
    assert "[w]: 38.0 kB, 12.5 dB" in text
    assert "The 4 largest of 4 weights." in text
    assert "Latency of the result: not distinguishable (ratio 0.980" in text


def test_it_can_be_read_without_eyes_and_used_without_a_mouse() -> None:
    text = render_html(sample_report())
    page = Page(text)
    assert page.tags.count("caption") == page.tags.count("table")
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        title, description = re.search(r'role="img" aria-labelledby="(\S+) (\S+)"', svg).groups()  # type: ignore[union-attr]
        assert f'<title id="{title}">' in svg
        assert f'<desc id="{description}">' in svg
    assert text.count('class="scroll" tabindex="0" role="region"') == page.tags.count("table")
    assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} == {"row", "col"}
    assert ("html", "lang", "en") in page.attributes


def test_it_has_a_dark_side_and_prints() -> None:
    text = render_html(sample_report())
    assert "@media (prefers-color-scheme: dark)" in text
    assert "@media print" in text


def test_charts_stay_inside_their_frames() -> None:
    for svg in re.findall(r"<svg.*?</svg>", render_html(large_report(60)), re.S):
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
        assert all(0 <= float(x) <= width for x in re.findall(r' (?:x|cx|x1|x2|width)="([\d.]+)"', svg))
        assert all(0 <= float(y) <= height for y in re.findall(r' (?:y|cy|y1|y2|height)="([\d.]+)"', svg))
        assert "nan" not in svg


def test_two_hundred_weights_fit_in_300_kb() -> None:
    assert len(render_html(large_report(200)).encode()) < 300_000


def test_hostile_names_are_inert() -> None:
    text = render_html(hostile_report())
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text
    assert "\\u202eevil" in text
    assert all(line.isprintable() for line in text.splitlines())
