"""The page of many results: which is smallest, closest and fastest, and the Pareto front of each original."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from nncompress.errors import printable
from nncompress.report.charts.axes import shortened
from nncompress.report.charts.boxes import FULL, Bars, Box, Key, lanes, pair, row
from nncompress.report.charts.front import fronts
from nncompress.report.pages.page import Folded, Head, Missed, made, render_page
from nncompress.report.pages.tiles import Tile
from nncompress.report.results_table import NOTE, missing_table, results_headline, results_table, short_names
from nncompress.results.front import Result, Results
from nncompress.results.units import format_bytes, format_cosine, format_drop, format_smaller
from nncompress.results.verdict import Level

MOST_BARS = 40


def render_results_html(results: Results) -> str:
    """A whole page."""
    results = _named(results)
    first = results.reports[0] if results.reports else None
    lines = [f"{printable(', '.join(results.unsatisfied))}: no result that passes."] if results.unsatisfied else []
    head = Head(
        results.level, results_headline(results), results_headline(results),
        made("report", first.environment) if first else "", _tiles(results), tuple(_missed(results)), tuple(lines),
    )  # fmt: skip
    tables = [Folded(results_table(results), opened=True)]
    tables += [Folded(missing_table(results), opened=True)] if results.missing else []
    return render_page(
        "results.html.j2", head, tables, fronts=fronts(results), bars=[_size_bars(results)] if results.results else [],
        note=NOTE,
    )  # fmt: skip


def _named(results: Results) -> Results:
    """With names without folders, where they tell the results apart."""
    names = short_names({result.name for result in results.results})
    originals = short_names({result.original for result in results.results})
    rows = [replace(one, name=names[one.name], original=originals[one.original]) for one in results.results]
    return replace(results, results=tuple(rows))


def _tiles(results: Results) -> tuple[Tile, ...]:
    good = [result for result in results.results if result.level != "fail"]
    measured = [result for result in good if result.loss != float("inf")]
    timed = [result for result in good if result.latency_ratio is not None]
    tiles = []
    if good:
        best = min(good, key=lambda result: result.size_bytes / max(1, result.original_bytes))
        tiles.append(_tile("Smallest", best, format_smaller(best.original_bytes, best.size_bytes)))
    if measured:
        best = min(measured, key=lambda result: (result.loss, result.size_bytes))
        tiles.append(_tile("Closest", best, _closeness(best)))
    if timed:
        best = min(timed, key=lambda result: (_latency(result), result.size_bytes))
        change = best.latency_text.partition(", ")[2] if best.latency_distinguishable else "no clear change"
        tiles.append(_tile("Fastest", best, change, (1.0, _latency(best))))
    return (*tiles, _verdict_tile(results))


def _latency(result: Result) -> float:
    """Times that of the original; 1 where no change was to be told."""
    return result.latency_ratio or 1.0 if result.latency_distinguishable else 1.0


def _tile(title: str, result: Result, figure: str, bars: tuple[float, float] | None = None) -> Tile:
    """`bars`: how long those of original and result are; None: as long as their bytes are many."""
    keys = (
        Key("", shortened(printable(result.name))),
        Key("before", f"{format_bytes(result.original_bytes)} original"),
        Key("after", f"{format_bytes(result.size_bytes)} result"),
    )
    before, after = bars or (result.original_bytes, result.size_bytes)
    return Tile(f"{title} that passes", printable(figure), pair(before, after, max(before, after)), keys, result.level)


def _closeness(result: Result) -> str:
    if result.metric_drop is not None:
        if result.metric_drop == 0:
            return "nothing lost"
        return f"{format_drop(result.metric_drop, is_share=bool(result.metric_is_share))} lost"
    return f"cosine {format_cosine(result.worst_cosine)}"


def _verdict_tile(results: Results) -> Tile:
    every: list[tuple[str, str]] = [(result.level, result.name) for result in results.results]
    every += [("track", f"{trial.name}: {trial.reason}") for trial in results.missing]
    each = FULL / max(1, len(every))
    boxes = tuple(
        Box(kind, round(i * each, 2), round(each - min(1.0, 0.08 * each), 2), name=printable(name))
        for i, (kind, name) in enumerate(every)
    )
    counts = {kind: sum(one == kind for one, _ in every) for kind in ("fail", "warn", "pass", "track")}
    said = {"fail": "failed", "warn": "with warnings", "pass": "passed", "track": "without result"}
    keys = tuple(Key(kind, f"{count} {said[kind]}") for kind, count in counts.items() if count)
    return Tile("Results", results.level.upper(), boxes, keys, results.level)


def _missed(results: Results) -> Sequence[Missed]:
    failed: Level = "fail"
    names = [result for result in results.results if result.missed]
    return [
        Missed(failed, shortened(printable(one.name)), printable("; ".join(one.missed)), "", "") for one in names[:20]
    ]


def _size_bars(results: Results) -> Bars:
    listed = sorted(results.results, key=lambda result: result.size_bytes)
    longest = max(max(result.original_bytes, result.size_bytes) for result in listed)
    rows = [
        row(
            result.name,
            lanes([("before", result.original_bytes), (result.level, result.size_bytes)], longest),
            f"{format_bytes(result.size_bytes)}, {format_smaller(result.original_bytes, result.size_bytes)}",
            result.level,
        )
        for result in listed[:MOST_BARS]
    ]
    kinds = {result.level for result in listed}
    keys = [Key("before", "original"), *(Key(kind, kind.upper()) for kind in ("pass", "warn", "fail") if kind in kinds)]
    more = f"The {MOST_BARS} smallest of {len(listed)}." if len(listed) > MOST_BARS else "Smallest first."
    return Bars("Bytes of each result", tuple(keys), tuple(rows), more)
