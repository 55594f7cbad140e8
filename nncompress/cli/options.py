"""Options that several commands share, as frozen dataclasses whose fields are the options.

`with_options(Kind)` gives a command all of them, so that an option is declared, documented and defaulted in one place.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from nncompress.cli.completion import completing
from nncompress.cli.recipe_schema import values_of
from nncompress.cli.settings import PREFIX, variables
from nncompress.report.formats import ALL_FORMATS, formats_of
from nncompress.results.limits import Limit, Limits, limits_in
from nncompress.validate.metrics.names import KNOWN

SourceArgument = Annotated[Path, typer.Argument(metavar="MODEL", help="The ONNX model to read.", show_default=False)]
TargetOption = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="The model to write. [default: MODEL.small.onnx beside MODEL]",
        show_default=False,
    ),
]


def option(*names: str, group: str, text: str, metavar: str | None = None) -> Any:
    """An option in a group of the help; a metavar such as "int8|uint8" lists its values."""
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=group, autocompletion=completing(metavar))


def shared_option(name: str, *, group: str, text: str, metavar: str | None = None, field: str = "") -> Any:
    """An option that NNCOMPRESS_NAME, a recipe and the configuration files may set too (see settings.py). `field`: its
    name there, where it is another one."""
    variable = PREFIX + (field or name.split("/")[0].removeprefix("--")).upper().replace("-", "_")
    variables.add(variable)
    return typer.Option(
        name, help=text, metavar=metavar, rich_help_panel=group, envvar=variable, show_envvar=False,
        autocompletion=completing(metavar),
    )  # fmt: skip


@dataclass(frozen=True)
class SeedOptions:
    """How made-up inputs are made, and how long latency is measured."""

    seed: Annotated[int, shared_option("--seed", group="Proof", text="Seed of made-up inputs.")] = 0
    seconds: Annotated[float, shared_option("--seconds", group="Proof", text="Time spent on latency; 0 skips it.")] = (
        1.0
    )


@dataclass(frozen=True)
class RunOptions(SeedOptions):
    """How models are run, but not on what: `check` takes that from its budgets."""

    dim: Annotated[
        list[str] | None,
        shared_option("--dim", group="Proof", metavar="NAME=SIZE", text="Size of a free dimension of made-up inputs."),
    ] = None
    bench_threads: Annotated[
        int, shared_option("--bench-threads", group="Proof", text="Threads of the latency test.")
    ] = 1
    register_library: Annotated[
        list[Path] | None,
        shared_option("--register-library", group="Proof", metavar="FILE", text="Library of custom operators for "
                "onnxruntime (.so, .dll, .dylib), whose code runs; several may be given."),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class DataOptions:
    """On what models are run."""

    data: Annotated[
        Path | None,
        shared_option("--data", group="Proof", metavar="PATH", text="Inputs to run on: folder of .npz, .npz, .npy, or "
                "ONNX test_data_set folders. Without it they are made up, and the report says so."),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class TaskOptions:
    """What the models are to do well."""

    labels: Annotated[
        Path | None,
        shared_option("--labels", group="Proof", metavar="NPZ", text="What is true of the samples, in their order."),
    ] = None
    metric: Annotated[
        list[str] | None,
        shared_option("--metric", group="Proof", metavar="NAME", text=f"Task metric: {KNOWN}, or your own as "
                "module:function or file.py:function; several may be given. With labels and without this option: top-1 "
                "and top-5."),
    ] = None  # fmt: skip
    metric_output: Annotated[
        str | None,
        shared_option("--metric-output", group="Proof", metavar="OUTPUT", text="Output that the metrics are about."),
    ] = None


@dataclass(frozen=True)
class BenchOptions(RunOptions, DataOptions):
    """On what and how models are timed."""


@dataclass(frozen=True)
class ProofOptions(RunOptions, TaskOptions, DataOptions):
    """On what and how the two models are compared."""


def _limit_option(name: str, limit: Limit) -> tuple[str, Any, Any]:
    told = shared_option(f"--{name.replace('_', '-')}", group="Gates", metavar=limit.metavar, text=limit.text)
    return name, Annotated[(str if limit.metavar else float) | None, told], None


_LIMITS = [_limit_option(name, limit) for name, limit in limits_in(Limits).items()]


class LimitOptions(make_dataclass("_LimitOptions", _LIMITS, frozen=True)):  # type: ignore[misc]
    """Gates: a missed one ends with exit code 1."""


@dataclass(frozen=True)
class FileOptions:
    """Where results go besides stdout."""

    @property
    def paths(self) -> dict[str, Path]:
        """{format: path} of what is to be written."""
        paths = {entry.name: getattr(self, entry.name, None) for entry in ALL_FORMATS}
        return {name: path for name, path in paths.items() if path is not None}

    @property
    def summary(self) -> bool:
        """True if the summary of a job is to be appended to."""
        return bool(getattr(self, "github_summary", False))


def _files(kind: str) -> Any:
    """FileOptions for the formats that show results of this type."""
    options: list[tuple[str, Any, Any]] = []
    for entry in formats_of(kind):
        told = option(f"--{entry.name}", group="Report", metavar="FILE", text=entry.text)
        options.append((entry.name, Annotated[Path | None, told], None))
    return make_dataclass(f"_{kind}Files", options, bases=(FileOptions,), frozen=True)


@dataclass(frozen=True)
class SummaryOptions(FileOptions):
    """Whether GitHub Actions shows them."""

    github_summary: Annotated[
        bool,
        option("--github-summary", group="Report", text="Append Markdown to the summary of a GitHub Actions job."),
    ] = False


@dataclass(frozen=True)
class InspectFiles(_files("Inspection")):  # type: ignore[misc]
    """Where the result of `inspect` goes."""


@dataclass(frozen=True)
class BenchFiles(_files("BenchReport")):  # type: ignore[misc]
    """Where the result of `bench` goes."""


@dataclass(frozen=True)
class SensitivityFiles(_files("SensitivityReport")):  # type: ignore[misc]
    """Where the result of `sensitivity` goes."""


@dataclass(frozen=True)
class CheckFiles(SummaryOptions, _files("CheckReport")):  # type: ignore[misc]
    """Where the result of `check` goes."""


@dataclass(frozen=True)
class ResultsFiles(SummaryOptions, _files("Results")):  # type: ignore[misc]
    """Where the results of `sweep` go."""


@dataclass(frozen=True)
class ReportOptions(SummaryOptions, _files("Report")):  # type: ignore[misc]
    """Where the report goes, and how much of it is printed."""

    quiet: Annotated[bool, option("--quiet", "-q", group="Report", text="Print the verdict only.")] = False
    verbose: Annotated[bool, option("--verbose", "-v", group="Report", text="Print every weight.")] = False


@dataclass(frozen=True)
class FormOptions:
    """How integers are stored, and where they have to run."""

    form: Annotated[
        str,
        shared_option("--form", group="Output", metavar="|".join(values_of("form")), text="How integers are stored: "
                "folded runs at float speed everywhere; integer multiplies matrices as integers, which is faster; "
                "dequantize is standard DequantizeLinear."),
    ] = "folded"  # fmt: skip
    target: Annotated[
        str,
        shared_option("--target", group="Output", metavar="|".join(values_of("target")), text="Where it has to run. "
                "portable: any runtime; ort: operators of onnxruntime alone are allowed (LSTM of integers)."),
    ] = "portable"  # fmt: skip


@dataclass(frozen=True)
class StoreOptions(FormOptions):
    """How a result is stored, and whether it is kept."""

    aim: Annotated[
        str,
        shared_option("--for", field="aim", group="Output", metavar="|".join(values_of("aim")), text="What it is for. "
                "size: a result that is not smaller is refused; speed: it is not, and quantize means --activations "
                "mixed; both: these two; accuracy: neither."),
    ] = "size"  # fmt: skip
    external_data: Annotated[
        bool, shared_option("--external-data", group="Output", text="Weights in a data file beside the model.")
    ] = False
    keep_metadata: Annotated[
        bool,
        shared_option("--keep-metadata", group="Output", text="Keep what exporters write on nodes and values for "
                "debugging also where it is more than 1 % of the result."),
    ] = False  # fmt: skip
    strip: Annotated[
        bool,
        shared_option("--strip/--no-strip", group="Output", text="Short names for values but inputs and "
               "outputs, none for nodes, and nothing for debugging; auto does so unless told not to."),
    ] = False  # fmt: skip
    freeze_inputs: Annotated[
        bool,
        option("--freeze-inputs", group="Output", text="Weights that are also inputs, which callers may override, "
                "become constants and are compressed."),
    ] = False  # fmt: skip
    keep_opset: Annotated[
        bool,
        shared_option("--keep-opset", group="Output", text="Do without what needs a newer opset than MODEL has. "
                "Otherwise it is raised where a pass or form needs that, and the outputs stay the same."),
    ] = False  # fmt: skip
    keep_failed: Annotated[bool, option("--keep-failed", group="Output", text="Keep OUT even if a gate fails.")] = False
    validate: Annotated[
        bool, typer.Option("--validate/--no-validate", help="Run both models and compare.", rich_help_panel="Output")
    ] = True


@dataclass(frozen=True)
class WriteOptions(StoreOptions):
    """How the result is written."""

    force: Annotated[bool, option("--force", "-f", group="Output", text="Overwrite OUT if it exists.")] = False
    if_changed: Annotated[
        bool,
        option("--if-changed", group="Output", text="Do nothing if OUT is what --json FILE says, made from the same "
                "MODEL with the same options and version."),
    ] = False  # fmt: skip
    save_recipe: Annotated[
        Path | None,
        option("--save-recipe", group="Output", metavar="FILE", text="Also write the recipe that equals this command."),
    ] = None
    dry_run: Annotated[bool, option("--dry-run", group="Output", text="Do everything but write OUT.")] = False
    threads: Annotated[
        int, shared_option("--threads", group="Output", text="Threads of compressing; 0: all cores.")
    ] = 0


def shared_values(*kinds: Any) -> dict[str, Any]:
    """{name: value} of the options, in instances of the classes, that are not at their defaults."""
    fields = [(kind, field) for kind in kinds for field in dataclasses.fields(kind)]
    values = {
        field.name: getattr(kind, field.name) for kind, field in fields if getattr(kind, field.name) != field.default
    }
    return {name: value for name, value in values.items() if value is not None}
