"""Measures what models cost here: latency in turns, and loading, memory and energy each in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nncompress.feeds.specs import value_text
from nncompress.onnx_file.read import load
from nncompress.progress import counted
from nncompress.results.bench import Benched, BenchReport, Energy
from nncompress.results.record import FileFacts, Loaded, Timing
from nncompress.runtime.child import in_turns_in_child, loading_in_child
from nncompress.runtime.environment import environment
from nncompress.runtime.noise import busy, spread
from nncompress.runtime.timing import ratio_of
from nncompress.workflow.proof import Proof, macs_on, opened, with_libraries

PJ_PER_MAC, PJ_PER_BYTE = 4.6, 160.0
ESTIMATE = (
    "4.6 pJ a float32 multiply-accumulate and 160 pJ a byte of weights read from DRAM once: M. Horowitz, "
    "Computing's energy problem, ISSCC 2014 (45 nm; good for comparing models, not for a power budget)"
)
RAPL_SOURCE = "RAPL: the whole processor package while this model ran"


@with_libraries
def bench_files(models: Sequence[Path], proof: Proof) -> BenchReport:
    """Raises InputError for a model or data that cannot be used."""
    here, notes = environment(), [*busy()]
    facts, feeds, loaded, macs = [], [], [], []
    for path in counted("opening models", models, len(models)):
        model = load(path)
        with opened(model, path, replace(proof, validate=True)) as original:
            facts.append(original.facts(in_full=False))
            assert original.feeds is not None, "validation is on"
            feeds.append(next(iter(original.feeds)))
            macs.append(macs_on(model, feeds[-1], facts[-1]))
        loaded.append(loading_in_child(path, feeds[-1], proof.threads))
    timings = in_turns_in_child(models, feeds, proof.threads, proof.seconds)
    benched = [
        _benched(fact, feed, cost, count, timing, timings[0])
        for fact, feed, cost, count, timing in zip(facts, feeds, loaded, macs, timings, strict=True)
    ]
    notes += [note for model in benched for note in spread({model.path: model.latency})]
    data = str(proof.data) if proof.data else "synthetic"
    return BenchReport(
        tuple(benched), data, proof.seed, proof.threads, proof.seconds, here, tuple(notes)
    )  # fmt: skip


def _benched(facts: FileFacts, feed: object, cost: Loaded, macs: int | None, timing: Timing, first: Timing) -> Benched:
    assert isinstance(feed, dict)
    inputs = tuple(f"{name} {value_text(value)}" for name, value in feed.items())
    return Benched(
        facts.path, facts.file_bytes, inputs, cost.load_ms, cost.peak_bytes, timing, *ratio_of(first, timing),
        _energy(facts, cost, macs), macs,
    )  # fmt: skip


def _energy(facts: FileFacts, cost: Loaded, macs: int | None) -> Energy | None:
    if cost.energy_mj is not None:
        return Energy(cost.energy_mj, "measured", RAPL_SOURCE)
    if macs is None:
        return None
    picojoules = macs * PJ_PER_MAC + facts.weight_bytes_loaded * PJ_PER_BYTE
    return Energy(picojoules / 1e9, "estimated", ESTIMATE)
