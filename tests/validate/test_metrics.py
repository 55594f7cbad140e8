import numpy as np
import pytest

from nncompress.errors import InputError
from nncompress.validate.metrics import Scores, task_metrics

SIX = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])


def scores(labels, *outputs):
    result = Scores(np.array(labels), "logits")
    for output in outputs:
        result.add(np.asarray(output, np.float32))
    return result


def test_top1_counts_the_true_class_over_feeds_in_order():
    assert scores([0, 1, 1], [[2, 1]], [[2, 1], [0, 3]]).finish() == {"top-1": 2 / 3}


def test_top5_is_measured_from_six_classes_on():
    assert scores([1, 0, 5], SIX, SIX, SIX).finish() == {"top-1": 1 / 3, "top-5": 2 / 3}


def test_ties_count_for_the_class_of_lower_index():
    assert scores([0, 1], [[1, 1]], [[1, 1]]).finish() == {"top-1": 0.5}
    assert scores([5], np.ones((1, 6))).finish() == {"top-1": 0.0, "top-5": 0.0}


def test_nan_scores_are_never_hits():
    assert scores([0, 3], np.full((2, 6), np.nan)).finish()["top-5"] == 0.0


def test_leading_axes_are_samples():
    assert scores([1, 0, 0, 1], [[[0, 1], [1, 0]], [[0, 1], [0, 1]]]).finish() == {"top-1": 0.75}


def test_negative_labels_are_left_out():
    result = scores([1, -100, 0], [[0, 1], [0, 1], [0, 1]])
    assert (result.finish(), result.counted) == ({"top-1": 0.5}, 2)


@pytest.mark.parametrize("labels", [[0], [0, 1, 0]])
def test_a_wrong_number_of_labels_is_refused_with_both_counts(labels):
    with pytest.raises(InputError, match=rf"{len(labels)} labels for 2 samples: output 'logits' has 2 rows"):
        scores(labels, [[1, 0], [0, 1]]).finish()


def test_a_label_beyond_the_classes_is_refused():
    with pytest.raises(InputError, match="label 2 is out of range: output 'logits' has 2 classes"):
        scores([2], [[1, 0]])


def test_one_class_is_no_classification():
    with pytest.raises(InputError, match="output 'logits' has 1 classes"):
        scores([0], [[0.3]]).finish()


def test_both_models_are_set_side_by_side():
    (metric,) = task_metrics(scores([0, 1], [[1, 0], [0, 1]]), scores([0, 1], [[1, 0], [1, 0]]))
    assert (metric.name, metric.reference, metric.candidate, metric.drop, metric.samples) == ("top-1", 1, 0.5, 0.5, 2)
