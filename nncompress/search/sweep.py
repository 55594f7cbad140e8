"""Many models times many recipes: plans the trials, runs those that have not ended yet, and reads the results."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nncompress.errors import InputError, NoOutputError, UsageError, reason
from nncompress.files.places import is_folder
from nncompress.files.texts import read_text, write_whole
from nncompress.onnx_file.output import owner_of_data
from nncompress.results.record import Report
from nncompress.results.sweep import SWEEP_SCHEMA_VERSION, Ended, SweepResults
from nncompress.search.trial import Trial, made_here, read_stamp
from nncompress.validate.metrics.names import metric_file
from nncompress.workflow.inputs import Inputs
from nncompress.workflow.verify import load_report

PLAN_NAME = "sweep.json"


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
        path: stem if stems.count(stem) == 1 else f"{stem}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}"
        for path, stem in zip(paths, stems, strict=True)
    }


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


def inputs_of_trials(trials: Sequence[Trial]) -> Inputs:
    """What the trials read besides recipes: models, data, labels, calibration data, metrics of one's own, libraries."""
    proofs = [trial.proof for trial in trials]
    data = {path for proof in proofs for path in (proof.data, proof.labels)}
    data |= {path for trial in trials for path in trial.calibrating.files}
    metrics = {metric_file(name) for proof in proofs for name in proof.metrics}
    libraries = {path for proof in proofs for path in proof.libraries}
    models = {trial.model for trial in trials}
    return Inputs(tuple(models), tuple(path for path in (*data, *metrics, *libraries) if path is not None))


def check_places(trials: Sequence[Trial], folder: Path, inputs: Inputs) -> None:
    """Raises UsageError where a sweep would go over an input, or over a file in `folder` that no sweep made there, and
    NoOutputError where it cannot look into the folder."""
    there = [(trial, path) for trial in trials for path in trial.files if os.path.lexists(path)]
    targets = {trial.target.name: trial for trial in trials}
    there += [(targets[owner], path) for path in _entries(folder) if (owner := owner_of_data(path.name)) in targets]
    for path in (folder / PLAN_NAME, *(path for _, path in there)):
        if inputs.holds(path):
            raise UsageError(f"{path} is an input of this sweep, which would overwrite it: name another folder with -o")
    planned = _names_planned(folder)  # after a look at the files, for another shard may just have begun here
    for trial, path in there:
        if trial.name not in planned and not made_here(trial):
            raise UsageError(f"{path} exists and was made by no sweep: move it, or name another folder with -o")


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir()) if is_folder(folder) else []
    except OSError as error:
        raise NoOutputError(f"cannot write to {folder}: {reason(error)}") from error


def _names_planned(folder: Path) -> set[str]:
    if not os.path.lexists(folder / PLAN_NAME):
        return set()
    try:
        return {str(trial["name"]) for trial in _plan(folder)}
    except InputError as error:
        raise UsageError(f"{error}; a plan would overwrite it: move it, or name another folder with -o") from error


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
        stamps = [
            (folder, stamp)
            for folder in folders
            if (stamp := read_stamp(folder / f"{trial['name']}.trial.json", str(trial["key"])))
        ]
        if not stamps:
            missing.append(str(trial["name"]))
            continue
        folder, stamp = stamps[0]
        ended.append(stamp)
        if stamp.has_report:
            reports.append(load_report(folder / f"{stamp.name}.json"))
    return SweepResults(tuple(reports), tuple(ended), tuple(missing))


def files_read(folders: Sequence[Path]) -> list[Path]:
    """The files that results_in reads. Raises InputError."""
    names = {str(trial["name"]) for trial in _plan(folders[0])}
    endings = [PLAN_NAME, *(f"{name}{end}" for name in names for end in (".json", ".trial.json"))]
    return [folder / end for folder in folders for end in endings]


def _plan(folder: Path) -> list[dict[str, Any]]:
    path = folder / PLAN_NAME
    try:
        text = read_text(path)
    except InputError as error:
        raise InputError(f"{folder} holds no sweep: {error}") from error
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    trials = tree.get("trials") if isinstance(tree, dict) else None
    if not isinstance(trials, list) or not all(isinstance(t, dict) and {"name", "key"} <= t.keys() for t in trials):
        raise InputError(f"{path} is no plan of a sweep")
    if tree.get("schema_version") != SWEEP_SCHEMA_VERSION:
        raise InputError(f"{path} follows schema version {tree.get('schema_version')!r}, not {SWEEP_SCHEMA_VERSION}")
    return trials
