"""The limit holds for all who are inside, in whatever order they come and go, and is gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

from nncompress.numerics.blas_threads import limit_new_thread, one_blas_thread


def blas_threads() -> set[int]:
    return {library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    """More than one outside, whatever the machine has."""
    assert np.linalg.eigh(np.eye(2))[0].tolist() == [1, 1]  # there is a library to limit
    if not blas_threads():
        pytest.skip("numpy comes with no library whose threads can be limited")
    with threadpool_limits(2, user_api="blas"):
        yield


def test_the_limit_is_one_inside_and_what_it_was_before_outside() -> None:
    with one_blas_thread():
        assert blas_threads() == {1}
        with one_blas_thread():
            assert blas_threads() == {1}
        assert blas_threads() == {1}
    assert blas_threads() == {2}


def test_an_error_inside_takes_the_limit_away_too() -> None:
    with pytest.raises(ValueError, match="inside"), one_blas_thread():
        raise ValueError("inside")
    assert blas_threads() == {2}


def test_who_came_first_may_leave_first() -> None:
    entered, left, seen = Event(), Event(), []

    def second() -> None:
        with one_blas_thread():
            entered.set()
            left.wait(10)
            seen.append(blas_threads())

    thread = Thread(target=second)
    with one_blas_thread():
        thread.start()
        assert entered.wait(10)
    seen.append(blas_threads())
    left.set()
    thread.join()
    assert seen == [{1}, {1}]
    assert blas_threads() == {2}


def test_a_thread_of_the_caller_that_set_a_limit_does_not_keep_it_from_being_one() -> None:
    ready, done = Event(), Event()

    def other() -> None:
        with threadpool_limits(2, user_api="blas"):
            ready.set()
            done.wait(10)

    thread = Thread(target=other)
    thread.start()
    assert ready.wait(10)
    with one_blas_thread():
        assert blas_threads() == {1}
    done.set()
    thread.join()
    assert blas_threads() == {2}


def test_new_threads_change_nothing_for_the_process() -> None:
    thread = Thread(target=limit_new_thread)
    thread.start()
    thread.join()
    assert blas_threads() == {2}
