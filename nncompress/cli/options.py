"""Options that several commands share, as frozen dataclasses whose fields are the options.

`with_options(Kind)` gives a command one parameter for every field, and calls it with an instance of Kind instead, so
that an option is declared, documented and defaulted in one place.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

Source = Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model to read.", show_default=False)]
Target = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="OUT", help="The model to write.", show_default=False)
]


def _option(*names: str, group: str, text: str, metavar: str | None = None) -> Any:
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=group)


@dataclass(frozen=True)
class ProofOptions:
    """On what and how the two models are compared."""

    data: Annotated[
        Path | None,
        _option("--data", group="Proof", metavar="PATH", text="Inputs to run on: folder of .npz, .npz, .npy, or ONNX "
                "test_data_set folders. Without it they are made up, and the report says so."),
    ] = None  # fmt: skip
    labels: Annotated[
        Path | None, _option("--labels", group="Proof", metavar="NPZ", text="Classes of the samples, in their order.")
    ] = None
    dim: Annotated[
        list[str] | None,
        _option("--dim", group="Proof", metavar="NAME=SIZE", text="Size of a free dimension of made-up inputs."),
    ] = None
    seed: Annotated[int, _option("--seed", group="Proof", text="Seed of made-up inputs.")] = 0
    bench_threads: Annotated[int, _option("--bench-threads", group="Proof", text="Threads of the latency test.")] = 1
    seconds: Annotated[float, _option("--seconds", group="Proof", text="Time spent on latency; 0 skips it.")] = 1.0


@dataclass(frozen=True)
class LimitOptions:
    """Gates: a missed one ends with exit code 1."""

    min_cosine: Annotated[
        float | None, _option("--min-cosine", group="Gates", text="Least cosine of the worst output.")
    ] = None
    min_sqnr: Annotated[
        float | None, _option("--min-sqnr", group="Gates", text="Least SQNR of the worst output, in dB.")
    ] = None
    max_drop: Annotated[
        str | None,
        _option("--max-drop", group="Gates", metavar="SHARE", text='Largest drop of a task metric: "0.5 %".'),
    ] = None
    max_size: Annotated[
        str | None, _option("--max-size", group="Gates", metavar="SIZE", text='Largest file: "4 MB", "1.5 MiB".')
    ] = None
    min_ratio: Annotated[float | None, _option("--min-ratio", group="Gates", text="Least number of times smaller.")] = (
        None
    )
    max_latency_ratio: Annotated[
        float | None, _option("--max-latency-ratio", group="Gates", text="Largest latency, as new / old.")
    ] = None


@dataclass(frozen=True)
class FileOptions:
    """Where the report goes."""

    json: Annotated[
        Path | None, _option("--json", group="Report", metavar="FILE", text="Also write it as JSON; - for stdout.")
    ] = None
    markdown: Annotated[
        Path | None, _option("--markdown", group="Report", metavar="FILE", text="Also as Markdown; - for stdout.")
    ] = None
    html: Annotated[
        Path | None, _option("--html", group="Report", metavar="FILE", text="Also as one HTML page; - for stdout.")
    ] = None
    junit: Annotated[
        Path | None, _option("--junit", group="Report", metavar="FILE", text="Checks as JUnit XML; - for stdout.")
    ] = None
    csv: Annotated[
        Path | None, _option("--csv", group="Report", metavar="FILE", text="Ledger as CSV; - for stdout.")
    ] = None
    github_summary: Annotated[
        bool,
        _option("--github-summary", group="Report", text="Append Markdown to the summary of a GitHub Actions job."),
    ] = False


@dataclass(frozen=True)
class ReportOptions(FileOptions):
    """Where the report goes, and how much of it is printed."""

    quiet: Annotated[bool, _option("--quiet", "-q", group="Report", text="Print the verdict only.")] = False
    verbose: Annotated[bool, _option("--verbose", "-v", group="Report", text="Print every weight.")] = False


@dataclass(frozen=True)
class WriteOptions:
    """How the result is written."""

    form: Annotated[
        str,
        _option("--form", group="Output", metavar="folded|dequantize", text="How integers are stored: folded runs at "
                "float speed everywhere; dequantize is standard DequantizeLinear."),
    ] = "folded"  # fmt: skip
    external_data: Annotated[
        bool, _option("--external-data", group="Output", text="Weights in a data file beside the model.")
    ] = False
    freeze_inputs: Annotated[
        bool,
        _option("--freeze-inputs", group="Output", text="Weights that are also inputs, which callers may override, "
                "become constants and are compressed."),
    ] = False  # fmt: skip
    force: Annotated[bool, _option("--force", group="Output", text="Overwrite OUT if it exists.")] = False
    keep_failed: Annotated[bool, _option("--keep-failed", group="Output", text="Keep OUT even if a gate fails.")] = (
        False
    )
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Run both models and compare.", rich_help_panel="Output")
    ] = True
    dry_run: Annotated[bool, _option("--dry-run", group="Output", text="Do everything but write OUT.")] = False
    threads: Annotated[int, _option("--threads", group="Output", text="Threads of compressing; 0: all cores.")] = 0


@dataclass(frozen=True)
class SelectOptions:
    """Which weights."""

    include: Annotated[
        list[str] | None,
        _option(
            "--include", group="Weights", metavar="GLOB", text="Only weights, or nodes reading them, of this name."
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        _option("--exclude", group="Weights", metavar="GLOB", text="Not weights, or nodes reading them, of this name."),
    ] = None
    min_size: Annotated[
        int | None, _option("--min-size", group="Weights", metavar="N", text="Leave weights of fewer elements alone.")
    ] = None


def with_options(*kinds: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replaces a command's parameters annotated with one of `kinds` by that kind's fields."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        places: dict[str, type] = {}
        for name, parameter in inspect.signature(command).parameters.items():
            kind = hints[name]
            if kind not in kinds:
                parameters.append(parameter.replace(annotation=kind))
                continue
            places[name] = kind
            fields = typing.get_type_hints(kind, include_extras=True)
            parameters += [
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=fields[f.name])
                for f in dataclasses.fields(kind)
            ]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            own = {key: value for key, value in given.items() if not _belongs(key, places.values())}
            built = {
                name: kind(**{f.name: given[f.name] for f in dataclasses.fields(kind)}) for name, kind in places.items()
            }
            command(**own, **built)

        parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
        signature = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(signature)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature}
        return run

    return decorate


def _belongs(key: str, kinds: typing.Iterable[type]) -> bool:
    return any(key == f.name for kind in kinds for f in dataclasses.fields(kind))
