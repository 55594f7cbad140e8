"""The sentence above the report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nncompress.results.record import Latency, Loaded
from nncompress.results.summary import headline, latency_change, memory_sentence, summarise
from nncompress.results.verdict import Verdict
from tests.sample_report import comparison, fidelity, labelled_run, latency, output, sample_report


@pytest.mark.parametrize(
    ("measured", "text"),
    [
        (latency(0.5, 0.48, 0.52), "2.00x faster"),
        (latency(1.5, 1.4, 1.6), "1.50x slower"),
        (latency(0.98, 0.95, 1.02), "not distinguishable"),
        (latency(3.0, 2.9, 3.1, interleaved=False), "3.00x the latency, measured one after the other"),
        (replace(latency(), noise=("NOISE: others run",)), "not distinguishable, NOISE"),
    ],
)
def test_latency_is_called_faster_only_where_that_is_certain(measured: Latency, text: str) -> None:
    assert latency_change(measured) == text


def test_identical_outputs_and_larger_files_are_said() -> None:
    run = labelled_run(outputs=(output(deployed=fidelity(None, None, identical=True)),), metrics=(), latency=None)
    report = sample_report(run, verdict=Verdict(()))
    report = replace(report, comparison=comparison(run, before=1000, after=1200))
    names = "digits_cnn.onnx -> out.onnx"
    assert headline(report) == f"{names}: 1.20x larger (1.00 kB -> 1.20 kB), outputs identical in 400 feeds"
    assert summarise(report).worst_sqnr_db is None
    assert summarise(report).worst_cosine == 1.0


def test_the_summary_of_what_was_not_validated_holds_sizes_only() -> None:
    summary = summarise(replace(sample_report(), comparison=comparison(None)))
    assert (summary.validated, summary.bytes_before, summary.bytes_after) == (False, 1_210_000, 313_500)
    assert [summary.worst_cosine, summary.metric_drop, summary.latency_ratio, summary.synthetic] == [None] * 4
    assert summary.metric_is_share is None


@pytest.mark.parametrize(
    ("before", "after", "is_said"),
    [
        (3300, 7100, True),
        (3300, 3400, False),
        (10, 25, False),
        (100, 130, True),
        (None, 7100, False),
        (1, None, False),
    ],
)
def test_much_more_memory_than_before_is_said(before: int | None, after: int | None, is_said: bool) -> None:
    """Sizes in MB."""
    loaded = tuple(Loaded(1.0, None if size is None else 10**6 * size) for size in (before, after))
    measured = comparison(replace(labelled_run(), loaded=loaded))
    sentence = memory_sentence(measured)
    assert (sentence is not None) == is_said
    as_it_is = replace(measured.candidate, weight_bytes_loaded=measured.candidate.file_bytes)
    assert memory_sentence(replace(measured, candidate=as_it_is)) is None, "nothing is decoded there"
    assert sentence is None or sentence.startswith("INFO: opening a session of the result takes ")
