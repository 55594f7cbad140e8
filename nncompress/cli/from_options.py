"""From parsed options to what the workflow takes."""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from nncompress.cli.calibration_options import CalibrationOptions
from nncompress.cli.options import (
    LimitOptions,
    ProofOptions,
    RunOptions,
    StoreOptions,
    WriteOptions,
)
from nncompress.cli.outputs import STDOUT
from nncompress.cli.settings import COMMAND_LINE, DEFAULT
from nncompress.errors import UsageError
from nncompress.forms import check_form, check_target
from nncompress.report.json_text import LARGEST_NUMBER
from nncompress.results.limits import Aim, Limits, names_of, read_limits
from nncompress.validate.metrics.names import require_metric
from nncompress.workflow.calibration import Calibrating
from nncompress.workflow.compress import Writing
from nncompress.workflow.proof import Proof

_MOST_THREADS, _MOST_SECONDS = 1024, 3600
_SIZE = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def proof_of(options: ProofOptions, *, validate: bool = True) -> Proof:
    """Raises UsageError for options that cannot be meant."""
    if options.labels and not options.data:
        raise UsageError("--labels needs --data: labels belong to samples")
    if (options.metric or options.metric_output) and not options.data:
        raise UsageError("--metric needs --data: a task is done on real samples")
    for name in options.metric or ():
        require_metric(name)
    return replace(
        made_up_proof_of(options), validate=validate, data=options.data, labels=options.labels,
        metrics=tuple(options.metric or ()), metric_output=options.metric_output,
    )  # fmt: skip


def made_up_proof_of(options: RunOptions) -> Proof:
    """On made-up inputs. Raises UsageError for options that cannot be meant."""
    if not 1 <= options.bench_threads <= _MOST_THREADS:
        raise UsageError(f"--bench-threads must be 1 to {_MOST_THREADS}, not {options.bench_threads}")
    if not 0 <= options.seconds <= _MOST_SECONDS:
        raise UsageError(f"--seconds must be 0 (latency is not measured) to {_MOST_SECONDS}, not {options.seconds:g}")
    if not 0 <= options.seed <= LARGEST_NUMBER:
        raise UsageError(f"--seed must be 0 to {LARGEST_NUMBER}, not {options.seed}")
    return Proof(
        dims=_dims(options.dim or ()), seed=options.seed, threads=options.bench_threads, seconds=options.seconds,
        libraries=tuple(options.register_library or ()),
    )  # fmt: skip


def _dims(texts: Sequence[str]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not _SIZE.fullmatch(size):
            raise UsageError(f"--dim {text!r} is not NAME=SIZE, such as batch=1")
        dims[name] = int(size)
    return dims


def calibrating_of(options: CalibrationOptions) -> Calibrating:
    """On what passes take statistics."""
    return Calibrating(options.calibration, options.calibration_cache)


def limits_of(options: LimitOptions) -> Limits:
    """Raises UsageError, with the option, for limits that cannot be read or meant."""
    values = {name: getattr(options, name) for name in names_of(Limits)}
    return read_limits(values, lambda name: f"--{name.replace('_', '-')}")


def limit_sources(sources: Mapping[str, str]) -> dict[str, str]:
    """{limit: file or variable that set it}: those of the command line need no naming."""
    return {
        name: source for name, source in sources.items()
        if name in names_of(Limits) and source not in (COMMAND_LINE, DEFAULT)
    }  # fmt: skip


def writing_of(options: WriteOptions) -> Writing:
    """Raises UsageError for an unknown form, and for options that contradict each other."""
    if options.strip and options.keep_metadata:
        raise UsageError("--strip and --keep-metadata contradict each other: leave one of them out")
    if not 0 <= options.threads <= _MOST_THREADS:
        raise UsageError(f"--threads must be 0 (all cores) to {_MOST_THREADS}, not {options.threads}")
    threads = options.threads or os.cpu_count() or 1
    return replace(storing_of(options), force=options.force, threads=threads, dry_run=options.dry_run)


def storing_of(options: StoreOptions) -> Writing:
    """Raises UsageError for an unknown form."""
    return Writing(
        check_form(options.form), check_target(options.target), _aim(options.aim), options.external_data,
        keep_failed=options.keep_failed,
        freeze_inputs=options.freeze_inputs, keep_opset=options.keep_opset, keep_metadata=options.keep_metadata,
        strip=options.strip,
    )  # fmt: skip


def _aim(name: str) -> Aim:
    aims = typing.get_args(Aim)
    for aim in aims:
        if name == aim:
            return aim  # type: ignore[no-any-return]
    raise UsageError(f"unknown aim --for {name!r}: it is {', '.join(aims[:-1])} or {aims[-1]}")


def target_of(target: Path | None, source: Path) -> Path:
    """The output path: MODEL.small.onnx beside the model where none is given."""
    if target == STDOUT:
        raise UsageError("-o -: a model is no text, and does not go to stdout: name a file, such as -o small.onnx")
    return target or source.with_name(f"{source.stem}.small.onnx")
