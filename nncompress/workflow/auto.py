"""Chooses for each weight how it is stored: the smallest model that loses no more than it may, or the best of a size.

What each weight may become, and what that is expected to lose, is measured once (see rates.py), and kept in a file that
is named. A knapsack makes of it the smallest mix for any expected loss. Mixes are built as they will be in the end and
run on one half of the data, and the expected loss that is as much as allowed is found by bisection; on the other half
the result has to prove itself.
"""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from nncompress.feeds.feeds import Feeds
from nncompress.numerics.allocation import cheapest_within, undominated
from nncompress.passes.base import Pass, Stage
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.rules import Rule
from nncompress.passes.share_weights import ShareWeights
from nncompress.progress import at
from nncompress.results.limits import Limits
from nncompress.results.searched import Measured, Rate, Rated
from nncompress.results.spent import UNLABELLED_ERROR, Losses, bounds_loss
from nncompress.results.units import format_bytes, format_counted, format_share
from nncompress.workflow.bracket import Bracket, gentler
from nncompress.workflow.pipeline import Compressed
from nncompress.workflow.rates import measured_rates
from nncompress.workflow.searching import Searching
from nncompress.workflow.trials import Trials

_MOST_REFUSED, _MOST_JUDGED = 9, 3
_NEARLY_ALL = 0.93  # of what may be spent
_BOLD, _CAREFUL = 2 * UNLABELLED_ERROR, UNLABELLED_ERROR  # errors that the first mix is expected to have
_LONG = 0.2  # of the time: where rates took so much, there will be few mixes, and the first is a careful one
_CLOSE = 1.3  # expected losses squared that are as good as the same
_LEAST_SAVED = 0.02  # of the size, for which another mix is built
_WORTH_TRYING = 0.9  # of the size of the next that is known: what else is tried where one is refused
_SLOWER = 1.25  # than those before, the next model may be, and what comes after it takes time as well
_NEAR_SIZE, _MOST_SIZES = 0.99, 4
_ALONG, _LEAST_EXPECTED = 80, 1e-9  # mixes to choose from; squared error


@dataclass(frozen=True)
class Mix:
    """A rate for each weight, by its number."""

    rates: tuple[Rate, ...]

    @property
    def expected(self) -> float:
        """Squared relative error of the outputs."""
        return sum(rate.loss for rate in self.rates)

    @property
    def size_bytes(self) -> int:
        """Of the weights, expected."""
        return sum(rate.size_bytes for rate in self.rates)


@dataclass(frozen=True)
class Found:
    """A mix that was built and run: how much of the limits it spends (1: all), and its size in a file."""

    mix: Mix
    spent: float
    size_bytes: int

    @property
    def holds(self) -> bool:
        return self.spent <= 1


class Search:
    """What was tried."""

    def __init__(self, passes: Sequence[Pass], trials: Trials, limits: Limits, searching: Searching) -> None:
        self._started = time.monotonic()
        (self._step,) = (step for step in passes if isinstance(step, QuantizeWeights))
        self.steps, self._trials, self._limits, self._searching = passes, trials, limits, searching
        self._stops = searching.interrupts()
        bearing = bear_on_rates(passes)
        rated = searching.kept.rates(
            trials, bearing, lambda: measured_rates(trials, self._step, bearing[:-1], searching.jobs)
        )
        self._rated = [_choices(each, passes) for each in rated]
        self._plain = [rate for each in rated for rate in each.rates if rate.is_plain]
        took = time.monotonic() - self._started
        self._first_error = _CAREFUL if took > _LONG * searching.seconds else _BOLD
        self._tried: list[Found] = []
        self._longest = 0.0

    # -------------------------------------------------------------------------------------------- searches
    def smallest(self) -> Found:
        """The smallest that was found to keep the limits; where none does, the one that spends least of them."""
        bracket, kept = Bracket(), self._searching.kept
        targets = kept.targets(self._trials)
        for target in targets:
            if kept.has_model(self._trials, self.passes_of(self.within(target))):
                bracket = bracket.with_(target, self._try(self.within(target)).spent)
        while not self._tried or not (self._is_over() or self._is_enough(bracket)):
            target = bracket.next_target() if self._tried else [*targets, self._first_error**2][0]
            kept.add_target(self._trials, target)
            bracket = bracket.with_(target, self._try(self.within(target)).spent)
        plain = Mix(tuple(self._plain))
        size = min((found.mix.size_bytes for found in self._tried if found.holds), default=0)
        if plain.size_bytes < (1 - _LEAST_SAVED) * size and not self._is_over():
            self._try(plain)  # it was expected to lose more than it may
        holding = [found for found in self._tried if found.holds]
        if not holding:
            return min(self._tried, key=lambda found: (found.spent, found.size_bytes))
        return min(holding, key=lambda found: found.size_bytes)

    def of_size(self, most: int) -> Found:
        """The one of least expected loss that is no larger."""
        besides = 0  # bytes of the file that are no weights, as far as is known
        for _ in range(_MOST_SIZES):
            found = self._try(self._of_bytes(most - besides))
            besides = found.size_bytes - found.mix.size_bytes
            if _NEAR_SIZE * most <= found.size_bytes <= most or self._is_over():
                break
        fitting = [found for found in self._tried if found.size_bytes <= most]
        if not fitting:
            return min(self._tried, key=lambda found: found.size_bytes)
        return min(fitting, key=lambda found: found.mix.expected)

    def judged(self, best: Found, judging: Trials) -> tuple[Found, float]:
        """`best`, or the next larger that keeps the limits on the other data as well, and how much of them it spends
        where it spends more: of those that were tried, and of ones between them that are expected to lose less and
        less; where none does, the one that spends least of them."""

        def is_known(found: Found) -> bool:
            return self._searching.kept.has_model(judging, self.passes_of(found.mix))

        def spent(found: Found) -> float:
            return max(found.spent, self._measured(found.mix, judging).losses.spent(self._limits))

        holding = [found for found in self._tried if found.holds and found.size_bytes > best.size_bytes]
        larger = sorted(holding, key=lambda found: found.size_bytes)
        safe = [found for found in larger if is_known(found) and spent(found) <= 1][:1]  # by another search
        waiting = [best, *larger][:_MOST_JUDGED]
        waiting += [found for found in safe if found not in waiting]
        judged: list[tuple[float, int, Found]] = []
        while waiting:
            at("judging the best on the other half of the data")
            found = waiting.pop(0)
            if safe and self._is_over() and not is_known(found):
                continue
            spends = spent(found)
            judged.append((spends, found.size_bytes, found))
            if spends <= 1 or not bounds_loss(self._limits):
                return found, spends
            target = found.mix.expected * gentler(spends)
            closer = self.within(target)
            is_worth_it = not waiting or closer.size_bytes < _WORTH_TRYING * waiting[0].mix.size_bytes
            if is_worth_it and len(judged) < _MOST_REFUSED and not (self._is_extreme(found.mix, -1) or self._is_over()):
                self._searching.kept.add_target(self._trials, target)
                waiting.insert(0, self._try(closer))
        spends, _, found = min(judged, key=lambda each: each[:2])
        return found, spends

    def _is_enough(self, bracket: Bracket) -> bool:
        """True where another mix would not be worth it."""
        low, high = bracket.low, bracket.high
        if low is not None and (low.spent >= _NEARLY_ALL or self._is_extreme(self.within(low.expected), 0)):
            return True
        if low is None or high is None:
            return high is not None and self._is_extreme(self.within(high.expected), -1)
        smaller, larger = self.within(high.expected).size_bytes, self.within(low.expected).size_bytes
        return high.expected < _CLOSE * low.expected or larger - smaller < _LEAST_SAVED * larger

    def _is_extreme(self, mix: Mix, place: int) -> bool:
        """True for the smallest (0) or the largest (-1) rate of every weight."""
        return all(rate is rated.rates[place] for rate, rated in zip(mix.rates, self._rated, strict=True))

    def _is_over(self) -> bool:
        left = self._searching.seconds - (time.monotonic() - self._started)
        holding = [found for found in self._tried if found.holds]
        best = min(holding, key=lambda found: found.size_bytes) if holding else None
        is_there = best is None or self._searching.kept.has_built(self._trials, self.passes_of(best.mix))
        again = 0.0 if is_there else self._longest  # what was tried by another search will have to be built
        return self._stops() or left < _SLOWER * self._longest + again

    def along(self, most_error: float) -> list[Mix]:
        """Mixes from the least loss to outputs with that relative error, the largest first."""
        least = max(sum(min(rate.loss for rate in rated.rates) for rated in self._rated), _LEAST_EXPECTED)
        ratio = (most_error**2 / least) ** (1 / (_ALONG - 1))
        return [self.within(least * ratio**place) for place in range(_ALONG)]

    # -------------------------------------------------------------------------------------------- mixes
    def within(self, expected: float) -> Mix:
        """The smallest of no more expected loss."""
        return self._best(lambda rate: rate.size_bytes, lambda rate: rate.loss, expected)

    def _of_bytes(self, most: float) -> Mix:
        """The one of least expected loss of so many bytes."""
        return self._best(lambda rate: rate.loss, lambda rate: rate.size_bytes, most)

    def _best(self, cost: Callable[[Rate], float], use: Callable[[Rate], float], budget: float) -> Mix:
        costs = [[cost(rate) for rate in rated.rates] for rated in self._rated]
        uses = [[use(rate) for rate in rated.rates] for rated in self._rated]
        places = cheapest_within(costs, uses, budget)
        return Mix(tuple(rated.rates[place] for rated, place in zip(self._rated, places, strict=True)))

    def passes_of(self, mix: Mix) -> tuple[Pass, ...]:
        """With a rule for each weight."""
        rules: dict[bool, list[Rule]] = {False: [], True: []}  # of those whose values are shared, and of the others
        for rated, rate in zip(self._rated, mix.rates, strict=True):
            rules[rate.shared].append(Rule(glob.escape(rated.name), options=rate.options))
        names = tuple(rule.match for rule in rules[True])
        step = replace(self._step, rules=(*rules[False], *self._step.rules), exclude=(*self._step.exclude, *names))
        sharing = ShareWeights(
            include=names, granularity="channel", method=step.method, min_size=step.min_size, rules=tuple(rules[True])
        )
        chosen = (sharing, step) if names else (step,)
        return tuple(new for each in self.steps for new in (chosen if each is self._step else (each,)))

    def _try(self, mix: Mix) -> Found:
        """Builds and runs it; one that was tried before, maybe in another run, is not run again."""
        at(f"trying model {len(self._tried) + 1}{self._so_far()}")
        measured = self._measured(mix, self._trials)
        found = Found(mix, measured.losses.spent(self._limits), measured.size_bytes)
        self._tried.append(found)
        self._longest = max(self._longest, measured.seconds)
        return found

    def _measured(self, mix: Mix, trials: Trials) -> Measured:
        def measure() -> Measured:
            model = self.built(mix).model
            return Measured(trials.file_bytes(model), Losses.of(trials.run(model)))

        return self._searching.kept.model(trials, self.passes_of(mix), measure)

    def built(self, mix: Mix) -> Compressed:
        """What its passes make."""
        return self._searching.kept.built(self._trials, self.passes_of(mix))

    # -------------------------------------------------------------------------------------------- words
    def _so_far(self) -> str:
        holding = [found.size_bytes for found in self._tried if found.holds]
        return f", {format_bytes(min(holding))} so far" if holding else ""

    def reasons(self, mix: Mix) -> Mapping[str, Mapping[str, str]]:
        """For each weight what was chosen, and what the next smaller choice would save and lose."""
        reasons: dict[str, dict[str, str]] = {}
        for rated, rate in zip(self._rated, mix.rates, strict=True):
            by = ShareWeights.name if rate.shared else self._step.name
            reasons.setdefault(by, {})[rated.name] = _reason(rated, rate, mix.expected)
        return reasons

    def note(self, best: Found, searched: Feeds, judged: Feeds) -> str:
        """What was done, in a sentence."""
        how = (
            f"the best of {format_counted(len(self._tried), 'model')} that {'was' if len(self._tried) == 1 else 'were'}"
        )
        where = f"tried on {len(searched)} feeds of {searched.origin}; the other {len(judged)} prove the result"
        spends = (
            f"spends {format_share(best.spent)} of what it may lose there" if math.isfinite(best.spent) else "fails"
        )
        return f"{how} {where}: {spends}, {format_bytes(best.size_bytes)}"


def bear_on_rates(passes: Sequence[Pass]) -> list[Pass]:
    """Those of them with which each weight is measured, the one that stores weights last."""
    graph = [step for step in passes if step.stage == Stage.GRAPH]
    return [*graph, *(step for step in passes if isinstance(step, QuantizeWeights))]


def _is_multiplied(rated: Rated, passes: Sequence[Pass]) -> bool:
    """True where a pass has it multiplied in integers."""
    names = (name for step in passes if isinstance(step, QuantizeActivations) for name in step.include)
    return glob.escape(rated.name) in names


def _choices(rated: Rated, passes: Sequence[Pass]) -> Rated:
    """What is worth choosing, the smallest first: in integers there are no half precision and no shared values."""
    multiplied = _is_multiplied(rated, passes)
    able = (rate for rate in rated.rates if not multiplied or (rate.bits <= 8 and not rate.shared))
    return replace(rated, rates=tuple(undominated(able)))


def _reason(rated: Rated, rate: Rate, total: float) -> str:
    share = f"{format_share(rate.loss / total)} of the expected loss" if total > 0 else "nothing lost"
    if rate not in rated.rates:
        return f"{share}; 8 bits for all were expected to lose more than they do"
    place = rated.rates.index(rate)
    if place == 0:
        return f"{share}; there is no smaller choice"
    smaller = rated.rates[place - 1]
    saved = format_bytes(rate.size_bytes - smaller.size_bytes)
    more = f"{(total - rate.loss + smaller.loss) / total:.2f}x the expected loss" if total > 0 else "some loss"
    return f"{share}; {smaller} would save {saved} for {more}"
