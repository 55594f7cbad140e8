"""The worst sample of an output, where good ones hide it, and where there is nothing to hide."""

import numpy as np
import pytest

from nncompress.validate.agreement import Agreement


def samples(*pairs, batch=(), names=()):
    total = Agreement(names)
    for reference, candidate in pairs:
        total.add(reference, candidate, batch)
    return total.fidelity().samples


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def with_noise(values, share, seed=1):
    return values + np.float32(share) * normal(*values.shape, seed=seed) * np.sqrt((values**2).mean())


@pytest.mark.parametrize("level", [1.0, 0.18, 0.02])
def test_a_photo_that_lost_everything_is_found_among_four(level):
    photos = normal(4, 50, 50) * np.array([1, 1, level, 1], np.float32)[:, None, None]
    lost = photos * np.array([1, 1, 0, 1], np.float32)[:, None, None]
    total = Agreement()
    total.add(photos, lost, {4})
    fidelity = total.fidelity()
    assert level == 1.0 or fidelity.cosine > 0.99
    assert (fidelity.samples.count, fidelity.samples.worst_cosine.value) == (4, 0.0)
    assert fidelity.samples.worst_sqnr_db.value == pytest.approx(0, abs=1e-4)
    assert (fidelity.samples.worst_cosine.row, fidelity.samples.worst_cosine.feed) == (2, 0)


def test_a_lost_sample_is_found_beside_one_that_is_a_thousand_times_louder():
    rows = normal(4, 300) * np.array([1, 1000, 1, 1], np.float32)[:, None]
    assert samples((rows, rows * np.array([0, 1, 1, 1], np.float32)[:, None]), batch={4}).worst_sqnr_db.row == 0


def test_rows_are_samples_only_where_the_first_axis_is_the_batch():
    rows = normal(4, 50)
    lost = rows * np.array([1, 1, 0, 1], np.float32)[:, None]
    whole = samples((rows, lost), (rows, rows), names=("a.npz", "b.npz"))
    assert (whole.count, whole.elements) == (2, 400)
    assert (whole.worst_cosine.place, whole.worst_cosine.row) == ("a.npz", None)
    cut = samples((rows, rows), (rows, lost), batch={4, 7}, names=("a.npz", "b.npz"))
    assert (cut.count, cut.worst_cosine.place) == (8, "b.npz, row 2")


def test_the_figures_of_one_sample_are_those_of_all():
    values = normal(1, 64)
    total = Agreement()
    total.add(values, with_noise(values, 0.1), {1})
    fidelity = total.fidelity()
    assert fidelity.samples.worst_cosine.value == pytest.approx(fidelity.cosine)
    assert fidelity.samples.worst_sqnr_db.value == pytest.approx(fidelity.sqnr_db)


@pytest.mark.parametrize("faint", [0.0, 1e-9, 1e-4])
def test_a_sample_of_nearly_nothing_has_no_cosine_and_may_have_a_little_noise(faint):
    values = normal(6, 400) * np.array([1, 1, faint, 1, faint, faint], np.float32)[:, None]
    noisy = with_noise(values, 0.003)
    found = samples((values, noisy), batch={6})
    assert found.worst_cosine.value > 0.999
    assert found.worst_sqnr_db.value == pytest.approx(10 * np.log10(1e-4 / 9e-6 * 2), abs=1)
    noisy[2] += 1  # what is not there in the original
    assert samples((values, noisy), batch={6}).worst_sqnr_db.value < -30


def test_zeros_that_stay_zero_are_exact_and_an_output_of_zeros_has_no_figure():
    values = normal(3, 40) * np.array([0, 1, 1], np.float32)[:, None]
    kept = values.copy()
    kept[1] *= np.float32(1.01)
    assert samples((values, kept), batch={3}).worst_sqnr_db.row == 1
    zeros = np.zeros((3, 40), np.float32)
    for candidate in (zeros, zeros + 1):
        found = samples((zeros, candidate), batch={3})
        assert (found.worst_cosine, found.worst_sqnr_db) == (None, None)


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_few_values_that_lie_near_zero_by_chance_are_no_lost_sample(width, noise):
    values = normal(3000, width)
    found = samples((values, with_noise(values, noise)), batch={3000})
    assert found.worst_sqnr_db.value > 6
    assert (found.worst_cosine is None) if width == 1 else found.worst_cosine.value > 0.9


@pytest.mark.parametrize("width", [1, 2, 10])
def test_few_values_that_were_lost_are_found_all_the_same(width):
    values = np.abs(normal(40, width)) + 1
    broken = with_noise(values, 0.001)
    broken[17] = 0
    found = samples((values, broken), batch={40}).worst_sqnr_db
    assert (found.row, found.value) == (17, pytest.approx(0, abs=1e-3))


def test_values_that_are_not_finite_are_left_out_of_a_sample():
    values = normal(3, 20)
    values[1, 0], values[2] = np.nan, np.inf
    found = samples((values, values * np.float32(1.1)), batch={3})
    assert found.worst_sqnr_db.value == pytest.approx(20, abs=0.1)
    assert np.isfinite(found.worst_cosine.value)
    huge = np.full((2, 3), 1e200)
    assert samples((huge, -huge), batch={2}).worst_sqnr_db is None  # squares beyond float64


def test_the_same_best_class_is_counted_where_a_sample_has_several_rows():
    scores = np.eye(4, dtype=np.float32)[np.zeros((3, 8), int)]  # [samples, steps, classes]
    other = scores.copy()
    other[1, :6] = np.eye(4, dtype=np.float32)[2]
    found = samples((scores, other), batch={3})
    assert (found.worst_top1.value, found.worst_top1.row) == (0.25, 1)
    assert samples((scores[:, 0], other[:, 0]), batch={3}).worst_top1 is None


@pytest.mark.parametrize("kind", [np.int64, np.bool_, object])
def test_integers_have_the_share_that_is_equal_in_the_worst_sample(kind):
    values = np.ones((4, 10), kind)
    other = values.copy()
    other[3, :7] = 0
    found = samples((values, other), batch={4})
    assert (found.count, found.elements, found.worst_top1.value, found.worst_top1.row) == (4, 40, 0.3, 3)
    assert (found.worst_cosine, found.worst_sqnr_db) == (None, None)


def test_a_sequence_is_one_sample_a_feed():
    found = samples(([normal(3), normal(2)], [normal(3), normal(2)]), ([normal(3)], [2 * normal(3)]), batch={2})
    assert (found.count, found.worst_sqnr_db.feed, found.worst_sqnr_db.row) == (2, 1, None)


def test_an_output_is_constant_where_no_sample_differs_or_no_element():
    row = normal(1, 5)
    assert samples((np.repeat(row, 3, 0), normal(3, 5)), batch={3}).constant
    assert samples((row, row), (row, row)).constant
    assert samples((np.ones((1, 5)), np.zeros((1, 5)))).constant
    assert samples((np.full((2, 3), np.nan),) * 2, batch={2}).constant
    assert not samples((row, row)).constant  # one sample cannot tell
    assert not samples((row, row), (2 * row, row)).constant
    assert samples((np.array([1, 1]), np.array([1, 2]))).constant
    assert not samples((normal(1, 5), row), (normal(1, 6), normal(1, 6))).constant
