"""The commands that write a model: quantize, prune, factorize, and run for several passes in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nncompress.cli.options import (
    LimitOptions,
    ProofOptions,
    ReportOptions,
    SelectOptions,
    Source,
    Target,
    WriteOptions,
    shared_values,
)
from nncompress.cli.settings import Layer, configured
from nncompress.cli.with_options import with_options

if TYPE_CHECKING:
    from nncompress.passes.base import Pass

_shared = with_options(SelectOptions, ProofOptions, LimitOptions, WriteOptions, ReportOptions)


@_shared
def quantize(
    source: Source,
    select: SelectOptions,
    proof: ProofOptions,
    limits: LimitOptions,
    write: WriteOptions,
    report: ReportOptions,
    target: Target = None,
    dtype: Annotated[str | None, typer.Option("--dtype", metavar="int8|uint8", help="Type of the integers.")] = None,
    symmetric: Annotated[
        bool | None, typer.Option("--symmetric/--asymmetric", help="Zero point in the middle, or use the full range.")
    ] = None,
    granularity: Annotated[
        str | None, typer.Option("--per", metavar="channel|tensor", help="One scale a channel, or one a weight.")
    ] = None,
    range_: Annotated[
        str | None,
        typer.Option("--range", metavar="mse|minmax", help="Clip where the squared error is least, or never."),
    ] = None,
    only_if_smaller: Annotated[
        bool | None,
        typer.Option("--only-if-smaller/--even-if-larger", help="Leave weights alone where it does not pay."),
    ] = None,
) -> None:
    """Store weights as 8-bit integers with a scale: about a quarter of the size, float speed.

    Example: nncompress quantize model.onnx -o small.onnx --data eval.npz --max-drop "0.5 %"
    """
    from nncompress.cli.build import pass_of

    one = pass_of(
        "quantize-weights", select, dtype=dtype, symmetric=symmetric, granularity=granularity, range=range_,
        only_if_smaller=only_if_smaller,
    )  # fmt: skip
    _compress("quantize", source, target, [one], proof, limits, write, report)


@_shared
def prune(
    source: Source,
    select: SelectOptions,
    proof: ProofOptions,
    limits: LimitOptions,
    write: WriteOptions,
    report: ReportOptions,
    target: Target = None,
    sparsity: Annotated[
        float | None, typer.Option("--sparsity", help="Share of zeros, 0 to 1. [default: 0.5]", show_default=False)
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Zero whatever is smaller than this instead.")
    ] = None,
    scope: Annotated[
        str | None,
        typer.Option(
            "--scope",
            metavar="lamp|weight|global",
            help="The share is of all together by LAMP scores (default), of each weight, or of all by magnitude.",
        ),
    ] = None,
) -> None:
    """Set the smallest weights to zero, and store zeros small.

    Example: nncompress prune model.onnx -o small.onnx --sparsity 0.6 --data eval.npz
    """
    from nncompress.cli.build import pass_of

    one = pass_of("prune-magnitude", select, sparsity=sparsity, threshold=threshold, scope=scope)
    _compress("prune", source, target, [one], proof, limits, write, report)


@_shared
def factorize(
    source: Source,
    select: SelectOptions,
    proof: ProofOptions,
    limits: LimitOptions,
    write: WriteOptions,
    report: ReportOptions,
    target: Target = None,
    rank: Annotated[int | None, typer.Option("--rank", help="The same rank for all.")] = None,
    energy: Annotated[
        float | None, typer.Option("--energy", help="Share of the energy to keep. [default: 0.99]", show_default=False)
    ] = None,
    ratio: Annotated[float | None, typer.Option("--ratio", help="Share of the parameters to keep.")] = None,
) -> None:
    """Split large matrices into two thin ones where that saves bytes and work.

    Example: nncompress factorize model.onnx -o small.onnx --energy 0.99 --data eval.npz
    """
    from nncompress.cli.build import pass_of

    one = pass_of("factorize", select, rank=rank, energy=energy, ratio=ratio)
    _compress("factorize", source, target, [one], proof, limits, write, report)


def _from_recipe(given: Mapping[str, Any]) -> list[Layer]:
    """What the recipe of `run` sets comes before the configuration files."""
    from nncompress.recipe_file import load_recipe

    layers = configured(given)
    if given["steps"] or len(given["paths"]) != 2:
        return layers
    path = given["paths"][0]
    return [Layer(str(path), load_recipe(path, given["changes"] or ()).options), *layers]


@with_options(ProofOptions, LimitOptions, WriteOptions, ReportOptions, layers=_from_recipe)
def run(
    paths: Annotated[
        list[Path], typer.Argument(metavar="[RECIPE] MODEL", help="A recipe (TOML or JSON), and the model.")
    ],
    proof: ProofOptions,
    limits: LimitOptions,
    write: WriteOptions,
    report: ReportOptions,
    steps: Annotated[
        list[str] | None,
        typer.Option("--pass", "-p", metavar="NAME[:OPT=VALUE,...]", help="A pass; give several in their order."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PLACE=VALUE", help="Change the recipe: steps.0.sparsity=0.4 (steps from 0)."),
    ] = None,
    target: Target = None,
) -> None:
    """Apply several passes in order, from -p options or a recipe.

    Example: nncompress run -p prune-magnitude:sparsity=0.5 -p quantize-weights model.onnx -o small.onnx
    """
    from nncompress.errors import UsageError
    from nncompress.recipe import parse_step
    from nncompress.recipe_file import load_recipe

    if len(paths) != (1 if steps else 2):
        raise UsageError(
            "give either a recipe and a model, or passes with -p and one model (nncompress passes lists them)"
        )
    if steps and changes:
        raise UsageError("--set changes a recipe, and there is none: write it into the -p option")
    passes = [parse_step(step) for step in steps] if steps else load_recipe(paths[0], changes or ()).steps
    _compress("run", paths[-1], target, passes, proof, limits, write, report, taken=paths[:-1])


def _compress(
    command: str, source: Path, target: Path | None, passes: Sequence[Pass], proof: ProofOptions,
    limits: LimitOptions, write: WriteOptions, report: ReportOptions, taken: Sequence[Path] = (),
) -> None:  # fmt: skip
    from nncompress.cli.build import limits_of, proof_of, target_of, writing_of
    from nncompress.cli.reports import check_reports, finish, write_text
    from nncompress.cli.unchanged import made_already, options_used
    from nncompress.recipe_file import recipe_text
    from nncompress.workflow import compress_file

    writing, proving, gates = writing_of(write), proof_of(proof, validate=write.validate), limits_of(limits)
    where = target_of(target, writing, source)
    check_reports(report, (source, where, proof.data, proof.labels, *taken), write.save_recipe)
    options = options_used(proof, limits, write)
    if write.if_changed and not write.dry_run and made_already(source, where, passes, options, report):
        typer.echo(f"{where} is up to date")
        return
    result = compress_file(source, where, passes, command=command, proof=proving, writing=writing, limits=gates)
    if write.save_recipe is not None:
        write_text(write.save_recipe, recipe_text(passes, shared_values(proof, limits, write), write.save_recipe))
    notes = ("dry run: nothing was written",) if write.dry_run else ()
    finish(replace(result, options=options, notes=(*result.notes, *notes)), report)
