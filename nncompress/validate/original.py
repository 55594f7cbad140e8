"""The model that results are compared with, opened once: to find inputs for it, and to compare with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from nncompress.feeds.feeds import Feeds
from nncompress.progress import Announce, silent
from nncompress.runtime.accept import first_accepted
from nncompress.runtime.cost import Metered
from nncompress.runtime.memory import free_memory_bytes
from nncompress.runtime.noise import busy
from nncompress.runtime.session import OutputArray, Session, open_session

KEPT_BYTES = 128 << 20  # of outputs that need not be computed again


class Original:
    """See the module. One that draws random numbers is opened once more, for these have to begin anew."""

    def __init__(self, path: Path, threads: int, announce: Announce = silent) -> None:
        """Raises InputError where onnxruntime refuses it."""
        self._path, self._threads, self._announce = path, threads, announce
        self.noise = busy()
        self.free_bytes = free_memory_bytes()
        self._asked: tuple[object, ...] | None = None  # for which feeds
        self._kept: list[list[OutputArray]] = []
        self._room = 0.0
        self.metered = Metered(lambda: self._open(None))

    @property
    def session(self) -> Session:
        return self.metered.session

    def accepted(self, choices: Sequence[Feeds], advice: str) -> Feeds:
        """The first of `choices` that it accepts. Raises InputError, with `advice`, where it accepts none."""
        feeds = first_accepted(self.session, choices, advice, announce=self._announce)
        self.metered.ran()
        return feeds

    def outputs(self, feeds: Feeds) -> Iterator[list[OutputArray]]:
        """What it gives, feed by feed; of what it gave for the same ones before, as much is kept as fits."""
        asked = (feeds.origin, feeds.indices, feeds.seed)
        if asked != self._asked:
            self._asked, self._kept, self._room = asked, [], KEPT_BYTES
        done = len(self._kept)
        yield from self._kept[:done]
        for number, feed in enumerate(replace(feeds, indices=feeds.indices[done:]), done):
            self._announce("original", "run", number, len(feeds))
            outputs = self.session.run(feed)
            size = sum(map(_size_bytes, outputs))
            if number == len(self._kept) and size <= self._room:
                self._kept.append(outputs)
                self._room -= size
            yield outputs

    def begin_anew(self, draws: int | None) -> None:
        """As if it had not been run, with these `draws`."""
        self.close()
        self._asked = None
        self.metered.session = self._open(draws)

    def close(self) -> None:
        """Frees its memory until it begins anew."""
        self.metered.session = self.session.closed()

    def _open(self, draws: int | None) -> Session:
        self._announce("original", "load")
        return open_session(self._path, "original", threads=self._threads, draws=draws)


def _size_bytes(output: OutputArray) -> float:
    """What keeping it takes; infinite for what is no array of numbers."""
    return output.nbytes if isinstance(output, np.ndarray) and not output.dtype.hasobject else math.inf
