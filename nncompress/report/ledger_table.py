"""The ledger as tables: largest weights first, those left alone grouped by reason, lines that add up to the file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from nncompress.report.tables import Table, make_table
from nncompress.results.record import LedgerLine, Report, Rewritten, Skipped
from nncompress.results.units import format_bytes, format_db, format_smaller
from nncompress.results.worst import is_rewritten

HEADER = [
    "weight",
    "read by",
    "shape",
    "before",
    "after",
    "change",
    "stored as",
    "SQNR",
    "SQNR of result",
    "what was done",
]
NUMERIC = {3, 4, 7, 8}
_RESULT = HEADER.index("SQNR of result")  # only where calibration data told it
NOT_CONSIDERED = "no pass considered it"
NAMES_SHOWN = 3


def largest_first(ledger: Sequence[LedgerLine]) -> list[LedgerLine]:
    """Weights by size, largest first and then by name; the lines that are no weight come last."""
    return sorted(ledger, key=lambda line: (line.kind != "weight", -line.bytes_before, -line.bytes_after, line.name))


def full_ledger_table(report: Report) -> Table:
    """Every line, and their sum."""
    rows = [_row(line) for line in largest_first(report.ledger)]
    return _table([*rows, _sum_row("total", report.ledger)])


def short_ledger_table(report: Report, count: int) -> Table:
    """The `count` largest rewritten weights, the rest of them and those left alone summed up, and the total."""
    ordered = largest_first(report.ledger)
    rewritten = [line for line in ordered if _has_shape(line) and is_rewritten(line)]
    alone = [line for line in ordered if line.kind == "weight" and not is_rewritten(line)]
    rest = rewritten[count:]
    rows = [_row(line) for line in rewritten[:count]]
    rows += [_sum_row(f"... {_weights(len(rest), 'more ')}", rest)] if rest else []
    rows += [_sum_row(f"left alone: {_weights(len(alone))}", alone)] if alone else []
    rows += [_row(line) for line in ordered if not _has_shape(line)]
    return _table([*rows, _sum_row("total", report.ledger)])


def _table(rows: list[list[str]]) -> Table:
    """Without the column that nobody measured."""
    if any(row[_RESULT] for row in rows):
        return make_table("Ledger", HEADER, rows, NUMERIC)
    kept = [[cell for index, cell in enumerate(row) if index != _RESULT] for row in (HEADER, *rows)]
    return make_table("Ledger", kept[0], kept[1:], NUMERIC - {_RESULT})


def skipped_table(report: Report) -> Table:
    """Weights that no pass changed, grouped by pass and reason, most bytes first."""
    groups: dict[tuple[str, str], list[LedgerLine]] = defaultdict(list)
    for line in largest_first(report.ledger):
        if line.kind == "weight" and not is_rewritten(line):
            for key in _reasons(line):
                groups[key].append(line)
    by_bytes = sorted(groups.items(), key=lambda group: (-_bytes(group[1]), group[0]))
    rows = [[by, reason, str(len(g)), format_bytes(_bytes(g)), _names(g)] for (by, reason), g in by_bytes]
    return make_table("Left alone", ["pass", "reason", "weights", "size", "names"], rows, {2, 3})


def describe_outcomes(line: LedgerLine) -> str:
    """What each pass did to this weight, or why it did nothing."""
    if not line.outcomes:
        return NOT_CONSIDERED if line.kind == "weight" else ""
    largest = [f"{o.subject} ({o.reason})" for o in line.outcomes if isinstance(o, Skipped)]
    if line.kind == "constants" and not _has_shape(line):
        done = [f"{o.by}: {o.detail}" for o in line.outcomes if isinstance(o, Rewritten)]
        return "; ".join([*done, *(["largest: " + "; ".join(largest)] if largest else [])])
    return "; ".join(
        f"{o.by}: {o.detail}" if isinstance(o, Rewritten) else f"{o.by} left it alone: {o.reason}"
        for o in line.outcomes
    )


def shape_text(shape: tuple[int, ...]) -> str:
    """Such as "64×3×3×3"; a scalar is "scalar"."""
    return "×".join(map(str, shape)) or "scalar"


def _row(line: LedgerLine) -> list[str]:
    return [
        line.name,
        ", ".join(line.ops),
        f"{line.dtype} {shape_text(line.shape)}" if _has_shape(line) else "",
        format_bytes(line.bytes_before),
        format_bytes(line.bytes_after),
        format_smaller(line.bytes_before, line.bytes_after),
        line.form if _has_shape(line) else "",
        _decibels(line.sqnr_db),
        _decibels(line.output_sqnr_db),
        describe_outcomes(line),
    ]


def _has_shape(line: LedgerLine) -> bool:
    """True for a weight or another constant; not for what sums up the rest."""
    return bool(line.dtype)


def _decibels(figure: float | None) -> str:
    return "" if figure is None else format_db(figure)


def _sum_row(label: str, lines: Sequence[LedgerLine]) -> list[str]:
    before, after = sum(line.bytes_before for line in lines), sum(line.bytes_after for line in lines)
    change = format_smaller(before, after)
    return [label, "", "", format_bytes(before), format_bytes(after), change, "", "", "", ""]


def _reasons(line: LedgerLine) -> list[tuple[str, str]]:
    reasons = [(o.by, o.reason) for o in line.outcomes if isinstance(o, Skipped)]
    return list(dict.fromkeys(reasons)) or [("", NOT_CONSIDERED)]


def _bytes(lines: Sequence[LedgerLine]) -> int:
    return sum(line.bytes_before for line in lines)


def _names(lines: Sequence[LedgerLine]) -> str:
    more = f" and {len(lines) - NAMES_SHOWN} more" if len(lines) > NAMES_SHOWN else ""
    return ", ".join(line.name for line in lines[:NAMES_SHOWN]) + more


def _weights(count: int, more: str = "") -> str:
    return f"{count} {more}weight{'s' * (count != 1)}"
