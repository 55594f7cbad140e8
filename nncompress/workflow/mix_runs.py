"""Builds and runs models in which weights are multiplied one way or another: what mixed.py chooses by."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from nncompress.errors import NoOutputError, need_not_repeat
from nncompress.feeds.feeds import Feeds
from nncompress.model.units import Unit, find_units, microseconds_by_unit
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.second_order import SECOND_ORDER
from nncompress.progress import at, counted
from nncompress.results.record import Rewritten, Skipped
from nncompress.results.searched import Loss, Profiled, Ran
from nncompress.workflow.kept_search import KeptSearch
from nncompress.workflow.mixes import Mix, Tried, Way, exact_loss_of, in_half, loss_of
from nncompress.workflow.pipeline import simplify
from nncompress.workflow.trials import Trials, narrowed

_PROFILE_S, _TRIAL_S = 0.3, 0.3
_MOST_FEEDS, _FEW_FEEDS = 16, 4
_WAYS: tuple[Way, ...] = ("float", "dynamic", "static")


class MixRuns:
    """What was measured; what one choice has measured serves the next."""

    def __init__(self, passes: Sequence[Pass], trials: Trials, kept: KeptSearch) -> None:
        """`passes`: without corrections."""
        self._passes, self._trials, self._kept = passes, _on_samples(trials), kept
        weights = (step for step in passes if isinstance(step, QuantizeWeights))
        self._exact_weights = any(step.method == SECOND_ORDER for step in weights)  # as good as that, in the end
        base = self._trials.proved.model.clone()
        simplify(base)
        self.units = find_units(base)
        self.able: dict[Way, set[Unit]] = {}  # those that can be computed so
        self.against: dict[str, str] = {}  # {name of a weight: why it cannot be multiplied in integers}
        self.times: dict[Way, Mapping[Unit, float]] = {}  # microseconds
        self.tried: list[Tried] = []

    @property
    def feeds(self) -> Feeds:
        """What models are run on."""
        assert self._trials.proved.feeds is not None, "trials are run"
        return self._trials.proved.feeds

    def passes_of(self, mix: Mix) -> tuple[Pass, ...]:
        """With one choice for each weight written out."""
        by_way: dict[Way, list[str]] = {"float": [], "dynamic": [], "static": []}
        for unit in self.units:
            by_way[mix.get(unit, "float")] += [glob.escape(name) for name in unit.weights]
        steps: list[Pass] = []
        for step in self._passes:
            if not (isinstance(step, QuantizeActivations) and step.activations == "mixed"):
                steps.append(step)
            elif by_way["static"]:
                steps.append(
                    replace(
                        step, activations="static", include=(*by_way["static"], *by_way["dynamic"]),
                        dynamic=tuple(by_way["dynamic"]),
                    )
                )  # fmt: skip
            elif by_way["dynamic"]:
                steps.append(replace(step, activations="dynamic", include=tuple(by_way["dynamic"])))
        return tuple(steps)

    def profile(self) -> None:
        """What each unit takes where all that can be are computed in one way, for every way."""
        for way in counted("profiling ways to compute", () if self.times else _WAYS, len(_WAYS)):
            passes = self.passes_of(dict.fromkeys(self.units, way) if way != "float" else {})
            profiled = self._kept.profile(self._trials, passes, partial(self._profiled, way, passes))
            self.able[way] = {self.units[number] for number in profiled.able}
            self.against |= profiled.against
            if profiled.microseconds is not None:
                self.times[way] = dict(zip(self.units, profiled.microseconds, strict=True))

    def _profiled(self, way: Way, passes: Sequence[Pass]) -> Profiled:
        compressed = self._trials.compressed(passes)
        able, against = list(range(len(self.units))), dict[str, str]()
        if way != "float":
            said = [o for o in compressed.outcomes if o.by == QuantizeActivations.name]
            names = {o.subject for o in said if isinstance(o, Rewritten)}
            against = {o.subject: o.reason for o in said if isinstance(o, Skipped)}
            able = [number for number, unit in enumerate(self.units) if names.issuperset(unit.weights)]
        try:
            kernels = self._trials.kernel_times(compressed.model, _PROFILE_S)
        except NoOutputError as error:
            if way == "float" or need_not_repeat(error):
                raise
            return Profiled((), against, None)
        times = microseconds_by_unit(kernels, self.units, compressed.model)
        return Profiled(tuple(able), against, tuple(times[unit] for unit in self.units))

    def run(self, mix: Mix) -> Tried | None:
        """Of a whole model; one that was tried before is not run again. None for one that cannot be run."""
        for tried in self.tried:
            if dict(tried.mix) == dict(mix):
                return tried
        at(f"trying mix {len(self.tried) + 1}")
        ran = self._ran(mix, self._trials)
        if ran is None:
            return None
        assert ran.ratio is not None, "it is timed"
        loss = self._loss(mix, self._untimed(self.feeds)) if self._is_seen_exactly(mix) else ran.loss
        assert loss is not None, "it has been run"
        self.tried.append(Tried(mix, ran.ratio, loss))
        return self.tried[-1]

    def loss(self, mix: Mix, include: Sequence[str] = ()) -> Loss | None:
        """On a few feeds; None for what cannot be run. `include`: of these weights alone."""
        return self._loss(mix, self._untimed(self.feeds.some(slice(_FEW_FEEDS))), include)

    def _loss(self, mix: Mix, trials: Trials, include: Sequence[str] = ()) -> Loss | None:
        """Where codes will be chosen by what weights compute, only what meets these is rounded, if it can."""
        exactly = self._is_seen_exactly(mix)
        ran = self._ran(mix, trials, include, exactly=exactly)
        return None if ran is None else ran.loss

    def _is_seen_exactly(self, mix: Mix) -> bool:
        """False for dynamic scales: only kernels of integers round by these."""
        return self._exact_weights and "dynamic" not in mix.values()

    def _untimed(self, feeds: Feeds) -> Trials:
        """The same without latencies."""
        proved = self._trials.proved
        quiet = replace(proved.proof, seconds=0.0, exact=self._exact_weights)
        return replace(self._trials, proved=proved.on(feeds, quiet))

    def _ran(self, mix: Mix, trials: Trials, include: Sequence[str] = (), *, exactly: bool = False) -> Ran | None:
        """None for what onnxruntime refuses, or dies of, where it takes weights alone. `include`: these alone;
        `exactly`: with weights that are as good as exact."""
        passes = tuple(narrowed(self.passes_of(mix), include)) if include else self.passes_of(mix)
        if exactly:
            passes = tuple(in_half(step) if isinstance(step, QuantizeWeights) else step for step in passes)

        def measure() -> Ran | None:
            compressed = trials.compressed(passes)
            try:
                run = trials.run(compressed.model)
            except NoOutputError as error:
                if exactly or not mix or need_not_repeat(error):
                    raise
                return None
            ratio = None if run.latency is None else run.latency.ratio
            return Ran(exact_loss_of(run) if exactly else loss_of(run), ratio)

        return self._kept.run(trials, passes, "exactly" if exactly else "as it is", measure)


def _on_samples(trials: Trials) -> Trials:
    """The same, run on calibration data."""
    assert trials.samples is not None, "choose has seen to it"
    few = trials.samples.some(slice(0, None, max(1, -(-len(trials.samples) // _MOST_FEEDS))))
    proof = replace(trials.proved.proof, seconds=_TRIAL_S, exact=False, metrics=(), labels=None)
    return replace(trials, proved=trials.proved.on(few, proof), draft=True)
