import os

import pytest

from nncompress.results.record import Timing
from nncompress.runtime.noise import busy, spread


@pytest.mark.parametrize(("load", "said"), [(0.4, False), (0.6, True)])
def test_a_load_above_half_of_the_cores_is_said(load, said, monkeypatch):
    monkeypatch.setattr("os.getloadavg", lambda: (load * (os.cpu_count() or 1), 0.0, 0.0))
    assert [note.startswith("NOISE: the load of this machine was ") for note in busy()] == said * [True]


@pytest.mark.parametrize(("iqr_ms", "said"), [(0.1, False), (0.3, True)])
def test_a_spread_above_a_tenth_of_the_median_is_said(iqr_ms, said):
    notes = spread({"the original": Timing(2.0, 0.1, (2.0,)), "the result": Timing(2.0, iqr_ms, (2.0,))})
    assert notes == said * ("NOISE: latency of the result spreads by 15 % of its median: measure longer (--seconds)",)


def test_what_spreads_in_both_models_is_said_once():
    wide = {"the original": Timing(2.0, 0.3, (2.0,)), "the result": Timing(2.0, 0.5, (2.0,))}
    (note,) = spread(wide)
    assert note.startswith("NOISE: latency of the original and the result spreads by 15 % and 25 % of its median: ")
