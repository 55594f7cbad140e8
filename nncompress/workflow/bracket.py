"""Finds the expected loss at which as much is spent as may be: by steps outwards, then between two ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

_OUTWARDS, _FARTHEST = 1.2, 16.0  # first least step, and most, from one expected loss to the next
_AIM = 0.95  # of what may be spent
_LEAST_STEP, _MOST_STEP = 0.4, 0.8
_LEAST_PART, _LEAST_SPENT = 0.2, 0.2  # of the way between both ends; from which on what is spent tells where to look


def gentler(spent: float) -> float:
    """By what to multiply the expected loss where so much was spent, more than may be."""
    return min(max((_AIM / spent) ** 2, _LEAST_STEP), _MOST_STEP)


@dataclass(frozen=True)
class End:
    """An expected loss (squared), and what was spent with it (1: all that may be)."""

    expected: float
    spent: float


@dataclass(frozen=True)
class Bracket:
    """The largest expected loss that is known to be allowed, and the least that is known not to be."""

    low: End | None = None
    high: End | None = None
    known: int = 0

    def with_(self, expected: float, spent: float) -> Bracket:
        """One more that is known."""
        end = End(expected, spent)
        if spent <= 1:
            low = end if self.low is None or expected > self.low.expected else self.low
            return Bracket(low, self.high, self.known + 1)
        high = end if self.high is None or expected < self.high.expected else self.high
        return Bracket(self.low, high, self.known + 1)

    def next_target(self) -> float:
        """Where to look next. Errors grow with the root of the expected loss."""
        if self.low is None or self.high is None:
            end = self.low or self.high
            assert end is not None, "something is known"
            step = _FARTHEST if end.spent <= 0 else min(max((_AIM / end.spent) ** 2, 1 / _FARTHEST), _FARTHEST)
            least = min(_OUTWARDS**self.known, _FARTHEST)  # farther each time
            return end.expected * (max(step, least) if end is self.low else min(step, 1 / least))
        part = 0.5
        if self.low.spent > _LEAST_SPENT and math.isfinite(self.high.spent):
            part = math.log(_AIM / self.low.spent) / math.log(self.high.spent / self.low.spent)
        part = min(max(part, _LEAST_PART), 1 - _LEAST_PART)
        return self.low.expected * math.pow(self.high.expected / self.low.expected, part)
