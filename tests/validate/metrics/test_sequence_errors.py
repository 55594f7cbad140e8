"""Token error rates, against a brute-force edit distance."""

import functools

import numpy as np
import pytest

from nncompress.errors import InputError
from tests.validate.metrics.test_choice import measured, shares


@functools.cache
def brute_force(a, b):
    if not a or not b:
        return len(a) + len(b)
    same = brute_force(a[1:], b[1:]) + (a[0] != b[0])
    return min(same, brute_force(a[1:], b) + 1, brute_force(a, b[1:]) + 1)


def test_edit_distance_is_that_of_the_definition():
    from nncompress.validate.metrics.sequence_errors import edit_distance

    rng = np.random.default_rng(1)
    for _ in range(300):
        a, b = (rng.integers(0, 3, rng.integers(0, 7)) for _ in range(2))
        assert edit_distance(a, b) == brute_force(tuple(a.tolist()), tuple(b.tolist()))


def test_tokens_at_ignored_places_do_not_count_where_lengths_are_the_same():
    said = np.eye(4)[[[1, 2, 3], [1, 1, 0]]]
    assert shares([[1, 2, -1], [1, 2, -100]], said, names=["token-error-rate"]) == {"token-error-rate": 1 / 4}


def test_other_lengths_cost_insertions_and_deletions():
    (metric,) = measured(
        [[1, 2, 3, -1]], ([[1, 2, 3, 4, 5]], [[1, 3, -1, -1, -1]]), names=["token-error-rate"],
        outputs={"ids": "tensor(int64)"},
    )  # fmt: skip
    assert (metric.reference, metric.candidate, metric.higher_is_better) == (2 / 3, 1 / 3, False)
    assert metric.drop == pytest.approx(-1 / 3)


def test_ctc_merges_repeats_and_drops_blanks_in_either_layout():
    path = np.eye(4)[[[0, 1, 1, 0, 1, 2, 2, 0]]]  # 1 1 2
    assert shares([[1, 1, 2]], path, names=["ctc-error-rate"]) == {"ctc-error-rate": 0.0}
    feed = [{"x": np.zeros((1, 3))}]
    assert shares([[1, 1, 3]], path.swapaxes(0, 1), names=["ctc-error-rate"], feeds=feed) == {"ctc-error-rate": 1 / 3}


def test_labels_have_to_be_sequences_of_tokens():
    with pytest.raises(InputError, match=r"token-error-rate needs labels \[samples, tokens\] of integers"):
        shares([1, 2], np.zeros((2, 3, 4)), names=["token-error-rate"])
    with pytest.raises(InputError, match="2 labels for 1 samples"):
        shares([[1], [2]], np.zeros((1, 1, 4)), names=["token-error-rate"])
    with pytest.raises(InputError, match="1 labels, and output 'logits' has more samples"):
        shares([[1]], np.zeros((2, 1, 4)), names=["token-error-rate"])
    with pytest.raises(InputError, match="is no sequence of tokens"):
        shares([[1]], np.zeros((1, 4)), names=["token-error-rate"])
