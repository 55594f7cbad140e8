"""The report on a terminal and in a pipe."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest

from nncompress.report.screen import MOST_LINES
from nncompress.report.terminal import print_lines
from nncompress.report.text import render_text, report_lines
from nncompress.results.limits import Limits
from nncompress.results.record import Report
from tests.sample_report import (
    LEDGER,
    comparison,
    hostile_report,
    labelled_run,
    large_report,
    sample_report,
    synthetic_run,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")


def printed(report: Report, stream: io.StringIO, **options: bool) -> str:
    print_lines(lambda width: report_lines(report, width, **options), stream)
    return stream.getvalue()


def on_terminal(report: Report) -> str:
    return printed(report, Terminal())


def lines_of(report: Report, **options: bool) -> list[str]:
    return [re.sub(r" {2,}", "  ", line.strip()) for line in render_text(report, **options).splitlines()]


@pytest.mark.parametrize("verbose", [False, True])
def test_the_last_line_is_the_verdict(verbose: bool) -> None:
    assert render_text(sample_report(), verbose=verbose).splitlines()[-1] == (
        "WARN  digits_cnn.onnx -> out.onnx: 3.86x smaller (1.21 MB -> 314 kB), cosine 0.99998 "
        "(worst of 400 samples 0.9871), top-1 97.5 % -> 97.5 %, latency not distinguishable"
    )


def test_every_section_is_there_with_its_figures() -> None:
    lines = lines_of(sample_report(), verbose=True)
    for line in (
        "PASS  fidelity  cosine 0.99998, SQNR 44.0 dB (output 'logits')  cosine >= 0.99, SQNR >= 20 dB",
        "file size  1.21 MB  314 kB  3.86x smaller",
        "file size, zstd-packed  1.09 MB  282 kB  3.86x smaller",
        "parameters  300,000  300,000  same",
        "latency, median ± IQR  1.23 ± 0.05 ms  1.21 ± 0.04 ms  "
        "not distinguishable (ratio 0.980, 99 % interval 0.950 to 1.020)",
        "hidden  exact  0.999999  61.0 dB  0.0063  0.0421  99.5 %",
        "logits  400  0.9871 (samples 64 to 95, row 7)  16.5 dB (samples 64 to 95, row 7)  -",
        "top-1  97.5 %  97.5 %  0.00 points  400",
        "[w]  float32 37500  150 kB  38.0 kB  3.95x smaller  folded  12.5 dB  prune: 50 % zero",
        "total  1.21 MB  314 kB  3.86x smaller",
        "quantize  too small: 100 elements, --min-elements is 1024  1  400 B  fc.bias",
        "Measured on 400 feeds from data/digits.npz, labelled.",
        "batch norm folded into 2 convolutions",
        "seed  0",
        f"result SHA-256  {'cd' * 32} build/out.onnx",
        "CPU  Some CPU @ 2.0GHz, 2 cores, avx2 avx512_vnni",
    ):
        assert line in [re.sub(r"(?<=[0-9a-f]{64}) +", " ", shown) for shown in lines]


def test_a_warning_says_what_to_do() -> None:
    assert any(
        line.startswith("WARN  latency-ratio: ") and "measure again" in line for line in lines_of(sample_report())
    )


def test_synthetic_inputs_are_said_plainly() -> None:
    lines = lines_of(sample_report(synthetic_run()))
    assert "cosine 0.99998 (worst of 400 samples 0.9871) on synthetic inputs, latency" in lines[-1]
    assert "Measured on SYNTHETIC inputs (4 feeds, seed 0): random data is no proof; give --data." in lines


def test_what_was_not_validated_is_said_plainly() -> None:
    text = render_text(replace(sample_report(), comparison=comparison(None)))
    assert text.splitlines()[-1].endswith("(1.21 MB -> 314 kB), not validated")
    assert "NOT VALIDATED: neither model was run (--no-validate)." in text
    assert "cosine" not in text


@pytest.mark.parametrize("weights", [6, 53, 600])
@pytest.mark.parametrize("limits", [Limits(), Limits(min_ratio=10, min_cosine=1, max_drop=0.0)], ids=["kept", "missed"])
def test_one_screen_is_enough_for_any_number_of_weights(weights: int, limits: Limits) -> None:
    report = replace(large_report(weights), notes=tuple(f"note {n}: " + "more words " * 20 for n in range(30)))
    judged = replace(report, verdict=sample_report(labelled_run(), limits).verdict)
    shown = [line.text for line in report_lines(judged, 100)]
    assert len(shown) <= MOST_LINES == 24
    assert all(len(line) <= 100 for line in shown)
    assert any("note" in line and "-v shows all" in line for line in shown)
    failed = [rule.rule for rule in judged.verdict.rules if rule.level == "fail"]
    assert all(any(line.startswith(f"FAIL  {rule}: ") for line in shown) for rule in failed)
    assert shown[-1 - (not shown[-1].startswith(judged.verdict.level.upper()))].startswith(judged.verdict.level.upper())


def test_verbose_lists_every_weight() -> None:
    report = large_report(53)
    assert sum("query.weight" in line for line in lines_of(report, verbose=True)) == 53


def test_the_weights_that_lost_most_and_those_left_alone_are_named() -> None:
    lines = lines_of(sample_report())
    assert any(line.startswith("lowest SQNR  [w] 12.5 dB, ") for line in lines)
    assert "left alone  1 weight, 400 B: fc.bias: too small: 100 elements, --min-elements is 1024" in lines


def test_piped_lines_are_plain_whole_and_aligned() -> None:
    name = "encoder." * 40 + "weight"
    report = sample_report(ledger=(replace(LEDGER[0], name=name), *LEDGER[1:]))
    shown = printed(report, io.StringIO(), verbose=True)
    assert shown == render_text(report, verbose=True)
    assert "\x1b" not in shown
    rows = [line for line in shown.splitlines() if "int8, per channel" in line]
    assert any(name in row for row in rows)
    assert len({row.index("quantize: int8") for row in rows}) == 1


def test_wide_characters_keep_the_columns_aligned() -> None:
    report = sample_report(ledger=(replace(LEDGER[0], name="重み"), LEDGER[1]))
    rows = [line for line in render_text(report, verbose=True).splitlines() if "int8, per channel" in line]
    wide = next(row for row in rows if "重み" in row)
    narrow = next(row for row in rows if "重み" not in row)
    assert wide.index("Conv") == narrow.index("Conv") - 2  # two characters that take two cells each


def test_a_terminal_gets_colour_and_no_color_takes_it_away(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1;33mWARN\x1b[0m" in on_terminal(sample_report())
    monkeypatch.setenv("NO_COLOR", "1")
    shown = on_terminal(sample_report())
    assert "[w]" in shown
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", shown)  # rich keeps bold and dim, which are no colours


def test_a_failure_is_named_in_the_last_line() -> None:
    report = sample_report(labelled_run(), Limits(min_ratio=10, min_cosine=1))
    last = render_text(report).splitlines()[-1]
    assert last.startswith("FAIL  ")
    assert last.endswith("failed: ratio, cosine")


def test_files_of_the_same_name_are_told_apart_by_their_folders() -> None:
    report = sample_report()
    facts = report.comparison
    same = replace(facts, candidate=replace(facts.candidate, path="build/digits_cnn.onnx"))
    last = render_text(replace(report, comparison=same)).splitlines()[-1]
    assert last.startswith("WARN  models/digits_cnn.onnx -> build/digits_cnn.onnx: ")


def test_hostile_names_cannot_act_on_the_terminal() -> None:
    plain = render_text(hostile_report(), verbose=True)
    assert all(line.isprintable() for line in plain.split("\n"))
    assert "\\x1b[31m[red]\\u202eevil" in plain
    shown = on_terminal(hostile_report())
    assert "\x1b[31m[" not in shown
    assert "\u202e" not in shown
    assert "[red]" in re.sub(r"\s", "", shown)
