"""The report on one screen: what was done, the comparison, the weights that matter, what to do, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nncompress.errors import printable
from nncompress.report.layout import Line, Section, laid_out, told_apart
from nncompress.report.ledger_table import skipped_table
from nncompress.report.rules_table import rule_line
from nncompress.report.tables import Table, comparison_row, feeds_lines, loading_rows, make_table
from nncompress.results.record import Latency, Report, Run
from nncompress.results.summary import both, headline, latency_change
from nncompress.results.units import (
    format_cosine,
    format_counted,
    format_db,
    format_drop,
    format_ms,
)
from nncompress.results.worst import (
    all_identical,
    damage_db,
    format_equal,
    is_discrete,
    is_rewritten,
    sample_count,
    worst_cosine,
    worst_sample_cosine,
    worst_sample_sqnr_db,
    worst_sqnr_db,
)

MOST_LINES, _WIDTH = 24, 100
WORST_SHOWN = 3
_LONGEST_NAME = 32


@dataclass(frozen=True)
class _Room:
    """How many of each are shown. Failures all are."""

    warnings: int
    notes: int
    metrics: int
    groups: int  # of weights that were left alone
    advice: bool = True


_ROOMS = (
    _Room(9, 9, 9, 3),
    _Room(4, 4, 3, 2),
    _Room(3, 2, 2, 1),
    _Room(2, 1, 1, 1),
    _Room(1, 0, 1, 1),
    _Room(0, 0, 1, 1, advice=False),
)


def screen_lines(report: Report, width: int | None = None) -> list[Line]:
    """At most MOST_LINES, more where `width` is below 100; what is left out is counted, and how to see it is said."""
    most = MOST_LINES if width is None or width >= _WIDTH else MOST_LINES * _WIDTH // max(1, width)
    lines: list[Line] = []
    for room in _ROOMS:
        lines = laid_out(_sections(report, room, None if width is None else _LONGEST_NAME), width)
        if len(lines) <= most:
            break
    return lines


def verdict_line(report: Report) -> str:
    """The level and the headline."""
    return f"{report.verdict.level.upper()}  {headline(report)}"


def _sections(report: Report, room: _Room, longest: int | None) -> list[Section]:
    measured, *others = feeds_lines(report.comparison)
    notes = sorted([*others, *map(printable, report.notes)], key=_is_noise)  # of which the verdict speaks, too
    return [
        [*_done(report), measured],
        _comparison(report, room),
        _weights(report, room, longest),
        [*_missed(report, room), *_some(notes, room.notes, "note")],
        [verdict_line(report)],
    ]


def _is_noise(note: str) -> bool:
    return note.startswith("NOISE: ")


def _some(lines: Sequence[str], count: int, noun: str) -> list[str]:
    left = len(lines) - count
    return [*lines[:count], *([f"... {format_counted(left, f'more {noun}')}: -v shows all"] if left > 0 else [])]


# ------------------------------------------------------------------------------------------------ what was done
def _done(report: Report) -> list[str]:
    if not report.ledger:
        return []
    weights = [line for line in report.ledger if line.kind == "weight"]
    others = [line for line in report.ledger if line.kind == "constants" and line.dtype and is_rewritten(line)]
    passes = ", ".join(dict.fromkeys(name.partition(":")[0] for name in report.passes))
    done = f"{passes}: {sum(map(is_rewritten, weights))} of {format_counted(len(weights), 'weight')}"
    done += f" and {format_counted(len(others), 'other constant')}" if others else ""
    return [printable(f"{done} rewritten{_where(report)}")]


def _where(report: Report) -> str:
    return f" -> {report.comparison.candidate.path}" if report.written else ""


# ------------------------------------------------------------------------------------------------ comparison
def _comparison(report: Report, room: _Room) -> Table:
    before, after, run = report.comparison.reference, report.comparison.candidate, report.comparison.run
    rows = [comparison_row("size", before.file_bytes, after.file_bytes)]
    if run is not None:
        rows += [
            [m.name, *both(m), f"{format_drop(m.drop, is_share=m.is_share)} lost"] for m in run.metrics[: room.metrics]
        ]
        rows += _closeness(run)
        rows += [_latency(run.latency)] if run.latency else []
        rows += loading_rows(run, "load time", "peak memory")
    return make_table("", ["", "original", "result", "change"], rows, {1, 2})


def _latency(latency: Latency) -> list[str]:
    medians = [format_ms(timing.median_ms) for timing in (latency.reference, latency.candidate)]
    return [
        "latency",
        *medians,
        f"{latency_change(latency)} (ratio {latency.ratio_low:.3f} to {latency.ratio_high:.3f})",
    ]


def _closeness(run: Run) -> list[list[str]]:
    """Of the output that suffered most, over all samples and in the worst of them."""
    samples, cosine, sqnr = sample_count(run), worst_cosine(run), worst_sqnr_db(run)
    counted = f" of {samples:,}" if samples else ""
    if all_identical(run):
        on = format_counted(run.feeds.count, "feed") if samples is None else format_counted(samples, "sample")
        return [["outputs", "", "identical", f"in {on}"]]
    rows = []
    if cosine is not None:
        worst = worst_sample_cosine(run)
        rows.append(["cosine", "", format_cosine(cosine.value), ""])
        rows[-1][3] = f"worst sample{counted}: {format_cosine(worst.value)}" if worst else ""
    if sqnr is not None:
        worst = worst_sample_sqnr_db(run)
        rows.append(["SQNR", "", format_db(sqnr.value), f"worst sample: {format_db(worst.value)}" if worst else ""])
    discrete = [o for o in run.outputs if is_discrete(o) and not o.random and o.deployed]
    rows += [[o.name, "", "", format_equal(o.deployed)] for o in discrete[: 0 if rows else 1] if o.deployed]
    random = [output for output in run.outputs if output.random]
    rows += [[random[0].name, "", "", f"cannot be compared: {random[0].random}"]] if random else []
    return rows


# ------------------------------------------------------------------------------------------------ weights
def _weights(report: Report, room: _Room, longest: int | None) -> Table:
    """Those of the lowest SQNR, and the largest that were left alone, with the reason."""
    measured = [line for line in report.ledger if damage_db(line) is not None and line.kind == "weight"]
    worst = sorted(measured, key=lambda line: damage_db(line) or 0.0)[:WORST_SHOWN]
    called = [line.name for line in worst]
    called = called if longest is None else told_apart(called, longest)
    said = [f"{name} {format_db(damage_db(line))}" for name, line in zip(called, worst, strict=True)]
    rows = [["lowest SQNR", ", ".join(said)]] if worst else []
    groups = list({tuple(row[2:]): row for row in skipped_table(report).rows}.values())  # by one pass, if by several
    for by, reason, count, size, names in groups[: room.groups]:
        of = format_counted(int(count), "weight")
        rows.append(["left alone" if by else "not looked at", f"{of}, {size}: {names}: {reason}"])
    left = sum(int(group[2]) for group in groups[room.groups :])
    rows += [["", f"... {format_counted(left, 'more weight')}: -v lists them"]] if left else []
    return make_table("", ["", ""], rows, set())


# ------------------------------------------------------------------------------------------------ what to do
def _missed(report: Report, room: _Room) -> list[str]:
    """The rules that are not kept, failures first."""
    failed, warned = ([r for r in report.verdict.rules if r.level == level] for level in ("fail", "warn"))
    lines = [rule_line(rule, advice=room.advice) for rule in (*failed, *warned)]
    return _some(lines, len(failed) + room.warnings, "warning")
