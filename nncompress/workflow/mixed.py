"""Chooses for each weight how it is multiplied: in floating point, or in integers with static or dynamic scales.

The model is built in each way, and onnxruntime's profiler says what the kernels of each weight take in it, with all
that they need besides (rounding, reordering, decoding). The fastest way for each weight is one candidate, and each way
for all weights another; whole models are timed beside the original, and one is taken whose outputs stay close enough on
the calibration data. Where the fastest loses too much, the weights that do most damage for what they save stay in
floating point, until it does not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from nncompress.errors import UsageError
from nncompress.model.units import Unit
from nncompress.passes.base import Pass, Stage
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.progress import counted
from nncompress.results.limits import Limits
from nncompress.results.units import format_counted, format_db
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.damage import by_damage
from nncompress.workflow.kept_search import KeptSearch
from nncompress.workflow.mix_runs import MixRuns
from nncompress.workflow.mixes import BALANCED, Mix, Tried, Way, allows
from nncompress.workflow.trials import Trials

_LEAST_GAIN = 0.03  # of a unit's time, for which it leaves floating point
_NOTICED = 0.01  # of the time of all units
_MOST_ADDED = 6
_MARGIN = 0.97  # what is not faster by that is not taken


def is_mixed(passes: Iterable[Pass]) -> bool:
    """True if something is to be chosen."""
    return any(isinstance(step, QuantizeActivations) and step.activations == "mixed" for step in passes)


def choose(passes: Sequence[Pass], trials: Trials, limits: Limits) -> Chosen:
    """See the module. Raises UsageError where nothing may be run."""
    return Mixing(passes, trials).within(limits)


class Mixing:
    """What was tried; what one choice has measured serves the next."""

    def __init__(
        self, passes: Sequence[Pass], trials: Trials, kept: KeptSearch | None = None,
        stops: Callable[[], bool] = lambda: False,
    ) -> None:  # fmt: skip
        """`kept`: what other searches have measured; `stops` tells when to end with the best so far. Raises UsageError
        where nothing may be run."""
        if trials.proved.session is None or trials.samples is None:
            raise UsageError(
                "--activations mixed (which --for speed means) runs models to choose: leave out --no-validate"
            )
        self._corrections = tuple(step for step in passes if step.stage == Stage.CORRECTIONS)  # make it closer
        others = tuple(step for step in passes if step not in self._corrections)
        self._runs, self._stops = MixRuns(others, trials, kept or KeptSearch()), stops
        self._limits, self._of_decibel = Limits(), BALANCED
        self.sqnr_db = math.inf  # of what was chosen last, on the calibration data
        self._noises: dict[tuple[tuple[Unit, Way], ...], float] = {}

    def within(self, limits: Limits, of_decibel: float = BALANCED) -> Chosen:
        """The most worth of those whose loss is allowed, as mixes.py has it."""
        self._limits, self._of_decibel = limits, of_decibel
        best = self._best()
        self.sqnr_db = best.loss.sqnr_db
        reasons = {QuantizeActivations.name: self._reasons(best.mix, self._costs(best.mix))}
        return Chosen((*self._runs.passes_of(best.mix), *self._corrections), reasons, (self._note(best),))

    def _best(self) -> Tried:
        self._runs.profile()
        plain = self._runs.run({})
        assert plain is not None, "weights alone can be run, or there is an error"
        for mix in self._candidates():
            if not self._stops():
                self._runs.run(mix)
        quickest = min(self._runs.tried, key=lambda tried: tried.ratio)
        if not self._stops():
            self._runs.run(self._without_slow(quickest.mix))
        fastest = min(self._runs.tried, key=lambda tried: tried.ratio)
        allowed = [tried for tried in self._runs.tried if allows(self._limits, tried.loss, plain.loss)]
        best = max([plain, *allowed], key=self._worth)
        is_too_lossy = fastest.ratio < _MARGIN * best.ratio and not allows(self._limits, fastest.loss, plain.loss)
        if is_too_lossy and not self._stops():
            best = max([best, *self._repaired(fastest, plain)], key=self._worth)
        return best if best.ratio < _MARGIN * plain.ratio else plain

    def _worth(self, tried: Tried) -> float:
        return tried.worth(self._of_decibel)

    def _costs(self, mix: Mix) -> dict[Unit, float]:
        """How close the outputs are, in dB, where that unit alone is computed so, and no other weight is touched."""
        costs = dict[Unit, float]()
        if self._stops():
            return costs
        for unit, way in counted("measuring what choices cost", mix.items(), len(mix)):
            loss = self._runs.loss({unit: way}, unit.weights)
            costs |= {} if loss is None else {unit: loss.sqnr_db}
        return costs

    def _reasons(self, mix: Mix, costs: Mapping[Unit, float]) -> dict[str, str]:
        """For each weight what was chosen, what each way takes, and what the choice costs."""
        reasons = {}
        for unit in self._runs.units:
            able = [way for way in self._runs.times if unit in self._runs.able.get(way, ())]
            taken = ", ".join(f"{way} {self._runs.times[way][unit]:.0f} us" for way in able)
            alone = f"; alone {format_db(costs[unit])}" if unit in costs else ""
            for name in unit.weights:
                against = f": {self._runs.against[name]}" if able == ["float"] and name in self._runs.against else ""
                reasons[name] = f"{mix.get(unit, 'float')} ({taken} an inference{alone}){against}"
        return reasons

    def _note(self, best: Tried) -> str:
        """What was done, in a sentence."""
        ways, tried = list(best.mix.values()), format_counted(len(self._runs.tried), "model")
        feeds = self._runs.feeds
        of = "made-up feeds" if feeds.synthetic else f"calibration feeds of {feeds.origin}"
        figures = f"{best.speed} at {format_db(best.loss.sqnr_db)} on {len(feeds)} {of}"
        products = f"{len(self._runs.units)} products with weights"
        if ways:
            said = ", ".join(f"{ways.count(way)} {way}" for way in ("static", "dynamic") if way in ways)
            return f"in integers: {len(ways)} of {products} ({said}), the best of {tried} tried: {figures}"
        fastest = min(self._runs.tried, key=lambda tried: tried.ratio)
        if fastest.ratio < _MARGIN * best.ratio:
            plain, at_db = self._runs.run({}), format_db(fastest.loss.sqnr_db)
            assert plain is not None, "it was run"
            is_allowed = allows(self._limits, fastest.loss, plain.loss)
            than = f"that is worth ({at_db})" if is_allowed else f"is allowed ({at_db}; see --min-sqnr and --max-drop)"
            which = f"the fastest of {tried} tried, {fastest.speed}"
            return f"in integers: none of {products}: {which}, loses more than {than}"
        return f"in integers: none of {products}, for none of {tried} tried is faster than without: {figures}"

    # -------------------------------------------------------------------------------------------- choices
    def _candidates(self) -> Iterable[Mix]:
        """The fastest way for each unit, and each way for all."""
        fastest: dict[Unit, Way] = {}
        for unit in self._runs.units:
            times: dict[Way, float] = {
                way: taken[unit] for way, taken in self._runs.times.items() if unit in self._runs.able[way]
            }
            way: Way = min(times, key=lambda way: times[way])
            if way != "float" and times[way] < (1 - _LEAST_GAIN) * times["float"]:
                fastest[unit] = way
        static, dynamic = (self._runs.able.get(way, set()) for way in ("static", "dynamic"))
        yield fastest
        yield {unit: "dynamic" for unit in self._runs.units if unit in dynamic}
        yield {unit: "static" if unit in static else "dynamic" for unit in self._runs.units if unit in static | dynamic}
        yield {
            unit: "dynamic" if unit in dynamic else "static" for unit in self._runs.units if unit in static | dynamic
        }
        yield {unit: "dynamic" if way == "static" and unit in dynamic else way for unit, way in fastest.items()}

    def _without_slow(self, mix: Mix) -> Mix:
        """The same with what takes longer than in floating point left there."""
        total = sum(self._runs.times["float"].values())
        slower = {unit: self._runs.times[way][unit] - self._runs.times["float"][unit] for unit, way in mix.items()}
        return {unit: way for unit, way in mix.items() if slower[unit] < _NOTICED * total}

    def _repaired(self, fastest: Tried, plain: Tried) -> list[Tried]:
        """The same with fewer units in integers: by halves, until the loss is allowed by as few as possible; then with
        more of them after all, for the damage of several is not the sum of each."""
        ranked, repaired = self._by_damage(fastest.mix), [plain]
        low, high = 0, len(ranked)
        while high - low > 1 and not self._stops():
            middle = (low + high) // 2
            spared = {unit for part in ranked[:middle] for unit in part}
            tried = self._runs.run({unit: way for unit, way in fastest.mix.items() if unit not in spared})
            if tried is not None and allows(self._limits, tried.loss, plain.loss):
                repaired.append(tried)
                high = middle
            else:
                low = middle
        left = [unit for part in reversed(ranked[:high]) for unit in part]
        size = (len(left) + 1) // 2
        for _ in range(min(_MOST_ADDED, len(left))):
            tried = self._runs.run({**repaired[-1].mix, **{unit: fastest.mix[unit] for unit in left[:size]}})
            if tried is not None and allows(self._limits, tried.loss, plain.loss):
                repaired.append(tried)
            if self._stops():
                break
            if size == 1 or repaired[-1] is tried:
                del left[:size]
            size = max(1, min(size, len(left)) // 2)
        return repaired

    def _by_damage(self, mix: Mix) -> list[tuple[Unit, ...]]:
        """Units in integers, in parts of the graph, those first that do most damage for what they save."""

        def noise(units: tuple[Unit, ...]) -> float:
            key = tuple((unit, mix[unit]) for unit in units)
            if key not in self._noises:
                loss = self._runs.loss(dict(key))
                self._noises[key] = math.inf if loss is None else float(10 ** (-loss.sqnr_db / 10))
            return self._noises[key]

        def saved(units: tuple[Unit, ...]) -> float:
            return max(1.0, sum(self._runs.times["float"][unit] - self._runs.times[mix[unit]][unit] for unit in units))

        return by_damage(list(mix), noise, saved)
