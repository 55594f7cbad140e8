"""Sequences that models read: repeats and blanks do not count; with a step for each step of an input there is none."""

from __future__ import annotations

import numpy as np
import pytest

from nncompress.validate.sequences import Sequences

FEED = {"image": np.zeros((1, 3, 48, 320), np.float32)}


def scores(tokens: list[int], classes: int = 6) -> np.ndarray:
    """[1, steps, classes]"""
    return np.eye(classes, dtype=np.float32)[tokens][None]


@pytest.mark.parametrize(
    ("before", "after", "edits"),
    [
        ([0, 1, 1, 0, 2, 0, 0, 3], [0, 1, 0, 0, 2, 2, 0, 3], 0),  # the same, a step earlier or later
        ([0, 1, 1, 0, 2, 0, 0, 3], [0, 1, 1, 0, 4, 0, 0, 3], 1),
        ([0, 1, 1, 0, 2, 0, 0, 3], [0, 1, 1, 0, 0, 0, 0, 0], 2),
    ],
)
@pytest.mark.parametrize("steps_first", [False, True])
def test_edits_are_those_of_what_is_read(before: list[int], after: list[int], edits: int, steps_first: bool) -> None:
    sequences = Sequences()
    arrays = (scores(tokens) for tokens in (before, after))
    ours, theirs = (array.swapaxes(0, 1) if steps_first else array for array in arrays)
    sequences.add(ours, theirs, FEED)
    assert sequences.edited() == (edits / 3, 3)


def test_a_step_for_each_step_of_an_input_is_no_sequence() -> None:
    sequences = Sequences()
    sequences.add(scores([0, 1, 2]), scores([0, 1, 2]), {"tokens": np.zeros((1, 3), np.int64)})
    assert sequences.edited() is None


@pytest.mark.parametrize("shape", [(1, 8), (1, 2, 4, 5), (1, 7, 2), (1, 0, 6)])
def test_other_outputs_are_none(shape: tuple[int, ...]) -> None:
    sequences = Sequences()
    sequences.add(np.zeros(shape, np.float32), np.zeros(shape, np.float32), FEED)
    assert sequences.edited() is None
