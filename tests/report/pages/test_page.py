"""Every page: one file, no network, no script but our own, readable by all, names inert, pictures in frames."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from nncompress.report.formats import rendered
from nncompress.results.bench import Benched, BenchReport, Energy
from nncompress.results.check import CheckedModel, CheckReport, Figures
from nncompress.results.front import NoResult, results_of
from nncompress.results.limits import Limits
from nncompress.results.units import format_bytes, format_db, format_smaller
from nncompress.results.verdict import RuleResult
from tests.report.pages.html import TAGS, Page, hash_of
from tests.sample_report import (
    ENVIRONMENT,
    HOSTILE,
    comparison,
    hostile_report,
    labelled_run,
    large_report,
    latency,
    sample_report,
    stepwise_report,
    synthetic_run,
)

FAILED = sample_report(labelled_run(), Limits(min_ratio=5, max_size=10))
RULES = (*FAILED.verdict.rules, RuleResult("max-macs", "warn", HOSTILE, "<= 3", HOSTILE, 6.0, 3.0))
CHECK = CheckReport(
    "nncompress.toml",
    (
        CheckedModel("m.onnx", None, Figures(1000, None, 100, 0, 0.9, metric=0.5, metric_name=HOSTILE), RULES),
        CheckedModel(HOSTILE, None, None, RULES),
        CheckedModel("good.onnx", None, Figures(1000, None, 100, 0), ()),
    ),
    ENVIRONMENT,
    (HOSTILE,),
)


def benched(path: str, **changes: Any) -> Benched:
    model = Benched(path, 1000, ("x float32 1",), 1.0, 10, latency().reference, 1.0, 0.9, 1.1, None, 120)
    return replace(model, **changes)


BENCH = BenchReport(
    (benched("a/m.onnx", energy=Energy(1.0, "estimated", HOSTILE)), benched(f"a/{HOSTILE}", peak_bytes=None)),
    "synthetic", 0, 1, 1.0, ENVIRONMENT, (HOSTILE,),
)  # fmt: skip
PAGES: dict[str, Any] = {
    "labelled": sample_report(),
    "stepwise": stepwise_report(),
    "synthetic": sample_report(synthetic_run()),
    "plain comparison": sample_report(ledger=()),
    "not validated": replace(sample_report(), comparison=comparison(None)),
    "failed": FAILED,
    "hostile": hostile_report(),
    "large": large_report(200),
    "results": results_of([sample_report(), FAILED, hostile_report()], [NoResult(HOSTILE, 3, HOSTILE)]),
    "no results": results_of([]),
    "check": CHECK,
    "no models": replace(CHECK, models=(), notes=()),
    "bench": BENCH,
    "bench of one": replace(BENCH, models=BENCH.models[:1]),
}


@pytest.fixture(params=PAGES.values(), ids=PAGES.keys())
def text(request: pytest.FixtureRequest) -> str:
    return rendered(request.param, "html")


def test_it_is_well_formed_and_holds_only_known_elements(text: str) -> None:
    page = Page(text)
    assert page.open == []
    assert set(page.tags) <= TAGS
    assert page.tags.count("h1") == 1


def test_nothing_is_loaded_and_nothing_runs_but_what_the_policy_names_by_its_hash(text: str) -> None:
    page = Page(text)
    names = {name for _, name, _ in page.attributes}
    assert not names & {"src", "href", "srcset", "xlink:href", "action", "style", "id"}
    assert not any(name.startswith("on") for name in names)
    script = f"; script-src {hash_of(page.texts['script'])}" if "script" in page.tags else ""
    policy = (
        f"default-src 'none'; style-src {hash_of(page.texts['style'])}{script}; base-uri 'none'; form-action 'none'"
    )
    assert ("meta", "content", policy) in page.attributes
    assert page.tags.count("style") == 1
    assert page.tags.count("script") == ('class="sortable' in text)


def test_it_can_be_read_without_eyes_and_used_without_a_mouse(text: str) -> None:
    page = Page(text)
    assert page.tags.count("details") == page.tags.count("summary") == page.tags.count("table")
    assert text.count('class="scroll" tabindex="0" role="region" aria-label="') == page.tags.count("table")
    for svg in re.findall(r"<svg[^>]*>", text):
        assert re.search(r'role="img" aria-label="[^"]+"|class="boxes" .*aria-hidden="true"', svg)
    assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} <= {"row", "col"}
    assert ("html", "lang", "en") in page.attributes


def test_pictures_stay_inside_their_frames(text: str) -> None:
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
        assert all(0 <= float(x) <= width for x in re.findall(r' (?:x|cx|x1|x2|width)="([\d.]+)"', svg))
        assert all(0 <= float(y) <= height for y in re.findall(r' (?:y|cy|y1|y2|height)="([\d.]+)"', svg))
        assert "nan" not in svg
        for path in re.findall(r' d="(.*?)"', svg):
            assert all(0 <= float(number) <= max(width, height) for number in re.findall(r"-?[\d.]+", path))


def test_hostile_names_are_inert(text: str) -> None:
    assert text.count("<script") == text.count("</script>") <= 1
    assert text.count("alert(") == text.count("&lt;script&gt;alert(")
    assert "alert" not in Page(text).texts.get("script", "")
    assert "\u202e" not in text
    assert all(line.isprintable() for line in text.splitlines())


def test_the_first_fold_comes_before_pictures_and_those_before_tables(text: str) -> None:
    places = [text.find(mark) for mark in ('class="tiles"', 'class="pictures"', "<details")]
    assert [place for place in places if place >= 0] == sorted(place for place in places if place >= 0)
    assert places[1] > 0


def test_it_has_a_dark_side_prints_and_fits_a_telephone(text: str) -> None:
    style = Page(text).texts["style"]
    assert "@media screen and (prefers-color-scheme: dark)" in style
    assert "@media print" in style
    assert "::details-content" in style
    assert "@media screen and (max-width: 36rem)" in style
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text


def test_cells_of_a_verdict_are_coloured() -> None:
    text = rendered(FAILED, "html")
    assert '<th scope="row" class="fail">FAIL</th>' in text
    assert '<td class="fail">FAIL</td>' in rendered(PAGES["results"], "html")


@pytest.mark.parametrize("kind", ["labelled", "check", "bench"])
def test_it_says_when_it_was_made(kind: str) -> None:
    assert "2026-01-31 09:30:00 UTC, nncompress 0.1.0, onnxruntime 1.31.1" in rendered(PAGES[kind], "html")


def test_the_script_only_sorts_and_knows_every_figure_of_the_ledger() -> None:
    script = Page(rendered(sample_report(), "html")).texts["script"]
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
