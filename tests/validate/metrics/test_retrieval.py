"""recall@k, against neighbours found one by one."""

import numpy as np
import pytest

from nncompress.errors import InputError
from tests.validate.metrics.test_choice import measured


def brute_force(ours, theirs, k):
    def neighbours(rows):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        order = [sorted(range(len(rows)), key=lambda j: -(unit[i] @ unit[j])) for i in range(len(rows))]
        return [set([j for j in places if j != i][:k]) for i, places in enumerate(order)]

    return np.mean([len(a & b) / k for a, b in zip(neighbours(ours), neighbours(theirs), strict=True)])


def test_without_labels_the_neighbours_of_the_original_are_the_truth():
    rng = np.random.default_rng(2)
    ours = rng.normal(size=(60, 8))
    theirs = ours + 0.4 * rng.normal(size=ours.shape)
    pairs = [(ours[:25], theirs[:25]), (ours[25:], theirs[25:])]
    (metric,) = measured(None, *pairs, names=["recall@5"])
    assert (metric.name, metric.reference, metric.samples) == ("recall@5", 1.0, 60)
    assert metric.candidate == pytest.approx(brute_force(ours, theirs, 5), abs=1e-12)


def test_neighbours_that_are_as_close_are_as_good():
    rows = np.repeat(np.eye(3), 4, axis=0)  # each has three exact copies and eight at the same distance
    (metric,) = measured(None, (rows, rows[:, ::-1]), names=["recall@2"])
    assert metric.candidate == 1.0


def test_with_labels_a_neighbour_of_the_same_label_counts():
    ours = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 1.0]])
    theirs = np.array([[1, 0], [0.1, 1], [0, 1], [1, 0.1], [1, 1.0]])
    (metric,) = measured([0, 0, 1, 1, 2], (ours, theirs), names=["recall@1"])
    assert (metric.reference, metric.candidate, metric.samples) == (1.0, 0.0, 4)


def test_embeddings_of_tokens_are_pooled_under_the_attention_mask():
    rng = np.random.default_rng(3)
    tokens = rng.normal(size=(12, 4, 6))
    mask = np.ones((12, 4), np.int64)
    mask[:, 3] = 0
    spoiled = tokens.copy()
    spoiled[:, 3] = rng.normal(size=(12, 6)) * 100
    (metric,) = measured(None, (tokens, spoiled), names=["recall@3"], feeds=[{"attention_mask": mask}])
    assert metric.candidate == 1.0
    (unmasked,) = measured(None, (tokens, spoiled), names=["recall@3"])
    assert unmasked.candidate < 0.9


def test_too_few_samples_are_refused():
    with pytest.raises(InputError, match="recall@10 needs at least 12 samples, there are 11"):
        measured(None, (np.eye(11), np.eye(11)), names=["recall@10"])
    with pytest.raises(InputError, match="no label occurs twice"):
        measured(np.arange(12), (np.eye(12), np.eye(12)), names=["recall@10"])
    with pytest.raises(InputError, match=r"output 'logits' \[12\] is no embedding"):
        measured(None, (np.ones(12), np.ones(12)), names=["recall@1"])
