"""Builds models along the Pareto front of size and closeness, each of them proved; those that none dominates stay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from nncompress.errors import NoOutputError, NothingChangedError, UsageError, reason
from nncompress.onnx_file.output import remove_model
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
    well losses were foreseen. Those of an earlier front are gone then. Raises NoOutputError where the folder cannot be
    written to; whatever is raised, nothing that was made is left there."""
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoOutputError(f"cannot write to {folder}: {reason(error)}") from error
    places = [model_path(folder, stem, number) for number in range(MODELS)]
    made = [path for path in places if not os.path.lexists(path)]
    building = _Building(places, searching, compress)
    try:
        building.run()
    except BaseException:
        _remove([*made, *(point.path for point in building.points)])
        if is_new:
            with suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise
    results = results_of([point.report for point in building.points], by_outputs=True)
    kept = [point for point, result in zip(building.points, results.results, strict=True) if result.on_front]
    _remove([path for path in places if path not in {point.path for point in kept}])
    said = f"{_losses_foreseen(building.points)}{_latencies_foreseen(building.points)}"
    return kept, replace(results, unsatisfied=()), said


def _remove(models: Iterable[Path]) -> None:
    """With their recipes, those that are there."""
    for path in models:
        remove_model(path)
        recipe_path(path).unlink(missing_ok=True)


class _Building:
    """What was built."""

    def __init__(self, paths: Sequence[Path], searching: Searching, compress: Compress) -> None:
        self._paths, self._compress = paths, compress
        self._started = self._begun = time.monotonic()
        self._along: list[Place] = []  # all there are; and those of which models are built
        self._places: list[Place] = []
        self._stops, self._remembered = searching.interrupts(), Remembered()
        self._searching = replace(searching, interrupts=lambda: self._stops)
        self.points: list[Point] = []

    def run(self) -> None:
        """Models from the largest to the smallest, as many as there is time for. Raises UsageError where it cannot be
        told how close they are."""
        while not self.points or (len(self.points) < len(self._places) and not self._stops()):
            path = self._paths[len(self.points)]
            try:
                report = self._compress(path, self._decide)
            except NothingChangedError:
                if self.points or len(self._along) == 1:
                    raise
                self._leave_out(self._places[0])  # the original as it is
                continue
            self.points.append(Point(path, self._places[len(self.points)], report))
            if len(self.points) == 1:  # the largest, however many follow
                if self.points[0].error is None:
                    raise UsageError("--front compares floats, and no output of this model is of floats")
                self._have_time_for()

    def _decide(self, passes: Sequence[Pass], trials: Trials, limits: Limits) -> Chosen:
        trials = replace(trials, remembered=self._remembered)
        if not self._along:
            self._along.extend(places_along(passes, trials, self._searching))
            self._places = spread(self._along, MODELS)
            self._begun = time.monotonic()
        place = self._places[len(self.points)]
        search = Search((*place.before, *passes), trials, limits, self._searching)
        return Chosen(search.passes_of(place.mix), search.reasons(place.mix), made=search.built(place.mix))

    def _leave_out(self, place: Place) -> None:
        self._along.remove(place)
        self._places = spread(self._along, MODELS)

    def _have_time_for(self) -> None:
        """Fewer models, where each takes as long as the first."""
        left = self._searching.seconds - (time.monotonic() - self._started)
        more = min(left / (time.monotonic() - self._begun), MODELS)
        self._places = spread(self._along, min(max(1 + int(more), _FEWEST), MODELS))


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
