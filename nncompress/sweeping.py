"""Many models times many recipes: plans the trials, runs those that have not ended yet, and reads the results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from nncompress.child_process import ChildDied, ChildLacksMemory, stop_children
from nncompress.errors import InputError, NoOutputError
from nncompress.model.files import reason, write_whole
from nncompress.report.record import Report
from nncompress.report.sweep_record import SWEEP_SCHEMA_VERSION, Ended, Lost, SweepResults
from nncompress.trial import Trial, ended_already, read_stamp, run_trial
from nncompress.verify import load_report

PLAN_NAME = "sweep.json"
Progress = Callable[[Ended | Lost, bool], None]
"""Told how a trial ended, and whether that was in an earlier run."""


def trial_names(models: Sequence[Path], recipes: Sequence[str]) -> dict[tuple[Path, str], str]:
    """A file name for each pair: MODEL--RECIPE without folders, with a few digits of the path where names repeat."""
    shown_models = _distinct([str(path) for path in models])
    shown_recipes = _distinct(list(recipes))
    return {
        (path, recipe): f"{shown_models[str(path)]}--{shown_recipes[recipe]}" for path in models for recipe in recipes
    }


def _distinct(paths: Sequence[str]) -> dict[str, str]:
    stems = [Path(path).stem for path in paths]
    return {
        path: stem if stems.count(stem) == 1 else f"{stem}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"
        for path, stem in zip(paths, stems, strict=True)
    }


def run_trials(
    trials: Sequence[Trial],
    *,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress = lambda one, again: None,
) -> list[Ended | Lost]:
    """What became of each trial, in order. `executor`: any of concurrent.futures; None: `jobs` at a time, here.

    When it is interrupted, the trials that run are stopped and leave nothing; those that have ended stay.
    """
    found: dict[str, Ended | Lost] = {}
    waiting = []
    for trial in trials:
        ended = ended_already(trial)
        if ended is None:
            waiting.append(trial)
        else:
            found[trial.name] = ended
            progress(ended, True)
    pool = ThreadPoolExecutor(jobs) if executor is None else executor
    futures: dict[Future[Ended], Trial] = {}
    try:
        futures = {pool.submit(run_trial, trial): trial for trial in waiting}
        for future in as_completed(futures):
            found[futures[future].name] = _outcome(futures[future], future)
            progress(found[futures[future].name], False)
    except BaseException:
        for future in futures:
            future.cancel()
        stop_children()
        raise
    finally:
        if executor is None:
            pool.shutdown()
    return [found[trial.name] for trial in trials]


def _outcome(trial: Trial, future: Future[Ended]) -> Ended | Lost:
    """A worker that dies, whatever kind of pool it is in, loses this trial and no other."""
    try:
        return future.result()
    except ChildDied as error:
        return Lost(trial.name, str(trial.model), trial.recipe, f"its process ended: {error}")
    except ChildLacksMemory:
        return Lost(trial.name, str(trial.model), trial.recipe, "not enough memory: give it fewer --jobs")
    except Exception as error:  # noqa: BLE001  # of the pool, or a bug: it is reported, and the others go on
        said = str(error).strip().splitlines()
        reason_text = f"{type(error).__name__}: {said[-1] if said else 'no message'}"
        return Lost(trial.name, str(trial.model), trial.recipe, reason_text)


# ------------------------------------------------------------------------------------------------ the plan
def write_plan(trials: Sequence[Trial], folder: Path) -> None:
    """Says which trials belong to the sweep, so that a merge can tell what is missing. Raises NoOutputError."""
    listed = [{"name": t.name, "model": str(t.model), "recipe": t.recipe, "key": t.key} for t in trials]
    tree: dict[str, Any] = {"schema_version": SWEEP_SCHEMA_VERSION, "trials": listed}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / PLAN_NAME, json.dumps(tree, indent=2) + "\n")
    except OSError as error:
        raise NoOutputError(f"cannot write to {folder}: {reason(error)}") from error


def shard_of(trials: Sequence[Trial], number: int, count: int) -> list[Trial]:
    """Every `count`-th trial, from the `number`-th on (from 1)."""
    return list(trials[number - 1 :: count])


# ------------------------------------------------------------------------------------------------ results
def results_in(folders: Sequence[Path]) -> SweepResults:
    """What the trials of one sweep came to, from the folders of its shards. Raises InputError."""
    plans = [_plan(folder) for folder in folders]
    for folder, plan in zip(folders, plans, strict=True):
        if plan != plans[0]:
            raise InputError(f"{folder} belongs to another sweep than {folders[0]}: merge the shards of one sweep")
    ended: list[Ended] = []
    reports: list[Report] = []
    missing = []
    for trial in plans[0]:
        found = [
            (folder, one)
            for folder in folders
            if (one := read_stamp(folder / f"{trial['name']}.trial.json", str(trial["key"])))
        ]
        if not found:
            missing.append(str(trial["name"]))
            continue
        folder, one = found[0]
        ended.append(one)
        if one.has_report:
            reports.append(load_report(folder / f"{one.name}.json"))
    return SweepResults(tuple(reports), tuple(ended), tuple(missing))


def _plan(folder: Path) -> list[dict[str, Any]]:
    path = folder / PLAN_NAME
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no sweep: cannot read {path}: {reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    trials = tree.get("trials") if isinstance(tree, dict) else None
    if not isinstance(trials, list) or not all(isinstance(t, dict) and {"name", "key"} <= t.keys() for t in trials):
        raise InputError(f"{path} is no plan of a sweep")
    if tree.get("schema_version") != SWEEP_SCHEMA_VERSION:
        raise InputError(f"{path} follows schema version {tree.get('schema_version')!r}, not {SWEEP_SCHEMA_VERSION}")
    return trials
