"""What the child process does for products of rows: runs a block of either network, and sums up what a value is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nncompress.calibrate.measure import Kinds
from nncompress.feeds.feeds import Feeds
from nncompress.numerics.blas_threads import one_blas_thread
from nncompress.numerics.gram import Gram, GramSum
from nncompress.numerics.held import Store
from nncompress.numerics.rows import Cut, evenly
from nncompress.progress import Announce, Stage
from nncompress.runtime.blocks import BUDGET_BYTES, Activations, Block, CannotKeepError, kinds_of, run_block, start
from nncompress.runtime.session import Part

_LEAST_ROWS, _ROWS_EACH, _MOST_ROWS = 8192, 4, 32768  # of a Gram matrix: so many for each of its inputs


@dataclass(frozen=True)
class Advance:
    """Compute a block of one of the networks. Pickles."""

    block: Block  # shows what is looked at and computed once more later
    live: frozenset[str]  # what is kept until later, besides what the next request is about
    doing: Stage


@dataclass(frozen=True)
class Collect:
    """Sum up products of the rows of a value. Pickles."""

    name: str
    cuts: tuple[Cut, ...]
    crossed: bool  # with those of the original


class Collector:
    """Both networks with the activations that are still needed."""

    def __init__(self, feeds: Feeds, threads: int, announce: Announce) -> None:
        self._threads, self._announce = threads, announce
        announce("original", "reading calibration data for")
        original = start(feeds, Store(BUDGET_BYTES))
        now = Activations(original.store, dict(original.arrays))
        self._networks: dict[Part, Activations] = {"original": original, "result": now}
        self._count = len(feeds)

    def __call__(self, request: Advance | Collect | None) -> Any:
        """Kinds of what was kept, or a Gram matrix for each cut; or the reason why there is none."""
        if request is None:
            return kinds_of(self._networks["original"])
        if isinstance(request, Collect):
            return [self._gram(request, cut) for cut in request.cuts]
        try:
            return self._advanced(request)
        except CannotKeepError as error:
            return str(error)

    def _advanced(self, request: Advance) -> Kinds:
        block, doing, activations = request.block, request.doing, self._networks[request.block.part]
        own = activations.store.apart()

        def look(index: int, results: dict[str, np.ndarray]) -> None:
            self._announce(block.part, doing.doing, doing.done, doing.total)
            for name, array in results.items():
                activations.add(name, array, own)

        self._announce(block.part, doing.doing, doing.done, doing.total)
        kinds = run_block(block, activations, self._count, look, self._threads)
        activations.keep(request.live | set(block.seen))
        return kinds

    @one_blas_thread()
    def _gram(self, request: Collect, cut: Cut) -> Gram | str:
        total: GramSum | None = None
        for index in range(self._count):
            now, before = (
                self._networks[part].of([request.name], index)[request.name]
                for part in ("result", "original" if request.crossed else "result")
            )
            if now.dtype not in (np.float16, np.float32, np.float64):
                return f"what it is multiplied by is {now.dtype}, no float"
            if now.shape != before.shape:
                return "what it is multiplied by has another shape than in the original"
            count = cut.count(now.shape) if now.size else 0
            if not count:
                continue
            inputs = cut.take(now, np.arange(1)).shape[-1]
            most = min(max(_LEAST_ROWS, _ROWS_EACH * inputs), _MOST_ROWS)
            chosen = evenly(count, -(-most // self._count))
            rows = _rows(cut, now, chosen)
            others = _rows(cut, before, chosen) if request.crossed else rows
            if not (np.isfinite(rows).all() and np.isfinite(others).all()):
                return "what it is multiplied by is not finite"
            if total is None:
                total = GramSum(rows.shape[0], rows.shape[2], crossed=request.crossed, threads=self._threads)
            total.add(rows, others)
        if total is None:
            return "what it is multiplied by is empty for every feed"
        gram = total.total()
        is_finite = np.isfinite(gram.own).all() and (gram.cross is None or np.isfinite(gram.cross).all())
        return gram if is_finite else "products of what it is multiplied by are beyond the range of float32"


def _rows(cut: Cut, array: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cut.take(array, chosen).astype(np.float32, copy=False))
