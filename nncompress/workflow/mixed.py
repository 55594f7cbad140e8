"""Chooses for each weight how it is multiplied: in floating point, or in integers with static or dynamic scales.

The model is built in each way, and onnxruntime's profiler says what the kernels of each weight take in it, with all
that they need besides (rounding, reordering, decoding). The fastest way for each weight is one candidate, and each way
for all weights another; whole models are timed beside the original, and one is taken whose outputs stay close enough on
the calibration data. Where the fastest loses too much, the weights that do most damage for what they save stay in
floating point, until it does not.
"""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from nncompress.errors import NoOutputError, UsageError, need_not_repeat
from nncompress.model.units import Unit, find_units, microseconds_by_unit
from nncompress.passes.base import Pass, Stage
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.second_order import SECOND_ORDER
from nncompress.progress import at, counted
from nncompress.results.limits import Limits
from nncompress.results.record import Rewritten, Run, Skipped
from nncompress.results.units import format_counted, format_db
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.damage import by_damage
from nncompress.workflow.mixes import Loss, Mix, Tried, Way, allows, exact_loss_of, in_half, loss_of
from nncompress.workflow.pipeline import Compressed, simplify
from nncompress.workflow.trials import Trials, narrowed

_PROFILE_S, _TRIAL_S = 0.3, 0.3
_LEAST_GAIN = 0.03  # of a unit's time, for which it leaves floating point
_NOTICED = 0.01  # of the time of all units
_MOST_FEEDS, _FEW_FEEDS = 16, 4
_MOST_ADDED = 6
_MARGIN = 0.97  # what is not faster by that is not taken


def is_mixed(passes: Iterable[Pass]) -> bool:
    """True if something is to be chosen."""
    return any(isinstance(step, QuantizeActivations) and step.activations == "mixed" for step in passes)


def choose(passes: Sequence[Pass], trials: Trials, limits: Limits) -> Chosen:
    """See the module. Raises UsageError where nothing may be run."""
    return Mixing(passes, trials).within(limits)


def _on_samples(trials: Trials) -> Trials:
    """The same, run on calibration data."""
    assert trials.samples is not None, "choose has seen to it"
    few = trials.samples.some(slice(0, None, max(1, -(-len(trials.samples) // _MOST_FEEDS))))
    proof = replace(trials.proved.proof, seconds=_TRIAL_S, exact=False, metrics=(), labels=None)
    return replace(trials, proved=trials.proved.on(few, proof), draft=True)


class Mixing:
    """What was tried; what one choice has measured serves the next."""

    def __init__(self, passes: Sequence[Pass], trials: Trials) -> None:
        """Raises UsageError where nothing may be run."""
        if trials.proved.session is None or trials.samples is None:
            raise UsageError(
                "--activations mixed (which --for speed means) runs models to choose: leave out --no-validate"
            )
        self._corrections = tuple(step for step in passes if step.stage == Stage.CORRECTIONS)  # make it closer
        self._passes = tuple(step for step in passes if step not in self._corrections)
        self._trials, self._limits = _on_samples(trials), Limits()
        self.sqnr_db = math.inf  # of what was chosen last, on the calibration data
        weights = (step for step in passes if isinstance(step, QuantizeWeights))
        self._exact_weights = any(step.method == SECOND_ORDER for step in weights)  # as good as that, in the end
        base = self._trials.proved.model.clone()
        simplify(base)
        self._units = find_units(base)
        self._able: dict[Way, set[Unit]] = {"float": set(self._units)}
        self._against: dict[str, str] = {}  # {name of a weight: why it cannot be multiplied in integers}
        self._times: dict[Way, Mapping[Unit, float]] = {}
        self._tried: list[Tried] = []
        self._noises: dict[tuple[tuple[Unit, Way], ...], float] = {}

    def within(self, limits: Limits) -> Chosen:
        """The most worth of those whose loss is allowed."""
        self._limits = limits
        best = self._best()
        self.sqnr_db = best.loss.sqnr_db
        reasons = {QuantizeActivations.name: self._reasons(best.mix, self._costs(best.mix))}
        return Chosen((*self._passes_of(best.mix), *self._corrections), reasons, (self._note(best),))

    def _best(self) -> Tried:
        ways: tuple[Way, ...] = ("float", "dynamic", "static")
        for way in counted("profiling ways to compute", () if self._times else ways, len(ways)):
            self._profile(way)
        plain = self._try({})
        assert plain is not None, "weights alone can be run, or there is an error"
        for mix in self._candidates():
            self._try(mix)
        quickest = min(self._tried, key=lambda tried: tried.ratio)
        self._try(self._without_slow(quickest.mix))
        fastest = min(self._tried, key=lambda tried: tried.ratio)
        allowed = [tried for tried in self._tried if allows(self._limits, tried.loss, plain.loss)]
        best = max([plain, *allowed], key=lambda tried: tried.worth)
        if fastest.ratio < _MARGIN * best.ratio and not allows(self._limits, fastest.loss, plain.loss):
            best = max([best, *self._repaired(fastest, plain)], key=lambda tried: tried.worth)
        return best if best.ratio < _MARGIN * plain.ratio else plain

    def _passes_of(self, mix: Mix) -> tuple[Pass, ...]:
        """With one choice for each weight written out."""
        by_way: dict[Way, list[str]] = {"float": [], "dynamic": [], "static": []}
        for unit in self._units:
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

    def _costs(self, mix: Mix) -> dict[Unit, float]:
        """How close the outputs are, in dB, where that unit alone is computed so, and no other weight is touched."""
        quick, costs = self._on_few_feeds(), dict[Unit, float]()
        for unit, way in counted("measuring what choices cost", mix.items(), len(mix)):
            loss = self._loss({unit: way}, quick, unit.weights)
            costs |= {} if loss is None else {unit: loss.sqnr_db}
        return costs

    def _reasons(self, mix: Mix, costs: Mapping[Unit, float]) -> dict[str, str]:
        """For each weight what was chosen, what each way takes, and what the choice costs."""
        reasons = {}
        for unit in self._units:
            able = [way for way in self._times if unit in self._able.get(way, ())]
            taken = ", ".join(f"{way} {self._times[way][unit]:.0f} us" for way in able)
            alone = f"; alone {format_db(costs[unit])}" if unit in costs else ""
            for name in unit.weights:
                against = f": {self._against[name]}" if able == ["float"] and name in self._against else ""
                reasons[name] = f"{mix.get(unit, 'float')} ({taken} an inference{alone}){against}"
        return reasons

    def _note(self, best: Tried) -> str:
        """What was done, in a sentence."""
        ways, tried = list(best.mix.values()), format_counted(len(self._tried), "model")
        feeds = self._trials.proved.feeds
        assert feeds is not None, "trials are run"
        of = "made-up feeds" if feeds.synthetic else f"calibration feeds of {feeds.origin}"
        figures = f"{best.speed} at {format_db(best.loss.sqnr_db)} on {len(feeds)} {of}"
        products = f"{len(self._units)} products with weights"
        if ways:
            said = ", ".join(f"{ways.count(way)} {way}" for way in ("static", "dynamic") if way in ways)
            return f"in integers: {len(ways)} of {products} ({said}), the best of {tried} tried: {figures}"
        fastest = min(self._tried, key=lambda tried: tried.ratio)
        if fastest.ratio < _MARGIN * best.ratio:
            lost = f"loses more than is allowed ({format_db(fastest.loss.sqnr_db)}; see --min-sqnr and --max-drop)"
            return f"in integers: none of {products}: the fastest of {tried} tried, {fastest.speed}, {lost}"
        return f"in integers: none of {products}, for none of {tried} tried is faster than without: {figures}"

    # -------------------------------------------------------------------------------------------- measurements
    def _profile(self, way: Way) -> None:
        """What each unit takes where all that can be are computed in this way."""
        compressed = self._trials.compressed(self._passes_of(dict.fromkeys(self._units, way) if way != "float" else {}))
        if way != "float":
            said = [o for o in compressed.outcomes if o.by == QuantizeActivations.name]
            names = {o.subject for o in said if isinstance(o, Rewritten)}
            self._against |= {o.subject: o.reason for o in said if isinstance(o, Skipped)}
            self._able[way] = {unit for unit in self._units if names.issuperset(unit.weights)}
        try:
            kernels = self._trials.kernel_times(compressed.model, _PROFILE_S)
        except NoOutputError as error:
            if way == "float" or need_not_repeat(error):
                raise
            self._able[way] = set()
            return
        self._times[way] = microseconds_by_unit(kernels, self._units, compressed.model)

    def _on_few_feeds(self) -> Trials:
        """The same, for losses alone."""
        proved = self._trials.proved
        assert proved.feeds is not None, "trials are run"
        untimed = self._untimed()
        return replace(untimed, proved=untimed.proved.on(proved.feeds.some(slice(_FEW_FEEDS))))

    def _untimed(self) -> Trials:
        """The same without latencies."""
        proved = self._trials.proved
        assert proved.feeds is not None, "trials are run"
        quiet = replace(proved.proof, seconds=0.0, exact=self._exact_weights)
        return replace(self._trials, proved=proved.on(proved.feeds, quiet))

    def _try(self, mix: Mix) -> Tried | None:
        """Runs a whole model; one that was tried before is not run again. None for one that cannot be run."""
        for tried in self._tried:
            if dict(tried.mix) == dict(mix):
                return tried
        at(f"trying mix {len(self._tried) + 1}")
        run = self._run(mix, self._trials)
        if run is None:
            return None
        assert run.latency is not None, "it is timed"
        loss = self._loss(mix, self._untimed()) if self._is_seen_exactly(mix) else loss_of(run)
        assert loss is not None, "it has been run"
        tried = Tried(mix, run.latency.ratio, loss)
        self._tried.append(tried)
        return tried

    def _loss(self, mix: Mix, trials: Trials, include: Sequence[str] = ()) -> Loss | None:
        """As _run; where codes will be chosen by what weights compute, only what meets these is rounded, if it can."""
        passes = narrowed(self._passes_of(mix), include) if include else self._passes_of(mix)
        if self._is_seen_exactly(mix):
            exact = [in_half(step) if isinstance(step, QuantizeWeights) else step for step in passes]
            return exact_loss_of(trials.run(trials.compressed(exact).model))
        run = self._run(mix, trials, include)
        return None if run is None else loss_of(run)

    def _is_seen_exactly(self, mix: Mix) -> bool:
        """False for dynamic scales: only kernels of integers round by these."""
        return self._exact_weights and "dynamic" not in mix.values()

    def _run(self, mix: Mix, trials: Trials, include: Sequence[str] = ()) -> Run | None:
        """None for what onnxruntime refuses, or dies of, where it takes weights alone. `include`: these alone."""
        passes = self._passes_of(mix)
        compressed: Compressed = trials.compressed(narrowed(passes, include) if include else passes)
        try:
            return trials.run(compressed.model)
        except NoOutputError as error:
            if not mix or need_not_repeat(error):
                raise
            return None

    # -------------------------------------------------------------------------------------------- choices
    def _candidates(self) -> Iterable[Mix]:
        """The fastest way for each unit, and each way for all."""
        fastest: dict[Unit, Way] = {}
        for unit in self._units:
            times: dict[Way, float] = {
                way: taken[unit] for way, taken in self._times.items() if unit in self._able[way]
            }
            way: Way = min(times, key=lambda way: times[way])
            if way != "float" and times[way] < (1 - _LEAST_GAIN) * times["float"]:
                fastest[unit] = way
        static, dynamic = (self._able.get(way, set()) for way in ("static", "dynamic"))
        yield fastest
        yield {unit: "dynamic" for unit in self._units if unit in dynamic}
        yield {unit: "static" if unit in static else "dynamic" for unit in self._units if unit in static | dynamic}
        yield {unit: "dynamic" if unit in dynamic else "static" for unit in self._units if unit in static | dynamic}
        yield {unit: "dynamic" if way == "static" and unit in dynamic else way for unit, way in fastest.items()}

    def _without_slow(self, mix: Mix) -> Mix:
        """The same with what takes longer than in floating point left there."""
        total = sum(self._times["float"].values())
        slower = {unit: self._times[way][unit] - self._times["float"][unit] for unit, way in mix.items()}
        return {unit: way for unit, way in mix.items() if slower[unit] < _NOTICED * total}

    def _repaired(self, fastest: Tried, plain: Tried) -> list[Tried]:
        """The same with fewer units in integers: by halves, until the loss is allowed by as few as possible; then with
        more of them after all, for the damage of several is not the sum of each."""
        ranked, repaired = self._by_damage(fastest.mix), [plain]
        low, high = 0, len(ranked)
        while high - low > 1:
            middle = (low + high) // 2
            spared = {unit for part in ranked[:middle] for unit in part}
            tried = self._try({unit: way for unit, way in fastest.mix.items() if unit not in spared})
            if tried is not None and allows(self._limits, tried.loss, plain.loss):
                repaired.append(tried)
                high = middle
            else:
                low = middle
        left = [unit for part in reversed(ranked[:high]) for unit in part]
        size = (len(left) + 1) // 2
        for _ in range(min(_MOST_ADDED, len(left))):
            tried = self._try({**repaired[-1].mix, **{unit: fastest.mix[unit] for unit in left[:size]}})
            if tried is not None and allows(self._limits, tried.loss, plain.loss):
                repaired.append(tried)
            if size == 1 or repaired[-1] is tried:
                del left[:size]
            size = max(1, min(size, len(left)) // 2)
        return repaired

    def _by_damage(self, mix: Mix) -> list[tuple[Unit, ...]]:
        """Units in integers, in parts of the graph, those first that do most damage for what they save."""
        quick = self._on_few_feeds()

        def noise(units: tuple[Unit, ...]) -> float:
            key = tuple((unit, mix[unit]) for unit in units)
            if key not in self._noises:
                loss = self._loss(dict(key), quick)
                self._noises[key] = math.inf if loss is None else float(10 ** (-loss.sqnr_db / 10))
            return self._noises[key]

        def saved(units: tuple[Unit, ...]) -> float:
            return max(1.0, sum(self._times["float"][unit] - self._times[mix[unit]][unit] for unit in units))

        return by_damage(list(mix), noise, saved)
