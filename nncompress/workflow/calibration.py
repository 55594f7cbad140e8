"""The samples that passes take statistics from: loaded, made up or set aside, and never those that prove the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.calibrate.cache import Cache
from nncompress.calibrate.ranges import BUDGET_BYTES
from nncompress.errors import InputError, UsageError
from nncompress.feeds.fed import input_specs
from nncompress.feeds.feeds import Feeds, digest_of, load_feeds
from nncompress.feeds.split import every, split
from nncompress.feeds.synthesise import how_to_give, synthesise_choices
from nncompress.files.places import MADE_UP, place_of
from nncompress.model.model import Model
from nncompress.model.shapes import value_bytes
from nncompress.passes import ALL_PASSES
from nncompress.passes.base import Pass
from nncompress.passes.components import BY_RESULT
from nncompress.passes.correct_biases import CorrectBiases
from nncompress.passes.second_order import CHOSEN
from nncompress.passes.statistics import BY_OUTPUT
from nncompress.results.record import Outcome, Rewritten
from nncompress.results.units import format_counted
from nncompress.validate.in_child import original_in_child
from nncompress.workflow.in_file import in_file
from nncompress.workflow.proof import Opened

MADE_UP_FEEDS = 16  # that calibrate
_PROVING = 4  # made-up feeds before them, which may prove the result

_APART = "the same sample never serves both, for a result has to prove itself on data that it has not seen"


@dataclass(frozen=True)
class Calibrating:
    """On what passes take statistics."""

    samples: Path | None = None  # MADE_UP: made up; None: some of those that would prove the result
    cache: Path | None = None

    @property
    def files(self) -> list[Path]:
        """What is read."""
        return [path for path in (self.samples, self.cache) if path is not None and path != MADE_UP]

    def absolute(self) -> Calibrating:
        """The same for who runs in another folder."""
        samples = self.samples if self.samples == MADE_UP else self.samples and self.samples.absolute()
        return Calibrating(samples, self.cache and self.cache.absolute())


@dataclass(frozen=True, eq=False)
class Samples:
    """What passes take statistics from, and what is left to prove the result."""

    feeds: Feeds
    cache: Cache
    proof: Feeds | None
    note: str | None = None  # where they do not come from files of their own


def samples_for(
    passes: Sequence[Pass], model: Model, calibrating: Calibrating, proved: Opened | None = None, *, writes: bool = True
) -> Samples | None:
    """The samples, if one of the passes needs some, or uses those that are given. Raises UsageError where the proof
    would be on the same ones. `writes`: to the cache."""
    used = calibrating.samples not in (None, MADE_UP) and any(each.uses for each in passes)
    if not (used or any(each.needs for each in passes)):
        return None
    cache = Cache(calibrating.cache, writes=writes)
    for spec in input_specs(model.ir):
        if spec.holds:
            raise InputError(f"calibration needs inputs that are tensors, and {spec.name!r} is {spec.kind}")
    samples = _samples(model, calibrating.samples, cache, proved)
    for step in passes:
        if len(samples.feeds) < step.needs.least_feeds:
            named = calibrating.samples is not None
            told = f"{samples.feeds.origin} has" if named else f"of {samples.feeds.origin} there would be"
            raise UsageError(
                f"{step.name} needs at least {step.needs.least_feeds} calibration feeds; {told} {len(samples.feeds)}"
            )
    return samples


def _samples(model: Model, path: Path | None, cache: Cache, proved: Opened | None) -> Samples:
    feeds = None if proved is None else proved.feeds
    if path == MADE_UP:
        made_up = _made_up(model, proved)
        many = f"{format_counted(len(made_up), 'MADE-UP feed')} (seed {made_up.seed})"
        return Samples(
            made_up, cache, feeds, f"calibrated on {many}, not on real samples: what real ones need is a guess"
        )
    if path is not None:
        samples = load_feeds(path, input_specs(model.ir))
        if feeds is not None and not feeds.synthetic:
            _check_apart(samples, feeds, path)
        return Samples(_small_enough(samples, model), cache, feeds)
    data, labels = (None, None) if proved is None else (proved.proof.data, proved.proof.labels)
    assert data is not None, "check_passes has seen to it"
    whole = feeds or load_feeds(data, input_specs(model.ir), labels)
    first, rest = split(whole)
    note = (
        f"{len(first)} of the {len(whole)} feeds of {whole.origin} (one of {every(len(whole))}) calibrate, and only "
        f"the other {len(rest)} prove the result"
    )
    return Samples(_small_enough(first, model), cache, rest if feeds else None, note)


def _small_enough(samples: Feeds, model: Model) -> Feeds:
    """The same samples, fewer in a feed where all activations of one would be too large."""
    single = samples.finer(1)
    if len(single) == len(samples):
        return samples
    shapes = {name: array.shape for name, array in next(iter(single)).items()}
    return samples.finer(BUDGET_BYTES // max(sum(value_bytes(model, shapes).values()), 1))


def _made_up(model: Model, proved: Opened | None) -> Feeds:
    """Feeds that the model accepts, other ones than those that prove the result."""
    seed, dims = (0, {}) if proved is None else (proved.proof.seed, proved.proof.dims)
    after = tuple(range(_PROVING, _PROVING + MADE_UP_FEEDS))
    choices = synthesise_choices(model.ir, seed=seed, dims=dims, count=_PROVING + MADE_UP_FEEDS)
    others, advice = tuple(replace(feeds, indices=after) for feeds in choices), how_to_give(input_specs(model.ir))
    if proved is not None and proved.session is not None:
        return proved.session.accepted(others, advice)
    with in_file(model, "model.onnx") as path, original_in_child(path) as session:
        return session.accepted(others, advice)


def _check_apart(samples: Feeds, proof: Feeds, path: Path) -> None:
    """Raises UsageError for the first feed that is in both."""
    if place_of(Path(proof.origin)) == place_of(path):
        raise UsageError(f"--calibration and --data are both {path}: {_APART}")
    seen = {digest: number for number, digest in enumerate(map(digest_of, proof), 1)}
    for number, digest in enumerate(map(digest_of, samples), 1):
        if digest in seen:
            twice = f"feed {number} of --calibration {samples.origin} is feed {seen[digest]} of --data {proof.origin}"
            raise UsageError(f"{twice}: {_APART}")


def calibration_notes(
    passes: Sequence[Pass], outcomes: Sequence[Outcome], samples: Samples | None, calibrating: Calibrating
) -> tuple[str, ...]:
    """What the report says about the samples; None: no pass asked for them."""
    if samples is None:
        able = ", ".join(kind.name for kind in ALL_PASSES if kind().needs or kind().uses)
        unread = [path for path in (calibrating.samples, calibrating.cache) if path is not None]
        return tuple(f"{path} was not read: no pass makes use of calibration data ({able} do)" for path in unread)
    feeds, done = samples.feeds, []
    rewritten = [outcome for outcome in outcomes if isinstance(outcome, Rewritten)]
    if chosen := sum(BY_OUTPUT in outcome.detail for outcome in rewritten):
        done.append(f"range and zero points of {format_counted(chosen, 'weight')} were chosen {BY_OUTPUT}")
    for method, things in CHOSEN.items():
        if chosen := sum(f", {method}" in outcome.detail for outcome in rewritten):
            counted = format_counted(chosen, "weight")
            done.append(f"{things} of {counted} were chosen by what the weight computes ({method})")
    if chosen := sum(BY_RESULT in outcome.detail for outcome in rewritten):
        done.append(f"factors of {format_counted(chosen, 'weight')} were chosen by what the weight computes")
    if any(step.needs.ranges for step in passes):
        done.append("activations were calibrated")
    if any(step.needs.means for step in passes):
        moved = [outcome for outcome in rewritten if outcome.by == CorrectBiases.name]
        biases = "the bias of 1 weight was" if len(moved) == 1 else f"the biases of {len(moved) or 'no'} weights were"
        done.append(f"{biases} corrected")
    notes = [f"{', '.join(done)} on {format_counted(len(feeds), 'feed')} of {feeds.origin}"] if done else []
    return (*filter(None, [samples.note]), *notes, *samples.cache.notes, *feeds.notes)
