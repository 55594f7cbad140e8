"""The collector rests while a graph is built, and is as it was afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from nncompress.model.building import without_collector


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    yield
    gc.enable()


def test_the_collector_rests_until_the_outermost_block_ends() -> None:
    with without_collector():
        with without_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_an_error_wakes_it_too_and_one_that_rested_before_still_does() -> None:
    with pytest.raises(KeyError), without_collector():
        raise KeyError
    assert gc.isenabled()
    gc.disable()
    with without_collector():
        pass
    assert not gc.isenabled()


def test_what_was_built_can_be_collected_later() -> None:
    class Node:
        itself: object

    before = gc.get_freeze_count()
    with without_collector():
        node = Node()
        node.itself = node
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None
    assert gc.get_freeze_count() == before
