"""The ledger adds up, whatever is summed up."""

from __future__ import annotations

from dataclasses import replace

from nncompress.report.ledger_table import full_ledger_table, short_ledger_table, skipped_table
from nncompress.results.record import Rewritten, Skipped
from tests.sample_report import LEDGER, sample_report, weight


def test_largest_weights_come_first_and_what_is_no_weight_last() -> None:
    assert [row[0] for row in full_ledger_table(sample_report()).rows] == [
        "conv2.weight",
        "[w]",
        "conv1.weight",
        "fc.bias",
        "(graph)",
        "(other constants)",
        "total",
    ]


def test_a_short_ledger_names_what_it_sums_up() -> None:
    rows = short_ledger_table(sample_report(), 1).rows
    assert [row[0] for row in rows] == [
        "conv2.weight",
        "... 2 more weights",
        "left alone: 1 weight",
        "(graph)",
        "(other constants)",
        "total",
    ]
    assert rows[1][3:6] == ("250 kB", "64.0 kB", "3.91x smaller")
    assert rows[-1] == full_ledger_table(sample_report()).rows[-1]


def test_reasons_are_grouped_by_bytes_with_names_cut_after_three() -> None:
    alone = [weight(f"b{i}", 100, 100, Skipped(f"b{i}", "prune", "too small")) for i in range(5)]
    excluded = weight("head", 9000, 9000, Skipped("head", "prune", "excluded by --exclude head"))
    unseen = weight("odd", 10, 10)
    rows = skipped_table(sample_report(ledger=(*alone, excluded, unseen, LEDGER[0]))).rows
    assert rows == (
        ("prune", "excluded by --exclude head", "1", "9.00 kB", "head"),
        ("prune", "too small", "5", "500 B", "b0, b1, b2 and 2 more"),
        ("", "no pass considered it", "1", "10 B", "odd"),
    )


def test_a_weight_that_one_pass_skipped_and_another_rewrote_tells_both() -> None:
    both = weight("w", 800, 400, Skipped("w", "prune", "too dense"), Rewritten("w", "quantize", "int8", 30.0))
    report = sample_report(ledger=(both,))
    assert full_ledger_table(report).rows[0][7:] == ("30.0 dB", "prune left it alone: too dense; quantize: int8")
    assert skipped_table(report).rows == ()


def test_the_error_is_that_of_all_passes_together_and_of_what_a_weight_computes_where_it_was_measured() -> None:
    steps = (Rewritten("w", "prune", "a", 12.0), Rewritten("w", "quantize", "b", 40.0))
    line = replace(LEDGER[0], outcomes=steps, sqnr_db=11.9)
    table = full_ledger_table(sample_report(ledger=(line,)))
    assert table.rows[0][7] == "11.9 dB"
    assert "SQNR of result" not in table.header
    table = full_ledger_table(sample_report(ledger=(replace(line, output_sqnr_db=25.0), LEDGER[1])))
    assert [row[table.header.index("SQNR of result")] for row in table.rows] == ["", "25.0 dB", ""]
