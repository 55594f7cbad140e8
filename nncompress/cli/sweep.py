"""The command that runs many models under many recipes, and can go on where it was stopped."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nncompress.cli.calibration_options import CalibrationOptions
from nncompress.cli.cluster import pool_at
from nncompress.cli.options import (
    FileOptions,
    LimitOptions,
    ProofOptions,
    ResultsFiles,
    StoreOptions,
)
from nncompress.cli.printing import complain, say, say_error, say_sections
from nncompress.cli.settings import Layer
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import EXIT_GATE_FAILED, EXIT_INTERRUPTED, UsageError, printable
from nncompress.progress import at

if TYPE_CHECKING:
    from nncompress.results.sweep import Ended, Lost, SweepResults
    from nncompress.search.trial import Trial

_SHARD = re.compile(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", re.ASCII)


@with_options(CalibrationOptions, ProofOptions, LimitOptions, StoreOptions, ResultsFiles)
def sweep(
    models: Annotated[list[Path], typer.Argument(metavar="MODEL...", help="The models.", show_default=False)],
    calibration: CalibrationOptions,
    proof: ProofOptions,
    limits: LimitOptions,
    store: StoreOptions,
    files: ResultsFiles,
    invocation: Invocation,
    recipes: Annotated[
        list[Path] | None,
        typer.Option("--recipe", metavar="FILE", help="A recipe (TOML or JSON); several may be given."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results.", show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Trials at a time, one thread each; 0: one a core.")] = 0,
    shard: Annotated[
        str | None, typer.Option("--shard", metavar="I/N", help="Only the I-th of N parts, for CI matrices.")
    ] = None,
    dask: Annotated[
        str | None, typer.Option("--dask", metavar="ADDRESS", help="Run the trials on this Dask cluster.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the trials and what has ended.")] = False,
) -> None:
    """Run models x recipes, each trial in a process of its own; what has ended is not run again.

    {stem} in --data, --labels, --calibration, --calibration-cache and the data of a recipe is the name of the model
    without .onnx. The folder gets MODEL--RECIPE.onnx and its report .json for each trial.

    Example: nncompress sweep *.onnx --recipe int8.toml --recipe sparse.toml -o results --data "feeds/{stem}" --jobs 2
    """
    from nncompress.cli.inputs import sweep_inputs
    from nncompress.cli.outputs import STDOUT, check_reports
    from nncompress.search.sweep import PLAN_NAME, check_places, shard_of, write_plan

    part = _part(shard)
    if folder == STDOUT:
        raise UsageError("-o -: models are no text, and do not go to stdout: name a folder, such as -o results")
    if jobs < 0:
        raise UsageError(f"--jobs must be 0 (one a core) or more, not {jobs}")
    if folder is None or not recipes:
        raise UsageError(f"name {'the folder of the results with -o DIR' if folder is None else 'a recipe: --recipe'}")
    workers = jobs or os.cpu_count() or 1
    trials = _planned(models, recipes, folder, invocation, shared=workers > 1 or dask is not None)
    inputs = sweep_inputs(trials, [*recipes, *invocation.config])
    check_reports(files, inputs, [folder / PLAN_NAME, *(path for trial in trials for path in trial.files)])
    check_places(trials, folder, inputs)
    ours = shard_of(trials, *part)
    if dry_run:
        _list(ours)
        return
    write_plan(trials, folder)
    lost = _run(ours, workers, dask)
    if shard is not None:
        say(f"shard {shard}: {len(ours) - lost} of {len(ours)} trials have ended (nncompress report --merge)")
    unsatisfied = _finish([folder], files) if shard is None else []
    if lost or unsatisfied:
        raise typer.Exit(EXIT_GATE_FAILED)


# ------------------------------------------------------------------------------------------------ the plan
def _planned(
    models: Sequence[Path], recipes: Sequence[Path], folder: Path, invocation: Invocation, *, shared: bool
) -> list[Trial]:
    """All trials, model by model. Raises UsageError for recipes and options that are wrong, before anything runs."""
    from nncompress.config.recipe import load_recipe
    from nncompress.search.sweep import trial_names
    from nncompress.search.trial import model_digest

    models, recipes = list(dict.fromkeys(models)), list(dict.fromkeys(recipes))
    read = {path: load_recipe(path) for path in recipes}
    names = trial_names(models, [str(path) for path in recipes])
    trials = []
    for model in models:
        digest = model_digest(model)
        for path, recipe in read.items():
            options, sources = invocation.completed([Layer(str(path), recipe.options), *invocation.configured])
            trials.append(
                _trial(names[model, str(path)], model, path, recipe.steps, folder, digest, options, sources, shared)
            )
    return trials


def _trial(
    name: str,
    model: Path,
    recipe: Path,
    steps: Any,
    folder: Path,
    digest: str,
    options: dict[str, Any],
    sources: Mapping[str, str],
    shared: bool,
) -> Trial:
    from nncompress.cli.from_options import calibrating_of, limit_sources, limits_of, proof_of, storing_of
    from nncompress.cli.unchanged import options_used
    from nncompress.search.trial import BESIDE_OTHERS, Trial, trial_key
    from nncompress.workflow.proof import check_limits

    proof, limits, store = options["proof"], options["limits"], options["store"]
    proof = replace(proof, data=_for(model, proof.data), labels=_for(model, proof.labels))
    calibration = options["calibration"]
    calibration = CalibrationOptions(_for(model, calibration.calibration), _for(model, calibration.calibration_cache))
    set_by, proving, gates = limit_sources(sources), proof_of(proof, validate=store.validate), limits_of(limits)
    check_limits(gates, proving, set_by)
    used = options_used(calibration, proof, limits, store)
    return Trial(
        name, model, str(recipe), tuple(steps), folder, trial_key(digest, steps, used),
        proving, storing_of(store), gates, used,
        (BESIDE_OTHERS,) if shared and store.validate and proof.seconds > 0 else (), calibrating_of(calibration),
        tuple(set_by.items()),
    )  # fmt: skip


def _for(model: Path, path: Path | None) -> Path | None:
    return None if path is None else Path(str(path).replace("{stem}", model.stem))


def _part(shard: str | None) -> tuple[int, int]:
    match = _SHARD.fullmatch(shard) if shard is not None else None
    if shard is None:
        return 1, 1
    if match is None or int(match[1]) > int(match[2]):
        raise UsageError(f"--shard {shard!r} is not I/N with I from 1 to N, such as 1/4")
    return int(match[1]), int(match[2])


def _list(trials: Sequence[Trial]) -> None:
    from nncompress.search.trial import ended_already

    for trial in trials:
        state = "ended" if ended_already(trial) else "to run"
        say(printable(f"{state:7} {trial.name}: {trial.model} with {trial.recipe}"))


# ------------------------------------------------------------------------------------------------ running
def _run(trials: Sequence[Trial], workers: int, dask: str | None) -> int:
    """How many trials were lost."""
    from nncompress.report.sweep_text import lost_lines
    from nncompress.search.pool import run_trials

    progress = _Progress(trials)
    sent = trials if dask is None else [trial.absolute() for trial in trials]
    try:
        with pool_at(dask) as executor:
            outcomes = run_trials(sent, jobs=workers, executor=executor, progress=progress)
    except KeyboardInterrupt:
        complain(f"error: interrupted; {progress.done} of {len(trials)} trials have ended: the same command goes on")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    lost = lost_lines(outcomes)
    for line in lost:
        say_error("sweep", f"{line}; the same command runs it again")
    return len(lost)


class _Progress:
    """One line on stderr for each trial that ends."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        self.done, self._total = 0, len(trials)
        at("running trials", 0, self._total)

    def __call__(self, outcome: Ended | Lost, again: bool) -> None:
        from nncompress.report.sweep_text import progress_line

        self.done += 1
        complain(progress_line(outcome, self.done, self._total, again=again))
        at("running trials", self.done, self._total)


def _finish(folders: Sequence[Path], files: ResultsFiles) -> list[str]:
    """Prints and writes the results; the models without a result that passes."""
    from nncompress.report.sweep_text import unsatisfied
    from nncompress.search.sweep import results_in

    trials = results_in(folders)
    show_sweep(trials, files)
    without = unsatisfied(trials)
    for model in without:
        say_error("sweep", f"{model} has no result that passes")
    return without


def show_sweep(trials: SweepResults, files: FileOptions, *, quiet: bool = False) -> None:
    """The table on stdout unless a report goes there, and the reports that were asked for."""
    from nncompress.cli.outputs import write_files
    from nncompress.report.results_text import results_sections, verdict_line
    from nncompress.report.sweep_text import sweep_results

    results = sweep_results(trials)
    if not write_files(results, files):
        say_sections(*([[verdict_line(results)]] if quiet else results_sections(results)))
