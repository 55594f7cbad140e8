"""The command that finds the smallest or fastest model within limits, and says for each weight what was chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nncompress.cli.calibration_options import CorrectionOptions
from nncompress.cli.compress import compress
from nncompress.cli.options import (
    LimitOptions,
    ProofOptions,
    ReportOptions,
    SourceArgument,
    TargetOption,
    WriteOptions,
    option,
)
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import UsageError

if TYPE_CHECKING:
    from nncompress.passes.base import Pass

_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(s|m|min|h)", re.ASCII)
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class SearchOptions:
    """How long, and what is kept."""

    time: Annotated[
        str, option("--time", group="Search", metavar="TIME", text="No new model is tried that would not be done by "
                    "then: 90s, 10m, 1h.")
    ] = "10m"  # fmt: skip
    resume: Annotated[
        Path | None,
        option("--resume", group="Search", metavar="FILE", text="Keep in FILE what is measured, and take what is there: "
               "the same command goes on where it was interrupted, and other limits need no new measurements."),
    ] = None  # fmt: skip


@with_options(SearchOptions, CorrectionOptions, ProofOptions, LimitOptions, WriteOptions, ReportOptions)
def auto(
    source: SourceArgument, *, out: TargetOption = None, search: SearchOptions, calibration: CorrectionOptions,
    proof: ProofOptions, limits: LimitOptions, write: WriteOptions, report: ReportOptions, invocation: Invocation,
) -> None:  # fmt: skip
    """Find the smallest model that keeps the limits: bits and zeros for each weight, by what they do to the outputs.

    Half of --data guides the search, and the other half proves the result.

    Example: nncompress auto model.onnx -o small.onnx --data eval.npz --max-drop "0.5 %" --save-recipe small.toml
    Example: nncompress auto model.onnx -o small.onnx --data eval --calibration calib --max-size "2 MB" --time 5m
    Example: nncompress auto model.onnx -o fast.onnx --data eval --calibration calib --for speed --max-drop "0.5 %"
    """
    from nncompress.cli.outputs import STDOUT
    from nncompress.passes.correct_biases import CorrectBiases
    from nncompress.passes.quantize_weights import QuantizeWeights
    from nncompress.workflow.auto import Searching, choose_smallest
    from nncompress.workflow.kept_search import KeptSearch

    seconds = _seconds(search.time)
    if proof.data is None:
        raise UsageError("auto needs --data: samples on which it is measured what is lost")
    if search.resume == STDOUT:
        raise UsageError("--resume needs a file that is read the next time, not stdout")
    searching = Searching(seconds, KeptSearch(search.resume))
    passes: list[Pass] = [QuantizeWeights(method="gptq"), *([CorrectBiases()] if calibration.correct_biases else [])]

    def choosing(given: Any, trials: Any, within: Any) -> Any:
        return choose_smallest(given, trials, within, searching)

    compress("auto", source, out, passes, calibration, proof, limits, write, report, invocation, choosing=choosing)


def _seconds(text: str) -> float:
    """Raises UsageError for what is no time."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--time {text!r} is no time such as 90s, 10m or 1h")
    return float(match[1]) * _SECONDS[match[2]]
