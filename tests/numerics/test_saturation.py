"""Saturation in 16 bits: the instruction done by hand, all pairs of codes, and the least change that avoids it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from nncompress.numerics.affine import Quantized, quantize
from nncompress.numerics.held import Store
from nncompress.numerics.saturation import (
    KeptApart,
    can_saturate,
    safe_codes,
    saturating_product,
    without_saturation,
)
from tests.models import noise

ALL = np.arange(-128, 128, dtype=np.int16).astype(np.int8)
PAIRS = np.stack(np.meshgrid(ALL, ALL, indexing="ij"), axis=-1).reshape(-1, 2)  # [65536, 2]


def by_hand(x: np.ndarray, w: np.ndarray) -> int:
    """VPMADDUBSW on one row and one column, in integers without limits."""
    x, w = np.append(x, [0] * (len(x) % 2)), np.append(w, [0] * (len(w) % 2))
    total = 0
    for i in range(0, len(x), 2):
        total += min(max(int(x[i]) * int(w[i]) + int(x[i + 1]) * int(w[i + 1]), -32768), 32767)
    return total


def codes_of(seed: int, *shape: int) -> np.ndarray:
    """Most of them near the ends."""
    rng = np.random.default_rng(seed)
    near = rng.choice([-1, 1], shape) * rng.integers(40, 128, shape)
    return near.astype(np.int8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_the_product_is_the_instruction_done_by_hand(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.integers(0, 256, (3, length)).astype(np.uint8), codes_of(seed, length, 2)
    expected = [[by_hand(row, column) for column in w.T] for row in x]
    assert saturating_product(x, w).tolist() == expected


def test_a_pair_can_saturate_if_some_inputs_make_it_so() -> None:
    """A term is linear in x: where it saturates at all, it does at 0 or 255."""
    w = PAIRS.astype(np.int32)
    corners = np.array(list(itertools.product((0, 255), repeat=2)))
    terms = corners @ w.T
    expected = ((terms > 32767) | (terms < -32768)).any(axis=0)
    assert (can_saturate(PAIRS, (1,))[:, 0] == expected).all()
    corner_by_corner = np.stack([saturating_product(c[None].astype(np.uint8), PAIRS.T)[0] for c in corners])
    assert ((corner_by_corner != terms).any(axis=0) == expected).all()


def test_safe_codes_are_the_nearest_that_cannot_saturate() -> None:
    safe, moved = safe_codes(PAIRS, (1,))
    offending = can_saturate(PAIRS, (1,))[:, 0]
    assert moved == offending.sum()
    assert (safe[~offending] == PAIRS[~offending]).all()
    assert not can_saturate(safe, (1,)).any()
    change = np.square(safe.astype(np.int32) - PAIRS)[offending].sum(axis=1)
    every = np.arange(-128, 128)
    a, b = np.meshgrid(every, every, indexing="ij")
    a, b = a[np.abs(a + b) <= 128], b[np.abs(a + b) <= 128]
    some = np.flatnonzero(offending)[::97]
    for place, least in zip(some, change[::97], strict=True):
        first, second = PAIRS[place].astype(int)
        assert least == ((a - first) ** 2 + (b - second) ** 2).min()


@given(st.integers(0, 2**32 - 1), st.sampled_from([(0,), (1,), (2, 0), (1, 2, 0)]))
def test_products_of_safe_codes_are_exact_in_whatever_order(seed: int, axes: tuple[int, ...]) -> None:
    codes = codes_of(seed, 3, 4, 5)
    safe, moved = safe_codes(codes, axes)
    rest = [axis for axis in range(3) if axis not in axes]
    length = int(np.prod([codes.shape[axis] for axis in axes]))
    before, after = (each.transpose([*axes, *rest]).reshape(length, -1) for each in (codes, safe))
    x = np.random.default_rng(seed).choice([0, 3, 255], (20, length)).astype(np.uint8)
    assert (saturating_product(x, after) == x.astype(np.int32) @ after.astype(np.int32)).all()
    whole = length // 2 * 2
    pairs, kept = (each[:whole].T.reshape(-1, 2) for each in (before, after))
    offending = np.array([by_hand(np.full(2, 255), pair) != 255 * int(pair.sum(dtype=int)) for pair in pairs])
    assert (pairs[~offending] == kept[~offending]).all()
    assert moved == offending.sum()


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_has_no_neighbour(length: int) -> None:
    codes = np.full((2, length), 127, np.int8)
    safe, moved = safe_codes(codes, (1,))
    assert (safe.shape, moved) == ((2, length), 0)


def quantized(w: np.ndarray, bits: int = 8) -> Quantized:
    return quantize(w, (1,), bits=bits, signed=True, symmetric=True, range_="minmax", store=Store())


def error_of(w: np.ndarray, made: Quantized) -> np.ndarray:
    """Of each column."""
    return np.square(w - made.affine.decode(), dtype=np.float64).sum(axis=0)


def test_channels_without_such_pairs_stay_as_they_are_and_figures_are_those_of_what_is_kept() -> None:
    w = noise(64, 8)
    w[:2, :5] = 3
    made = quantized(w)
    safe, kept = without_saturation(w, made, [(0,)], Store())
    before, after = made.affine.codes.load(), safe.affine.codes.load()
    touched = can_saturate(before, (0,)).any(axis=-1)
    assert 0 < touched.sum() < 8
    assert (before[:, ~touched] == after[:, ~touched]).all()
    assert (made.affine.scale[:, ~touched] == safe.affine.scale[:, ~touched]).all()
    assert not can_saturate(after, (0,)).any()
    assert safe.noise == pytest.approx(error_of(w, safe).sum(), rel=1e-5)
    assert kept.scales == (made.affine.scale != safe.affine.scale).sum()
    rounded = np.clip(np.rint(w / safe.affine.scale), -127, 127).astype(np.int8)
    assert kept.pairs == can_saturate(rounded, (0,)).sum()
    assert without_saturation(w, safe, [(0,)], Store()) == (safe, KeptApart())


@pytest.mark.parametrize("kind", ["normal", "uniform", "large", "signs"])
def test_no_channel_is_worse_than_with_moved_pairs_alone_or_with_seven_bits(kind: str) -> None:
    rng = np.random.default_rng(0)
    made_up = {"normal": noise(64, 8), "uniform": rng.uniform(-1, 1, (64, 8)), "large": 1 + noise(64, 8) / 9,
               "signs": rng.choice([-1.0, 1.0], (64, 8))}  # fmt: skip
    w = made_up[kind].astype(np.float32)
    made = quantized(w)
    safe, _ = without_saturation(w, made, [(0,)], Store())
    moved = safe_codes(made.affine.codes.load(), (0,))[0] * made.affine.scale
    scale = np.abs(w).max(axis=0) / 64
    halved = np.rint(w / scale) * scale
    errors = error_of(w, safe)
    assert (errors <= np.square(w - moved).sum(axis=0) * (1 + 1e-6)).all()
    touched = can_saturate(made.affine.codes.load(), (0,)).any(axis=-1)
    assert (errors <= np.square(w - halved).sum(axis=0) * 1.001 + 1e-9)[touched].all()


def test_what_counts_more_decides_on_the_scale() -> None:
    w = np.random.default_rng(0).uniform(-1, 1, (64, 1)).astype(np.float32)
    w[:2] = 1
    alone, least = np.zeros((64, 1), np.float32), np.full((64, 1), 1e-6, np.float32)
    alone[:2], least[2:] = 1, 1
    for importance in (alone, least):
        made = quantize(
            w, (1,), bits=8, signed=True, symmetric=True, range_="minmax", store=Store(), importance=importance
        )
        safe, _ = without_saturation(w, made, [(0,)], Store(), importance)
        plain, _ = without_saturation(w, made, [(0,)], Store())
        errors = [float((np.square(w - each.affine.decode()) * importance).sum()) for each in (safe, plain)]
        assert errors[0] <= errors[1] * (1 + 1e-6)
        assert safe.weighted_noise == pytest.approx(errors[0], rel=1e-4)
