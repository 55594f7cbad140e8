"""What goes through a pipe arrives as it was."""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest

from nncompress.runtime.messages import read_message, write_message

LARGE = np.arange(1 << 18, dtype=np.float64).reshape(512, 512)


@pytest.mark.parametrize(
    "message",
    ["text", LARGE, LARGE.T, LARGE[::3, 1:], np.zeros((0, 3), np.int8), np.array(["a", None], object), [LARGE, LARGE]],
    ids=["text", "large", "turned", "strided", "empty", "objects", "twice"],
)
def test_it_arrives(message: Any) -> None:
    pipe = io.BytesIO()
    write_message(("done", message), pipe)
    write_message("next", pipe)
    pipe.seek(0)
    said, found = read_message(pipe)
    assert said == "done"
    assert type(found) is type(message)
    np.testing.assert_array_equal(found, message)
    assert read_message(pipe) == "next"


def test_an_array_that_arrives_can_be_written_to() -> None:
    pipe = io.BytesIO()
    write_message(LARGE, pipe)
    pipe.seek(0)
    assert read_message(pipe).flags.writeable


@pytest.mark.parametrize("lacking", [1, 100, LARGE.nbytes, LARGE.nbytes + 100])
def test_one_that_ends_before_is_an_error(lacking: int) -> None:
    pipe = io.BytesIO()
    write_message(LARGE, pipe)
    with pytest.raises((EOFError, pickle.UnpicklingError)):
        read_message(io.BytesIO(pipe.getvalue()[:-lacking]))
