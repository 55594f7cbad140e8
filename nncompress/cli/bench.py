"""The command that measures what models cost on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import BenchFiles, BenchOptions, ProofOptions, SeedOptions
from nncompress.cli.printing import say_sections
from nncompress.cli.settings import COMMAND_LINE
from nncompress.cli.with_options import Invocation, with_options


@with_options(BenchOptions, BenchFiles)
def bench(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="The models.", show_default=False)],
    options: BenchOptions,
    files: BenchFiles,
    invocation: Invocation,
) -> None:
    """Measure latency (in turns), loading time, peak memory and energy of models.

    Example: nncompress bench model.onnx small.onnx --bench-threads 2
    Example: nncompress bench model.onnx --dim batch=8 --seconds 5 --json bench.json
    """
    from nncompress.cli.from_options import proof_of
    from nncompress.cli.inputs import inputs_of
    from nncompress.cli.outputs import check_reports, write_files
    from nncompress.errors import UsageError
    from nncompress.report.bench_text import bench_sections
    from nncompress.workflow.bench import bench_files

    source = invocation.sources["seconds"]
    notes: tuple[str, ...] = ()
    if options.seconds == 0 and source == COMMAND_LINE:
        raise UsageError("--seconds must be above 0: latency is what bench measures")
    if options.seconds == 0:
        options = dataclasses.replace(options, seconds=SeedOptions.seconds)
        notes = (f"seconds = 0 in {source} holds for other commands: latency is what bench measures",)
    check_reports(files, inputs_of(models, [options.data, *(options.register_library or ()), *invocation.config]))
    report = bench_files(models, proof_of(ProofOptions(**dataclasses.asdict(options))))
    report = dataclasses.replace(report, notes=(*report.notes, *notes))
    if not write_files(report, files):
        say_sections(*bench_sections(report))
