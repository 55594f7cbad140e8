"""Builds large graphs without Python's garbage collector, which would visit what is there again and again."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage is looked for meanwhile: of a graph that is being built, nothing is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            _count_as_old()
            gc.enable()


def _count_as_old() -> None:
    """What has been built need not be visited in each generation on its way to the oldest."""
    if gc.get_freeze_count() == 0:  # what somebody else has frozen is not ours to thaw
        gc.freeze()
        gc.unfreeze()
