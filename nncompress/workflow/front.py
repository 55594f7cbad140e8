"""Builds models along the Pareto front of size and closeness, each of them proved; those that none dominates stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.errors import NoOutputError, reason
from nncompress.passes.base import Pass
from nncompress.results.front import Results, results_of
from nncompress.results.limits import Limits
from nncompress.results.record import Report
from nncompress.results.units import format_share
from nncompress.results.worst import worst_sqnr_db
from nncompress.workflow.along import Place, places_along, spread
from nncompress.workflow.auto import Search
from nncompress.workflow.chosen import Chosen
from nncompress.workflow.pipeline import Remembered
from nncompress.workflow.searching import Searching
from nncompress.workflow.trials import Trials

MODELS = 12  # that are built at most, of which some may be dominated
_FEWEST = 2

Compress = Callable[[Path, Callable[[Sequence[Pass], Trials, Limits], Chosen]], Report]
"""(where to, what decides on the passes) -> the report; writes the recipe, too."""


@dataclass(frozen=True)
class Point:
    """One model of the front."""

    path: Path
    place: Place
    report: Report

    @property
    def error(self) -> float | None:
        """Relative error of the worst output as it was measured."""
        run = self.report.comparison.run
        sqnr = None if run is None else worst_sqnr_db(run)
        return None if sqnr is None else float(10 ** (-sqnr.value / 20))


def model_path(folder: Path, stem: str, number: int) -> Path:
    """Where the model of that number (from 0, the largest) goes."""
    return folder / f"{stem}-{number + 1:02}.onnx"


def recipe_path(model: Path) -> Path:
    """Where its recipe goes."""
    return model.with_suffix(".toml")


def build_front(folder: Path, stem: str, searching: Searching, compress: Compress) -> tuple[list[Point], Results, str]:
    """The models that none dominates, from the largest, in files of `folder`; all that were tried as results; and how
    well losses were foreseen. Raises NoOutputError where the folder cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoOutputError(f"cannot write to {folder}: {reason(error)}") from error
    started = begun = time.monotonic()
    points: list[Point] = []
    along: list[Place] = []  # all there are; and those of which models are built
    places: list[Place] = []
    stops, remembered = searching.interrupts(), Remembered()
    searching = replace(searching, interrupts=lambda: stops)

    def decide(passes: Sequence[Pass], trials: Trials, limits: Limits) -> Chosen:
        nonlocal begun
        trials = replace(trials, remembered=remembered)
        if not along:
            along.extend(places_along(passes, trials, searching))
            places[:] = spread(along, MODELS)
            begun = time.monotonic()
        place = places[len(points)]
        search = Search((*place.before, *passes), trials, limits, searching)
        return Chosen(search.passes_of(place.mix), search.reasons(place.mix), made=search.built(place.mix))

    while not points or (len(points) < len(places) and not stops()):
        path = model_path(folder, stem, len(points))
        report = compress(path, decide)
        points.append(Point(path, places[len(points)], report))
        if len(points) == 1:  # the largest, however many follow
            left = searching.seconds - (time.monotonic() - started)
            more = min(left / (time.monotonic() - begun), MODELS)
            places[:] = spread(along, min(max(1 + int(more), _FEWEST), MODELS))
    results = results_of([point.report for point in points], by_outputs=True)
    kept = [point for point, result in zip(points, results.results, strict=True) if result.on_front]
    for point in points:
        if point not in kept:
            for written in (point.path, recipe_path(point.path)):
                written.unlink(missing_ok=True)
    return kept, replace(results, unsatisfied=()), f"{_losses_foreseen(points)}{_latencies_foreseen(points)}"


def _latencies_foreseen(points: Sequence[Point]) -> str:
    """Weights become floats when a model is loaded, whatever they are stored in: each takes as long as the first that
    has as many channels."""
    first: dict[tuple[Pass, ...], float] = {}
    off: list[float] = []
    for point in points:
        run = point.report.comparison.run
        if run is None or run.latency is None:
            continue
        if point.place.before in first:
            off.append(abs(run.latency.ratio / first[point.place.before] - 1))
        first.setdefault(point.place.before, run.latency.ratio)
    if not off:
        return ""
    same = " that has as many channels" if len(first) > 1 else ""
    return f"; latencies are {format_share(max(off))} at most from that of the largest{same}, as which all compute"


def _losses_foreseen(points: Sequence[Point]) -> str:
    known = [(point.place.loss, point.error) for point in points if point.error is not None]
    ranks = [_ranks([each[place] or 0.0 for each in known]) for place in (0, 1)]
    count = len(known)
    if count < 3:
        return f"{count} models were measured, too few to say how well their losses were foreseen"
    squares = sum((first - second) ** 2 for first, second in zip(*ranks, strict=True))
    correlation = 1 - 6 * squares / (count * (count**2 - 1))
    return f"expected and measured errors of {count} models: rank correlation {correlation:.3f}"


def _ranks(values: Sequence[float]) -> list[int]:
    order = sorted(range(len(values)), key=lambda place: values[place])
    return [order.index(place) for place in range(len(values))]
