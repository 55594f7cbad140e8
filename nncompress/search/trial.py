"""One trial of a sweep: a model under a recipe, run in a process of its own, with a stamp that says how it ended.

A trial that ended, with a result or with a reason why there is none, leaves NAME.trial.json in the folder, written
last, with the key of everything that bears on its outcome. One that was killed, or failed for a reason that lies in the
machine, leaves none and runs again; what another trial of its name made stays until this one has ended.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.errors import EXIT_GATE_FAILED, InputError, NncompressError, need_not_repeat
from nncompress.files.opened import open_regular
from nncompress.files.texts import read_text, write_whole
from nncompress.onnx_file.output import remove_model
from nncompress.onnx_file.read import load
from nncompress.passes.base import Pass
from nncompress.passes.spec import described
from nncompress.progress import Announce
from nncompress.report.json_report import to_json
from nncompress.results.limits import Limits
from nncompress.results.summary import headline
from nncompress.results.sweep import Ended, ended_json, read_ended
from nncompress.runtime.child_process import Call, call_in_process
from nncompress.runtime.environment import environment
from nncompress.workflow.calibration import Calibrating
from nncompress.workflow.compress import Writing, compress_file
from nncompress.workflow.proof import Proof

BESIDE_OTHERS = "latency was measured beside other trials: for a better figure use nncompress compare"
TIDY_S = 10.0
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Trial:
    """One model under one recipe. Pickles."""

    name: str  # of its files in the folder
    model: Path
    recipe: str  # as it is shown
    passes: tuple[Pass, ...]
    folder: Path
    key: str
    proof: Proof = Proof()
    writing: Writing = Writing()
    limits: Limits = Limits()
    options: tuple[tuple[str, str], ...] = ()  # as the report lists them
    notes: tuple[str, ...] = ()
    calibrating: Calibrating = Calibrating()
    limit_sources: tuple[tuple[str, str], ...] = ()  # (limit, the file that set it)

    @property
    def target(self) -> Path:
        """The model that it makes."""
        return self.folder / f"{self.name}.onnx"

    @property
    def report(self) -> Path:
        """The report that it saves."""
        return self.folder / f"{self.name}.json"

    @property
    def stamp(self) -> Path:
        """The file that says that it has ended."""
        return self.folder / f"{self.name}.trial.json"

    @property
    def files(self) -> list[Path]:
        """All that it writes, but for external data."""
        return [self.target, self.report, self.stamp]

    def absolute(self) -> Trial:
        """The same for workers that run in another folder."""
        data, labels = (path and path.absolute() for path in (self.proof.data, self.proof.labels))
        libraries = tuple(path.absolute() for path in self.proof.libraries)
        proof = replace(self.proof, data=data, labels=labels, libraries=libraries)
        model, folder = self.model.absolute(), self.folder.absolute()
        return replace(self, model=model, folder=folder, proof=proof, calibrating=self.calibrating.absolute())


def trial_key(model_digest: str, passes: Sequence[Pass], options: Sequence[tuple[str, str]]) -> str:
    """SHA-256 of what the outcome depends on: the model's bytes, the passes, the options and the version."""
    digests = {name for name, _ in options if name.endswith("_sha256")}
    bearing = [(name, value) for name, value in options if f"{name}_sha256" not in digests]  # a path does not matter
    content = [model_digest, [described(step) for step in passes], bearing, environment().nncompress]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def model_digest(path: Path) -> str:
    """SHA-256 of a model's files; of the path where it cannot be read, which its trials will then report."""
    try:
        return hashlib.sha256("".join(file.sha256() for file in load(path).files).encode()).hexdigest()
    except NncompressError:
        return f"unreadable: {path}"


def ended_already(trial: Trial) -> Ended | None:
    """How it ended, if it did with the same key, and what it made is still there."""
    ended = read_stamp(trial.stamp, trial.key)
    if ended is None:
        return None
    kept = [trial.report] if ended.has_report else []
    kept += [trial.target] if ended.sha256 else []
    if not all(path.is_file() for path in kept):
        return None
    return ended if not ended.sha256 or open_regular(trial.target).sha256() == ended.sha256 else None


def read_stamp(path: Path, key: str) -> Ended | None:
    """What the stamp at `path` says; None where there is none, a damaged one, or one of another key."""
    ended = _stamp_at(path)
    return ended if ended is not None and ended.key == key else None


def made_here(trial: Trial) -> bool:
    """True if a trial of its name, perhaps with other options, has ended in its folder."""
    ended = _stamp_at(trial.stamp)
    return ended is not None and ended.name == trial.name


def _stamp_at(path: Path) -> Ended | None:
    try:
        return read_ended(read_text(path))
    except InputError:
        return None


def run_trial(trial: Trial) -> Ended:
    """Runs it in a process of its own.

    Raises ChildDied where that was killed, and NncompressError for a reason that lies in the machine.
    """
    call = Call(_perform, (trial,), tidy_s=TIDY_S, environment=_ONE_THREAD)
    ended: Ended = call_in_process(call)
    return ended


def _perform(trial: Trial, announce: Announce) -> Ended:
    start = time.monotonic()
    code, message, sha256, has_report = 0, "", "", False
    try:
        report = compress_file(
            trial.model, trial.target, trial.passes, command="sweep", proof=trial.proof,
            writing=replace(trial.writing, force=True, threads=1), limits=trial.limits,
            calibrating=trial.calibrating, limit_sources=dict(trial.limit_sources),
        )  # fmt: skip
    except NncompressError as error:
        if need_not_repeat(error):
            raise
        code, message = error.exit_code, str(error)
    else:
        report = replace(report, options=trial.options, notes=(*report.notes, *trial.notes))
        code = EXIT_GATE_FAILED if report.verdict.level == "fail" else 0
        message, has_report = headline(report), True
        sha256 = report.comparison.candidate.sha256 if report.written else ""
        write_whole(trial.report, to_json(report))
    ended = Ended(
        trial.name, str(trial.model), trial.recipe, trial.key, code, message, has_report, sha256,
        round(time.monotonic() - start, 3),
    )  # fmt: skip
    write_whole(trial.stamp, ended_json(ended))
    _remove_outdated(trial, ended)
    return ended


def _remove_outdated(trial: Trial, ended: Ended) -> None:
    """What a trial of its name made with other options, where this one has made nothing in its place."""
    if not ended.has_report:
        trial.report.unlink(missing_ok=True)
    if not ended.sha256:
        remove_model(trial.target)
