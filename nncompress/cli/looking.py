"""The commands that change nothing: inspect, passes, schema, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nncompress.cli.completion import completing, pass_names
from nncompress.cli.printing import say


def inspect(
    source: Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model to read.", show_default=False)],
    other: Annotated[
        Path | None, typer.Argument(metavar="[MODEL2]", help="Show the difference to this one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="List every weight.")] = False,
) -> None:
    """Show what is in a model, where the bytes are, and what could be compressed.

    Example: nncompress inspect model.onnx
    Example: nncompress inspect model.onnx small.onnx --json
    """
    from nncompress.inspection import inspect_file
    from nncompress.report.inspect_text import difference_json, difference_text, inspection_json, inspection_text

    first = inspect_file(source)
    if other is None:
        say(inspection_json(first) if as_json else inspection_text(first, verbose=verbose))
        return
    second = inspect_file(other)
    say(difference_json(first, second) if as_json else difference_text(first, second))


def passes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Document this pass.", show_default=False, autocompletion=pass_names),
    ] = None,
) -> None:
    """List the passes, or document one with its options.

    Example: nncompress passes
    Example: nncompress passes quantize-weights
    """
    from nncompress.passes import ALL_PASSES, pass_named
    from nncompress.passes.document import document, summary

    if name is None:
        width = max(len(one.name) for one in ALL_PASSES)
        say("\n".join(f"{one.name:{width}}  {summary(one)}" for one in ALL_PASSES))
    else:
        say(document(pass_named(name)))


def schema(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="recipe|report|check",
            help="What the JSON is about.",
            show_default=False,
            autocompletion=completing("recipe|report|check"),
        ),
    ],
) -> None:
    """Print the JSON Schema of a recipe, of a report (--json), or of what check --json writes.

    Example: nncompress schema recipe
    Example: nncompress schema check
    """
    from importlib.resources import files

    from nncompress.errors import UsageError, nearest

    homes = {"recipe": "nncompress", "report": "nncompress.report", "check": "nncompress.report"}
    if kind not in homes:
        raise UsageError(f"there is no schema {kind!r}{nearest(kind, homes)}: it is recipe, report or check")
    say(files(homes[kind]).joinpath(f"{kind}.schema.json").read_text(encoding="utf-8"))


def doctor() -> None:
    """Show versions, processor and onnxruntime's providers.

    Example: nncompress doctor
    """
    from nncompress.environment import environment
    from nncompress.validate.providers import providers

    found = environment()
    rows = {
        "nncompress": found.nncompress,
        "Python": found.python,
        "onnx": found.onnx,
        "onnx-ir": found.onnx_ir,
        "numpy": found.numpy,
        "onnxruntime": f"{found.onnxruntime} ({', '.join(providers())})",
        "platform": found.platform,
        "processor": f"{found.cpu}, {found.cores} cores",
        "integer instructions": ", ".join(found.cpu_flags) or "none known",
    }
    width = max(map(len, rows))
    say("\n".join(f"{key:{width}}  {value}" for key, value in rows.items()))
