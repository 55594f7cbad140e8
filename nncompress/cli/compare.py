"""The command that compares two models that are already there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.options import LimitOptions, ProofOptions, ReportOptions
from nncompress.cli.with_options import Invocation, with_options


@with_options(ProofOptions, LimitOptions, ReportOptions)
def compare(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="The original model.", show_default=False)],
    candidate: Annotated[Path, typer.Argument(metavar="CAND", help="The model to judge.", show_default=False)],
    proof: ProofOptions,
    limits: LimitOptions,
    report: ReportOptions,
    invocation: Invocation,
) -> None:
    """Run two models side by side and judge the second one.

    Example: nncompress compare model.onnx small.onnx --data eval.npz --min-cosine 0.999
    Example: nncompress compare model.onnx small.onnx --max-latency-ratio 1.5 --markdown report.md
    """
    from nncompress.cli.from_options import limit_sources, limits_of, proof_of
    from nncompress.cli.inputs import data_files, inputs_of
    from nncompress.cli.outputs import check_reports, finish
    from nncompress.cli.unchanged import options_used
    from nncompress.workflow.compare import compare_files

    check_reports(report, inputs_of([reference, candidate], [*data_files(proof), *invocation.config]))
    result = compare_files(
        reference, candidate, proof=proof_of(proof), limits=limits_of(limits),
        limit_sources=limit_sources(invocation.sources),
    )  # fmt: skip
    finish(replace(result, options=options_used(proof, limits)), report)
