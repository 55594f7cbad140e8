"""A user's own task metric: a function in a module or a .py file, called once for each model.

    def pixel_accuracy(outputs, labels, inputs):
        ...
        return 0.97

`outputs` and `inputs` are lists of {name: array}, one a feed, `labels` the array of --labels or None. It returns one
number. Attributes of the function say what it is: `lower_is_better = True`; `is_share = False` for a figure that does
not lie between 0 and 1 and is compared by its relative change.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nncompress.errors import InputError, UsageError
from nncompress.feeds.specs import Array, Feed
from nncompress.results.record import TaskMetric


class OwnMetric:
    """Keeps all outputs until the end."""

    output = None  # of any shape

    def __init__(self, spec: str, labels: Array | None) -> None:
        self._spec = spec
        self._function = _loaded(spec)
        self._labels = labels
        self._inputs: list[dict[str, Array]] = []
        self._outputs: tuple[list[dict[str, Array]], list[dict[str, Array]]] = ([], [])

    def add(self, reference: Mapping[str, Array], candidate: Mapping[str, Array], feed: Feed) -> None:
        """Keeps them."""
        self._inputs.append(dict(feed))
        self._outputs[0].append(dict(reference))
        self._outputs[1].append(dict(candidate))

    def finish(self) -> tuple[TaskMetric, ...]:
        """What the function returns for each model."""
        share = bool(getattr(self._function, "is_share", True))
        values = [self._value(outputs, share=share) for outputs in self._outputs]
        higher = not getattr(self._function, "lower_is_better", False)
        name = self._spec.rpartition(":")[2]
        samples = sum(next((len(array) for array in feed.values() if array.ndim), 1) for feed in self._inputs)
        return (TaskMetric(name, values[0], values[1], samples, higher, share),)

    def _value(self, outputs: list[dict[str, Array]], *, share: bool) -> float:
        try:
            value = float(self._function(outputs, self._labels, self._inputs))
        except (Exception, SystemExit) as error:  # whatever the user's code raises is the user's to read
            said = str(error).split("\n")[0]
            raise UsageError(f"metric {self._spec!r} raised {type(error).__name__}: {said}") from error
        if np.isnan(value):
            raise UsageError(f"metric {self._spec!r} returned NaN, which nothing can be compared with")
        if share and not 0 <= value <= 1:
            name = self._spec.rpartition(":")[2]
            raise UsageError(
                f"metric {self._spec!r} returned {value:g}, which is no share of 1: set {name}.is_share = False "
                "for a figure that is compared by its relative change"
            )
        return value


def _loaded(spec: str) -> Callable[..., Any]:
    place, _, name = spec.rpartition(":")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except (Exception, SystemExit) as error:  # an import runs the user's code
        raise UsageError(f"metric {spec!r} cannot be imported: {type(error).__name__}: {error}") from error
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"metric {spec!r}: {place} has no function {name!r}")
    return function  # type: ignore[no-any-return]


def _from_path(module: str) -> Any:
    """From the current folder, or wherever Python finds it."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    finally:
        sys.path.pop(0)


def _from_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
