"""Effects that were measured, kept in a file as they come, so that what was interrupted goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from nncompress.errors import InputError
from nncompress.feeds.feeds import digest_of_all
from nncompress.files.opened import data_digest
from nncompress.files.places import status_of
from nncompress.files.texts import read_text, write_whole
from nncompress.passes.base import Pass
from nncompress.passes.spec import described
from nncompress.results.sensitivity import Effect, effects_json, read_effects
from nncompress.runtime.environment import environment
from nncompress.validate.metrics.names import metric_file
from nncompress.workflow.trials import Trials


class KeptEffects:
    """By SHA-256 of all that bears on them. Without a file nothing is kept."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads the file at `path`, if there is one. Raises InputError for one that is something else."""
        self.taken = 0
        self._path, self._effects = path, {} if path is None or status_of(path) is None else _read(path)

    def of(self, key: str, measure: Callable[[], Effect]) -> Effect:
        """The effect that is kept under `key`, or else what `measure` finds out, which is kept from now on."""
        known = self._effects.get(key)
        if known is not None:
            self.taken += 1
            return known
        self._effects[key] = measure()
        if self._path is not None:
            write_whole(self._path, effects_json(self._effects))
        return self._effects[key]


def key_of_trials(trials: Trials) -> str:
    """SHA-256 of the model, what it is run on and how results are stored."""
    proof, feeds, here = trials.proved.proof, trials.proved.feeds, environment()
    assert feeds is not None, "trials are run"
    files = [file.sha256() for file in trials.proved.model.files]
    files += [data_digest(file) for file in map(metric_file, proof.metrics) if file is not None]
    how = [trials.form, trials.target, list(proof.metrics), proof.metric_output, here.nncompress, here.onnxruntime]
    return digest_of_parts([files, digest_of_all(feeds), how])


def key_of_passes(of_trials: str, passes: Sequence[Pass]) -> str:
    """SHA-256 of one of the trials."""
    return digest_of_parts([of_trials, [described(step) for step in passes]])


def digest_of_parts(content: object) -> str:
    """SHA-256 of what JSON can say."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _read(path: Path) -> dict[str, Effect]:
    try:
        return read_effects(read_text(path))
    except InputError as error:
        raise InputError(f"cannot resume from {path}: {error}; name a new file, or delete this one") from error
