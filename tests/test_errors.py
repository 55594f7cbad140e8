"""Messages on one line, and what the system did not give told apart."""

from __future__ import annotations

import errno

import pytest

from nncompress.errors import LONGEST_MESSAGE, UsageError, lacking


def test_of_a_long_message_the_middle_is_left_out() -> None:
    shown = str(UsageError(f"'{'9' * 5000}' is not a size such as '4 MB'"))
    assert len(shown) == LONGEST_MESSAGE
    assert shown.startswith("'999")
    assert shown.endswith("9' is not a size such as '4 MB'")
    assert "9...9" in shown
    assert str(UsageError("a\n" * 10)) == r"a\n" * 10


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "not enough memory"),
        (ImportError("numpy.so: failed to map segment from shared object"), "not enough memory"),
        (OSError(errno.EMFILE, "Too many open files", "m.onnx"), "too many open files: the limit is too low"),
        (ImportError("numpy.so: cannot open shared object file: Too many open files"), "too many open files"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "no other process or thread"),
        (RuntimeError("can't start new thread"), "no other process or thread"),
    ],
    ids=repr,
)
def test_a_lack_is_named(error: Exception, message: str) -> None:
    assert (lacking(error) or "").startswith(message)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), ValueError("9"), KeyError("memory")])
def test_other_errors_are_no_lack(error: Exception) -> None:
    assert lacking(error) is None
