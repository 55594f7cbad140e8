"""Arrays are held in memory up to the budget, beyond it in a file, and come back equal from any thread."""

import gc
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from nncompress.numerics.held import Store
from tests.models import noise


@pytest.fixture
def store_of() -> Callable[[int], Store]:
    """Makes stores of a budget and keeps them until the end."""
    made: list[Store] = []

    def store(budget: int) -> Store:
        made.append(Store(budget))
        return made[-1]

    return store


def in_file(store: Store) -> bool:
    return store._spill is not None


@pytest.mark.parametrize("budget", [0, 1 << 20])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float32, np.float64, np.float16])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (4, 0, 2), (5, 7), (2, 3, 4)])
def test_arrays_come_back_equal_any_number_of_times(
    shape: tuple[int, ...], dtype: type, budget: int, store_of: Callable[[int], Store]
) -> None:
    array = (10 * noise(*shape)).astype(dtype) if shape else np.array(3, dtype)
    held = store_of(budget).hold(array)
    for _ in range(2):
        assert held.load().dtype == array.dtype
        assert held.load().shape == array.shape
        assert np.array_equal(held.load(), array)


def test_only_what_exceeds_the_budget_goes_to_a_file(store_of: Callable[[int], Store]) -> None:
    store = store_of(100)
    kept = [store.hold(np.zeros(50, np.int8)) for _ in range(2)]
    assert not in_file(store)
    spilled = store.hold(np.arange(50, dtype=np.int8))
    assert in_file(store)
    assert np.array_equal(spilled.load(), np.arange(50))
    assert len(kept) == 2


def test_memory_of_arrays_that_are_gone_is_used_again(store_of: Callable[[int], Store]) -> None:
    store = store_of(100)
    for value in range(5):
        held = store.hold(np.full(90, value, np.int8))
        assert held.load()[0] == value
        del held
        gc.collect()
    assert not in_file(store)


def test_the_file_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_of: Callable[[int], Store]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = store_of(0).hold(noise(1000))
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(held.load(), noise(1000))


def test_views_and_transposed_arrays_are_held_by_their_values(store_of: Callable[[int], Store]) -> None:
    array = noise(6, 8)
    for view in (array.T, array[::2, 1:5], np.asfortranarray(array)):
        assert np.array_equal(store_of(0).hold(view).load(), view)


def test_an_array_in_memory_cannot_be_changed_by_a_reader() -> None:
    held = Store().hold(noise(4))
    with pytest.raises(ValueError, match="read-only"):
        held.load()[0] = 1


@pytest.mark.parametrize("budget", [0, 40_000])
def test_many_threads_may_hold_and_load_at_the_same_time(budget: int, store_of: Callable[[int], Store]) -> None:
    store = store_of(budget)

    def hold_and_load(seed: int) -> bool:
        array = noise(1000 + seed, seed=seed)
        held = store.hold(array)
        return all(np.array_equal(held.load(), array) for _ in range(5))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(hold_and_load, range(60)))


def test_a_store_that_is_gone_closes_its_file() -> None:
    script = "import numpy; from nncompress.numerics.held import Store; Store(0).hold(numpy.zeros(9))"
    done = subprocess.run([sys.executable, "-W", "always", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
