"""The whole flow, from file to file: load, compress, write, run both, judge, and only then put into place."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nncompress.calibrate.feeds import Feeds, load_feeds
from nncompress.calibrate.sizes import key_of
from nncompress.calibrate.synthesise import input_specs, synthesise_choices
from nncompress.compression import Compressed, check_passes, compress_graph
from nncompress.environment import environment
from nncompress.errors import NoOutputError
from nncompress.forms.choice import FormChoice
from nncompress.model.check import check_result
from nncompress.model.facts import file_bytes, file_facts
from nncompress.model.inventory import quantized_parts
from nncompress.model.io import load
from nncompress.model.ledger import with_graph_line
from nncompress.model.model import Model
from nncompress.model.output import Output, check_target
from nncompress.passes.base import Pass
from nncompress.recipe import described
from nncompress.report.record import Comparison, Report, Run, Skipped
from nncompress.report.verdict import Limits, judge
from nncompress.validate.child import check_loads_in_child, first_accepted_in_child, measure_in_child


@dataclass(frozen=True)
class Proof:
    """How the result is compared with the original."""

    validate: bool = True
    data: Path | None = None  # None: feeds are made up from the graph
    labels: Path | None = None
    dims: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    threads: int = 1
    seconds: float = 1.0  # spent on latency
    metrics: tuple[str, ...] = ()  # (): top-1 and top-5 where there are labels
    metric_output: str | None = None  # output that they are about; None: the first that suits


@dataclass(frozen=True)
class Writing:
    """How the result is stored."""

    form: FormChoice = "folded"
    external_data: bool = False
    force: bool = False
    keep_failed: bool = False  # keep a result that fails a gate
    threads: int = 1  # of compressing
    dry_run: bool = False
    freeze_inputs: bool = False  # initializers that are also inputs become constants


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: list[tuple[str, float]] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds.append((name, time.perf_counter() - start))


def compress_file(
    source: Path, target: Path, passes: Sequence[Pass], *, command: str,
    proof: Proof = Proof(), writing: Writing = Writing(), limits: Limits = Limits(),
) -> Report:  # fmt: skip
    """Compresses `source` to `target`. The report says if a gate failed, and then nothing is kept unless asked for.

    Raises UsageError, InputError (source or data), NoOutputError (nothing changed, larger, refused by a runtime).
    """
    watch = Stopwatch()
    check_passes(passes)
    with watch.stage("load"):
        original = load(source)
        if not writing.dry_run:
            check_target(target, original, force=writing.force, external_data=writing.external_data)
        feeds = feeds_of(original, source, proof)
    with watch.stage("compress"), _hashed_meanwhile(original):
        compressed = compress_graph(
            original, passes, form=writing.form, threads=writing.threads, freeze=writing.freeze_inputs
        )
        _require_change(original, compressed)
    with _output(target, original, writing) as out:
        with watch.stage("write"):
            made = out.write(compressed.model, external_data=writing.external_data)
            result = load(made)
            check_result(result, original)
            _require_smaller(original, result, compressed)
        with watch.stage("validate"):
            run = run_both(source, made, compressed.model, feeds, proof)
            original.check_in_place()  # onnxruntime has opened it by its path
            reference = file_facts(original, in_full=proof.validate)
            candidate = file_facts(result, shown_as=target, in_full=proof.validate)
        lines = with_graph_line(compressed.lines, reference.file_bytes, candidate.file_bytes)
        comparison = Comparison(reference, candidate, run)
        verdict = judge(comparison, limits, lines)
        written = not writing.dry_run and (verdict.level != "fail" or writing.keep_failed)
        if written:
            out.commit()
    return Report(
        command, tuple(described(one) for one in passes), comparison, lines, verdict, environment(), proof.seed,
        tuple(watch.seconds), (*original.notes, *_complaint(original), *compressed.notes),
        steps=compressed.steps, worst_values=compressed.worst_values, written=written,
    )  # fmt: skip


def compare_files(reference: Path, candidate: Path, *, proof: Proof = Proof(), limits: Limits = Limits()) -> Report:
    """Compares two given models. Raises InputError for the reference or the data, NoOutputError for the candidate."""
    watch = Stopwatch()
    with watch.stage("load"):
        first, second = load(reference), load(candidate)
        feeds = feeds_of(first, reference, proof)
    with watch.stage("validate"):
        run = run_both(reference, candidate, second, feeds, proof)
        first.check_in_place()
        second.check_in_place()
    comparison = Comparison(file_facts(first), file_facts(second), run)
    verdict = judge(comparison, limits)
    notes = (*first.notes, *_complaint(first), *second.notes, *_complaint(second))
    return Report("compare", (), comparison, (), verdict, environment(), proof.seed, tuple(watch.seconds), notes)


# ------------------------------------------------------------------------------------------------ proof
def feeds_of(model: Model, path: Path, proof: Proof) -> Feeds | None:
    """What the models will be run on; None if they will not. Finds out early that an input cannot be run at all."""
    if proof.validate and proof.data is None:
        return first_accepted_in_child(path, synthesise_choices(model.ir, seed=proof.seed, dims=proof.dims))
    if model.complaint:
        check_loads_in_child(path)  # the checker's word alone is no reason to refuse
    return load_feeds(proof.data, input_specs(model.ir), proof.labels) if proof.validate and proof.data else None


def free_dims(model: Model) -> list[str]:
    """What Proof.dims may name: the free dimensions of the model's inputs."""
    return [
        key_of(spec, axis)
        for spec in input_specs(model.ir)
        for axis, size in enumerate(spec.shape or ())
        if not isinstance(size, int)
    ]


def run_both(reference: Path, candidate: Path, model: Model, feeds: Feeds | None, proof: Proof) -> Run | None:
    """What running both files measured; None without feeds. `model` is the candidate's.

    Raises NoOutputError where onnxruntime refuses the candidate.
    """
    if feeds is None:
        return None
    from nncompress.validate.compare import Request

    return measure_in_child(
        Request(
            reference, candidate, feeds, proof.threads, proof.seconds, exact=_needs_exact(model),
            metrics=proof.metrics, metric_output=proof.metric_output,
        )
    )  # fmt: skip


def _needs_exact(model: Model) -> bool:
    """True if onnxruntime's default session may compute in integers behind our back."""
    return any(kind in ("DequantizeLinear", "MatMulNBits") for kind, _ in quantized_parts(model))


# ------------------------------------------------------------------------------------------------ what may be written
@contextmanager
def _hashed_meanwhile(model: Model) -> Iterator[None]:
    """Hashes the files of `model` on a thread beside the work: a large one takes seconds."""
    with ThreadPoolExecutor(1) as pool:
        hashes = [pool.submit(file.sha256) for file in model.files]
        yield
        for one in hashes:
            one.result()


@contextmanager
def _output(target: Path, original: Model, writing: Writing) -> Iterator[Output]:
    if not writing.dry_run:
        with Output(target, original, force=writing.force) as out:
            yield out
        return
    with tempfile.TemporaryDirectory() as folder, Output(Path(folder) / target.name) as out:
        yield out


def _require_change(original: Model, compressed: Compressed) -> None:
    if compressed.changed:
        return
    reasons = Counter(outcome.reason for outcome in compressed.outcomes if isinstance(outcome, Skipped))
    said = [f"{count} weight{'s' * (count > 1)}: {reason}" for reason, count in reasons.most_common(3)]
    quantized = quantized_parts(original)
    if quantized:
        said.insert(
            0, "it is quantized already (" + ", ".join(f"{count} {kind}" for kind, count in quantized[:3]) + ")"
        )
    said = said or list(compressed.notes) or ["it has no weights that are stored as floats"]
    raise NoOutputError(f"nothing was compressed: {'; '.join(said)}")


def _require_smaller(original: Model, result: Model, compressed: Compressed) -> None:
    before, after = file_bytes(original), file_bytes(result)
    if after >= before:
        raise NoOutputError(f"the result would not be smaller ({before:,} bytes became {after:,}): nothing was written")


def _complaint(model: Model) -> tuple[str, ...]:
    return (f"{model.path}: onnx.checker says: {model.complaint}",) if model.complaint else ()
