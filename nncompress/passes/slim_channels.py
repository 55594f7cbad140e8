"""Pass `slim-channels`: channels, neurons and their weights are removed, and those that stay make up for them.

What reads a channel is fitted anew, by products of its inputs, to compute without it what it computed with it, its mean
by way of the bias (He et al., 2017, "Channel pruning for accelerating very deep neural networks", reconstruct outputs
by least squares, too; here channels are chosen by what that leaves, one by one). The network stays dense, with smaller
matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from nncompress.model.channel_groups import ChannelGroup, Holder, keep_channels
from nncompress.model.channel_search import find_channel_groups
from nncompress.model.cuts import MatrixView, product_of
from nncompress.model.edit import Names
from nncompress.model.encoding import set_values
from nncompress.model.linear import Bias, find_linears, move_bias
from nncompress.model.model import Model
from nncompress.model.states import named_states
from nncompress.model.tensors import lazy
from nncompress.model.weights import Weight
from nncompress.numerics.elimination import Reader, eliminated
from nncompress.numerics.gram import Gram
from nncompress.numerics.held import Held, Store
from nncompress.numerics.second_order import Quadratic
from nncompress.passes.base import Stage, WeightPass, unfit
from nncompress.passes.context import Context
from nncompress.passes.option_types import Share
from nncompress.passes.statistics import Inputs, Needs
from nncompress.results.record import Outcome, Rewritten, Skipped

_ENERGY = 0.99
_DAMPING = 0.002  # of the mean of the diagonal: more would count as a loss that channels are made up for by others
_ROUNDED = 1e-4  # of a sum of squares: what differences of large ones are not known by
_MOST_INPUTS = 6144  # of a matrix that is taken whole
_NO_GROUP = "its channels also meet, or are handed to, what cannot do with fewer"
_NONE_GOES = "no channel can go: the others would not make up for it"


@dataclass(frozen=True)
class SlimChannels(WeightPass):
    """Removes channels and neurons that the others can make up for: matrices are smaller, and every runtime faster.

    Of Conv, Gemm, MatMul, LSTM, GRU and RNN, with all that computes channel by channel in between; in the order of the
    graph, each against the network as it is by then. Without calibration data nothing is made up for, and those go
    whose weights are smallest.
    """

    energy: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of the variance of what the next products compute that must be kept, of each; 0.99 unless a share is
    given"""
    share: Share | None = field(default=None, metadata={"metavar": "SHARE"})
    """share of channels that go, of each group of them; instead of an energy"""
    multiple: int = 8
    """the number of channels that stay is a multiple of this: kernels work on so many at a time"""
    min_size: int = 8
    """leave weights with fewer elements alone"""

    name: ClassVar[str] = "slim-channels"
    stage: ClassVar[Stage] = Stage.GRAPH

    def problem(self) -> str | None:
        if self.energy is not None and self.share is not None:
            return "give an energy or a share, not both"
        for name, value in (("energy", self.energy), ("share", self.share)):
            if value is not None and not 0 < value < 1:
                return f"{name} must lie between 0 and 1, not at {value}"
        return None if self.multiple > 0 else f"multiple must be at least 1, not {self.multiple}"

    @property
    def uses(self) -> Needs:
        return Needs(grams=True)

    def apply(self, model: Model, context: Context) -> list[Outcome]:
        weights, outcomes = self.select(model)
        by_value = {id(weight.value): weight for weight in weights}
        groups = [
            group for group in find_channel_groups(model)
            if all(id(holder.value) in by_value for holder in (*group.makers, *group.readers))
        ]  # fmt: skip
        said: dict[int, list[tuple[str, int, _Fit | str]]] = {id(weight.value): [] for weight in weights}
        kept: dict[int, np.ndarray] = {}
        names = Names(model)
        linears = {id(linear.node): linear for linear in find_linears(model)} if groups else {}
        biases = [[linears[id(holder.node)].bias for holder in group.readers] for group in groups]
        for place, fit in self._fits(model, groups, biases, by_value, context):
            group = groups[place]
            if isinstance(fit, _Fit) and len(fit.kept) < group.channels:
                kept[id(group.makers[0].value)] = fit.kept
                fit.set(model, [by_value[id(holder.value)] for holder in group.readers], biases[place], names)
            for which, holders in (("outputs", group.makers), ("channels", group.others), ("inputs", group.readers)):
                for holder in (holder for holder in holders if id(holder.value) in said):
                    said[id(holder.value)].append((which, group.channels, fit))
        for group in find_channel_groups(model) if kept else ():  # anew: a bias may have been made
            stay = kept.pop(id(group.makers[0].value), None)
            if stay is not None:
                keep_channels(model, group, stay, names)
        assert not kept, "values alone make no other groups"
        return outcomes + [self._outcome(weight, said[id(weight.value)]) for weight in weights]

    def _outcome(self, weight: Weight, said: Sequence[tuple[str, int, _Fit | str]]) -> Outcome:
        """Of all groups that it makes or reads: (which side of it, channels, what came of them)."""
        reasons = [fit for _, _, fit in said if isinstance(fit, str)]
        fits = [
            (which, channels, fit) for which, channels, fit in said
            if isinstance(fit, _Fit) and len(fit.kept) < channels
        ]  # fmt: skip
        if not fits:
            return Skipped(weight.name, self.name, (reasons or [_NONE_GOES if said else _NO_GROUP])[0])
        stay = " and ".join(f"{len(fit.kept)} of {channels} {which}" for which, channels, fit in fits)
        losses = [fit.lost for which, _, fit in fits if which == "inputs"]
        if None in losses:
            return Rewritten(weight.name, self.name, f"{stay} stay, chosen by weights alone")
        lost = max((loss for loss in losses if loss is not None), default=None)
        of_it = "" if lost is None else f", {lost:.2%} of the variance of what it computes lost"
        return Rewritten(weight.name, self.name, f"{stay} stay{of_it}")

    def _fits(
        self, model: Model, groups: Sequence[ChannelGroup], biases: Sequence[Sequence[Bias | str]],
        weights: Mapping[int, Weight], context: Context,
    ) -> Iterator[tuple[int, _Fit | str]]:  # fmt: skip
        """For each group, by number, which channels stay, or why all do. What is set by then is what the next one is
        fitted to."""
        known = context.remembered.get(self)
        if known is not None:
            yield from known
            return
        found: list[tuple[int, _Fit | str]] = []
        for place, inputs in _inputs(model, groups, weights, context):
            group = groups[place]
            views = [
                _View.of(weights[id(holder.value)], holder, group.channels, each, bias)
                for holder, each, bias in zip(group.readers, inputs, biases[place], strict=True)
            ]
            fit = self._fitted(group, views, context.store)
            found.append((place, fit if _has_samples(context) or isinstance(fit, str) else replace(fit, lost=None)))
            yield found[-1]
        context.remembered[self] = found

    def _fitted(self, group: ChannelGroup, views: Sequence[_View | str], store: Store) -> _Fit | str:
        """What stays, and what readers become to make up for the rest."""
        able = [view for view in views if isinstance(view, _View)]
        if len(able) < len(views):
            return next(view for view in views if isinstance(view, str))
        least, most_lost = self.multiple, 1 - (self.energy or _ENERGY)
        if self.share is not None:
            least, most_lost = max(1, math.ceil(group.channels * (1 - self.share))), math.inf
        try:
            with np.errstate(all="ignore"):  # what is not finite goes no further
                made = eliminated([view.reader for view in able], least, self.multiple, most_lost)
        except np.linalg.LinAlgError:
            return "its inputs are too much alike to say what makes up for what"
        changes = (view.changed(matrix, store) for view, matrix in zip(able, made.matrices, strict=True))
        return _Fit(made.kept, made.lost, tuple(changes))


@dataclass(frozen=True)
class _Change:
    """New values of a reader, with zeros for channels that go, and what its bias moves by."""

    values: Held
    by: np.ndarray


@dataclass(frozen=True)
class _Fit:
    """Channels that stay, the largest share of variance that is lost (None: there are no samples to tell), and what
    becomes of each reader."""

    kept: np.ndarray
    lost: float | None
    changes: tuple[_Change, ...]

    def set(self, model: Model, readers: Sequence[Weight], biases: Sequence[Bias | str], names: Names) -> None:
        """In the model, whose channels are still all there."""
        for weight, change, bias in zip(readers, self.changes, biases, strict=True):
            set_values(weight, lazy(change.values.load, weight.dtype, weight.shape, weight.name))
            if isinstance(bias, Bias) and change.by.any() and np.isfinite(bias.moved(change.by)).all():
                move_bias(model, bias, change.by, names)


@dataclass(frozen=True)
class _View:
    """What reads channels, and what is known of them."""

    weight: Weight
    inputs: Inputs
    bias: Bias | str
    reader: Reader

    @classmethod
    def of(cls, weight: Weight, holder: Holder, channels: int, inputs: Inputs | str, bias: Bias | str) -> _View | str:
        """Or why it cannot be fitted anew."""
        if isinstance(inputs, str):
            return inputs
        array = weight.array()
        reason = unfit(array)
        if reason is not None:
            return reason
        numbers = _channels_of(weight, holder, channels, inputs.view)
        if any(len(set(np.bincount(own, minlength=channels)) - {0}) > 1 for own in numbers):
            return "its inputs are taken in blocks, across whose ends channels run"
        exact = inputs.view.of(array).astype(np.float64)
        gram = _centred(inputs.gram) if isinstance(bias, Bias) else inputs.gram
        return cls(weight, inputs, bias, Reader(exact, Quadratic.of(exact, gram, damping=_DAMPING), numbers))

    def changed(self, matrix: np.ndarray, store: Store) -> _Change:
        """As this matrix, with a bias that makes up for the mean."""
        values = self.inputs.view.undone(matrix, self.weight.shape).astype(self.weight.dtype.numpy())
        gram, exact = self.inputs.gram, self.reader.exact
        by = (exact @ gram.mean_before[:, :, None] - matrix @ gram.mean[:, :, None]).sum(axis=0)[:, 0]
        return _Change(store.hold(values), by / max(gram.count, 1) if isinstance(self.bias, Bias) else np.zeros(1))


def _centred(gram: Gram) -> Gram:
    """Of what differs from the mean."""
    count = max(gram.count, 1)
    now = gram.mean[:, None] / count
    own = gram.own - gram.mean[:, :, None] * now
    inputs = np.arange(own.shape[1])
    own[:, inputs, inputs] = np.maximum(own[:, inputs, inputs], 0) + _ROUNDED * gram.own[:, inputs, inputs]
    cross = None if gram.cross is None else gram.cross - gram.mean_before[:, :, None] * now
    return replace(gram, own=own, cross=cross)


def _has_samples(context: Context) -> bool:
    return context.calibration is not None and not context.calibration.made_up


def _inputs(
    model: Model, groups: Sequence[ChannelGroup], weights: Mapping[int, Weight], context: Context
) -> Iterator[tuple[int, list[Inputs | str]]]:
    """Of each group, by number, the inputs of its readers as soon as all of them are known. Without samples it is as if
    channels had nothing to do with each other, and were as large as the weights that make them."""
    owners = {id(holder.value): (place, holder) for place, group in enumerate(groups) for holder in group.readers}
    readers = [weights[key] for key in owners]
    batches: Iterator[list[tuple[Weight, Inputs | str]]]
    if context.calibration is not None and _has_samples(context) and readers:
        batches = context.calibration.grams(model, readers)
    else:
        batches = _by_weights(model, groups, [(weight, *owners[id(weight.value)]) for weight in readers])
    known: dict[int, Inputs | str] = {}
    for batch in batches:
        known |= {id(weight.value): inputs for weight, inputs in batch}
        for place in dict.fromkeys(owners[id(weight.value)][0] for weight, _ in batch):
            if all(id(holder.value) in known for holder in groups[place].readers):
                yield place, [known.pop(id(holder.value)) for holder in groups[place].readers]


def _by_weights(
    model: Model, groups: Sequence[ChannelGroup], readers: Sequence[tuple[Weight, int, Holder]]
) -> Iterator[list[tuple[Weight, Inputs | str]]]:
    with named_states([model]):
        for weight, place, holder in readers:
            yield [(weight, _like_weights(weight, groups[place], holder))]


def _like_weights(weight: Weight, group: ChannelGroup, holder: Holder) -> Inputs | str:
    product = product_of(weight, weight.main_use, _MOST_INPUTS)
    if isinstance(product, str):
        return product
    squares = np.zeros(group.channels)
    for maker in group.makers:
        array = np.moveaxis(maker.array().astype(np.float64), maker.axis, 0)
        squares += np.square(array).reshape(maker.outer, group.channels, -1).sum(axis=(0, 2))
    own = np.stack([np.diag(each) for each in squares[_channels_of(weight, holder, group.channels, product.view)]])
    none = np.zeros(own.shape[:2])
    return Inputs(product.view, Gram(1, own, None, none, none))


def _channels_of(weight: Weight, holder: Holder, channels: int, view: MatrixView) -> np.ndarray:
    """The channel of each input of the matrix [groups, inputs]."""
    shape = [-1 if axis == holder.axis else 1 for axis in range(len(weight.shape))]
    along = (np.arange(weight.shape[holder.axis]) // holder.run % channels).reshape(shape)
    return view.of(np.broadcast_to(along, weight.shape))[:, 0]
