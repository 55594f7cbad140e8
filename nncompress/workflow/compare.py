"""The flow of comparing two given models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from nncompress.onnx_file.facts import file_facts
from nncompress.onnx_file.read import load
from nncompress.results.limits import Limits
from nncompress.results.record import Comparison, Report
from nncompress.results.rules.verdict import judge
from nncompress.runtime.environment import environment
from nncompress.workflow.proof import Proof, Stopwatch, _complaint, check_limits, opened, with_libraries


@with_libraries
def compare_files(
    reference: Path, candidate: Path, *,
    proof: Proof = Proof(), limits: Limits = Limits(), limit_sources: Mapping[str, str] = MappingProxyType({}),
) -> Report:  # fmt: skip
    """Compares two given models. `limit_sources`: {limit: the file that set it}.

    Raises InputError for the reference or the data, NoOutputError for the candidate.
    """
    check_limits(limits, proof, limit_sources)
    watch, here = Stopwatch(), environment()
    with watch.stage("load"):
        first, second = load(reference), load(candidate)
    with watch.stage("validate"), opened(first, reference, proof) as original:
        before = original.facts()
        check_limits(limits, proof, limit_sources, original.feeds)
        original.begin(candidate, second)
        after = file_facts(second)
        run = original.finish(candidate, second, (before, after))
        first.check_in_place()
        second.check_in_place()
    comparison = Comparison(before, after, run)
    verdict = judge(comparison, limits, sources=limit_sources)
    notes = (*first.notes, *_complaint(first), *second.notes, *_complaint(second))
    return Report("compare", (), comparison, (), verdict, here, proof.seed, tuple(watch.seconds), notes)
