"""Markdown: verdict first, short enough for a comment, names inert."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from nncompress.report.markdown import MOST_BYTES, render_markdown
from tests.sample_report import (
    comparison,
    hostile_report,
    labelled_run,
    large_report,
    output,
    sample_report,
    synthetic_run,
)


def test_the_verdict_comes_first_and_details_are_folded() -> None:
    text = render_markdown(sample_report())
    assert text.startswith("## ⚠️ WARN: digits\\_cnn.onnx -&gt; out.onnx: 3.86x smaller (1.21 MB -&gt; 314 kB)")
    assert "| file size | 1.21 MB | 314 kB | 3.86x smaller |" in text
    assert text.count("<details><summary>") == text.count("</details>") == 5
    assert text.index("| WARN | latency-ratio |") < text.index("<details>")
    assert "| \\[w\\] | Conv |" in text


def test_synthetic_inputs_and_missing_validation_are_said() -> None:
    assert "- Measured on SYNTHETIC inputs" in render_markdown(sample_report(synthetic_run()))
    assert "- NOT VALIDATED" in render_markdown(replace(sample_report(), comparison=comparison(None)))


def test_a_long_ledger_is_cut_with_a_line_that_says_so() -> None:
    text = render_markdown(large_report(2000))
    assert len(text.encode()) < MOST_BYTES
    assert re.search(r"\| \.\.\. 1[89]\d\d more weights \|", text)
    assert "| total |" in text


@pytest.mark.slow
@pytest.mark.parametrize("character", ["@", "<", "重", "|", "\x1b"])
def test_names_of_any_length_leave_it_short_enough(character: str) -> None:
    report = large_report(300, character * 900 + "{}")
    run = labelled_run(outputs=tuple(output(character * 900, problem=character * 900) for _ in range(300)))
    report = replace(report, comparison=comparison(run), notes=(character * 900,) * 300)
    assert len(render_markdown(report).encode()) < MOST_BYTES


def test_every_table_row_has_as_many_cells_as_its_header_though_names_hold_pipes() -> None:
    for table in re.findall(r"(?:^\|.*\n)+", render_markdown(hostile_report()), re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1


def test_hostile_names_are_inert() -> None:
    text = render_markdown(hostile_report())
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert not re.search(r"(?<!\\)`", text)
    assert "@all" not in text
    assert "@<!-- --> all" not in text
    assert "@<!-- -->all" in text
    assert "\\\\x1b\\[31m\\[red\\]\\\\u202eevil" in text
    assert all(line.replace("️", "").isprintable() for line in text.splitlines())
