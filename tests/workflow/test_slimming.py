"""The strongest way to remove channels: found by halves, in the time that there is."""

from __future__ import annotations

import math

import pytest

from nncompress.passes.slim_channels import SlimChannels
from nncompress.workflow.slimming import first_that_holds

WAYS = [SlimChannels(energy=round(0.9 + 0.01 * place, 2)) for place in range(10)]


@pytest.mark.parametrize("first", range(11))
def test_it_is_found_by_halves(first: int) -> None:
    tried = []

    def holds(way: SlimChannels) -> bool:
        tried.append(way)
        return WAYS.index(way) >= first

    assert first_that_holds(WAYS, holds, math.inf) == first
    assert len(tried) <= 4


def test_without_time_it_is_the_strongest_that_is_known_to_hold() -> None:
    known = [WAYS[1], WAYS[4], WAYS[7]]

    def holds(way: SlimChannels) -> bool:
        assert way in known
        return WAYS.index(way) >= 3

    assert first_that_holds(WAYS, holds, -1.0, is_known=lambda way: way in known) == 4
    assert first_that_holds(WAYS, holds, -1.0) == len(WAYS)
