"""The commands that write a model: those of passes (see pass_commands.py), and run for several passes in order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nncompress.cli.calibration_options import CalibrationOptions, CorrectionOptions
from nncompress.cli.completion import pass_names
from nncompress.cli.interrupts import end_work
from nncompress.cli.options import (
    LimitOptions,
    ProofOptions,
    ReportOptions,
    SourceArgument,
    SummaryOptions,
    TargetOption,
    WriteOptions,
    shared_values,
)
from nncompress.cli.pass_commands import PassCommand
from nncompress.cli.pass_options import corrections, pass_options, passes_of
from nncompress.cli.printing import say
from nncompress.cli.progress import hide
from nncompress.cli.settings import Layer
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import UsageError, printable

if TYPE_CHECKING:
    from nncompress.passes.base import Pass
    from nncompress.workflow.compress import Choosing


def pass_command(entry: PassCommand) -> Callable[..., None]:
    """The command that runs the passes of `entry`, with their fields as its options."""
    kind = pass_options(entry.passes, entry.on_request)

    def command(
        source: SourceArgument, *, out: TargetOption = None, options: Any, calibration: CorrectionOptions,
        proof: ProofOptions, limits: LimitOptions, write: WriteOptions, report: ReportOptions, invocation: Invocation,
    ) -> None:  # fmt: skip
        passes = passes_of(entry.passes, options, entry.on_request, fast=write.aim in ("speed", "both"))
        passes += corrections(calibration)
        compress(entry.name, source, out, passes, calibration, proof, limits, write, report, invocation)

    command.__name__, command.__doc__ = entry.name, entry.help
    command.__annotations__["options"] = kind
    return with_options(kind, CorrectionOptions, ProofOptions, LimitOptions, WriteOptions, ReportOptions)(command)


def _from_recipe(options: Mapping[str, Any], configuration: list[Layer]) -> list[Layer]:
    """What the recipe of `run` sets comes before the configuration files."""
    from nncompress.config.recipe import load_recipe

    if options["steps"] or len(options["paths"]) != 2:
        return configuration
    path = options["paths"][0]
    return [Layer(str(path), load_recipe(path, options["changes"] or ()).options), *configuration]


@with_options(CalibrationOptions, ProofOptions, LimitOptions, WriteOptions, ReportOptions, layers=_from_recipe)
def run(
    paths: Annotated[
        list[Path], typer.Argument(metavar="[RECIPE] MODEL", help="A recipe (TOML or JSON), and the model.")
    ],
    *,
    out: TargetOption = None,
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--pass",
            "-p",
            metavar="NAME[:OPT=VALUE,...]",
            help="A pass; give several in their order.",
            autocompletion=pass_names,
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PLACE=VALUE", help="Change the recipe: steps.0.sparsity=0.4 (steps from 0)."),
    ] = None,
    calibration: CalibrationOptions,
    proof: ProofOptions,
    limits: LimitOptions,
    write: WriteOptions,
    report: ReportOptions,
    invocation: Invocation,
) -> None:
    """Apply several passes in order, from -p options or a recipe.

    Example: nncompress run -p prune-magnitude:sparsity=0.5 -p quantize-weights model.onnx -o small.onnx
    Example: nncompress run recipe.toml model.onnx -o small.onnx --set steps.0.sparsity=0.4
    Example: nncompress run recipe.toml model.onnx -o small.onnx --force --if-changed --json small.json
    """
    from nncompress.config.recipe import load_recipe
    from nncompress.passes.spec import parse_step

    if len(paths) != (1 if steps else 2):
        raise UsageError(
            "give either a recipe and a model, or passes with -p and one model (nncompress passes lists them)"
        )
    if steps and changes:
        raise UsageError("--set changes a recipe, and there is none: write it into the -p option")
    passes = [parse_step(step) for step in steps] if steps else load_recipe(paths[0], changes or ()).steps
    compress("run", paths[-1], out, passes, calibration, proof, limits, write, report, invocation, read=paths[:-1])


def compress(
    command: str, source: Path, target: Path | None, passes: Sequence[Pass], calibration: CalibrationOptions,
    proof: ProofOptions, limits: LimitOptions, write: WriteOptions, report: ReportOptions, invocation: Invocation,
    read: Sequence[Path] = (), choosing: Choosing | None = None, kept: Path | None = None,
) -> None:  # fmt: skip
    """Compresses, writes what was asked for, and ends with the exit code of the verdict. `kept`: by a search."""
    from nncompress.cli.from_options import calibrating_of, limit_sources, limits_of, proof_of, target_of, writing_of
    from nncompress.cli.inputs import data_files, inputs_of
    from nncompress.cli.outputs import check_reports, finish, require_free, write_files, write_text
    from nncompress.cli.unchanged import made_already, options_used
    from nncompress.config.recipe import recipe_text
    from nncompress.workflow.compress import compress_file

    writing, proving, gates = writing_of(write), proof_of(proof, validate=write.validate), limits_of(limits)
    where = target_of(target, source)
    others = [*data_files(proof, calibration), *read, *invocation.config]
    check_reports(report, inputs_of([source], others), [where], {"--save-recipe": write.save_recipe, "--resume": kept})
    if inputs_of((), others).holds(where):
        raise UsageError(f"{where} is an input of this command: inputs are never modified, name another output")
    if write.save_recipe is not None:
        require_free(write.save_recipe, force=write.force or write.if_changed)
    options = options_used(calibration, proof, limits, write)
    if write.if_changed and not write.dry_run:
        saved = made_already(command, source, where, passes, options, report)
        if saved is not None:
            say(printable(f"{where} is up to date"))
            write_files(saved, SummaryOptions(github_summary=report.github_summary))
            return
    done: list[Pass] = [*passes]

    def settled(chosen: tuple[Pass, ...]) -> None:
        done[:] = chosen

    result = compress_file(
        source, where, passes, command=command, proof=proving, writing=writing, limits=gates,
        calibrating=calibrating_of(calibration), limit_sources=limit_sources(invocation.sources),
        settled=settled, choosing=choosing,
    )  # fmt: skip
    hide()
    end_work()  # an interrupt could no longer leave nothing behind
    if write.save_recipe is not None:
        values = shared_values(calibration, proof, limits, write)
        if result.comparison.run is not None and not result.comparison.run.metrics:
            values.pop("max_drop", None)  # which steered a choice that is made, and needs labels otherwise
        write_text(write.save_recipe, recipe_text(done, values, write.save_recipe))
    notes = ("dry run: nothing was written",) if write.dry_run else ()
    finish(replace(result, options=options, notes=(*result.notes, *notes)), report)
