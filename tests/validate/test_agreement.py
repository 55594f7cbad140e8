import math

import numpy as np
import pytest

from nncompress.validate.agreement import Agreement


def agreement(*pairs):
    total = Agreement()
    for reference, candidate in pairs:
        total.add(reference, candidate)
    return total


def floats(*values):
    return np.array(values, np.float32)


def test_figures_follow_their_formulas_pooled_over_feeds():
    fidelity = agreement((floats(3.0), floats(2.0)), (floats(4.0), floats(4.0))).fidelity()
    assert fidelity.cosine == pytest.approx(22 / (5 * math.sqrt(20)))
    assert fidelity.sqnr_db == pytest.approx(10 * math.log10(25))
    assert fidelity.relative_error == pytest.approx(1 / 5)
    assert fidelity.max_abs_error == 1.0
    assert not fidelity.identical


def test_identical_outputs_have_no_sqnr():
    total = agreement((floats(0.1, 0.7), floats(0.1, 0.7)))
    fidelity = total.fidelity()
    assert (fidelity.cosine, fidelity.sqnr_db, fidelity.max_abs_error) == (1.0, None, 0.0)
    assert fidelity.identical
    assert total.verdict() is None


def test_an_all_zero_reference_has_no_cosine_and_an_all_zero_result_has_cosine_zero():
    fidelity = agreement((floats(0, 0), floats(1, -2))).fidelity()
    assert (fidelity.cosine, fidelity.sqnr_db, fidelity.relative_error, fidelity.max_abs_error) == (
        None,
        None,
        None,
        2.0,
    )
    assert agreement((floats(1, -2), floats(0, 0))).fidelity().cosine == 0.0


def test_new_values_that_are_not_finite_are_a_problem_and_the_rest_is_still_compared():
    total = agreement((floats(1, 2, -np.inf), floats(np.nan, 2, -np.inf)))
    assert total.verdict() == "1 values are not finite where the original's are"
    assert (total.nonfinite_reference, total.nonfinite_candidate) == (1, 2)
    assert total.fidelity().max_abs_error == 0.0
    assert not total.fidelity().identical


def test_values_that_were_not_finite_before_are_no_problem():
    total = agreement((floats(np.nan, 1), floats(np.nan, 1)))
    assert total.verdict() is None
    assert total.fidelity().identical


def test_as_many_new_non_finite_values_as_vanished_ones_are_noticed():
    assert agreement((floats(np.inf, 1), floats(1, np.inf))).verdict() is not None


def test_a_changed_shape_or_type_forbids_comparing():
    total = agreement((np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)))
    assert (total.verdict(), total.fidelity()) == ("shape changed from [2, 3] to [3, 2]", None)
    total = agreement((floats(1), np.array([1.0])))
    assert (total.verdict(), total.fidelity()) == ("type changed from float32 to float64", None)


def test_top1_agreement_counts_rows_and_ties_go_to_the_first():
    reference = np.array([[1, 1, 0], [0, 2, 0], [0, 0, 3], [5, 0, 0]], np.float32)
    candidate = np.array([[2, 1, 0], [0, 1, 1], [0, 9, 3], [5, 0, 0]], np.float32)
    assert agreement((reference, candidate)).fidelity().top1_agreement == 0.75


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 100_001)])
def test_outputs_without_classes_have_no_top1_agreement(shape):
    assert agreement((np.ones(shape, np.float32), np.ones(shape, np.float32))).fidelity().top1_agreement is None


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.bool_, object])
def test_other_types_give_the_share_that_is_equal(kind):
    reference, candidate = np.array([1, 0, 1, 1]).astype(kind), np.array([1, 0, 1, 0]).astype(kind)
    total = agreement((reference, candidate))
    assert (total.fidelity().cosine, total.fidelity().top1_agreement, total.verdict()) == (None, 0.75, None)


def test_half_precision_is_compared_without_overflow():
    big = np.full(100_000, 60_000, np.float16)
    assert agreement((big, big)).fidelity().cosine == 1.0
    assert agreement((big, -big)).fidelity().cosine == pytest.approx(-1.0)


def test_sums_do_not_depend_on_chunking():
    values = np.random.default_rng(0).standard_normal(3 << 20).astype(np.float32)
    fidelity = agreement((values, values * np.float32(1.5))).fidelity()
    assert fidelity.relative_error == pytest.approx(0.5, rel=1e-6)


def test_sequences_and_maps_are_compared_part_by_part():
    reference = [{1: 0.25, 2: 0.75}, {1: 1.0, 2: 0.0}]
    assert agreement((reference, reference)).fidelity().identical
    assert agreement((reference, reference[:1])).verdict() == "a sequence of 1 instead of 2"


def test_an_empty_optional_compares_with_an_empty_optional():
    total = agreement((None, None))
    assert (total.verdict(), total.fidelity()) == (None, None)


def test_empty_tensors_give_no_figures():
    assert agreement((np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))).fidelity() is None


def test_floats_of_which_none_is_finite_are_said_to_hold_nothing_to_compare():
    nan, zero = floats(math.nan, math.inf), floats(0, 0)
    for pair in ((nan, nan), (zero, nan), (nan, zero)):
        assert agreement(pair).fidelity().nothing_finite
    assert agreement((nan, nan)).fidelity().identical
    assert not agreement((nan, nan), (zero, zero)).fidelity().nothing_finite
    assert not agreement((np.array([1, 2]), np.array([1, 2]))).fidelity().nothing_finite
