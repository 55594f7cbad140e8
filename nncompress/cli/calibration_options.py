"""Options on what passes take statistics of activations from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from nncompress.cli.options import option, shared_option


@dataclass(frozen=True)
class CalibrationOptions:
    """On what passes take statistics of activations."""

    calibration: Annotated[
        Path | None,
        shared_option(
            "--calibration",
            group="Calibration",
            metavar="PATH",
            text="Samples by which weights are rounded and results corrected, "
            "in the same forms as --data, and other ones than those; `synthetic` makes some up. Without it a part of "
            "--data serves.",
        ),
    ] = None
    calibration_cache: Annotated[
        Path | None,
        shared_option("--calibration-cache", group="Calibration", metavar="FILE", text="Keeps what activations were "
                "like, so that a next run on the same model and samples need not run them."),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class CorrectionOptions(CalibrationOptions):
    """The same where a command chooses the passes."""

    correct_biases: Annotated[
        bool,
        option("--correct-biases/--no-correct-biases", group="Calibration", text="With --calibration, let biases make "
                "up for what compression does to the mean of each result."),
    ] = True  # fmt: skip
