"""What a search has measured, kept in a file as it comes: another search goes on from there, with other limits too."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from nncompress.errors import InputError
from nncompress.feeds.feeds import digest_of_all
from nncompress.files.places import status_of
from nncompress.files.texts import read_text, write_whole
from nncompress.passes.base import Pass
from nncompress.passes.quantize_activations import QuantizeActivations
from nncompress.passes.spec import described
from nncompress.results.limits import Limits
from nncompress.results.searched import Measured, Profiled, Ran, Rated, Searched, read_searched, searched_json
from nncompress.runtime.environment import environment
from nncompress.workflow.kept_effects import digest_of_parts, key_of_passes, key_of_trials
from nncompress.workflow.kept_models import KeptModels
from nncompress.workflow.pipeline import Compressed
from nncompress.workflow.trials import Trials

T = TypeVar("T")
_MOST_BYTES = 1 << 30  # some 6 kB for each weight, behind each way to remove channels


class KeptSearch:
    """Models that were built are in the folder FILE.models. Without a file nothing is kept beyond one search."""

    def __init__(self, path: Path | None = None) -> None:
        """Reads the file at `path`, if there is one. Raises InputError for one that is something else."""
        self._path = path
        self._searched = Searched() if path is None or status_of(path) is None else _read(path)
        self._models = KeptModels(None if path is None else path.with_name(f"{path.name}.models"))
        self._last: tuple[Trials, str] | None = None  # and their key

    def rates(
        self, trials: Trials, passes: Sequence[Pass], measure: Callable[[], tuple[Rated, ...]]
    ) -> tuple[Rated, ...]:
        """What `measure` finds out of the weights, unless it is known; `passes` bear on it."""
        return self._known(self._searched.rates, _key_of_rates(trials, passes), measure)

    def has_rates(self, trials: Trials, passes: Sequence[Pass]) -> bool:
        """True if they are known."""
        return _key_of_rates(trials, passes) in self._searched.rates

    def model(self, trials: Trials, passes: Sequence[Pass], measure: Callable[[], Measured]) -> Measured:
        """The same of a whole model."""

        def timed() -> Measured:
            started = time.monotonic()
            measured = measure()
            return replace(measured, seconds=round(time.monotonic() - started, 2))

        return self._known(self._searched.models, self._key_of_model(trials, passes), timed)

    def has_model(self, trials: Trials, passes: Sequence[Pass]) -> bool:
        """True if there is nothing to measure."""
        return self._key_of_model(trials, passes) in self._searched.models

    def run(self, trials: Trials, passes: Sequence[Pass], how: str, measure: Callable[[], Ran | None]) -> Ran | None:
        """The same of one that is run beside the original on this machine; `how` tells ways to measure it apart."""
        return self._known(self._searched.runs, self._key_of_timed(trials, passes, how), measure)

    def profile(self, trials: Trials, passes: Sequence[Pass], measure: Callable[[], Profiled]) -> Profiled:
        """The same of its kernels."""
        return self._known(self._searched.profiles, self._key_of_timed(trials, passes, "kernels"), measure)

    def built(self, trials: Trials, passes: Sequence[Pass]) -> Compressed:
        """What they make: built, unless that is kept."""
        return self._models.of(_key_of_built(trials, passes), lambda: trials.compressed(passes))

    def has_built(self, trials: Trials, passes: Sequence[Pass]) -> bool:
        """True if there is nothing to build."""
        return self._models.has(_key_of_built(trials, passes))

    def targets(self, trials: Trials) -> tuple[float, ...]:
        """The expected losses for which models were sought, whatever the limits were, in this order."""
        return tuple(self._searched.targets.get(self._key(trials), ()))

    def add_target(self, trials: Trials, target: float) -> None:
        """One that a model is sought for now."""
        known = self._searched.targets.setdefault(self._key(trials), [])
        if target not in known:
            known.append(target)
            self._write()

    def is_another(self, trials: Trials, passes: Sequence[Pass], limits: Limits) -> bool:
        """True where a search came to its end before, but none within these limits."""
        before = self._searched.limits.get(key_of_passes(self._key(trials), passes), ())
        return bool(before) and repr(limits) not in before

    def end(self, trials: Trials, passes: Sequence[Pass], limits: Limits) -> None:
        """A search within these came to its end."""
        before = self._searched.limits.setdefault(key_of_passes(self._key(trials), passes), [])
        if repr(limits) not in before:
            before.append(repr(limits))
            self._write()

    def _known(self, kept: dict[str, T], key: str, measure: Callable[[], T]) -> T:
        """What is kept under `key`, or else what `measure` finds out, which is kept from now on."""
        if key not in kept:
            kept[key] = measure()
            self._write()
        return kept[key]

    def _key_of_model(self, trials: Trials, passes: Sequence[Pass]) -> str:
        """With what products in integers may differ by."""
        key = key_of_passes(self._key(trials), passes)
        in_integers = any(isinstance(step, QuantizeActivations) for step in passes)
        return digest_of_parts([key, _machine()]) if in_integers else key

    def _key_of_timed(self, trials: Trials, passes: Sequence[Pass], how: str) -> str:
        proof = trials.proved.proof
        measured = [how, trials.draft, proof.seconds, proof.exact, proof.threads, _machine()]
        return digest_of_parts([key_of_passes(self._key(trials), passes), measured])

    def _key(self, trials: Trials) -> str:
        if self._last is None or self._last[0] is not trials:
            self._last = (trials, digest_of_parts([key_of_trials(trials), *_of_compressing(trials), trials.strip]))
        return self._last[1]

    def _write(self) -> None:
        if self._path is not None:
            write_whole(self._path, searched_json(self._searched))


def _key_of_rates(trials: Trials, passes: Sequence[Pass], *how: str) -> str:
    of_model = [file.sha256() for file in trials.proved.model.files]
    said = [described(step) for step in passes]
    return digest_of_parts([of_model, *_of_compressing(trials), *said, environment().nncompress, *how])


def _key_of_built(trials: Trials, passes: Sequence[Pass]) -> str:
    """With what bears on the last digits of products, and on what may saturate."""
    here = environment()
    return _key_of_rates(trials, passes, "built", here.onnx, here.onnx_ir, here.onnxruntime, here.numpy, *_machine())


def _machine() -> list[str]:
    """One name of a processor may have several kinds of instructions."""
    here = environment()
    return [here.platform, here.cpu, *here.cpu_flags, f"{here.cores} cores"]


def _of_compressing(trials: Trials) -> list[str | bool]:
    """What bears on what passes make of a model."""
    assert trials.samples is not None, "it is calibrated"
    how = trials.preparing
    return [
        digest_of_all(trials.samples), trials.form, trials.target, how.freeze_inputs, how.keep_opset,
        trials.keep_metadata,
    ]  # fmt: skip


def _read(path: Path) -> Searched:
    try:
        return read_searched(read_text(path, _MOST_BYTES))
    except InputError as error:
        raise InputError(f"cannot resume from {path}: {error}; name a new file, or delete this one") from error
