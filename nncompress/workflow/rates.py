"""Measures what each weight may become: one walk through the original for what it computes, some runs for what it does.

The first tells, from the products of a weight's inputs, what share of its own result each way to store it loses; the
others how much of that reaches the outputs, as that weight alone is moved. Errors of several weights are as good as
independent, so that squares add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from nncompress.calibrate.cache import Cache
from nncompress.calibrate.walk import CalibrationRun
from nncompress.errors import NoOutputError, UsageError
from nncompress.feeds.feeds import Feeds
from nncompress.feeds.split import thirds
from nncompress.files.opened import opened_bytes
from nncompress.forms import bits_of
from nncompress.forms.form import DEFAULT_FORM, Storing
from nncompress.forms.layouts import expected_cost
from nncompress.model.cuts import MatrixView
from nncompress.model.encoding import set_values
from nncompress.model.grain import grain_of
from nncompress.model.model import Model
from nncompress.model.normalise import normalise
from nncompress.model.weights import Weight, find_weights
from nncompress.numerics.blas_threads import one_blas_thread
from nncompress.numerics.denormal import without_tiny
from nncompress.numerics.held import Held, Store
from nncompress.numerics.rate_distortion import Kind, Loss, Products, kinds_of, losses, probed
from nncompress.numerics.threads import ahead
from nncompress.onnx_file.read import checked
from nncompress.onnx_file.write import content
from nncompress.passes.base import Pass, unfit
from nncompress.passes.context import Context
from nncompress.passes.parallel import enough_memory
from nncompress.passes.quantize_weights import QuantizeWeights
from nncompress.passes.statistics import Inputs
from nncompress.progress import Announce, counted
from nncompress.results.searched import Rate, Rated
from nncompress.runtime.jobs import ALONE, Jobs, in_jobs
from nncompress.workflow.pipeline import found_behind, simplify
from nncompress.workflow.prepare import prepare
from nncompress.workflow.trials import Trials

_BITS, _SPARSE_BITS, _SPARSE_BITS_OF_TABLES = (2, 3, 4, 5, 6, 7, 8), (3, 4), (3, 4, 5, 6)
_ZEROS = (0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.96)
_KINDS, _OF_TABLES = (kinds_of(_BITS, sparse, _ZEROS) for sparse in (_SPARSE_BITS, _SPARSE_BITS_OF_TABLES))
_MOST_FEEDS, _MOST_RUN = 96, 12  # by which rates are measured; of those that judge, that are run for each weight
_RUNS = 24  # of one feed, for each weight: where there are few, a weight is moved in more than one direction
_PROBED = 0.25  # of what 3 bits do to a weight, as much as 5 bits: more may do less than so many times as much
_AT_ONCE = 2  # weights that are looked at: each with several matrices of the square of its inputs
_NODE_BYTES, _SCALE_BYTES, _TABLE_BYTES = 150, 2, 4  # of decoding; of the scale of a channel; of a shared value
_LEAST_SHARED = 4096  # values: of fewer, a table takes what it gains
_NONE = 1e-12  # an effect that is rounding
_HALF_LOSS = 2.0**-24  # of float16, relative and squared, about


_Known = tuple[MatrixView, Products]
"""A weight as a matrix, and the products of what it is multiplied by."""


@dataclass(frozen=True)
class _Looked:
    """What is known of a weight after the walk."""

    found: list[Loss]
    channels: int
    probe: Held  # the values of the weight, rounded
    lost: float  # by the probe, of what the weight computes


@dataclass(frozen=True)
class _Found:
    """What was measured of a weight."""

    losses: list[Loss]  # of what it computes
    channels: int
    effect: float  # squared relative error of the outputs for each of what it computes


def measured_rates(
    trials: Trials, step: QuantizeWeights, before: Sequence[Pass] = (), jobs: Jobs = ALONE
) -> tuple[Rated, ...]:
    """Every weight that `step` may store in fewer bits, in the order of the graph, behind the passes `before`. Each of
    the `jobs` measures some of them; with another number of these, figures may differ in their last digits."""
    assert trials.samples is not None, "it is calibrated"
    model = _behind(before, trials, step)
    weights, _ = step.select(model)
    weights = [weight for weight in weights if not weight.is_elementwise and unfit(weight.array()) is None]
    measuring = _Measuring(trials.samples, trials.threads, trials.form)
    names, count = [weight.name for weight in weights], min(jobs.count, len(weights))
    if count <= 1:
        found = measuring.found(model, names, trials.cache)
    else:
        here = max(1, trials.threads // count)
        away = replace(measuring, samples=trials.samples.absolute(), threads=here if jobs.executor is None else 1)
        file, path = _handed(model), model.path or Path("model")
        parts = [(away, file, path, names[place::count]) for place in range(count)]
        made = in_jobs(_found_in_file, parts, jobs)
        found = [made[place % count][place // count] for place in range(len(names))]
    effects = _with_unused([each.effect for each in found])
    return _by_name(
        _rated(weight, each, effect, model.opset)
        for weight, each, effect in zip(weights, found, effects, strict=True)
    )  # fmt: skip


@one_blas_thread()
def _behind(before: Sequence[Pass], trials: Trials, step: QuantizeWeights) -> Model:
    """A copy of the original as it is when weights are stored."""
    assert trials.samples is not None, "it is calibrated"
    packed = replace(step, bits=2) if trials.form == DEFAULT_FORM else step
    prepared = prepare(trials.proved.model, [packed], trials.form, trials.preparing)
    model = prepared.model.clone()
    simplify(model)
    normalise(model)
    if before:
        run = CalibrationRun(model.clone(), trials.samples, trials.threads, trials.cache or Cache())
        storing = Storing(model.opset, trials.form, trials.target)
        for place, earlier in enumerate(before):
            found = found_behind(before[:place], model, trials.remembered)
            earlier.apply(model, Context(storing, threads=trials.threads, calibration=run, remembered=found))
    return model


def _handed(model: Model) -> bytes:
    """As each job gets it. Raises UsageError for one that is too large for that."""
    try:
        return b"".join(map(bytes, content(model)))
    except NoOutputError as error:
        raise UsageError(
            "--jobs hands the model on as one message, and it is too large for that: leave --jobs out"
        ) from error


def _found_in_file(
    measuring: _Measuring, file: bytes, path: Path, names: Sequence[str], announce: Announce
) -> list[_Found]:
    """The work of one job; `path` is what messages call the model."""
    return measuring.found(checked(path, opened_bytes([file], str(path))), names)


@dataclass(frozen=True)
class _Measuring:
    """How weights are measured. Pickles."""

    samples: Feeds
    threads: int
    form: str

    @one_blas_thread()
    def found(self, model: Model, names: Sequence[str], cache: Cache | None = None) -> list[_Found]:
        """Of the weights of these names, in their order."""
        first, others = thirds(self.samples, _MOST_FEEDS)
        few = others.some(slice(0, None, -(-len(others) // _MOST_RUN)))
        making, judging, running = (
            CalibrationRun(model.clone(), samples, self.threads, cache or Cache()) for samples in (first, others, few)
        )
        weights = _named(names, model)
        again = model.clone()  # both walks name states in it
        store, order = Store(), {id(weight): place for place, weight in enumerate(weights)}

        def known() -> Iterator[tuple[Weight, _Known | None]]:
            walks = zip(making.grams(model, weights), judging.grams(again, _named(names, again)), strict=True)
            for batch, others in walks:
                for (weight, inputs), (_, other) in zip(batch, others, strict=True):
                    yield weight, _products_of(inputs, other)

        def look(each: tuple[Weight, _Known | None]) -> tuple[int, _Looked]:
            weight, products = each
            with enough_memory(weight):
                return order[id(weight)], _looked(weight, products, store, self.form)

        found = sorted(ahead(look, known(), min(self.threads, _AT_ONCE)), key=lambda each: each[0])
        looked = [each for _, each in found]
        effects = _effects(model, running, weights, looked, -(-_RUNS // max(len(few), 1)))
        return [_Found(each.found, each.channels, effect) for each, effect in zip(looked, effects, strict=True)]


def _named(names: Sequence[str], model: Model) -> list[Weight]:
    weights = {weight.name: weight for weight in find_weights(model)}
    return [weights[name] for name in names]


def _products_of(inputs: Inputs | str, others: Inputs | str) -> _Known | None:
    if isinstance(inputs, str) or isinstance(others, str):
        return None
    return inputs.view, Products(inputs.gram, others.gram)


def _looked(weight: Weight, known: _Known | None, store: Store, form: str) -> _Looked:
    view, products = known or (_rows(weight), None)
    matrix = view.of(without_tiny(weight.array()))
    probe = probed(matrix, products)
    values = store.hold(view.undone(probe.values, weight.shape).astype(weight.dtype.numpy(), copy=False))
    found = losses(matrix, products, _kinds(weight, form, is_table=products is None), probe.factor)
    return _Looked(found, matrix.shape[0] * matrix.shape[1], values, probe.loss)


def _kinds(weight: Weight, form: str, *, is_table: bool) -> list[Kind]:
    """What a file may hold of it in that form. A table of values pays for itself where there are enough of them."""
    if form != DEFAULT_FORM:
        return [Kind(bits, 0.0) for bits in bits_of(form)]
    shares = weight.size >= _LEAST_SHARED
    return [kind for kind in (_OF_TABLES if is_table else _KINDS) if shares or not kind.shared]


def _rows(weight: Weight) -> MatrixView:
    """A row for each channel, of a weight of which it is not known what multiplies it."""
    shape, channel_axes = weight.shape, grain_of(weight).channel_axes
    axes = channel_axes if grain_of(weight).shape == shape else ()
    rest = tuple(axis for axis in range(len(shape)) if axis not in axes)
    channels = math.prod(shape[axis] for axis in axes)
    return MatrixView(shape, (*axes, *rest), (1, channels, weight.size // channels))


def _effects(
    model: Model, run: CalibrationRun, weights: Sequence[Weight], looked: Sequence[_Looked], probes: int
) -> Iterator[float]:
    """For each weight, the squared relative error of the outputs for each of what it computes: the mean of so many
    `probes`, for where few samples are near another answer, chance decides which way of rounding takes them there."""

    def probing() -> Iterator[Model]:
        pairs = zip(weights, looked, strict=True)
        for weight, each in counted("measuring weights", pairs, len(weights)):
            exact, values, rounded = weight.tensor, weight.array(), each.probe.load()
            for number in range(probes):
                set_values(weight, ir.Tensor(_moved(weight, values, rounded, number), name=weight.name))
                yield model
            set_values(weight, exact)

    errors = list(run.output_errors(probing()))
    for place, each in enumerate(looked):
        squares = [error**2 for error in errors[place * probes : (place + 1) * probes]]
        yield sum(squares) / probes / (_PROBED**2 * each.lost) if each.lost > 0 else 0.0


def _moved(weight: Weight, values: np.ndarray, rounded: np.ndarray, seed: int) -> np.ndarray:
    """Part of the way to `rounded`, or with another seed, about half of the outputs the other way, each as far."""
    axes = grain_of(weight).channel_axes if grain_of(weight).shape == weight.shape else ()
    shape = [size if axis in axes else 1 for axis, size in enumerate(weight.shape)]
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], shape) if seed else np.ones(shape)
    moved: np.ndarray = values + (_PROBED * signs).astype(values.dtype) * (rounded - values)
    typed: np.ndarray = moved.astype(weight.dtype.numpy(), copy=False)
    return typed


def _with_unused(effects: Sequence[float]) -> list[float]:
    """Where no sample makes use of a weight, as in a branch that none of them takes, it has the effect of the others:
    half of those have more."""
    known = sorted(effect for effect in effects if effect > _NONE)
    typical = known[len(known) // 2] if known else 1.0
    return [effect if effect > _NONE else typical for effect in effects]


def _by_name(each_rated: Iterable[Rated]) -> tuple[Rated, ...]:
    """Weights of one name, as graphs within others may hold, become the same: rules do not tell them apart."""
    by_name: dict[str, list[Rated]] = {}
    for rated in each_rated:
        by_name.setdefault(rated.name, []).append(rated)
    return tuple(Rated(name, tuple(_of_all(several))) for name, several in by_name.items())


def _of_all(several: Sequence[Rated]) -> Iterator[Rate]:
    """What all of them may become."""
    first, *others = ({(rate.options, rate.shared): rate for rate in rated.rates} for rated in several)
    for way, rate in first.items():
        if all(way in other for other in others):
            same = [rate, *(other[way] for other in others)]
            size, loss = sum(rate.size_bytes for rate in same), sum(rate.loss for rate in same)
            yield replace(rate, size_bytes=size, loss=loss)


def _rated(weight: Weight, measured: _Found, effect: float, opset: int) -> Rated:
    rates = [Rate(16, 0.0, 2 * weight.size + _NODE_BYTES, effect * _HALF_LOSS)]
    for found in measured.losses:
        kind = found.kind
        size = expected_cost(weight.size, kind.bits, round(found.density * weight.size), opset)
        scales = measured.channels * (_SCALE_BYTES + found.shifted)
        table = _TABLE_BYTES * 2**kind.bits if kind.shared else 0
        whole = size + scales + table + _NODE_BYTES
        rates.append(Rate(kind.bits, kind.sparsity, whole, effect * found.loss, kind.shared))
    return Rated(weight.given_name, tuple(rates))
