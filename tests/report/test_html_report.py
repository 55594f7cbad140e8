"""HTML: one file, no network, no script but our own, readable by all, names inert."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from nncompress.report.html_report import render_html
from nncompress.results.record import Report, Rewritten
from nncompress.results.units import format_bytes, format_db, format_smaller
from tests.sample_report import (
    comparison,
    hostile_report,
    large_report,
    sample_report,
    stepwise_report,
    synthetic_run,
    weight,
)

VOID = {"meta"}
TAGS = {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "span", "p", "div"}
TAGS |= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
TAGS |= {"figure", "figcaption", "svg", "desc", "g", "text", "rect", "line", "circle", "path", "script"}


class Page(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.open: list[str] = []
        self.texts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


REPORTS = {
    "labelled": sample_report(),
    "stepwise": stepwise_report(),
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
def test_nothing_is_loaded_and_nothing_runs_but_what_the_policy_names_by_its_hash(report: Report) -> None:
    page = Page(render_html(report))
    names = {name for _, name, _ in page.attributes}
    assert not names & {"src", "href", "srcset", "xlink:href", "action", "style"}
    assert not any(name.startswith("on") for name in names)
    script = f"; script-src {hash_of(page.texts['script'])}" if report.ledger else ""
    policy = (
        f"default-src 'none'; style-src {hash_of(page.texts['style'])}{script}; base-uri 'none'; form-action 'none'"
    )
    assert ("meta", "content", policy) in page.attributes
    assert page.tags.count("style") == 1
    assert page.tags.count("script") == bool(report.ledger)


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_script_only_sorts_and_knows_every_figure_of_the_ledger() -> None:
    script = Page(render_html(sample_report())).texts["script"]
    for word in ("fetch", "XMLHttpRequest", "import", "eval", "Function", "innerHTML", "location", "Storage", "</"):
        assert word not in script
    figures = [format_bytes(10**power) for power in (0, 3, 6, 9, 12)] + [format_db(1.0), format_smaller(2, 1)]
    units = re.search(r"UNITS = \{(.*?)\};", script)[1]  # type: ignore[index]
    for figure in figures:
        unit = figure.partition(" ")[2] if figure.endswith(("B", "dB")) else figure.lstrip("0123456789.")
        assert re.search(rf'(?:"{unit}"|\b{unit}): ', units), figure
    words = re.search(r"WORDS = \{(.*?)\};", script)[1]  # type: ignore[index]
    for word in (format_smaller(1, 1), format_smaller(1, 0), format_smaller(0, 1), format_db(float("inf"))):
        assert f"{word}: " in words
    assert format_smaller(1, 2) == "2.00x larger"
    assert '"x larger"' in script


def test_only_the_weights_of_the_ledger_can_be_sorted_and_its_sums_stay_below() -> None:
    text = render_html(sample_report())
    (table,) = re.findall(r'<table class="sortable">.*?</table>', text, re.S)
    weights, sums = re.findall(r"<tbody>.*?</tbody>", table, re.S)
    assert re.findall(r'<th scope="row">(.*?)</th>', weights) == ["conv2.weight", "[w]", "conv1.weight", "fc.bias"]
    assert re.findall(r'<th scope="row">(.*?)</th>', sums) == ["(graph)", "(other constants)", "total"]
    assert "<button" not in text  # the script makes them: without it nothing is there that does nothing


def test_a_ledger_of_weights_alone_has_one_body_besides_its_total() -> None:
    line = weight("w", 100, 50, Rewritten("w", "quantize", "int8", 9.0))
    text = render_html(sample_report(ledger=(line,)))
    (table,) = re.findall(r'<table class="sortable">.*?</table>', text, re.S)
    assert [body.count("<tr>") for body in re.findall(r"<tbody>.*?</tbody>", table, re.S)] == [1, 1]


def test_the_verdict_the_tables_and_the_charts_are_there() -> None:
    text = render_html(sample_report())
    assert '<h1><span class="level warn">WARN</span>digits_cnn.onnx -&gt; out.onnx: 3.86x smaller' in text
    for caption in (
        "Checks",
        "Comparison",
        "Fidelity",
        "Worst sample",
        "Task metrics",
        "Ledger",
        "Left alone",
        "Environment",
    ):
        assert f"<caption>{caption}</caption>" in text
    for title in ("Size by operator", "Size by weight", "Size against SQNR", "Distribution of the latency"):
        assert re.search(rf"<title id=\"\w+-title\">{title}", text)
    assert "[w]: 38.0 kB, 12.5 dB" in text
    assert "The 4 largest of 4 weights." in text
    assert "Latency of the result: not distinguishable (ratio 0.980" in text


def test_several_passes_have_a_waterfall_and_weights_their_values() -> None:
    text = render_html(stepwise_report())
    assert '<title id="waterfall-title">Size of the file, step by step</title>' in text
    steps = "normalise: −10.0 kB to 1.20 MB; prune-magnitude: −250 kB to 950 kB; quantize-weights: −600 kB to 350 kB"
    assert f"original file: 1.21 MB; {steps}; nodes and names: −36.5 kB to 314 kB; result file: 314 kB." in text
    assert '<title id="values1-title">Values of [w] in the original and in the result</title>' in text
    assert "[w]: SQNR 12.5 dB, a sample of 5,760 of 37,500 values." in text
    plain = render_html(sample_report())
    assert "waterfall-title" not in plain
    assert "The weights that lost most" not in plain


def test_it_can_be_read_without_eyes_and_used_without_a_mouse() -> None:
    text = render_html(stepwise_report())
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
    assert "@media screen and (prefers-color-scheme: dark)" in text
    assert "@media print" in text


def test_charts_stay_inside_their_frames() -> None:
    for svg in re.findall(r"<svg.*?</svg>", render_html(large_report(60)), re.S):
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
        assert all(0 <= float(x) <= width for x in re.findall(r' (?:x|cx|x1|x2|width)="([\d.]+)"', svg))
        assert all(0 <= float(y) <= height for y in re.findall(r' (?:y|cy|y1|y2|height)="([\d.]+)"', svg))
        assert "nan" not in svg
        for path in re.findall(r' d="(.*?)"', svg):
            assert all(0 <= float(number) <= 440 for number in re.findall(r"-?[\d.]+", path))


def test_two_hundred_weights_fit_in_300_kb() -> None:
    assert len(render_html(large_report(200)).encode()) < 300_000


def test_hostile_names_are_inert() -> None:
    text = render_html(hostile_report())
    assert text.count("<script") == 1
    assert text.count("alert(") == text.count("&lt;script&gt;alert(") > 10
    assert "alert" not in Page(text).texts["script"]
    assert "\u202e" not in text
    assert "\\u202eevil" in text
    assert all(line.isprintable() for line in text.splitlines())
