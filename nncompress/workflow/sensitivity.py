"""The flow that measures how much each weight matters: one at a time is compressed, and all but one."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.errors import NoOutputError, UsageError
from nncompress.forms.form import DEFAULT_FORM, Target
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.spec import described
from nncompress.progress import at, counted
from nncompress.results.record import LedgerLine, Run
from nncompress.results.sensitivity import Effect, SensitiveWeight, SensitivityReport, Spared
from nncompress.results.units import format_counted, format_db, format_share
from nncompress.results.worst import all_identical, is_rewritten, largest_drop, worst_cosine, worst_sqnr_db
from nncompress.runtime.environment import environment
from nncompress.workflow.kept_effects import KeptEffects, key_of_passes, key_of_trials
from nncompress.workflow.pipeline import Compressed, check_passes
from nncompress.workflow.proof import Proof, opened, with_libraries
from nncompress.workflow.trials import Trials, narrowed

Passes = Sequence[Pass]
_MOST_RANKING = 16  # feeds on which single weights are tried


@dataclass(frozen=True)
class Bound:
    """What has to hold; and the recipe that is to be written, with which it does."""

    min_sqnr_db: float | None
    max_drop: float | None
    recipe: str

    def holds(self, effect: Effect) -> bool:
        close = self.min_sqnr_db is None or effect.identical or _number(effect.sqnr_db) >= self.min_sqnr_db
        return close and (self.max_drop is None or (effect.metric_drop or 0.0) <= self.max_drop)

    def __str__(self) -> str:
        parts = [] if self.min_sqnr_db is None else [f"SQNR >= {format_db(self.min_sqnr_db)}"]
        return ", ".join([*parts, *([] if self.max_drop is None else [f"drop <= {format_share(self.max_drop)}"])])


@with_libraries
def measure_sensitivity(
    source: Path, passes: Passes, *,
    proof: Proof = Proof(), form: str = DEFAULT_FORM, target: Target = "portable", threads: int = 1,
    bound: Bound | None = None, kept: Path | None = None,
) -> tuple[SensitivityReport, Passes]:  # fmt: skip
    """Measures every weight that `passes` rewrite, on the outputs of the whole model. Beside the report stand the
    passes that keep the bound. `kept`: a file that keeps each effect, and from which it is taken the next time.

    Raises UsageError for passes that cannot be, InputError for the model or data, NoOutputError where nothing would be
    compressed, or where no choice of weights keeps the bound.
    """
    for step in passes:
        if step.needs:
            raise UsageError(f"{step.name} needs calibration, which sensitivity does without: leave it out")
    check_passes(passes, calibrated=False)
    effects = KeptEffects(kept)
    at("loading")
    cores = os.cpu_count() or 1  # no latency is measured
    proof = replace(proof, seconds=0.0, exact=False, validate=True, threads=max(proof.threads, cores))
    with ExitStack() as stack:
        original = load(source)
        proved = stack.enter_context(opened(original, source, proof))
        trials = _Effects(Trials(proved, form, target, threads), passes, effects)
        lines, everything = trials.whole()
        ranking, notes = _quicker(trials)
        weights = sorted(ranking.each(lines), key=lambda weight: _damage(weight.alone))
        ranked = [weight.name for weight in weights]
        spared = None if bound is None else _spared(trials, ranked, everything, bound)
        original.check_in_place()
        run = trials.run
        assert run is not None, "all were compressed once"
    metric = largest_drop(run.metrics)
    if effects.taken:
        notes.append(f"{kept} told {format_counted(effects.taken, 'effect')} that had been measured before")
    report = SensitivityReport(
        str(source), tuple(map(described, passes)), tuple(weights), everything, metric.name if metric else None,
        metric.is_share if metric else True, run.feeds, environment(), spared, (*original.notes, *notes),
    )  # fmt: skip
    return report, narrowed(passes, exclude=spared.names if spared else ())


def _quicker(effects: _Effects) -> tuple[_Effects, list[str]]:
    """The same on some of many feeds, which rank weights well enough; and what is said about that. Labels need all."""
    proved = effects.trials.proved
    feeds = proved.feeds
    assert feeds is not None, "validation is on"
    if len(feeds) <= _MOST_RANKING or feeds.labels is not None:
        return effects, []
    few = feeds.some(slice(0, None, -(-len(feeds) // _MOST_RANKING)))
    note = f"weights were ranked on {len(few)} of the {len(feeds)} feeds; all of them together were measured on all"
    return _Effects(replace(effects.trials, proved=proved.on(few)), effects.passes, effects.kept), [note]


@dataclass
class _Effects:
    """What each choice of weights does."""

    trials: Trials
    passes: Passes
    kept: KeptEffects
    run: Run | None = None  # the last one

    @functools.cached_property
    def _key(self) -> str:
        return key_of_trials(self.trials)

    def whole(self) -> tuple[list[LedgerLine], Effect]:
        """The weights that are rewritten, and what that does."""
        compressed = self.trials.compressed(self.passes)
        lines = [line for line in compressed.lines if line.kind == "weight" and is_rewritten(line)]
        if not lines:
            raise NoOutputError("nothing would be compressed: there is no weight to measure")
        return lines, self._effect(compressed)

    def each(self, lines: Sequence[LedgerLine]) -> Iterator[SensitiveWeight]:
        for line in counted("measuring weights", lines, len(lines)):
            alone = self.of(narrowed(self.passes, include=[line.name]))
            without = self.of(narrowed(self.passes, exclude=[line.name])) if len(lines) > 1 else _nothing()
            yield SensitiveWeight(line.name, line.ops, line.bytes_before, line.bytes_after, alone, without)

    def of(self, passes: Passes) -> Effect:
        key = key_of_passes(self._key, passes)
        return self.kept.of(key, lambda: self._effect(self.trials.compressed(passes)))

    def _effect(self, compressed: Compressed) -> Effect:
        if not compressed.changed:
            return _nothing()
        self.run = self.trials.run(compressed.model)
        return _effect_of(self.run)


def _spared(trials: _Effects, ranked: Sequence[str], everything: Effect, bound: Bound) -> Spared:
    """The fewest of the most sensitive weights without which the bound holds, found by halving; each try is a run."""
    if bound.holds(everything):
        return Spared(str(bound), (), everything, bound.recipe)
    low, high, best = 0, len(ranked), None  # `low` are too few, and all would be enough
    while high - low > 1:
        middle = (low + high) // 2
        at(f"leaving {middle} of {len(ranked)} weights as they are")
        effect = trials.of(narrowed(trials.passes, exclude=ranked[:middle]))
        if bound.holds(effect):
            high, best = middle, (middle, effect)
        else:
            low = middle
    if best is None:
        raise NoOutputError(f"no recipe keeps {bound}: with one weight alone it is missed as well")
    count, effect = best
    return Spared(str(bound), tuple(ranked[:count]), effect, bound.recipe)


def _effect_of(run: Run) -> Effect:
    sqnr, cosine, metric = worst_sqnr_db(run), worst_cosine(run), largest_drop(run.metrics)
    finite = sqnr.value if sqnr is not None and math.isfinite(sqnr.value) else None
    return Effect(finite, cosine.value if cosine else None, all_identical(run), metric.drop if metric else None)


def _nothing() -> Effect:
    """Of what is compressed nowhere."""
    return Effect(None, 1.0, True, 0.0)


def _damage(effect: Effect) -> float:
    """For sorting: the lower, the worse."""
    return math.inf if effect.identical else _number(effect.sqnr_db)


def _number(sqnr_db: float | None) -> float:
    return -math.inf if sqnr_db is None else sqnr_db
