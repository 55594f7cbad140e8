"""One table says what each result can be written as; commands have the options of their results."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nncompress.cli.options import BenchFiles, CheckFiles, InspectFiles, ReportOptions, ResultsFiles, SensitivityFiles
from nncompress.report.formats import ALL_FORMATS, formats_of, rendered
from nncompress.results.bench import Benched, BenchReport
from nncompress.results.check import CheckedModel, CheckReport
from nncompress.results.front import results_of
from nncompress.results.record import FeedFacts, Loaded
from nncompress.results.sensitivity import Effect, SensitiveWeight, SensitivityReport, Spared
from tests.report.test_inspect_text import inspection
from tests.sample_report import sample_report

REPORT = sample_report()
LATENCY = REPORT.comparison.run.latency if REPORT.comparison.run else None
assert LATENCY is not None
BENCHED = Benched("m.onnx", 1, ("x float32 1",), 1.0, None, LATENCY.reference, 1.0, 1.0, 1.0, None)
LOST, EQUAL = Effect(31.5, 0.999, False, 0.0125), Effect(None, 1.0, True, 0.0)
RESULTS: dict[str, Any] = {
    "Report": REPORT,
    "Results": results_of([REPORT, REPORT]),
    "CheckReport": CheckReport(
        "nncompress.toml", (CheckedModel("m.onnx", None, None, REPORT.verdict.rules),), REPORT.environment
    ),
    "BenchReport": BenchReport((BENCHED,), "synthetic", 0, 1, 1.0, REPORT.environment),
    "Inspection": inspection(),
    "SensitivityReport": SensitivityReport(
        "m.onnx",
        ("quantize-weights",),
        (SensitiveWeight("w", ("Conv",), 400, 100, LOST, EQUAL),),
        LOST,
        "top-1",
        True,
        FeedFacts("d.npz", 3, None, True),
        REPORT.environment,
        Spared("SQNR >= 20 dB", (), LOST, "r.toml"),
    ),
}
OPTIONS = {
    "Report": ReportOptions, "Results": ResultsFiles, "CheckReport": CheckFiles, "BenchReport": BenchFiles,
    "Inspection": InspectFiles, "SensitivityReport": SensitivityFiles,
}  # fmt: skip
STARTS = {"json": "{", "markdown": "## ", "html": "<!DOCTYPE html>", "junit": "<?xml", "sarif": "{", "csv": "name,"}
ENTRIES = [(one.name, kind) for one in ALL_FORMATS for kind in one.renderers]


@pytest.mark.parametrize(("name", "kind"), ENTRIES)
def test_every_entry_renders(name: str, kind: str) -> None:
    text = rendered(RESULTS[kind], name)
    assert text.startswith(STARTS[name])
    assert text.endswith("\n")


@pytest.mark.parametrize("kind", RESULTS)
def test_the_formats_of_a_result_are_the_options_of_its_command(kind: str) -> None:
    names = [field.name for field in dataclasses.fields(OPTIONS[kind])]
    formats = [one.name for one in formats_of(kind)]
    assert names[: len(formats)] == formats
    assert not {one.name for one in ALL_FORMATS} & set(names[len(formats) :])


def test_formats_say_what_they_are() -> None:
    assert len({one.name for one in ALL_FORMATS}) == len(ALL_FORMATS)
    assert all(one.text.endswith("- for stdout.") for one in ALL_FORMATS)


@pytest.mark.parametrize("name", ["json", "markdown", "html"])
def test_what_makes_a_latency_doubtful_and_what_a_session_costs_are_in_every_report(name: str) -> None:
    run = REPORT.comparison.run
    assert run is not None
    noisy = dataclasses.replace(LATENCY, noise=("NOISE: others run here",))
    loaded = (Loaded(12.5, 3_300_000_000), Loaded(25.0, 7_100_000_000))
    run = dataclasses.replace(run, latency=noisy, loaded=loaded)
    text = rendered(sample_report(run), name)
    assert "NOISE: others run here" in text
    for figure in (
        ("7100000000",) if name == "json" else ("25.0 ms", "7.10 GB", "INFO: opening a session of the result")
    ):
        assert figure in text
