"""Outputs that are no arrays become arrays to compare; where they do not consist of the same, that is named."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.validate.structure import as_array, pairs_of

ONE, TWO = np.ones(2, np.float32), np.ones((2, 2), np.float32)


def test_maps_in_a_row_are_one_array_with_a_column_for_each_key():
    rows = [{"b": 0.25, "a": 0.75}, {"b": 1.0, "a": 0.0}]
    ((ours, theirs),), problem = pairs_of(rows, [dict(reversed(row.items())) for row in rows])
    assert problem is None
    assert ours.tolist() == theirs.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    assert as_array(rows).tolist() == ours.tolist()


@pytest.mark.parametrize(
    "output",
    [
        ONE, None, [], [ONE, TWO], {"a": 1.0}, {1: ONE, 2: TWO}, [{"a": 1.0}, {"b": 1.0}], [[ONE], [TWO, None]],
        {"a": "text"}, np.array(["a", "b"]),
    ],
    ids=str,
)  # fmt: skip
def test_anything_equals_itself(output):
    pairs, problem = pairs_of(output, output)
    assert problem is None
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
    if not isinstance(output, list) or not output or not isinstance(output[0], dict):
        assert as_array(output) is output


@pytest.mark.parametrize(
    ("ours", "theirs", "difference"),
    [
        (ONE, None, "no value instead of an array"),
        (None, [ONE], "a sequence instead of no value"),
        ([ONE], {"a": 1.0}, "a map instead of a sequence"),
        ([ONE, ONE], [ONE], "a sequence of 1 instead of 2"),
        ([ONE, ONE], [ONE, TWO], "[1]: shape changed from [2] to [2, 2]"),
        ([ONE, ONE], [ONE, ONE.astype(np.float64)], "[1]: type changed from float32 to float64"),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0, "c": 2.0}, "its map has no 'b' and also has 'c'"),
        ({1: 1.0}, {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0, 5: 1.0, 6: 1.0}, "its map also has 2, 3, 4 and 2 more keys"),
        ([{"a": 1.0}, {"a": 1.0}], [{"a": 1.0}, {"b": 1.0}], "[1]: its map has no 'a' and also has 'b'"),
        ({"k": [ONE, None]}, {"k": [ONE, ONE]}, "['k'][1]: an array instead of no value"),
    ],
)
def test_what_differs_is_named_with_its_place(ours, theirs, difference):
    assert pairs_of(ours, theirs) == ([], difference)
