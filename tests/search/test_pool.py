"""Many trials at once: stopped at any moment, gone on with, a lost process, always with the same results."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import pytest

from nncompress.results.sweep import Lost
from nncompress.search.pool import run_trials
from tests.search.sweeps import CNN, arguments, outcomes, trial, with_recipes
from tests.support import MLP, Ended as RunEnded, files_in, nncompress, plain_environment

# A test run that was started in the background ignores SIGINT, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from nncompress.__main__ import main
main()
"""

RECIPES = ("int8", "sparse", "thin")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return with_recipes(tmp_path, monkeypatch)


@dataclass(frozen=True)
class Whole:
    """A sweep of six trials that nothing disturbed."""

    ended: RunEnded
    outcomes: dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        with_recipes(tmp_path_factory.mktemp("whole"), monkeypatch)
        ended = nncompress(*arguments("whole", "--jobs", 2, recipes=RECIPES))
        yield Whole(ended, outcomes("whole"))


def started(*given: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *given], env=plain_environment(), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def workers_of(folder: Path) -> list[int]:
    """Process ids of the trials that write into `folder` now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/fd"):
        try:
            targets = [str(entry.readlink()) for entry in path.iterdir()]
        except OSError:
            continue
        if any(target.startswith(str(folder)) for target in targets):
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_sweep_goes_on_and_ends_with_the_same_results(
    here: Path, whole: Whole, number: signal.Signals
) -> None:
    process = started(*arguments("out", "--jobs", "2", recipes=RECIPES))
    wait_for(lambda: len(outcomes("out")) >= 2)
    process.send_signal(number)
    stderr = process.communicate(timeout=30)[1]
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted" in stderr
    wait_for(lambda: not workers_of(here / "out"))
    before = outcomes("out")
    assert 2 <= len(before) < len(whole.outcomes)
    assert not [name for name in files_in(here / "out") if name.startswith(".")]
    resumed = nncompress(*arguments("out", "--jobs", 2, recipes=RECIPES))
    assert resumed.stderr.count("(ended before)") == len(before)
    assert resumed.exit_code == whole.ended.exit_code == 0
    assert resumed.stdout == whole.ended.stdout
    assert outcomes("out") == whole.outcomes


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_own_trial_alone(here: Path) -> None:
    two = {"models": (CNN, MLP), "recipes": ("int8",)}
    process = started(*arguments("out", "--jobs", "1", **two))
    wait_for(lambda: bool(workers_of(here / "out")))
    os.kill(workers_of(here / "out")[0], signal.SIGKILL)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert stderr.count("did not end: its process ended: SIGKILL") == 1
    assert len(outcomes("out")) == 1
    assert nncompress(*arguments("out", **two)).exit_code == 0
    assert len(outcomes("out")) == 2


@pytest.fixture
def cluster() -> Iterator[object]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(3, threads_per_worker=1, dashboard_address=None, silence_logs=50) as made:
        yield made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask, about its own sockets
def test_a_dask_cluster_that_loses_a_worker_ends_with_the_same_results(here: Path, whole: Whole, cluster) -> None:
    process = started(*arguments("out", "--dask", cluster.scheduler_address, recipes=RECIPES))
    wait_for(lambda: len(outcomes("out")) >= 2)
    os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert "LOST" not in stderr
    assert outcomes("out") == whole.outcomes
    assert stdout == whole.ended.stdout


def test_a_lost_trial_is_told_apart_from_one_that_ended(tmp_path: Path) -> None:
    class Breaking(ProcessPoolExecutor):
        def submit(self, function, /, *args, **options):  # type: ignore[no-untyped-def]
            return super().submit(os._exit, 1)

    with Breaking(1, mp_context=get_context("spawn")) as pool:
        (lost,) = run_trials([trial(tmp_path)], executor=pool)
    assert isinstance(lost, Lost)
    assert "BrokenProcessPool" in lost.reason
    assert files_in(tmp_path) == set()
