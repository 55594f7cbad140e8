"""Where the bytes are, by operator and by weight."""

from __future__ import annotations

from nncompress.report.charts import sizes as charts
from nncompress.report.charts.axes import LONGEST_LABEL, PLOT_HEIGHT, PLOT_WIDTH
from nncompress.results.record import LedgerLine
from tests.sample_report import LEDGER, large_report, weight


def test_bars_are_in_proportion_to_the_largest() -> None:
    bars = charts.weight_bars(LEDGER)
    assert bars is not None
    assert [row.name for row in bars.rows] == ["conv2.weight", "[w]", "conv1.weight", "fc.bias"]
    assert bars.rows[0].boxes[0].width == 100
    assert bars.rows[1].boxes[0].width == round(100 / 6, 1)
    assert bars.rows[0].text == "900 kB → 226 kB, 3.98x smaller"
    assert charts.weight_bars(()) is None


def test_categories_sum_the_bytes_of_their_weights_and_leave_out_nothing_at_all() -> None:
    nothing = LedgerLine("(other constants)", "constants", (), (), "", 0, 0, "dense")
    bars = charts.category_bars((*LEDGER[:4], nothing, LEDGER[5]))
    assert bars is not None
    assert [(row.name, row.text.split(", ")[0]) for row in bars.rows] == [
        ("Conv", "1.15 MB → 290 kB"),
        ("(graph)", "50.0 kB → 13.5 kB"),
    ]


def test_long_names_keep_their_end() -> None:
    bars = charts.weight_bars((weight("encoder." * 20 + "query", 100, 50),))
    assert bars is not None
    (row,) = bars.rows
    assert len(row.label) == LONGEST_LABEL
    assert row.label.startswith("…")
    assert row.label.endswith("query")
    assert row.name == "encoder." * 20 + "query"


def test_many_weights_are_one_picture_largest_first() -> None:
    report = large_report(600)
    assert charts.weight_bars(report.ledger) is None
    strip = charts.weight_strip(report.ledger)
    assert strip is not None
    assert strip.count == strip.before.count("H") == 600
    assert strip.before.startswith(f"M0 {PLOT_HEIGHT:g}V0H")
    assert strip.before.endswith(f"H{PLOT_WIDTH:g}V{PLOT_HEIGHT:g}Z")
    assert strip.caption.startswith("All 600 weights, largest first. The largest: encoder.layer.0.")
    assert "Left alone" not in strip.caption
    alone = charts.weight_strip((*report.ledger, LEDGER[3]))
    assert alone is not None
    assert alone.caption.endswith("Left alone: 1 weight, 400 B.")
    assert charts.weight_strip(LEDGER) is None
