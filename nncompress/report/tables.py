"""The tables of a report as plain strings, which every renderer for people lays out in its own way.

Cells are safe to print: whatever a terminal could act on is escaped. Markup is the business of the renderer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from nncompress.errors import printable
from nncompress.results.record import (
    AtSample,
    Comparison,
    Environment,
    Fidelity,
    FileFacts,
    Latency,
    OutputComparison,
    Report,
    Run,
)
from nncompress.results.summary import both, latency_change, memory_sentence
from nncompress.results.units import (
    NOT_MEASURED,
    format_bytes,
    format_cosine,
    format_count,
    format_counted,
    format_db,
    format_drop,
    format_error,
    format_median,
    format_ms,
    format_points,
    format_share,
    format_smaller,
    format_time,
)
from nncompress.results.worst import format_equal, is_discrete


@dataclass(frozen=True)
class Table:
    """Rows of strings, each as long as `header`; an empty header is not shown."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: frozenset[int] = frozenset()  # columns to align right
    sentences: tuple[str, ...] = ()  # the rows where there is no room for columns

    def head(self, count: int) -> Table:
        """The first `count` rows, and a last one that says how many are missing."""
        if len(self.rows) <= count:
            return self
        missing = (f"... {len(self.rows) - count} more", *[""] * (len(self.header) - 1))
        return replace(self, rows=(*self.rows[:count], missing))


def make_table(title: str, header: list[str], rows: list[list[str]], numeric: set[int]) -> Table:
    """A table with every cell escaped."""
    safe = tuple(tuple(printable(cell) for cell in row) for row in rows)
    return Table(title, tuple(header), safe, frozenset(numeric))


# ------------------------------------------------------------------------------------------------ comparison
def comparison_table(report: Report) -> Table:
    """Both files side by side."""
    before, after = report.comparison.reference, report.comparison.candidate
    rows = [
        comparison_row("file size", before.file_bytes, after.file_bytes),
        comparison_row("file size, zstd-packed", before.packed_bytes, after.packed_bytes),
        comparison_row("weights once loaded", before.weight_bytes_loaded, after.weight_bytes_loaded),
        _count_row("parameters", before.parameters, after.parameters),
        _count_row("non-zeros", before.nonzeros, after.nonzeros),
        _count_row("multiply-accumulates", before.macs, after.macs),
        *_work_rows(report),
        _latency_row(report.comparison.run),
        *loading_rows(report.comparison.run),
        ["opset / IR version", *(f"{facts.opset} / {facts.ir_version}" for facts in (before, after)), ""],
    ]
    return make_table("Comparison", ["", "original", "result", "change"], rows, {1, 2})


def _work_rows(report: Report) -> list[list[str]]:
    """Multiply-accumulates for the sizes that were run, where they are known and others than those of one sample."""
    work, facts = report.comparison.run and report.comparison.run.work, report.comparison
    if not work or (work.reference, work.candidate) in ((None, None), (facts.reference.macs, facts.candidate.macs)):
        return []
    return [_count_row("multiply-accumulates as run", work.reference, work.candidate)]


def comparison_row(label: str, before: int | None, after: int | None) -> list[str]:
    """Bytes of both, and how many times smaller."""
    return [label, format_bytes(before), format_bytes(after), _change(before, after)]


def _count_row(label: str, before: int | None, after: int | None) -> list[str]:
    return [label, format_count(before), format_count(after), _change(before, after)]


def _change(before: int | None, after: int | None) -> str:
    return "" if before is None or after is None else format_smaller(before, after)


def _latency_row(run: Run | None) -> list[str]:
    if run is None or run.latency is None:
        return ["latency, median ± IQR", NOT_MEASURED, NOT_MEASURED, ""]
    latency = run.latency
    medians = [format_median(timing.median_ms, timing.iqr_ms) for timing in (latency.reference, latency.candidate)]
    return ["latency, median ± IQR", *medians, f"{latency_change(latency)} ({latency_interval(latency)})"]


def loading_rows(
    run: Run | None, time: str = "load time of a session", memory: str = "peak memory of a session"
) -> list[list[str]]:
    """What a session of each costs; of a single measurement no change is claimed: the first one of a process pays for
    what onnxruntime keeps."""
    if run is None or run.loaded is None:
        return []
    before, after = run.loaded
    return [
        [time, format_ms(before.load_ms), format_ms(after.load_ms), ""],
        [memory, format_bytes(before.peak_bytes), format_bytes(after.peak_bytes), ""],
    ]


def latency_interval(latency: Latency) -> str:
    """The ratio candidate / reference with its 99 % interval."""
    return f"ratio {latency.ratio:.3f}, 99 % interval {latency.ratio_low:.3f} to {latency.ratio_high:.3f}"


# ------------------------------------------------------------------------------------------------ outputs
def fidelity_table(run: Run) -> Table:
    """Per output, as deployed, exact where that differs, and of the original run again where it is random."""
    rows = []
    for output in run.outputs:
        rows.append(_fidelity_row(output, "as deployed" if output.exact else "", output.deployed))
        if output.exact:
            rows.append(_fidelity_row(output, "exact", output.exact))
        if output.random:
            rows.append(_fidelity_row(output, "original again", output.itself))
    header = [
        "output",
        "dtype",
        "arithmetic",
        "cosine",
        "SQNR",
        "relative error",
        "largest error",
        "same top-1",
        "note",
    ]
    return make_table("Fidelity", header, rows, {3, 4, 5, 6, 7})


def _fidelity_row(output: OutputComparison, arithmetic: str, fidelity: Fidelity | None) -> list[str]:
    if fidelity is None:
        return [output.name, output.dtype, arithmetic, "-", "-", "-", "-", "-", output.problem or "not compared"]
    return [
        output.name,
        output.dtype,
        arithmetic,
        format_cosine(fidelity.cosine),
        format_db(fidelity.sqnr_db),
        format_error(fidelity.relative_error),
        format_error(fidelity.max_abs_error),
        format_share(fidelity.top1_agreement),
        output.problem or _fidelity_note(output, fidelity),
    ]


def _fidelity_note(output: OutputComparison, fidelity: Fidelity) -> str:
    if output.random:
        return f"cannot be compared: {output.random}"
    if fidelity.nothing_finite:
        return "nothing finite to compare"
    if is_discrete(output):
        return format_equal(fidelity)
    constant = fidelity.samples is not None and fidelity.samples.constant
    notes = ["identical"] * fidelity.identical + ["the same in every sample"] * constant
    return ", ".join(notes)


def samples_table(run: Run) -> Table | None:
    """The worst sample of each output and figure; None where no output was cut into samples."""
    rows = []
    for output in run.outputs:
        rows += _samples_rows(output, "as deployed" if output.exact else "", output.deployed)
        rows += _samples_rows(output, "exact", output.exact)
    header = ["output", "arithmetic", "samples", "cosine", "SQNR", "same top-1"]
    return make_table("Worst sample", header, rows, {2}) if rows else None


def _samples_rows(output: OutputComparison, arithmetic: str, fidelity: Fidelity | None) -> list[list[str]]:
    samples = fidelity.samples if fidelity else None
    if samples is None:
        return []
    return [
        [
            output.name,
            arithmetic,
            format_count(samples.count),
            _at_sample(samples.worst_cosine, format_cosine),
            _at_sample(samples.worst_sqnr_db, format_db),
            _at_sample(samples.worst_top1, format_share),
        ]
    ]


def _at_sample(worst: AtSample | None, shown: Callable[[float], str]) -> str:
    return "-" if worst is None else f"{shown(worst.value)} ({worst.place})"


def metrics_table(run: Run) -> Table:
    """Task metrics, all classes together."""
    rows = [[m.name, *both(m), format_drop(m.drop, is_share=m.is_share), format_count(m.samples)] for m in run.metrics]
    return make_table("Task metrics", ["metric", "original", "result", "lost", "samples"], rows, {1, 2, 3, 4})


def classes_table(run: Run) -> Table | None:
    """The classes that lost most, of the first metric that tells them apart; None where no class lost anything."""
    metric = next((m for m in run.metrics if m.classes), None)
    lost = [figures for figures in metric.classes if not figures.drop <= 0] if metric else []
    if metric is None or not lost:
        return None
    lost.sort(key=lambda figures: (-figures.drop, figures.label))
    rows = [
        [
            str(figures.label),
            format_share(figures.reference),
            format_share(figures.candidate),
            format_points(figures.drop),
            format_count(figures.samples),
        ]
        for figures in lost
    ]
    title = f"Classes that lost most ({metric.name}; {len(lost)} of {len(metric.classes)} lost)"
    return make_table(title, ["class", "original", "result", "lost", "samples"], rows, {0, 1, 2, 3, 4})


# ------------------------------------------------------------------------------------------------ where from
def environment_table(report: Report) -> Table:
    """Everything that is needed to get the same figures again."""
    env, comparison = report.environment, report.comparison
    rows = [
        ["command", report.command],
        *(["pass", name] for name in report.passes),
        *(["option", f"{name}={value}"] for name, value in report.options),
        ["seed", str(report.seed)],
        *_hash_rows("original", comparison.reference),
        *_hash_rows("result", comparison.candidate),
        *machine_rows(env),
    ]
    if comparison.run and comparison.run.latency:
        rows.append(["latency measured with", format_counted(comparison.run.latency.threads, "thread")])
    if report.seconds:
        rows.append(["time taken", ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds)])
    return make_table("Environment", ["", ""], rows, set())


def machine_rows(env: Environment) -> list[list[str]]:
    """When, with which versions and on what."""
    return [
        ["made", format_time(env.made_at)],
        ["nncompress", env.nncompress],
        ["onnxruntime", env.onnxruntime],
        ["onnx, onnx-ir, numpy", f"{env.onnx}, {env.onnx_ir}, {env.numpy}"],
        ["Python", f"{env.python} on {env.platform}"],
        ["CPU", f"{env.cpu}, {format_counted(env.cores, 'core')}, {' '.join(env.cpu_flags) or 'no flags known'}"],
    ]


def _hash_rows(label: str, facts: FileFacts) -> list[list[str]]:
    files = [(facts.path, facts.sha256), *facts.data_sha256]
    return [[f"{label} SHA-256", f"{file_hash}  {path}"] for path, file_hash in files]


def feeds_lines(comparison: Comparison) -> list[str]:
    """What the figures were measured on, one sentence a line."""
    run = comparison.run
    if run is None:
        return ["NOT VALIDATED: neither model was run (--no-validate)."]
    feeds = run.feeds
    count = format_counted(feeds.count, "feed")
    if feeds.synthetic:
        lines = [f"Measured on SYNTHETIC inputs ({count}, seed {feeds.seed}): random data is no proof; give --data."]
    else:
        lines = [f"Measured on {count} from {feeds.source}, {'labelled' if feeds.labelled else 'without labels'}."]
    if run.work and run.work.sizes and not feeds.synthetic:  # of made up inputs a note tells the sizes
        lines.append(f"Sizes that were run: {', '.join(run.work.sizes)}.")
    if run.one_after_the_other:
        lines.append("Both models do not fit in the free memory: they ran one after the other.")
    memory = memory_sentence(comparison)
    lines += [memory] if memory else []
    lines += run.latency.noise if run.latency else ()
    return [printable(line) for line in [*lines, *run.notes]]
