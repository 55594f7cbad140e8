"""Intervals of drops: they hold what they say in 95 of 100 cases, and promise nothing on few samples."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.validate.metrics.paired import interval_of, resampled


@pytest.mark.parametrize(("count", "lost", "gained"), [(40, 0.1, 0.05), (300, 0.02, 0.01), (1000, 0.01, 0.01)])
def test_the_interval_holds_the_true_drop_as_often_as_it_says(count: int, lost: float, gained: float) -> None:
    rng = np.random.default_rng(0)
    draws = rng.choice([1.0, -1.0, 0.0], p=[lost, gained, 1 - lost - gained], size=(2000, count))
    held = [low <= lost - gained <= high for low, high in map(interval_of, draws)]
    assert 0.93 < np.mean(held) <= 1  # 2,000 draws tell it to a point


def test_few_samples_none_of_which_changed_promise_little() -> None:
    assert interval_of(np.zeros(30))[1] > 0.05
    assert interval_of(np.zeros(3000))[1] < 0.001


def test_samples_drawn_again_agree_with_the_formula() -> None:
    lost = np.array([1.0] * 12 + [-1.0] * 6 + [0.0] * 382)
    drawn = resampled(len(lost), lambda some: float(lost[some].mean()))
    assert drawn == pytest.approx(interval_of(lost), abs=0.004)
    assert resampled(30, lambda some: 0.0)[1] == pytest.approx(interval_of(np.zeros(30))[1])
