"""Activations are kept in memory up to the budget, beyond it in files, and go when nothing reads them any more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nncompress.calibrate.in_child import write_block
from nncompress.model.kind import Kind
from nncompress.model.network import Network
from nncompress.numerics.held import Store
from nncompress.runtime.blocks import Activations, kinds_of, run_block, start
from tests.models import model_of, noise
from tests.runtime.models import feeds_of

BODY = "g (float[N,3] x) => (float[N,2] y) { a = MatMul(x, w) y = Neg(a) }"


@pytest.mark.parametrize("budget", [0, 1 << 20])
def test_a_block_runs_over_all_feeds_and_keeps_what_it_is_told_to(tmp_path: Path, budget: int) -> None:
    model = model_of(BODY, w=noise(3, 2))
    feeds = [noise(rows, 3, seed=rows) for rows in (1, 4, 2)]
    activations = start(feeds_of(tmp_path, *feeds), Store(budget))
    network = Network(model, kinds_of(activations))
    assert network.there == {"x": Kind(np.dtype(np.float32), 2)}
    plan = network.plan(["a"], ["y"])
    block = write_block(model, "original", plan, (), tmp_path / "1.onnx")
    assert run_block(block, activations, 3, lambda index, results: None) == {"a": Kind(np.dtype(np.float32), 2)}
    network.follow(plan, {"a": Kind(np.dtype(np.float32), 2)})
    activations.keep(plan.live)
    assert list(activations.arrays) == ["a"]
    seen: list[np.ndarray] = []
    last = write_block(model, "result", network.apart("y", network.there), ("y",), tmp_path / "2.onnx")
    run_block(last, activations, 3, lambda index, results: seen.append(results["y"]))
    for x, y in zip(feeds, seen, strict=True):
        assert y == pytest.approx(-(x @ noise(3, 2)), abs=1e-6)


def test_values_of_different_rank_have_none_and_texts_no_type() -> None:
    activations = Activations(store := Store())
    for array in (np.zeros((2, 2)), np.zeros(2)):
        activations.add("a", array, store)
    activations.add("s", np.array(["x"], dtype=object), store)
    activations.add("n", np.array(3), store)
    assert kinds_of(activations) == {
        "a": Kind(np.dtype(np.float64), None), "s": Kind(None, 1), "n": Kind(np.dtype(np.int64), 0)
    }  # fmt: skip


def test_files_of_values_that_nothing_reads_any_more_go() -> None:
    activations = Activations(Store(0))
    for name in "ab":
        own = activations.store.apart()
        activations.add(name, np.zeros(10), own)
    a, b = (activations.arrays[name][0] for name in "ab")
    assert a._spill is not b._spill  # type: ignore[attr-defined]


def test_a_budget_is_shared_and_comes_back() -> None:
    store = Store(100)
    one, other = store.apart(), store.apart()
    held = one.hold(np.zeros(12))
    assert type(held).__name__ == "_InMemory"
    assert type(other.hold(np.zeros(12))).__name__ == "_InFile"
    del held
    assert type(other.hold(np.zeros(12))).__name__ == "_InMemory"
