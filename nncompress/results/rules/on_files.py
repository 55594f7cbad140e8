"""Rules on the two files: did anything change, did it become smaller, and does it meet the size that was asked for."""

from __future__ import annotations

from collections.abc import Sequence

from nncompress.results.record import Comparison, LedgerLine
from nncompress.results.rules.rule import ruled
from nncompress.results.units import as_typed, format_bytes, format_smaller
from nncompress.results.verdict import Level, RuleResult
from nncompress.results.worst import is_rewritten

COMPRESS_MORE = (
    "compress the weights that were left alone, or add a pass: nncompress run -p prune-magnitude -p quantize-weights"
)


def changed_rule(comparison: Comparison, ledger: Sequence[LedgerLine]) -> RuleResult:
    """A compression that rewrote no weight: warn, and fail where the file is the same as before."""
    changed = [line.kind for line in ledger if is_rewritten(line)]
    weights, rewritten = sum(line.kind == "weight" for line in ledger), changed.count("weight")
    others = changed.count("constants")
    level: Level = "pass" if changed else "fail" if _same_file(comparison) else "warn"
    advice = "no pass changed a weight: see the reasons in the ledger, then widen --include or change the pass options"
    figure = f"{rewritten} of {weights} weights rewritten"
    if others:
        figure += f", and {others} other constant{'s' * (others > 1)}"
    elif changed == ["graph"]:
        figure += ", metadata dropped"
    return ruled("changed", level, figure, ">= 1", advice, len(changed), 1)


def shrunk_rule(comparison: Comparison) -> RuleResult:
    """A compression whose aim is size has to end smaller."""
    return _size_rule(comparison, "fail")


def grown_rule(comparison: Comparison) -> RuleResult:
    """Of two given files the second may be larger, as the result of a compression with another aim, but it is said."""
    return _size_rule(comparison, "warn")


def max_size_rule(comparison: Comparison, max_size: int | None) -> RuleResult | None:
    """The user's budget in bytes."""
    if max_size is None:
        return None
    size = comparison.candidate.file_bytes
    advice = f"{format_bytes(size - max_size)} too large: {COMPRESS_MORE}"
    level: Level = "pass" if size <= max_size else "fail"
    return ruled(
        "max-size", level, format_bytes(size), f"<= {as_typed(format_bytes(max_size))}", advice, size, max_size
    )


def min_ratio_rule(comparison: Comparison, min_ratio: float | None) -> RuleResult | None:
    """The user's least size ratio, original over result."""
    if min_ratio is None:
        return None
    ratio = comparison.size_ratio
    level: Level = "pass" if ratio >= min_ratio else "fail"
    return ruled("ratio", level, f"{ratio:.3f}x smaller", f">= {min_ratio:g}x", COMPRESS_MORE, ratio, min_ratio)


def _size_rule(comparison: Comparison, when_not_smaller: Level) -> RuleResult:
    before, after = comparison.reference.file_bytes, comparison.candidate.file_bytes
    figure = f"{format_bytes(before)} -> {format_bytes(after)} ({format_smaller(before, after)})"
    more = f": {COMPRESS_MORE}" if when_not_smaller == "fail" else ""
    advice = f"the file did not become smaller{more}"
    level: Level = "pass" if after < before else when_not_smaller
    return ruled("size", level, figure, f"< {format_bytes(before)}", advice, after, before)


def _same_file(comparison: Comparison) -> bool:
    before, after = comparison.reference, comparison.candidate
    hashes_before, hashes_after = ({data_hash for _, data_hash in f.data_sha256} for f in (before, after))
    return before.sha256 == after.sha256 and hashes_before == hashes_after
