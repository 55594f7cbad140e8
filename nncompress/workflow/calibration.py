"""The samples that passes take statistics from: loaded, and kept apart from those that prove the result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nncompress.errors import InputError, UsageError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds, digest_of, load_feeds
from nncompress.files.places import place_of
from nncompress.model.model import Model
from nncompress.passes.base import Pass
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.results.record import Outcome, Rewritten

_APART = "the same sample never serves both, for a result has to prove itself on data that it has not seen"


def samples_for(passes: Sequence[Pass], model: Model, path: Path | None, proof: Feeds | None = None) -> Feeds | None:
    """The samples at `path` if one of the passes needs some. Raises UsageError where `proof` has the same ones."""
    if path is None or not any(each.needs for each in passes):
        return None
    proof = None if proof is None or proof.synthetic else proof
    if proof is not None and place_of(Path(proof.origin)) == place_of(path):
        raise UsageError(f"--calibration and --data are both {path}: {_APART}")
    specs = input_specs(model.ir)
    for spec in specs:
        if spec.holds:
            raise InputError(f"calibration needs inputs that are tensors, and {spec.name!r} is {spec.kind}")
    samples = load_feeds(path, specs)
    for step in passes:
        if len(samples) < step.needs.least_feeds:
            raise UsageError(
                f"{step.name} needs at least {step.needs.least_feeds} calibration feeds; {path} has {len(samples)}"
            )
    if proof is not None:
        _check_apart(samples, proof)
    return samples


def _check_apart(samples: Feeds, proof: Feeds) -> None:
    """Raises UsageError for the first feed that is in both."""
    seen = {digest: number for number, digest in enumerate(map(digest_of, proof), 1)}
    for number, digest in enumerate(map(digest_of, samples), 1):
        if digest in seen:
            twice = f"feed {number} of --calibration {samples.origin} is feed {seen[digest]} of --data {proof.origin}"
            raise UsageError(f"{twice}: {_APART}")


def calibration_notes(outcomes: Sequence[Outcome], samples: Feeds | None, path: Path | None) -> tuple[str, ...]:
    """What the report says about the samples at `path`; None: no pass asked for them."""
    if samples is None:
        return (
            ()
            if path is None
            else (f"{path} was not read: no pass needs calibration data ({CorrectBiases.name} does)",)
        )
    moved = [outcome for outcome in outcomes if isinstance(outcome, Rewritten) and outcome.by == CorrectBiases.name]
    biases = "the bias of 1 weight was" if len(moved) == 1 else f"the biases of {len(moved) or 'no'} weights were"
    return (f"{biases} corrected on {len(samples)} feeds of {samples.origin}", *samples.notes)
