import numpy as np
import pytest

from nncompress.errors import InputError, UsageError
from nncompress.validate.metrics.choice import make_metrics

FLOAT = {"logits": "tensor(float)"}
SIX = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])


def measured(labels, *pairs, names=(), outputs=FLOAT, feeds=None, output=None):
    """Figures of metrics on one output, for pairs of (reference, candidate)."""
    labels = None if labels is None else np.asarray(labels)
    (metric,) = make_metrics(names, labels, outputs, output)
    name = output or next(iter(outputs))
    for number, (ours, theirs) in enumerate(pairs):
        feed = feeds[number] if feeds else {"x": np.zeros((len(ours), 1))}
        metric.add({name: np.asarray(ours)}, {name: np.asarray(theirs)}, feed)
    return metric.finish()


def shares(labels, *outputs, **more):
    """{name: figure} where both models say the same."""
    return {m.name: m.candidate for m in measured(labels, *((one, one) for one in outputs), **more)}


# ------------------------------------------------------------------------------------------------ classification
def test_top1_counts_the_true_class_over_feeds_in_order():
    assert shares([0, 1, 1], [[2.0, 1]], [[2.0, 1], [0, 3]]) == {"top-1": 2 / 3}


def test_top5_is_measured_from_six_classes_on_or_on_request():
    assert shares([1, 0, 5], SIX, SIX, SIX) == {"top-1": 1 / 3, "top-5": 2 / 3}
    assert shares([1, 0, 5], SIX, SIX, SIX, names=["top-5"]) == {"top-5": 2 / 3}
    assert shares([3, 0, 5], SIX, SIX, SIX, names=["top-3"]) == {"top-3": 2 / 3}


def test_ties_count_for_the_class_of_lower_index():
    assert shares([0, 1], [[1.0, 1]], [[1.0, 1]]) == {"top-1": 0.5}
    assert shares([5], np.ones((1, 6))) == {"top-1": 0.0, "top-5": 0.0}


def test_nan_scores_are_never_hits():
    assert shares([0, 3], np.full((2, 6), np.nan))["top-5"] == 0.0
    assert shares([0, 1], np.full((2, 2), np.nan), names=["f1"])["f1"] == 0.0


def test_leading_axes_are_samples():
    assert shares([1, 0, 0, 1], [[[0.0, 1], [1, 0]], [[0, 1], [0, 1]]]) == {"top-1": 0.75}


def test_negative_labels_are_left_out():
    (metric,) = measured([1, -100, 0], ([[0.0, 1]] * 3, [[0.0, 1]] * 3))
    assert (metric.candidate, metric.samples) == (0.5, 2)


def test_class_numbers_are_compared_as_they_are():
    found = shares([2, 1, 0, 2], [2, 1, 1, 2], names=["top-1"], outputs={"class": "tensor(int64)"})
    assert found == {"top-1": 0.75}


def brute_force_f1(best, labels):
    scores = []
    for one in sorted(set(best) | set(labels)):
        hits = sum(a == b == one for a, b in zip(best, labels, strict=True))
        wrong = sum(a == one != b for a, b in zip(best, labels, strict=True))
        missed = sum(b == one != a for a, b in zip(best, labels, strict=True))
        scores.append(2 * hits / (2 * hits + wrong + missed))
    return sum(scores) / len(scores)


def test_f1_is_the_mean_over_the_classes_that_occur():
    rng = np.random.default_rng(0)
    scores, labels = rng.normal(size=(200, 7)), rng.integers(0, 5, 200)
    expected = brute_force_f1(scores.argmax(-1).tolist(), labels.tolist())
    assert shares(labels, scores, names=["f1"])["f1"] == pytest.approx(expected, abs=1e-12)


def test_each_class_is_listed_with_what_it_lost():
    (metric,) = measured([0, 0, 1, 2], (np.eye(3)[[0, 0, 1, 2]], np.eye(3)[[0, 1, 1, 0]]))
    assert [(c.label, c.samples, c.reference, c.candidate, c.drop) for c in metric.classes] == [
        (0, 2, 1.0, 0.5, 0.5),
        (1, 1, 1.0, 1.0, 0.0),
        (2, 1, 1.0, 0.0, 1.0),
    ]


@pytest.mark.parametrize("labels", [[0], [0, 1, 0]])
def test_a_wrong_number_of_labels_is_refused_with_both_counts(labels):
    with pytest.raises(InputError, match=rf"{len(labels)} labels for 2 samples: output 'logits' has 2 rows"):
        shares(labels, [[1.0, 0], [0, 1]])


def test_a_label_beyond_the_classes_is_refused():
    with pytest.raises(InputError, match="label 2 is out of range: output 'logits' has 2 classes"):
        shares([2], [[1.0, 0]])


def test_one_class_is_no_classification():
    with pytest.raises(InputError, match="output 'logits' has 1 classes"):
        shares([0], [[0.3]])


def test_class_numbers_are_integers():
    with pytest.raises(InputError, match=r"labels must be class numbers .*--metric mse compares numbers"):
        shares([0.5], [[0.3, 0.7]])


def test_both_models_are_set_side_by_side():
    (metric,) = measured([0, 1], ([[1.0, 0], [0, 1]], [[1.0, 0], [1, 0]]))
    assert (metric.name, metric.reference, metric.candidate, metric.drop, metric.samples) == ("top-1", 1, 0.5, 0.5, 2)


# ------------------------------------------------------------------------------------------------ squared error
def test_mse_is_the_mean_over_all_elements_and_drops_by_its_relative_change():
    (metric,) = measured([1.0, 2.0, 3.0], ([[1.0], [2.5]], [[1.5], [3.0]]), ([[3.0]], [[3.0]]), names=["mse"])
    assert (metric.reference, metric.candidate) == pytest.approx((0.25 / 3, 1.25 / 3))
    assert (metric.samples, metric.higher_is_better, metric.is_share) == (3, False, False)
    assert metric.drop == pytest.approx(4.0)


def test_mse_from_nothing_is_infinitely_worse():
    (metric,) = measured([1.0], ([[1.0]], [[2.0]]), names=["mse"])
    assert metric.drop == np.inf


def test_mse_needs_a_target_for_each_element():
    with pytest.raises(InputError, match=r"labels \[2\] do not fit output 'logits' \[2, 3\]"):
        measured([1.0, 2.0], (np.zeros((2, 3)), np.zeros((2, 3))), names=["mse"])
    with pytest.raises(InputError, match="3 labels for 2 samples"):
        measured([1.0, 2, 3], (np.zeros((2, 1)), np.zeros((2, 1))), names=["mse"])


# ------------------------------------------------------------------------------------------------ names
def test_an_unknown_metric_names_the_nearest_one():
    with pytest.raises(
        UsageError, match=r"unknown metric 'top_1' \(did you mean 'top-1' or 'top-5'\?\): there are top-K"
    ):
        make_metrics(["top_1"], np.array([0]), FLOAT, None)


def test_an_unknown_output_names_the_nearest_one():
    with pytest.raises(UsageError, match=r"no output 'logit' \(did you mean 'logits'\?\)"):
        make_metrics([], np.array([0]), FLOAT, "logit")


def test_labels_are_asked_for_where_they_are_needed():
    with pytest.raises(InputError, match="metric 'f1' needs labels"):
        make_metrics(["f1"], None, FLOAT, None)
    assert make_metrics([], None, FLOAT, None) == []


def test_a_metric_given_twice_is_measured_once():
    assert len(make_metrics(["f1", "top-1", "f1"], np.array([0]), FLOAT, None)) == 2
