"""Sweeps: planned whole, stopped at any moment, gone on with, sharded and merged, always with the same results."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from nncompress.errors import InputError, NoOutputError, UsageError, need_not_repeat
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.results.limits import Limits
from nncompress.results.sweep import Ended, Lost, read_ended
from nncompress.runtime.child_process import ChildDied, ChildKilled, ChildLacksMemory, ChildTimedOut
from nncompress.search.pool import run_trials
from nncompress.search.sweep import shard_of, trial_names
from nncompress.search.trial import Trial, model_digest, trial_key
from nncompress.workflow.compress import Writing
from nncompress.workflow.proof import Proof
from tests.support import MLP, SAMPLES, Ended as RunEnded, files_in, nncompress, one_line, plain_environment

CNN, LSTM = (SAMPLES / f"digits_{name}.onnx" for name in ("cnn", "lstm"))
MODELS = (LSTM, MLP)
RECIPES = {
    "int8": '[[steps]]\npass = "quantize-weights"\n',
    "tensor": '[[steps]]\npass = "quantize-weights"\ngranularity = "tensor"\n',
    "sparse": '[[steps]]\npass = "prune-magnitude"\nsparsity = 0.5\n',
    "thin": '[[steps]]\npass = "factorize"\nenergy = 0.9\n',
}
# A test run that was started in the background ignores SIGINT, and so would its children.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from nncompress.__main__ import main
main()
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return with_recipes(tmp_path, monkeypatch)


def with_recipes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes `folder` the current one, with all recipes in it."""
    for name, text in RECIPES.items():
        (folder / f"{name}.toml").write_text(text)
    monkeypatch.chdir(folder)
    return folder


def arguments(folder: str, *more: object, models=MODELS, recipes=tuple(RECIPES)) -> list[str]:
    given = ["sweep", *models, *(f"--recipe={name}.toml" for name in recipes), "-o", folder, "--seconds", 0, *more]
    return [str(one) for one in given]


def trial(folder: Path, name: str = "m", model: Path = MLP, **more: object) -> Trial:
    passes = (QuantizeWeights(),)
    key = trial_key(model_digest(model), passes, ())
    return Trial(name, model, "int8", passes, folder, key, Proof(validate=False), **more)  # type: ignore[arg-type]


def outcomes(folder: str) -> dict[str, tuple[int, str]]:
    """{trial: (exit code, SHA-256 of its model)} of all that have ended."""
    ended = [read_ended(path.read_text()) for path in Path(folder).glob("*.trial.json")]
    return {one.name: (one.exit_code, one.sha256) for one in ended}


# ------------------------------------------------------------------------------------------------ the plan
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


# ------------------------------------------------------------------------------------------------ the command
@pytest.mark.slow
def test_a_sweep_ends_in_one_table_and_the_reasons_for_what_is_missing(here: Path) -> None:
    ended = nncompress(*arguments("out", "--no-validate", models=(MLP, LSTM), recipes=("int8", "thin")))
    assert ended.exit_code == 0
    assert "\nWARN  3 results, " in ended.stdout
    assert re.search(r"digits_lstm--thin +4  nothing was compressed: 2 weights: LSTM cannot be split", ended.stdout)
    assert "[4/4] " in ended.stderr
    listed = nncompress(*arguments("out", "--no-validate", "--dry-run", models=(MLP, LSTM), recipes=("int8", "sparse")))
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["ended", "to", "ended", "to"]


def swept(*more: object, models=(MLP,), folder: str = ".", recipe: str = "int8.toml"):  # type: ignore[no-untyped-def]
    return nncompress("sweep", *models, "--recipe", recipe, "-o", folder, "--no-validate", "--jobs", 1, *more)


@pytest.mark.parametrize("name", ["m--int8.onnx", "m--int8.json", "m--int8.trial.json", "m--int8.onnx.01234567.data"])
@pytest.mark.parametrize("kind", ["file", "dangling link", "FIFO"])
def test_a_file_that_no_sweep_made_is_not_replaced(here: Path, name: str, kind: str) -> None:
    (here / "m.onnx").write_bytes(MLP.read_bytes())
    if kind == "file":
        (here / name).write_text("mine")
    elif kind == "FIFO":
        os.mkfifo(name)
    else:
        (here / name).symlink_to("nowhere")
    before = files_in(here)
    for more in ((), ("--dry-run",)):
        ended = swept(*more, models=("m.onnx",))
        assert (ended.exit_code, ended.stdout) == (2, "")
        assert f"{name} exists and was made by no sweep: move it, or name another folder with -o" in ended.stderr
    assert files_in(here) == before
    assert kind != "file" or (here / name).read_text() == "mine"


def test_a_model_that_is_an_input_too_is_not_replaced(here: Path) -> None:
    for name in ("m.onnx", "m--int8.onnx"):
        (here / name).write_bytes(MLP.read_bytes())
    before = files_in(here)
    ended = swept(models=("m.onnx", "m--int8.onnx"))
    assert ended.exit_code == 2
    assert "m--int8.onnx is an input of this sweep, which would overwrite it" in one_line(ended.stderr)
    assert files_in(here) == before
    assert (here / "m--int8.onnx").read_bytes() == MLP.read_bytes()


@pytest.mark.parametrize("kind", ["recipe", "JSON", "FIFO"])
def test_a_plan_goes_over_nothing_but_a_plan(here: Path, kind: str) -> None:
    recipe = '{"steps": [{"pass": "quantize-weights"}]}'
    if kind == "FIFO":
        os.mkfifo("sweep.json")
    else:
        Path("sweep.json").write_text(recipe)
    ended = swept(recipe="sweep.json" if kind == "recipe" else "int8.toml")
    assert (ended.exit_code, "another folder with -o" in one_line(ended.stderr)) == (2, True)
    assert kind == "FIFO" or Path("sweep.json").read_text() == recipe
    assert files_in(here) == {"sweep.json", *(f"{name}.toml" for name in RECIPES)}


@pytest.mark.slow
def test_what_a_killed_sweep_left_without_a_stamp_is_its_own(here: Path) -> None:
    assert swept(folder="out").exit_code == 0
    for file in ("out/digits_mlp--int8.trial.json", "out/digits_mlp--int8.json"):
        Path(file).unlink()
    ended = swept(folder="out")
    assert (ended.exit_code, "ended before" in ended.stderr) == (0, False)
    other = swept(folder="out", recipe="sparse.toml")
    assert (other.exit_code, len(outcomes("out"))) == (0, 2)
    assert "ended before" in swept(folder="out").stderr


def test_names_of_models_are_listed_as_they_can_be_printed(here: Path) -> None:
    Path("e\x1b[2Jx.onnx").write_bytes(MLP.read_bytes())
    ended = swept("--dry-run", models=("e\x1b[2Jx.onnx",))
    assert (ended.exit_code, "\x1b" in ended.stdout, "e\\x1b[2Jx.onnx" in ended.stdout) == (0, False, True)


def test_a_name_that_is_not_utf_8_may_stand_twice(here: Path) -> None:
    names = [Path("a/\udcff.onnx"), Path("b/\udcff.onnx")]
    assert len(set(trial_names(names, ["int8.toml"]).values())) == 2


@pytest.mark.slow
def test_options_of_recipe_and_command_line_and_the_stem_of_the_data(here: Path) -> None:
    (here / "feeds").mkdir()
    source = CNN.parent / "data/image_evaluation.npz"
    (here / "feeds/digits_mlp.npz").write_bytes(source.read_bytes())
    (here / "limited.toml").write_text('seconds = 0\n[data]\npath = "feeds/{stem}.npz"\n' + RECIPES["int8"])
    ended = nncompress("sweep", MLP, "--recipe", "limited.toml", "-o", "out", "--max-drop", "5 %")
    assert ended.exit_code == 0, ended.stderr
    report = json.loads((here / "out/digits_mlp--limited.json").read_text())
    assert report["comparison"]["run"]["feeds"]["source"] == "feeds/digits_mlp.npz"
    assert "drop" in [rule["rule"] for rule in report["verdict"]["rules"]]


def test_a_model_without_a_result_that_passes_fails_the_sweep(here: Path) -> None:
    ended = nncompress(*arguments("out", "--max-size", "1 kB", "--no-validate", models=(MLP,), recipes=("int8",)))
    assert ended.exit_code == 1
    assert ended.stderr.endswith(f"{MLP} has no result that passes\n")


def test_a_sweep_without_any_result_says_why_in_every_format(here: Path) -> None:
    (here / "bad.onnx").write_bytes(b"no model")
    files = (
        "--json",
        "s.json",
        "--markdown",
        "s.md",
        "--html",
        "s.html",
        "--csv",
        "s.csv",
        "--junit",
        "s.xml",
        "--sarif",
        "s.sarif",
    )
    ended = nncompress(*arguments("out", *files, models=("bad.onnx",), recipes=("int8",)))
    assert ended.exit_code == 1
    assert ended.stdout.endswith(
        "\nFAIL  0 results, 0 on the Pareto front, 1 without result, no result that passes for bad.onnx\n"
    )
    assert json.loads((here / "s.json").read_text())["missing"][0]["exit_code"] == 3
    for name in ("s.md", "s.html", "s.xml", "s.sarif"):
        assert "bad--int8" in (here / name).read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--shard", "4/3"], "--shard '4/3' is not I/N with I from 1 to N"),
        (["--jobs", "-1"], "--jobs must be 0 (one a core) or more"),
        (["--recipe", "gone.toml"], "recipe: cannot read gone.toml: no such file"),
    ],
)
def test_wrong_usage_is_one_line_and_leaves_nothing(here: Path, more: list[str], message: str) -> None:
    before = files_in(here)
    ended = nncompress(*arguments("out", *more, models=(MLP,), recipes=("int8",)))
    assert ended.exit_code in (2, 3)
    assert message in ended.stderr
    assert {name for name in files_in(here) if not name.startswith("out")} == before


def test_a_dask_cluster_that_does_not_answer_is_one_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    impatient = functools.partial(distributed.Client, timeout=0.2)
    monkeypatch.setattr(distributed, "Client", lambda address, timeout: impatient(address))
    before = files_in(here)
    ended = nncompress(*arguments("out", "--dask", "tcp://127.0.0.1:1", models=(MLP,), recipes=("int8",)))
    assert ended.exit_code in (2, 3)
    assert "cannot reach the Dask cluster at tcp://127.0.0.1:1" in one_line(ended.stderr)
    assert {name for name in files_in(here) if not name.startswith("out")} == before


@pytest.mark.slow
def test_shards_merge_into_the_table_of_the_whole(here: Path) -> None:
    more = ("--no-validate",)
    whole = nncompress(*arguments("whole", *more, models=(MLP, LSTM), recipes=("int8", "thin")))
    for number in (1, 2):
        part = arguments(f"s{number}", *more, f"--shard={number}/2", models=(MLP, LSTM), recipes=("int8", "thin"))
        ended = nncompress(*part)
        assert (ended.exit_code, ended.stdout) == (
            0, f"shard {number}/2: 2 of 2 trials have ended (nncompress report --merge)\n"
        )  # fmt: skip
    merged = nncompress("report", "--merge", "s1", "s2")
    assert (merged.exit_code, merged.stdout) == (0, whole.stdout)
    partly = nncompress("report", "--merge", "s2")
    assert partly.exit_code == 3
    assert "2 trials of the sweep have not ended" in partly.stderr
    assert nncompress("report", "--merge", "s1", "whole/..").exit_code == 3


# ------------------------------------------------------------------------------------------------ stopped
@dataclass(frozen=True)
class Whole:
    """A sweep of all models and recipes that nothing disturbed."""

    ended: RunEnded
    outcomes: dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        with_recipes(tmp_path_factory.mktemp("whole"), monkeypatch)
        ended = nncompress(*arguments("whole", "--jobs", 2))
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
    process = started(*arguments("out", "--jobs", "2"))
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
    resumed = nncompress(*arguments("out", "--jobs", 2))
    assert resumed.stderr.count("(ended before)") == len(before)
    assert resumed.exit_code == whole.ended.exit_code == 0
    assert resumed.stdout == whole.ended.stdout
    assert outcomes("out") == whole.outcomes


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_its_own_trial_alone(here: Path) -> None:
    process = started(*arguments("out", "--jobs", "1", models=(CNN, MLP), recipes=("int8", "tensor")))
    wait_for(lambda: bool(workers_of(here / "out")))
    os.kill(workers_of(here / "out")[0], signal.SIGKILL)
    stderr = process.communicate(timeout=120)[1]
    assert process.returncode == 1
    assert stderr.count("did not end: its process ended: SIGKILL") == 1
    assert len(outcomes("out")) == 3
    assert nncompress(*arguments("out", models=(CNN, MLP), recipes=("int8", "tensor"))).exit_code == 0
    assert len(outcomes("out")) == 4


@pytest.fixture
def cluster() -> Iterator[object]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(3, threads_per_worker=1, dashboard_address=None, silence_logs=50) as made:
        yield made


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Dask, about its own sockets
def test_a_dask_cluster_that_loses_a_worker_ends_with_the_same_results(here: Path, whole: Whole, cluster) -> None:
    process = started(*arguments("out", "--dask", cluster.scheduler_address))
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
