"""One trial: its name, its key, what it leaves, and when it is not run again."""

from __future__ import annotations

import errno
import resource
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from nncompress.errors import InputError, NoOutputError, UsageError, need_not_repeat
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.limits import Limits
from nncompress.results.sweep import Ended, Lost
from nncompress.runtime.child_process import ChildDied, ChildKilled, ChildLacksMemory, ChildTimedOut
from nncompress.search.pool import run_trials
from nncompress.search.sweep import shard_of, trial_names
from nncompress.search.trial import trial_key
from nncompress.workflow.compress import Writing
from tests.search.sweeps import LSTM, trial
from tests.support import MLP, files_in


def test_trials_are_named_after_model_and_recipe_and_never_alike() -> None:
    names = trial_names([Path("a/m.onnx"), Path("b/m.onnx"), Path("n.onnx")], ["x/int8.toml", "sparse.toml"])
    assert names[Path("n.onnx"), "sparse.toml"] == "n--sparse"
    assert len(set(names.values())) == 6
    assert names[Path("a/m.onnx"), "x/int8.toml"].startswith("m-")


def test_shards_hold_each_trial_once(tmp_path: Path) -> None:
    trials = [trial(tmp_path, f"t{number}") for number in range(10)]
    shards = [shard_of(trials, number, 3) for number in (1, 2, 3)]
    assert sorted(one.name for shard in shards for one in shard) == sorted(one.name for one in trials)
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


def test_the_key_follows_what_bears_on_the_outcome_but_no_path() -> None:
    def key(*options: tuple[str, str]) -> str:
        return trial_key("digest", (QuantizeWeights(),), options)

    assert key(("seed", "1")) != key(("seed", "2"))
    data = ("data_sha256", "d")
    assert key(("data", "a/eval.npz"), data) == key(("data", "b/eval.npz"), data)
    assert trial_key("digest", (QuantizeWeights(),), ()) != trial_key("digest", (QuantizeWeights(dtype="uint8"),), ())


# ------------------------------------------------------------------------------------------------ trials
@pytest.mark.slow
def test_a_trial_leaves_model_report_and_stamp_and_is_not_run_again(tmp_path: Path) -> None:
    told: list[bool] = []
    one = trial(tmp_path)
    for _ in range(2):
        (ended,) = run_trials([one], progress=lambda _, again: told.append(again))
        assert isinstance(ended, Ended)
        assert (ended.exit_code, ended.message.split(":")[0]) == (0, f"{MLP.name} -> m.onnx")
    assert told == [False, True]
    assert files_in(tmp_path) == {"m.onnx", "m.json", "m.trial.json"}


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["m.onnx", "m.json", "m.trial.json"])
def test_a_trial_whose_files_are_damaged_runs_again(tmp_path: Path, damage: str) -> None:
    one = trial(tmp_path)
    run_trials([one])
    good = one.target.read_bytes()
    if damage == "m.json":
        one.report.unlink()
    else:
        (tmp_path / damage).write_bytes(good[:-1] + b"!")
    told: list[bool] = []
    run_trials([one], progress=lambda _, again: told.append(again))
    assert told == [False]
    assert one.target.read_bytes() == good


@pytest.mark.slow
def test_a_reason_is_a_result_too(tmp_path: Path) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (ended,) = run_trials([trial(tmp_path, model=tmp_path / "bad.onnx")])
    assert isinstance(ended, Ended)
    assert (ended.exit_code, ended.has_report) == (3, False)
    assert files_in(tmp_path) == {"bad.onnx", "m.trial.json"}


@pytest.mark.slow
@pytest.mark.parametrize("before_that", ["nothing", "a result of other options"])
def test_a_reason_that_lies_in_the_machine_is_no_result(tmp_path: Path, before_that: str) -> None:
    one = trial(tmp_path)
    if before_that != "nothing":
        run_trials([replace(one, key="other")])
    there = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        (lost,) = run_trials([one])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert isinstance(lost, Lost)
    assert lost.reason == f"cannot write {one.target}: file too large"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == there
    (ended,) = run_trials([one])
    assert isinstance(ended, Ended)


@pytest.mark.slow
def test_a_trial_without_a_result_leaves_none_of_other_options(tmp_path: Path) -> None:
    run_trials([trial(tmp_path, writing=Writing(external_data=True))])
    assert len(files_in(tmp_path)) == 4
    failing = replace(trial(tmp_path), key="other", limits=Limits(max_size=1000))
    told: list[bool] = []
    for _ in range(2):
        (ended,) = run_trials([failing], progress=lambda _, again: told.append(again))
        assert isinstance(ended, Ended)
        assert (ended.exit_code, ended.sha256) == (1, "")
    assert told == [False, True]
    assert files_in(tmp_path) == {"m.json", "m.trial.json"}


@pytest.mark.parametrize(
    ("error", "cause", "machine"),
    [
        (NoOutputError("cannot write"), OSError(errno.ENOSPC, "full"), True),
        (NoOutputError("nothing was compressed"), None, False),
        (NoOutputError("crashed"), ChildDied("SIGSEGV"), False),
        (InputError("crashed"), ChildKilled("SIGKILL"), True),
        (InputError("took longer"), ChildTimedOut(), True),
        (InputError("not enough memory"), ChildLacksMemory(), True),
        (InputError("cannot be read"), MemoryError(), True),
        (InputError("cannot read"), OSError(errno.EMFILE, "too many"), True),
        (InputError("cannot read"), FileNotFoundError(errno.ENOENT, "no"), False),
        (NoOutputError("cannot run"), RuntimeError("Failed to allocate memory for requested buffer"), True),
        (UsageError("unknown"), None, False),
    ],
)
def test_what_need_not_repeat_is_told_apart(error: Exception, cause: Exception | None, machine: bool) -> None:
    error.__cause__ = cause
    assert need_not_repeat(error) == machine


@pytest.mark.slow
def test_any_executor_runs_the_trials(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = run_trials([trial(tmp_path, f"t{n}") for n in range(3)], executor=pool)
    assert [one.exit_code for one in found if isinstance(one, Ended)] == [0, 0, 0]


@pytest.mark.slow
def test_the_python_api_sweeps_passes_over_models(tmp_path: Path) -> None:
    import nncompress as package

    found = package.sweep(
        [MLP, LSTM], {"int8": [package.QuantizeWeights()], "thin": [package.Factorize(energy=0.9)]}, tmp_path / "out",
        seconds=0, jobs=2,
    )  # fmt: skip
    assert [(one.name, one.exit_code) for one in found if isinstance(one, Ended)] == [
        ("digits_mlp--int8", 0), ("digits_mlp--thin", 0), ("digits_lstm--int8", 0), ("digits_lstm--thin", 4),
    ]  # fmt: skip
