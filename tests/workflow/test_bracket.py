"""The search for what may be lost: from any start it comes to where as much is spent as may be, from below."""

from __future__ import annotations

import math

import pytest

from nncompress.workflow.bracket import Bracket, gentler


@pytest.mark.parametrize("allowed", [1e-6, 3e-4, 0.02, 5.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_it_closes_in_on_what_is_allowed(allowed: float, noise: float) -> None:
    bracket, target = Bracket(), 0.01
    for step in range(12):
        spent = math.sqrt(target / allowed) * (1 + noise * math.sin(7 * step))
        bracket = bracket.with_(target, spent)
        target = bracket.next_target()
    assert bracket.low is not None
    assert 0.6 * allowed < bracket.low.expected < 1.5 * allowed


def test_where_nothing_is_spent_it_goes_far_and_then_between() -> None:
    bracket = Bracket().with_(0.01, 0.0)
    assert bracket.next_target() == pytest.approx(0.16)
    closed = bracket.with_(0.16, math.inf)
    assert closed.next_target() == pytest.approx(0.04)


def test_what_was_refused_is_made_gentler_by_as_much_as_it_takes() -> None:
    assert gentler(1.02) == 0.8
    assert gentler(1.3) == pytest.approx((0.95 / 1.3) ** 2)
    assert gentler(math.inf) == 0.4
