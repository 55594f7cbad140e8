"""Scale migration: the predicted error is that of data and weights that are really rounded, and the best has least."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.numerics.migration import EXPONENTS, Channels, best_migration, migrating, predicted_error
from nncompress.numerics.rounding import rounding_for
from tests.models import noise


def data_of(seed: int, outliers: float) -> np.ndarray:
    x = noise(4000, 24, seed=seed)
    x[:, :2] *= outliers
    x[:, 5:8] *= np.random.default_rng(seed).random((4000, 3)) < 0.1
    return x


def channels_of(x: np.ndarray) -> Channels:
    return Channels(x.min(axis=0), x.max(axis=0), np.square(x).mean(axis=0), (x != 0).mean(axis=0))


def grouped(weights: list[np.ndarray]) -> list[np.ndarray]:
    """Matrices as weights of one group and one position."""
    return [weight[None, :, None, :] for weight in weights]


def rounded_error(x: np.ndarray, weights: list[np.ndarray], factor: np.ndarray) -> float:
    """Data as uint8 with one scale, weights as int8 with one a column; mean over rows, sum over columns."""
    x, total = x / factor, 0.0
    rounding = rounding_for(float(x.min()), float(x.max()))
    data = (np.clip(np.rint(x / rounding.scale) + rounding.zero_point, 0, 255) - rounding.zero_point) * rounding.scale
    for weight in weights:
        scaled = weight * factor[:, None]
        step = np.abs(scaled).max(axis=0) / 127
        total += float(np.square(x @ scaled - data @ (np.rint(scaled / step) * step)).sum(axis=1).mean())
    return total


@pytest.mark.parametrize("outliers", [1, 10, 100])
@pytest.mark.parametrize("exponent", [None, *EXPONENTS])
def test_the_predicted_error_is_that_of_rounding(outliers: float, exponent: float | None) -> None:
    x, weights = data_of(0, outliers), [noise(24, 9, seed=1), noise(24, 5, seed=2) / 4]
    factor = np.ones(24, np.float32) if exponent is None else migrating(channels_of(x), grouped(weights), exponent)
    predicted = predicted_error(channels_of(x), grouped(weights), factor)
    assert predicted == pytest.approx(rounded_error(x, weights, factor), rel=0.25)  # a dB


def test_factors_are_those_of_the_paper_up_to_one_number() -> None:
    x, weights = data_of(0, 10), [noise(24, 9), noise(24, 5, seed=2)]
    of_data, of_weights = np.abs(x).max(axis=0), np.abs(np.concatenate(weights, axis=1)).max(axis=1)
    ratio = migrating(channels_of(x), grouped(weights), 0.75) / (of_data**0.75 / of_weights**0.25)
    assert ratio == pytest.approx(ratio[0], rel=1e-4)


@pytest.mark.parametrize("outliers", [10, 100])
def test_the_best_one_has_the_least_error_of_the_grid(outliers: float) -> None:
    x, weights = data_of(3, outliers), [noise(24, 9, seed=1)]
    best = best_migration(channels_of(x), grouped(weights))
    assert best is not None
    errors = {e: rounded_error(x, weights, migrating(channels_of(x), grouped(weights), e)) for e in EXPONENTS}
    assert errors[best.exponent] <= min(errors.values()) * 1.1
    gain = rounded_error(x, weights, np.ones(24, np.float32)) / errors[best.exponent]
    assert best.gain_db == pytest.approx(10 * np.log10(gain), abs=1)
    assert best.gain_db > 3


def test_even_data_leave_nothing_to_gain() -> None:
    x, weights = np.where(noise(4000, 24) > 0, 1.0, -1.0), [np.ones((24, 8), np.float32)]
    assert best_migration(channels_of(x), grouped(weights)) is None


def test_channels_without_data_or_weights_keep_their_scale() -> None:
    x, weight = data_of(0, 10), noise(24, 9)
    x[:, 5], weight[7] = 0, 0
    factor = migrating(channels_of(x), grouped([weight]), 0.5)
    assert (factor[[5, 7]] == 1).all()
    assert np.isfinite(factor).all()
    assert np.exp(np.log(factor).mean()) == pytest.approx(1, rel=1e-4)
