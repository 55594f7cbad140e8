"""Many results in one table, and which of them are on the Pareto front of size, accuracy and latency.

A result is on the front where no other of the same original is at least as small, as close and as fast, and better
in one of the three. Closeness is the drop of the task metric where every result has one of the same name, else the
cosine of the worst output. Latency that cannot be told from the original's counts as the same. What was not measured
counts as worst, and a result whose verdict is FAIL is on no front.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from nncompress.errors import printable
from nncompress.report.tables import Table, make_table
from nncompress.results.front import Result, Results
from nncompress.results.units import format_bytes, format_cosine, format_drop, format_smaller

NOTE = "* on the Pareto front: no other result of the same original is as small, as close and as fast"
_HEADER = [
    "result",
    "front",
    "original",
    "size",
    "change",
    "cosine",
    "lost",
    "latency",
    "verdict",
    "limit missed",
    "passes",
]
_MISSED = _HEADER.index("limit missed")  # only where one was


def results_table(results: Results) -> Table:
    """One row a result."""
    names = short_names({result.name for result in results.results})
    originals = short_names({result.original for result in results.results})
    rows = [
        [
            names[result.name],
            "*" if result.on_front else "",
            originals[result.original],
            format_bytes(result.size_bytes),
            format_smaller(result.original_bytes, result.size_bytes),
            format_cosine(result.worst_cosine),
            _lost(result),
            result.latency_text,
            result.level.upper(),
            "; ".join(result.missed),
            " + ".join(result.passes),
        ]
        for result in results.results
    ]
    kept = [column for column in range(len(_HEADER)) if column != _MISSED or any(row[column] for row in rows)]
    shown = [[row[column] for column in kept] for row in (_HEADER, *rows)]
    return make_table("Results", shown[0], shown[1:], {3, 5, 6})


def _lost(result: Result) -> str:
    if result.metric_drop is None:
        return "-"
    return f"{result.metric} {format_drop(result.metric_drop, is_share=bool(result.metric_is_share))}"


def missing_table(results: Results) -> Table:
    """One row a trial that made no report."""
    rows = [
        [trial.name, "-" if trial.exit_code is None else str(trial.exit_code), trial.reason]
        for trial in results.missing
    ]
    return make_table("Without result", ["trial", "exit code", "why"], rows, {1})


def results_headline(results: Results) -> str:
    """Such as "4 results, 2 on the Pareto front, 1 failed, 1 without result"."""
    front = sum(result.on_front for result in results.results)
    failed = sum(result.level == "fail" for result in results.results)
    parts = [f"{len(results.results)} result{'s' * (len(results.results) != 1)}", f"{front} on the Pareto front"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{len(results.missing)} without result"] if results.missing else []
    parts += [f"no result that passes for {printable(', '.join(results.unsatisfied))}"] if results.unsatisfied else []
    return ", ".join(parts)


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """File names, or whole paths where the names alone would not tell them apart."""
    whole = list(paths)
    names = [PurePath(path).name for path in whole]
    return dict(zip(whole, names if len(set(names)) == len(whole) else whole, strict=True))
