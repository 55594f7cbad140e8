"""The command that measures how much each weight matters, and writes a recipe that spares the worst of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nncompress.cli.completion import pass_names
from nncompress.cli.interrupts import end_work
from nncompress.cli.options import FormOptions, ProofOptions, SensitivityFiles, SourceArgument, option
from nncompress.cli.printing import say_sections
from nncompress.cli.progress import hide
from nncompress.cli.with_options import Invocation, with_options
from nncompress.errors import UsageError

if TYPE_CHECKING:
    from nncompress.workflow.sensitivity import Bound


@dataclass(frozen=True)
class SparingOptions:
    """What a recipe has to keep."""

    recipe: Annotated[
        Path | None,
        option("--recipe", group="Recipe", metavar="OUT.toml", text="Write a recipe that leaves the most sensitive "
                "weights as they are, as few as keep the bound."),
    ] = None  # fmt: skip
    min_sqnr: Annotated[
        str | None, option("--min-sqnr", group="Recipe", metavar="DB", text="Bound: least SQNR of the worst output.")
    ] = None
    max_drop: Annotated[
        str | None, option("--max-drop", group="Recipe", metavar="SHARE", text="Bound: most that a task metric loses.")
    ] = None
    force: Annotated[bool, option("--force", "-f", group="Recipe", text="Overwrite OUT.toml if it exists.")] = False
    verbose: Annotated[bool, option("--verbose", "-v", group="Report", text="Print every weight.")] = False


@dataclass(frozen=True)
class ResumeOptions:
    """What was measured before."""

    resume: Annotated[
        Path | None,
        option("--resume", group="Proof", metavar="FILE", text="Keep each effect in FILE as it is measured, and take "
                "those that are there: the same command goes on where it was interrupted."),
    ] = None  # fmt: skip


@with_options(ProofOptions, ResumeOptions, FormOptions, SparingOptions, SensitivityFiles)
def sensitivity(
    source: SourceArgument,
    *,
    steps: Annotated[
        list[str] | None,
        typer.Option("--pass", "-p", metavar="NAME[:OPT=VALUE,...]", help="A pass; give several in their order. "
                     "[default: quantize-weights]", autocompletion=pass_names),
    ] = None,
    proof: ProofOptions,
    resuming: ResumeOptions,
    store: FormOptions,
    sparing: SparingOptions,
    files: SensitivityFiles,
    invocation: Invocation,
) -> None:  # fmt: skip
    """Measure what compressing each weight alone, and all but it, does to the outputs.

    Example: nncompress sensitivity model.onnx --data eval.npz
    Example: nncompress sensitivity model.onnx --data eval.npz --recipe spared.toml --min-sqnr 30 --html layers.html
    """
    from nncompress.cli.from_options import proof_of
    from nncompress.cli.inputs import data_files, inputs_of
    from nncompress.cli.outputs import STDOUT, check_reports, write_files, write_text
    from nncompress.config.recipe import recipe_text
    from nncompress.forms import check_form, check_target
    from nncompress.passes.spec import parse_step
    from nncompress.report.sensitivity_text import sensitivity_sections
    from nncompress.workflow.sensitivity import measure_sensitivity

    passes = [parse_step(step) for step in steps or ["quantize-weights"]]
    if resuming.resume == STDOUT:
        raise UsageError("--resume needs a file that is read the next time, not stdout")
    inputs = inputs_of([source], [*data_files(proof), *invocation.config])
    check_reports(files, inputs, besides={"--recipe": sparing.recipe, "--resume": resuming.resume})
    report, sparing_passes = measure_sensitivity(
        source, passes, proof=proof_of(proof), form=check_form(store.form), target=check_target(store.target),
        bound=_bound(sparing), kept=resuming.resume,
    )  # fmt: skip
    hide()
    end_work()  # an interrupt could no longer leave nothing behind
    if sparing.recipe is not None:
        write_text(sparing.recipe, recipe_text(sparing_passes, {}, sparing.recipe))
    if not write_files(report, files):
        say_sections(*sensitivity_sections(report, verbose=sparing.verbose))


def _bound(options: SparingOptions) -> Bound | None:
    """Raises UsageError for options that cannot be meant."""
    from nncompress.cli.outputs import require_free
    from nncompress.results.units import parse_db, parse_share
    from nncompress.workflow.sensitivity import Bound

    bounded = options.min_sqnr is not None or options.max_drop is not None
    if (options.recipe is not None) != bounded:
        raise UsageError("--recipe OUT.toml needs what it has to keep: --min-sqnr or --max-drop; and these need it")
    if options.recipe is None:
        return None
    require_free(options.recipe, force=options.force)
    return Bound(
        None if options.min_sqnr is None else parse_db(options.min_sqnr),
        None if options.max_drop is None else parse_share(options.max_drop), str(options.recipe),
    )  # fmt: skip
