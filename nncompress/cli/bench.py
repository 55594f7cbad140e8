"""The command that measures what models cost on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import FileOptions, ProofOptions
from nncompress.cli.with_options import with_options


@with_options(ProofOptions)
def bench(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="The models.", show_default=False)],
    proof: ProofOptions,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write it as JSON, all samples; - for stdout.")
    ] = None,
) -> None:
    """Measure latency (in turns), loading time, peak memory and energy of models.

    Example: nncompress bench model.onnx small.onnx --bench-threads 2
    """
    from nncompress.benching import bench_files
    from nncompress.cli.build import proof_of
    from nncompress.cli.reports import STDOUT, check_reports, write_text
    from nncompress.errors import UsageError
    from nncompress.report.bench_text import bench_json, bench_text

    if proof.seconds == 0:
        raise UsageError("--seconds must be above 0: latency is what bench measures")
    check_reports(FileOptions(json=json), (*models, proof.data, proof.labels))
    report = bench_files(models, proof_of(proof))
    if json is not None:
        write_text(json, bench_json(report))
    if json != STDOUT:
        sys.stdout.write(bench_text(report))
