"""What a command reads, from its options: nothing that it writes may go over that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nncompress.cli.calibration_options import CalibrationOptions
from nncompress.cli.options import ProofOptions
from nncompress.config.budget import Config
from nncompress.validate.metrics.names import metric_file, metric_from
from nncompress.workflow.calibration import Calibrating
from nncompress.workflow.inputs import Inputs

if TYPE_CHECKING:
    from nncompress.search.trial import Trial


def inputs_of(models: Iterable[Path], others: Iterable[Path | None] = ()) -> Inputs:
    """Those of them that are there."""
    return Inputs(tuple(models), tuple(path for path in others if path is not None))


def data_files(proof: ProofOptions, calibration: CalibrationOptions | None = None) -> list[Path | None]:
    """Data, labels, the files of metrics of one's own, calibration data and what keeps their statistics, libraries."""
    calibrating = (
        [] if calibration is None else Calibrating(calibration.calibration, calibration.calibration_cache).files
    )
    libraries = proof.register_library or ()
    return [proof.data, proof.labels, *map(metric_file, proof.metric or ()), *calibrating, *libraries]


def check_inputs(config: Config, more: Sequence[Path | None]) -> Inputs:
    """What `check` reads: the models of all budgets, what they are compared with and run on, and `more`."""
    models = [config.folder / path for budget in config.budgets for path in config.models(budget)]
    models += [config.folder / budget.reference for budget in config.budgets if budget.reference is not None]
    others = [config.folder / name for budget in config.budgets for name in (budget.data, budget.labels) if name]
    metrics = [metric_from(config.folder, name) for budget in config.budgets for name in budget.metric or ()]
    return inputs_of(models, [config.path, *more, *others, *map(metric_file, metrics)])


def sweep_inputs(trials: Sequence[Trial], recipes: Iterable[Path]) -> Inputs:
    """What a sweep reads. The data differ from model to model, and recipes name some, too."""
    from nncompress.search.sweep import inputs_of_trials

    read = inputs_of_trials(trials)
    return inputs_of(read.models, [*recipes, *read.others])
