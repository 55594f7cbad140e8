import gc
import random

import pytest

from nncompress.runtime import timing


class Clock:
    """Time that passes only when a call takes some, so that no other load on the machine can be felt."""

    def __init__(self):
        self.now_s = 0.0
        self.noise = random.Random(0)

    def perf_counter(self):
        self.now_s += 1e-7
        return self.now_s

    def perf_counter_ns(self):
        return round(self.perf_counter() * 1e9)


CLOCK = Clock()


@pytest.fixture(autouse=True)
def _own_clock(monkeypatch):
    monkeypatch.setattr(timing, "time", CLOCK)


def spin(seconds, then=lambda: None):
    """A call that takes `seconds`, give or take a few percent, and does something else besides."""

    def call():
        then()
        CLOCK.now_s += seconds * CLOCK.noise.gauss(1, 0.03)

    return call


def test_a_call_that_takes_twice_as_long_is_told_apart():
    latency = timing.interleaved([(spin(0.0005), spin(0.001))], 0.2, 1)
    assert latency.ratio == pytest.approx(2, rel=0.2)
    assert latency.distinguishable
    assert latency.interleaved
    assert latency.ratio_low <= latency.ratio <= latency.ratio_high
    assert latency.reference.median_ms == pytest.approx(0.5, rel=0.2)


def busy(seconds):
    """A call on a machine where others run: every so often it is stopped for a while, whoever calls."""

    def call():
        before = CLOCK.now_s
        CLOCK.now_s += seconds * CLOCK.noise.gauss(1, 0.03)
        if int(before / 0.007) < int(CLOCK.now_s / 0.007):
            CLOCK.now_s += CLOCK.noise.expovariate(1 / 0.003)

    return call


@pytest.mark.slow
@pytest.mark.parametrize("kind", [spin, busy])
@pytest.mark.parametrize("pairs", [1, timing.PAIRS])
def test_a_call_is_rarely_told_apart_from_itself(kind, pairs):
    call = kind(0.0005)
    claims = sum(timing.interleaved([(call, call)] * pairs, 0.1, 1).distinguishable for _ in range(50))
    assert claims <= 3


@pytest.mark.parametrize("kind", [spin, busy])
@pytest.mark.parametrize("pairs", [1, timing.PAIRS])
def test_a_call_of_a_third_more_time_is_told_apart(kind, pairs):
    latency = timing.interleaved([(kind(0.0005), kind(0.00065))] * pairs, 0.4, 1)
    assert latency.distinguishable
    assert latency.ratio == pytest.approx(1.3, rel=0.1)


def test_as_many_calls_of_both_are_timed_in_either_order():
    taken = []
    pair = (spin(0.0001, lambda: taken.append("a")), spin(0.00002, lambda: taken.append("b")))
    latency = timing.interleaved([pair], 0.02, 1)
    timed = "".join(taken[10:])  # after warming up
    samples = len(latency.reference.samples_ms)
    calls = len(timed) // (2 * samples)
    assert calls > 1
    turns = {timed[at : at + 2 * calls] for at in range(0, len(timed), 2 * calls)}
    assert turns == {calls * "a" + calls * "b", calls * "b" + calls * "a"}


def test_all_pairs_of_sessions_take_part():
    taken = []
    pairs = [(spin(0.0005, lambda n=n: taken.append(n)), spin(0.0005, lambda n=n: taken.append(n))) for n in range(6)]
    latency = timing.interleaved(pairs, 0.05, 1)
    assert set(taken) == set(range(6))
    assert len(latency.reference.samples_ms) % 6 == 0


def test_of_many_samples_an_even_selection_is_kept():
    latency = timing.interleaved([(spin(0.0005), spin(0.001))], 2, 1)
    assert len(latency.reference.samples_ms) == len(latency.candidate.samples_ms) == 400


def test_a_slow_call_is_taken_eight_times_whatever_the_budget():
    latency = timing.interleaved([(spin(0.003), spin(0.003))], 0.005, 1)
    assert len(latency.reference.samples_ms) == 8


def test_a_very_slow_call_is_not_waited_for_and_nothing_is_claimed():
    latency = timing.interleaved([(spin(0.02), spin(0.1))], 0.001, 1)
    assert len(latency.reference.samples_ms) == 2
    assert not latency.distinguishable


def test_garbage_collection_is_off_while_timing_and_on_afterwards():
    seen = set()
    timing.alone(spin(0.0005, lambda: seen.add(gc.isenabled())), 0.01)
    assert seen == {False}
    assert gc.isenabled()


def test_models_timed_one_after_the_other_are_never_told_apart():
    fast, slow = timing.alone(spin(0.0005), 0.05), timing.alone(spin(0.001), 0.05)
    latency = timing.one_after_the_other(fast, slow, 2)
    assert latency.ratio == pytest.approx(2, rel=0.2)
    assert (latency.distinguishable, latency.interleaved, latency.threads) == (False, False, 2)


@pytest.mark.parametrize(
    ("count", "low", "high"), [(1, 0, 0), (2, 0, 1), (5, 0, 4), (6, 0, 5), (11, 0, 10), (12, 1, 10), (15, 2, 12)]
)
def test_the_interval_of_the_median_follows_the_binomial_table(count, low, high):
    assert timing.median_interval([float(n) for n in range(count)]) == (low, high)
