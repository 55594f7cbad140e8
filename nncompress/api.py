"""What `import nncompress` offers: load, compress, save, compare and sweep, without the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from nncompress.errors import UsageError
from nncompress.files.opened import data_digest
from nncompress.files.places import MADE_UP
from nncompress.forms import check_form, check_target
from nncompress.forms.form import DEFAULT_FORM
from nncompress.model.model import Model
from nncompress.model.short_names import strip as strip_names
from nncompress.onnx_file.memory import AnyModel, as_model, to_proto
from nncompress.onnx_file.output import OutputFile, check_result
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.binarize import Binarize
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.factorize import Factorize
from nncompress.passes.migrate_scales import MigrateScales
from nncompress.passes.prune_magnitude import PruneMagnitude
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.share_weights import ShareWeights
from nncompress.passes.slim_channels import SlimChannels
from nncompress.passes.store_lossless import StoreLossless
from nncompress.report.formats import rendered
from nncompress.results import record
from nncompress.results.limits import read_limits
from nncompress.results.sweep import Ended, Lost
from nncompress.search.pool import run_trials
from nncompress.search.sweep import check_places, inputs_of_trials, trial_names, write_plan
from nncompress.search.trial import Trial, model_digest, trial_key
from nncompress.workflow.calibration import Calibrating, samples_for
from nncompress.workflow.compare import compare_files
from nncompress.workflow.pipeline import check_passes, compress_graph
from nncompress.workflow.prepare import Preparing
from nncompress.workflow.proof import Proof
from nncompress.workflow.raised_check import same_made_up_outputs

__all__ = [
    "Binarize", "CorrectBiases", "Factorize", "MigrateScales", "Model", "PruneMagnitude", "QuantizeActivations",
    "QuantizeWeights", "Report", "ShareWeights", "SlimChannels", "StoreLossless", "compare", "compress",
    "load", "save", "sweep", "to_proto",
]  # fmt: skip


class Report(record.Report):
    """What a comparison found out: `verdict`, `comparison` and more, and the same as text for people and programs."""

    def html(self) -> str:
        """One HTML page that loads nothing."""
        return rendered(self, "html")

    def markdown(self) -> str:
        """For pull requests."""
        return rendered(self, "markdown")

    def to_json(self) -> str:
        """Everything, by the schema that `nncompress schema report` prints."""
        return rendered(self, "json")


def compress(
    model: AnyModel,
    passes: Sequence[Pass],
    *,
    form: str = DEFAULT_FORM,
    target: str = "portable",
    threads: int = 1,
    freeze_inputs: bool = False,
    keep_opset: bool = False,
    keep_metadata: bool = False,
    strip: bool = False,
    calibration: str | Path | None = None,
    calibration_cache: str | Path | None = None,
) -> Model:
    """A compressed copy of `model`, a path or what is loaded, whose `ledger` says what was done to each weight.

    Where no pass finds anything to do, the copy is the model as it was. `freeze_inputs`: initializers that are also
    graph inputs become constants and are compressed as well. `keep_opset`: a model whose opset is too old for what
    the passes or the form need is not raised to a newer one. `keep_metadata`: what exporters write on nodes and
    values for debugging stays also where it is more than 1 % of the result; `strip`: none of it stays, and nodes
    and inner values get short names. `calibration`: samples, as `data` of `compare`, for passes that need them,
    such as CorrectBiases; "synthetic" makes some up. `calibration_cache`: a file that keeps what activations were
    like for a next time. Raises UsageError for impossible options, InputError for a model that cannot be read.
    """
    check_form(form)
    checked, original = _checked(passes), as_model(model)
    check_passes(checked, calibrated=calibration is not None)
    samples = samples_for(checked, original, Calibrating(_path(calibration), _path(calibration_cache)))
    preparing = Preparing(freeze_inputs, keep_opset, partial(same_made_up_outputs, original))
    compressed = compress_graph(
        original,
        checked,
        form=form,
        target=check_target(target),
        threads=threads,
        preparing=preparing,
        samples=None if samples is None else samples.feeds,
        cache=None if samples is None else samples.cache,
        keep_metadata=keep_metadata,
    )
    if strip:
        strip_names(compressed.model)
    compressed.model.ledger = compressed.lines
    return compressed.model


def _checked(passes: Sequence[Pass]) -> list[Pass]:
    """The same passes. Raises UsageError where they are none."""
    if not isinstance(passes, Sequence) or not all(isinstance(step, Pass) for step in passes):
        raise UsageError("passes are given as a list, such as [QuantizeWeights()]")
    return list(passes)


def save(model: Model, path: str | Path, *, force: bool = False, external_data: bool = False) -> None:
    """Writes `model` to `path`, whole or not at all. Raises UsageError if it exists (without `force`) or is the
    model's own file, NoOutputError if it cannot be written or would not be a valid model."""
    with OutputFile(Path(path), model, force=force) as out:
        check_result(load(out.write(model, external_data=external_data)), model)
        out.commit()


def compare(
    reference: str | Path,
    candidate: str | Path,
    *,
    data: str | Path | None = None,
    labels: str | Path | None = None,
    metrics: Sequence[str] = (),
    metric_output: str | None = None,
    limits: Mapping[str, str | float] | None = None,
    dims: Mapping[str, int] | None = None,
    seed: int = 0,
    seconds: float = 1.0,
) -> Report:
    """Runs both models side by side in onnxruntime, on `data` or on synthetic inputs, and judges the candidate.

    `labels`: what is true of the samples, for the `metrics` by name ("f1", "scores.py:accuracy"; without any top-1 and
    top-5); `metric_output` is the output that they are about. `limits`: by the names and units that recipes take, such
    as {"max_drop": "1 %", "min_cosine": 0.99}; a missed one makes the verdict "fail". `dims` and `seed`: of synthetic
    inputs. `seconds`: spent on latency, 0 for none. Raises UsageError, InputError for the reference or the data,
    NoOutputError for the candidate.
    """
    if data is None and (labels is not None or metrics or metric_output is not None):
        raise UsageError("labels and metrics need data: they are about real samples")
    if isinstance(metrics, str):
        raise UsageError(f"metrics are given as a list, such as [{metrics!r}]")
    if not seconds >= 0:
        raise UsageError(f"seconds must be 0 (latency is not measured) or more, not {seconds}")
    for model in (reference, candidate):
        if not isinstance(model, str | Path):
            raise UsageError(f"models to compare are paths, not {type(model).__name__}: save one to have it compared")
    proof = Proof(
        data=_path(data), labels=_path(labels), metrics=tuple(metrics), metric_output=metric_output, dims=dims or {},
        seed=seed, seconds=seconds,
    )  # fmt: skip
    made = compare_files(Path(reference), Path(candidate), proof=proof, limits=read_limits(limits or {}))
    return Report(**{field.name: getattr(made, field.name) for field in dataclasses.fields(made)})


def _path(given: str | Path | None) -> Path | None:
    return None if given is None else Path(given)


def sweep(
    models: Sequence[str | Path],
    recipes: Mapping[str, Sequence[Pass]],
    folder: str | Path,
    *,
    data: str | Path | None = None,
    calibration: str | Path | None = None,
    calibration_cache: str | Path | None = None,
    seconds: float = 1.0,
    jobs: int = 1,
    executor: Executor | None = None,
) -> list[Ended | Lost]:
    """Runs every model under every recipe ({name: passes}) and returns how each trial ended, model by model.

    Each runs in a process of its own and leaves MODEL--RECIPE.onnx and its report .json in `folder`; what has ended
    there before is not run again. `jobs` trials run at a time, or as many as the `executor` (any of
    concurrent.futures, of workers that see the same files) takes. `calibration`, `calibration_cache`: as of
    `compress`; without them a part of `data` serves passes that need samples.
    `seconds`: spent on latency, 0 for none. Raises UsageError for passes that do not go together and for files in
    `folder` that no sweep made, NoOutputError if it cannot be written.
    """
    if isinstance(models, str | Path):
        raise UsageError(f"models are given as a list, such as [{str(models)!r}]")
    place = Path(folder)
    names = trial_names([Path(model) for model in models], list(recipes))
    proof = Proof(data=_path(data), seconds=seconds)
    digest = data_digest(proof.data) if proof.data else ""
    calibrating = Calibrating(_path(calibration), _path(calibration_cache))
    samples = calibrating.samples
    options = [("data_sha256", digest), ("seconds", str(seconds))]
    options += [("calibration_sha256", data_digest(samples))] if samples not in (None, MADE_UP) else []
    trials = []
    for model in map(Path, models):
        files = model_digest(model)
        for recipe, passes in recipes.items():
            checked = _checked(passes)
            check_passes(checked, calibrated=samples is not None or proof.data is not None)
            key = trial_key(files, checked, options)
            trial = Trial(
                names[model, recipe], model, recipe, tuple(checked), place, key, proof, calibrating=calibrating
            )
            trials.append(trial.absolute())
    check_places(trials, place, inputs_of_trials(trials))
    write_plan(trials, place)
    return run_trials(trials, jobs=jobs, executor=executor)
