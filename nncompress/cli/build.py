"""From parsed options to what the workflow takes."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nncompress.cli.options import LimitOptions, ProofOptions, SelectOptions, WriteOptions
from nncompress.errors import UsageError
from nncompress.passes.base import Pass
from nncompress.recipe import make_pass
from nncompress.report.verdict import Limits
from nncompress.workflow import Proof, Writing


def proof_of(options: ProofOptions, *, validate: bool = True) -> Proof:
    """Raises UsageError for options that cannot be meant."""
    if options.labels and not options.data:
        raise UsageError("--labels needs --data: labels belong to samples")
    if options.bench_threads < 1:
        raise UsageError(f"--bench-threads must be at least 1, not {options.bench_threads}")
    if not 0 <= options.seconds < math.inf:
        raise UsageError(f"--seconds must be 0 (latency is not measured) or more, not {options.seconds:g}")
    return Proof(
        validate,
        options.data,
        options.labels,
        _dims(options.dim or ()),
        options.seed,
        options.bench_threads,
        options.seconds,
    )


def _dims(given: Sequence[str]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for text in given:
        name, _, size = text.rpartition("=")
        if not name or not size.isascii() or not size.isdigit() or int(size) < 1:
            raise UsageError(f"--dim {text!r} is not NAME=SIZE, such as batch=1")
        dims[name] = int(size)
    return dims


def limits_of(options: LimitOptions) -> Limits:
    """Raises UsageError for sizes and shares that cannot be read, and for limits that cannot be meant."""
    from nncompress.report.units import parse_bytes, parse_share

    if options.min_cosine is not None and not -1 <= options.min_cosine <= 1:
        raise UsageError(f"--min-cosine must lie between -1 and 1, not at {options.min_cosine:g}")
    for name, ratio in (("--min-ratio", options.min_ratio), ("--max-latency-ratio", options.max_latency_ratio)):
        if ratio is not None and not 0 < ratio < math.inf:
            raise UsageError(f"{name} must be above 0, not {ratio:g}")
    return Limits(
        options.min_cosine,
        options.min_sqnr,
        parse_share(options.max_drop) if options.max_drop else None,
        parse_bytes(options.max_size) if options.max_size else None,
        options.min_ratio,
        options.max_latency_ratio,
    )


def writing_of(options: WriteOptions) -> Writing:
    """Raises UsageError for an unknown form."""
    if options.form not in ("folded", "dequantize"):
        raise UsageError(f"unknown form {options.form!r}: it is folded or dequantize")
    if options.threads < 0:
        raise UsageError(f"--threads must be 0 (all cores) or more, not {options.threads}")
    threads = options.threads or os.cpu_count() or 1
    return Writing(
        "dequantize" if options.form == "dequantize" else "folded", options.external_data, options.force,
        options.keep_failed, threads, options.dry_run, options.freeze_inputs,
    )  # fmt: skip


def target_of(target: Path | None, writing: Writing, source: Path) -> Path:
    """The output path; only a dry run can do without one."""
    if target is None and not writing.dry_run:
        raise UsageError("name the model to write with -o OUT (or try --dry-run)")
    return target or source.with_name(f"{source.stem}.small.onnx")


def pass_of(name: str, select: SelectOptions, **options: Any) -> Pass:
    """The pass with the options that were given; None means not given."""
    given = {
        "include": tuple(select.include or ()) or None,
        "exclude": tuple(select.exclude or ()) or None,
        "min_size": select.min_size,
        **options,
    }
    return make_pass(name, {key: value for key, value in given.items() if value is not None})
