"""The command that measures what models cost on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import BenchOptions, FileOptions, ProofOptions
from nncompress.cli.printing import say
from nncompress.cli.with_options import with_options


@with_options(BenchOptions)
def bench(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="The models.", show_default=False)],
    options: BenchOptions,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write it as JSON, all samples; - for stdout.")
    ] = None,
) -> None:
    """Measure latency (in turns), loading time, peak memory and energy of models.

    Example: nncompress bench model.onnx small.onnx --bench-threads 2
    Example: nncompress bench model.onnx --dim batch=8 --seconds 5 --json bench.json
    """
    from nncompress.cli.from_options import proof_of
    from nncompress.cli.inputs import inputs_of
    from nncompress.cli.outputs import STDOUT, check_reports, write_text
    from nncompress.errors import UsageError
    from nncompress.report.bench_text import bench_json, bench_text
    from nncompress.workflow.bench import bench_files

    if options.seconds == 0:
        raise UsageError("--seconds must be above 0: latency is what bench measures")
    check_reports(FileOptions(json=json), inputs_of(models, [options.data]))
    report = bench_files(models, proof_of(ProofOptions(**dataclasses.asdict(options))))
    if json is not None:
        write_text(json, bench_json(report))
    if json != STDOUT:
        say(bench_text(report))
