"""The command that finds the smallest or fastest model within limits, and says for each weight what was chosen."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.calibration_options import CalibrationOptions
from nncompress.cli.cluster import pool_at
from nncompress.cli.compress import compress
from nncompress.cli.interrupts import ask_first, end_work
from nncompress.cli.options import (
    LimitOptions,
    ProofOptions,
    ReportOptions,
    SourceArgument,
    TargetOption,
    WriteOptions,
    option,
    shared_values,
)
from nncompress.cli.printing import say, say_sections
from nncompress.cli.progress import hide
from nncompress.cli.settings import COMMAND_LINE, DEFAULT, Layer
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import EXIT_GATE_FAILED, UsageError, printable
from nncompress.results.limits import Limits, names_of
from nncompress.results.units import format_counted

if TYPE_CHECKING:
    from nncompress.passes.base import Pass
    from nncompress.results.record import Report
    from nncompress.runtime.jobs import Jobs
    from nncompress.workflow.chosen import Chosen
    from nncompress.workflow.compress import Choosing
    from nncompress.workflow.searching import Searching

_TIME = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(s|m|min|h)", re.ASCII)
_FIRST_S, _AGAIN_S = 600.0, 25.0
_SECONDS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class SearchOptions:
    """How long, and what is kept."""

    time: Annotated[
        str | None,
        option("--time", group="Search", metavar="TIME", text="No new model is tried that would not be done by then: "
               "90s, 10m, 1h. Default: 10m, and 25s where a search within other limits is in the FILE of --resume."),
    ] = None  # fmt: skip
    resume: Annotated[
        Path | None,
        option("--resume", group="Search", metavar="FILE", text="Keep in FILE what is measured, and in the folder "
               "FILE.models what is built, and take what is there: the same command goes on where it was interrupted, "
               "and other limits need little new."),
    ] = None  # fmt: skip
    front: Annotated[
        Path | None,
        option("--front", group="Search", metavar="DIR", text="Instead of one model, write those from close to the "
               "original to very small that no other dominates, each with its recipe, and front.html and front.json."),
    ] = None  # fmt: skip
    pick: Annotated[
        int | None,
        option("--pick", group="Search", metavar="N", text="With --front: make model N of DIR anew, by its recipe, as "
               "OUT."),
    ] = None  # fmt: skip
    jobs: Annotated[
        int,
        option("--jobs", "-j", group="Search", metavar="N", text="Measure what weights may become in N processes; "
               "0: one a core."),
    ] = 1  # fmt: skip
    dask: Annotated[
        str | None,
        option("--dask", group="Search", metavar="ADDRESS", text="Measure that on this Dask cluster, in as many parts "
               "as --jobs says."),
    ] = None  # fmt: skip


@with_options(SearchOptions, CalibrationOptions, ProofOptions, LimitOptions, WriteOptions, ReportOptions)
def auto(
    source: SourceArgument, *, out: TargetOption = None, search: SearchOptions, calibration: CalibrationOptions,
    proof: ProofOptions, limits: LimitOptions, write: WriteOptions, report: ReportOptions, invocation: Invocation,
) -> None:  # fmt: skip
    """Find the smallest or fastest model that keeps the limits: what to do with each weight, by what the outputs lose.

    Half of --data guides the search, and the other half proves the result.

    Example: nncompress auto model.onnx -o small.onnx --data eval.npz --max-drop "0.5 %" --save-recipe small.toml
    Example: nncompress auto model.onnx -o small.onnx --data eval.npz --calibration calib.npz --max-size "2 MB"
    Example: nncompress auto model.onnx -o fast.onnx --data eval.npz --max-drop "0.5 %" --for speed
    Example: nncompress auto model.onnx -o fast.onnx --data eval.npz --max-drop "0.5 %" --for both
    Example: nncompress auto model.onnx --front models --data eval.npz
    Example: nncompress auto model.onnx --front models --pick 5 -o small.onnx
    """
    if search.pick is not None:
        unused = {
            "time": search.time,
            "resume": search.resume,
            "jobs": None if search.jobs == 1 else search.jobs,
            "dask": search.dask,
        }
        for name in (name for name, value in unused.items() if value is not None):
            raise UsageError(f"--pick makes a model that was found before: leave --{name} out")
        _pick(source, out, search.front, search.pick, invocation)
        return
    from nncompress.cli.from_options import limits_of
    from nncompress.cli.outputs import STDOUT
    from nncompress.workflow.kept_search import KeptSearch
    from nncompress.workflow.searching import Searching

    seconds, again = _times(search.time)
    if proof.data is None:
        raise UsageError("auto needs --data: samples on which it is measured what is lost")
    if search.resume == STDOUT:
        raise UsageError("--resume needs a file that is read the next time, not stdout")
    aim, is_front = write.aim, search.front is not None
    if not is_front:
        aim = _aim_within(aim, limits_of(limits))
    choose, passes = _choice(aim)
    if invocation.sources.get("strip", DEFAULT) == DEFAULT:
        write = replace(write, strip=not write.keep_metadata)
    if aim == "speed" and search.jobs != 1:
        raise UsageError("--jobs measure what weights may become, which --for speed does not ask: leave it out")
    if is_front and aim != "size":
        raise UsageError(f"--front is of size and closeness: leave --for {aim} out")
    if is_front and out is not None:
        raise UsageError("-o names one model, and --front writes several: leave one of them out")
    if is_front:
        _refuse_unused(invocation, write, report)
    kept = KeptSearch(search.resume)
    with _jobs(search) as jobs:
        searching = Searching(seconds, again, kept, ask_first, jobs)
        if search.front is not None:
            _front(
                source, search.front, searching, passes, calibration, proof, write, report, search.resume, invocation
            )
            return
        compress("auto", source, out, passes, calibration, proof, limits, write, report, invocation,
                 choosing=partial(choose, searching=searching), kept=search.resume)  # fmt: skip


def _aim_within(aim: str, limits: Limits) -> str:
    """What has to be looked for: how weights are stored makes nothing faster, and how they are multiplied no file as
    small as is wanted."""
    is_timed, is_sized = (limits.max_latency_ratio or 1.0) < 1.0, limits.max_size or limits.min_ratio
    return "both" if (aim == "size" and is_timed) or (aim == "speed" and is_sized) else aim


def _choice(aim: str) -> tuple[Callable[..., Chosen], list[Pass]]:
    """What decides, and on which passes. Raises UsageError for an aim that it has nothing for."""
    from nncompress.passes.correct_biases import CorrectBiases
    from nncompress.passes.quantize_activations import QuantizeActivations
    from nncompress.passes.quantize_weights import QuantizeWeights
    from nncompress.workflow.both import choose_both
    from nncompress.workflow.fastest import choose_fastest
    from nncompress.workflow.smallest import choose_smallest

    weights = QuantizeWeights(method="gptq")
    if aim == "size":
        return choose_smallest, [weights]  # after which there is little for biases to correct
    choose = {"speed": choose_fastest, "both": choose_both}.get(aim)
    if choose is None:
        raise UsageError(f"--for {aim}: auto looks for the smallest model (size), the fastest (speed) or both")
    return choose, [QuantizeActivations(activations="mixed"), replace(weights, tables="floats"), CorrectBiases()]


@contextmanager
def _jobs(search: SearchOptions) -> Iterator[Jobs]:
    """Raises UsageError for a number that cannot be meant, InputError where no cluster answers."""
    from nncompress.runtime.jobs import Jobs

    if search.jobs < 0:
        raise UsageError(f"--jobs must be 0 (one a core) or more, not {search.jobs}")
    if search.dask is not None and search.jobs < 2:
        raise UsageError("--dask shares out work: say with --jobs into how many parts")
    with pool_at(search.dask) as executor:
        yield Jobs(search.jobs or os.cpu_count() or 1, executor)


def _pick(source: Path, out: Path | None, folder: Path | None, number: int, invocation: Invocation) -> None:
    """Runs the recipe of one model of a front that was written before."""
    from nncompress.config.recipe import load_recipe
    from nncompress.workflow.front import model_path, recipe_path

    if folder is None:
        raise UsageError("--pick names a model of a front: give its folder with --front")
    if out is None:
        raise UsageError("--pick makes a model anew: name it with -o")
    path = recipe_path(model_path(folder, source.stem, number - 1))
    recipe = load_recipe(path)
    options, _ = invocation.completed([Layer(str(path), recipe.options), *invocation.configured])
    del options["search"]
    compress("run", source, out, recipe.steps, **options, invocation=invocation, read=[path])


def _refuse_unused(invocation: Invocation, write: WriteOptions, report: ReportOptions) -> None:
    """Raises UsageError for an option that a front has no use for; limits of a configuration are left to others."""
    unused = [name for name in names_of(Limits) if invocation.sources.get(name) == COMMAND_LINE]
    of_one = ("dry_run", "save_recipe", "if_changed", "keep_failed", "validate")
    unused += [name for name in of_one if getattr(write, name) != getattr(WriteOptions(), name)]
    unused += [field.name for field in fields(report) if getattr(report, field.name) != field.default]
    if unused:
        spelled = "no-validate" if unused[0] == "validate" else unused[0].replace("_", "-")
        raise UsageError(f"--{spelled} is of one model, and --front writes several: leave it out")


def _front(
    source: Path, folder: Path, searching: Searching, passes: Sequence[Pass], calibration: CalibrationOptions,
    proof: ProofOptions, write: WriteOptions, report: ReportOptions, kept: Path | None, invocation: Invocation,
) -> None:  # fmt: skip
    """Writes the models, their recipes and what shows them all; prints the table. Exit code 1 where none is left."""
    from nncompress.cli.from_options import calibrating_of, proof_of, writing_of
    from nncompress.cli.inputs import data_files, inputs_of
    from nncompress.cli.outputs import check_reports, require_free, write_text
    from nncompress.config.recipe import recipe_text
    from nncompress.report.charts.drawn import drawn
    from nncompress.report.charts.front import fronts
    from nncompress.report.formats import rendered
    from nncompress.report.results_text import results_sections
    from nncompress.workflow.compress import compress_file
    from nncompress.workflow.front import MODELS, build_front, model_path, recipe_path

    read = inputs_of([source], [*data_files(proof, calibration), *invocation.config])
    shown = {kind: folder / f"front.{kind}" for kind in ("html", "json")}
    models = [model_path(folder, source.stem, number) for number in range(MODELS)]
    written = [*shown.values(), *models, *map(recipe_path, models)]
    if any(map(read.holds, (folder, *written))):
        raise UsageError(f"--front {folder} is an input of this command: name another folder")
    check_reports(report, read, written, {"--resume": kept})
    for path in written:
        require_free(path, force=write.force)
    proving, writing = proof_of(proof, validate=write.validate), writing_of(write)

    def compress(path: Path, choosing: Choosing) -> Report:
        done: list[Pass] = []
        report = compress_file(
            source, path, passes, command="auto", proof=proving, writing=writing, choosing=choosing,
            calibrating=calibrating_of(calibration), settled=done.extend,
        )  # fmt: skip
        recipe = recipe_path(path)
        write_text(recipe, recipe_text(done, shared_values(calibration, proof, write), recipe))
        return report

    points, results, foreseen = build_front(folder, source.stem, searching, compress)
    hide()
    end_work()
    for kind, path in shown.items():
        write_text(path, rendered(results, kind))
    say_sections(*results_sections(results), *map(drawn, fronts(results)))
    count = format_counted(len(points), "model") if points else "no model"
    say(printable(f"{count} in {folder}, each with its recipe for nncompress run; {foreseen}"))
    if not points:
        raise typer.Exit(EXIT_GATE_FAILED)


def _times(text: str | None) -> tuple[float, float]:
    """Seconds for a search, and for one after which there is little to find out. Raises UsageError for what is no
    time."""
    if text is None:
        return _FIRST_S, _AGAIN_S
    match = _TIME.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--time {text!r} is no time such as 90s, 10m or 1h")
    seconds = float(match[1]) * _SECONDS[match[2]]
    return seconds, seconds
