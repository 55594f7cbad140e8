"""The whole flow, from file to file: load, compress, write, run both, judge, and only then put into place."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from nncompress.errors import NoOutputError, NothingChangedError
from nncompress.forms.form import DEFAULT_FORM, Target
from nncompress.model.inventory import quantized_parts
from nncompress.model.model import Model
from nncompress.model.short_names import strip
from nncompress.onnx_file.facts import file_bytes, file_facts
from nncompress.onnx_file.output import OutputFile, check_result, check_target
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.spec import described
from nncompress.results.limits import Aim, Limits, must_shrink
from nncompress.results.record import Comparison, Report, Skipped
from nncompress.results.rules.on_requests import Requests
from nncompress.results.rules.verdict import judge
from nncompress.runtime.environment import environment
from nncompress.workflow.calibration import Calibrating, Samples, calibration_notes, samples_for
from nncompress.workflow.chosen import Chosen, with_reasons
from nncompress.workflow.ledger import with_graph_line
from nncompress.workflow.mixed import choose, is_mixed
from nncompress.workflow.pipeline import Compressed, check_passes
from nncompress.workflow.prepare import Preparing
from nncompress.workflow.proof import Opened, Proof, Stopwatch, _complaint, check_limits, opened, with_libraries
from nncompress.workflow.raised_check import SameOutputs
from nncompress.workflow.trials import Trials

Choosing = Callable[[Sequence[Pass], Trials, Limits], Chosen]


@dataclass(frozen=True)
class Writing:
    """How the result is stored."""

    form: str = DEFAULT_FORM
    target: Target = "portable"
    aim: Aim = "size"
    external_data: bool = False
    force: bool = False
    keep_failed: bool = False  # keep a result that fails a gate
    threads: int = 1  # of compressing
    dry_run: bool = False
    freeze_inputs: bool = False  # initializers that are also inputs become constants
    keep_opset: bool = False  # do without what needs a newer one
    keep_metadata: bool = False  # what exporters wrote for debugging, however large
    strip: bool = False  # names that nobody needs, too


@with_libraries
def compress_file(
    source: Path, target: Path, passes: Sequence[Pass], *, command: str,
    proof: Proof = Proof(), writing: Writing = Writing(), limits: Limits = Limits(),
    calibrating: Calibrating = Calibrating(), limit_sources: Mapping[str, str] = MappingProxyType({}),
    settled: Callable[[tuple[Pass, ...]], None] | None = None, choosing: Choosing | None = None,
) -> Report:  # fmt: skip
    """Compresses `source` to `target`. The report says if a gate failed, and then nothing is kept unless asked for.
    `limit_sources`: {limit: its file}; `choosing` decides what is left to be measured; `settled` is told the passes.

    Raises UsageError, InputError (source or data), NoOutputError (nothing changed, larger, refused by a runtime).
    """
    watch, here = Stopwatch(), environment()
    check_passes(passes, calibrated=calibrating.samples is not None or proof.data is not None)
    searched, choosing = choosing is not None, choosing or (choose if is_mixed(passes) else None)
    labelled = limits if choosing is None else replace(limits, max_drop=None)  # which does without
    check_limits(labelled, proof, limit_sources)
    with ExitStack() as stack:
        with watch.stage("load"):
            original = load(source)
            if not writing.dry_run:
                check_target(target, original, force=writing.force, external_data=writing.external_data)
            proved = stack.enter_context(opened(original, source, proof))
            reference = proved.facts() if proof.validate else None
            check_limits(labelled, proof, limit_sources, proved.feeds)
            samples = samples_for(passes, original, calibrating, proved, writes=not writing.dry_run)
            proved = proved if samples is None or samples.proof is None else proved.on(samples.proof)
        with watch.stage("compress"), _hashed_meanwhile(original):
            trials = _trials(writing, proved, samples)
            chosen = Chosen(tuple(passes)) if choosing is None else choosing(passes, trials, limits)
            proved = proved if chosen.proof is None else proved.on(chosen.proof)
            if settled is not None:
                settled(chosen.passes)
            compressed = _made(original, chosen, trials, writing)
            notes = (*chosen.notes, *original.notes, *_complaint(original), *compressed.notes)
            notes += calibration_notes(passes, compressed.outcomes, samples, calibrating)
        out = stack.enter_context(_output(target, original, writing))
        with watch.stage("write"):
            written_file = out.write(compressed.model, external_data=writing.external_data)
            proved.begin(written_file, compressed.model)
            result = load(written_file)
            check_result(result, original)
            if must_shrink(writing.aim):
                _require_smaller(original, result)
        with watch.stage("validate"):
            reference = reference or file_facts(original, in_full=False)
            candidate = file_facts(result, shown_as=target, in_full=proof.validate)
            run = proved.finish(written_file, result, (reference, candidate))
            original.check_in_place()  # onnxruntime has opened it by its path
        lines = with_graph_line(compressed.lines, reference.file_bytes, candidate.file_bytes, compressed.outcomes)
        comparison = Comparison(reference, candidate, run)
        requests = _requests(writing, compressed, samples, choosing is not None, searched)
        verdict = judge(comparison, limits, lines, writing.aim, requests, limit_sources)
        written = not writing.dry_run and (verdict.level != "fail" or writing.keep_failed)
        if written:
            out.commit()
    return Report(
        command, _said(passes, chosen), comparison, lines, verdict, here, proof.seed,
        tuple(watch.seconds), notes,
        steps=compressed.steps, worst_values=compressed.worst_values, written=written,
    )  # fmt: skip


def _trials(writing: Writing, proved: Opened, samples: Samples | None) -> Trials:
    check = None
    if proved.session is not None and proved.feeds is not None:
        check = SameOutputs(proved.session, proved.feeds, proved.proof.threads)
    return Trials(
        proved, writing.form, writing.target, writing.threads,
        None if samples is None else samples.feeds, None if samples is None else samples.cache,
        Preparing(writing.freeze_inputs, writing.keep_opset, check), writing.keep_metadata, writing.strip,
    )  # fmt: skip


def _made(original: Model, chosen: Chosen, trials: Trials, writing: Writing) -> Compressed:
    """The result as it is written."""
    compressed = with_reasons(chosen.made or trials.compressed(chosen.passes), chosen)
    _require_change(original, compressed, ["names alone are no reason for another file"] if writing.strip else [])
    if writing.strip:
        strip(compressed.model)
    return compressed


def _said(passes: Sequence[Pass], chosen: Chosen) -> tuple[str, ...]:
    """The passes that were asked for, and those that the choice has added."""
    names = {step.name for step in passes}
    return tuple(described(step) for step in (*(s for s in chosen.passes if s.name not in names), *passes))


def _requests(
    writing: Writing, compressed: Compressed, samples: Samples | None, chosen: bool, searched: bool
) -> Requests:
    asked = None if writing.form == DEFAULT_FORM else writing.form
    made_up = samples is not None and samples.feeds.synthetic
    idle = () if searched else compressed.idle  # nobody asked for each step
    return Requests(asked, idle, compressed.kept_opset, made_up, chosen, searched)


# ------------------------------------------------------------------------------------------------ what may be written
@contextmanager
def _hashed_meanwhile(model: Model) -> Iterator[None]:
    """Hashes the files of `model` on a thread beside the work: a large one takes seconds."""
    with ThreadPoolExecutor(1) as pool:
        hashes = [pool.submit(file.sha256) for file in model.files]
        yield
        for digest in hashes:
            digest.result()


@contextmanager
def _output(target: Path, original: Model, writing: Writing) -> Iterator[OutputFile]:
    if not writing.dry_run:
        with OutputFile(target, original, force=writing.force) as out:
            yield out
        return
    with tempfile.TemporaryDirectory() as folder, OutputFile(Path(folder) / target.name) as out:
        yield out


def _require_change(original: Model, compressed: Compressed, also: Sequence[str]) -> None:
    if compressed.changed:
        return
    left = {(outcome.subject, outcome.reason) for outcome in compressed.outcomes if isinstance(outcome, Skipped)}
    reasons = Counter(reason for _, reason in sorted(left))
    said = [f"{count} weight{'s' * (count > 1)}: {reason}" for reason, count in reasons.most_common(3)]
    quantized = quantized_parts(original)
    if quantized:
        said.insert(
            0, "it is quantized already (" + ", ".join(f"{count} {kind}" for kind, count in quantized[:3]) + ")"
        )
    if compressed.kept_opset:
        said.insert(0, compressed.kept_opset.complaint)
    said = said or list(compressed.notes) or [_without_weights(compressed)]
    raise NothingChangedError(f"nothing was compressed: {'; '.join([*said, *also])}")


def _without_weights(compressed: Compressed) -> str:
    others = [o for line in compressed.lines if line.kind == "constants" for o in line.outcomes]
    largest = [f"{o.subject} is {o.reason}" for o in others[:1] if isinstance(o, Skipped)]
    return "; its largest constant ".join(["it has no weights that are stored as floats", *largest])


def _require_smaller(original: Model, result: Model) -> None:
    before, after = file_bytes(original), file_bytes(result)
    if after >= before:
        raise NoOutputError(f"the result would not be smaller ({before:,} bytes became {after:,}): nothing was written")
